/** A plugin's own metrics: names, labels, values, what a reload keeps, and how several threads are added up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '../../src/log/log.js';
import { familiesText, type PluginMetrics, PluginRegistry, sumFamilies } from '../../src/plugin/metrics.js';
import { addCounters, noFigures } from '../../src/reactor/snapshot.js';
import { parseExposition, sampleValue } from '../admin/exposition.js';

const log = createLog('silent');
const page = async (...registries: PluginRegistry[]) => {
  const families = sumFamilies(await Promise.all(registries.map(registry => registry.families())));
  // What goes between threads must be plain data.
  return parseExposition(await familiesText(structuredClone(families)));
};
const refuses = (run: () => unknown, message: RegExp): void =>
  assert.throws(run, { code: 'SIDETONE_BAD_ARGUMENT', message });

test('counters, gauges and histograms stand under their names, with the plugin as a label', async () => {
  const registry = new PluginRegistry();
  const metrics = registry.of('agent', log);
  const answers = metrics.counter('answers', 'Answers given.');
  const keys = metrics.counter('keys', 'Keys.', { labels: ['key', 'plan'] });
  const waiting = metrics.gauge('waiting', 'Calls that wait.');
  const seconds = metrics.histogram('seconds', 'Seconds.', { buckets: [0.5, 1] });
  answers.inc();
  answers.inc(2.5);
  keys.inc(1, { key: '"#\\', plan: 7 });
  keys.inc(2, { plan: 7, key: '"#\\' });
  waiting.set(5);
  waiting.inc();
  waiting.dec(3);
  for (const value of [0.25, 0.75, 3]) seconds.observe(value);
  const families = await page(registry);
  const plugin = 'agent';
  assert.equal(families.get('sidetone_plugin_answers_total')!.type, 'counter');
  assert.equal(sampleValue(families, 'sidetone_plugin_answers_total', { plugin }), 3.5);
  const labels = { plugin, key: '\\"#\\\\', plan: '7' };
  assert.equal(sampleValue(families, 'sidetone_plugin_keys_total', labels), 3);
  assert.equal(sampleValue(families, 'sidetone_plugin_waiting', { plugin }), 3);
  for (const [le, count] of [
    ['0.5', 1],
    ['1', 2],
    ['+Inf', 3],
  ] as const) {
    assert.equal(sampleValue(families, 'sidetone_plugin_seconds_bucket', { plugin, le }), count);
  }
  assert.equal(sampleValue(families, 'sidetone_plugin_seconds_sum', { plugin }), 4);
});

test('bad names, labels and values are refused with the plugin, the value and the remedy', () => {
  const metrics = new PluginRegistry().of('agent', log);
  for (const name of ['', 'Answers', '1st', 'a-b', 'a b', '_a', 'é', 'a'.repeat(101), 5, undefined]) {
    refuses(
      () => metrics.counter(name as string, 'Help.'),
      /^plugin agent: metrics\.counter name: .*small letters/,
    );
  }
  refuses(
    () => metrics.counter('answers_total', 'Help.'),
    /leave out its end _total, which is added by itself/,
  );
  refuses(() => metrics.histogram('time_bucket', 'Help.'), /leave out its end _bucket/);
  refuses(() => metrics.gauge('size', ''), /size: help: "": say what/);
  for (const labels of [['plugin'], ['le'], ['a', 'a'], ['A'], 'a']) {
    refuses(() => metrics.gauge('size', 'Help.', { labels: labels as string[] }), /size: labels: /);
  }
  for (const buckets of [[], [1, 1], [2, 1], [Number.NaN], ['1']]) {
    refuses(() => metrics.histogram('time', 'Help.', { buckets: buckets as number[] }), /time: buckets: /);
  }
  const counter = metrics.counter('keys', 'Keys.', { labels: ['key'] });
  refuses(
    () => counter.inc(-1, { key: '1' }),
    /^plugin agent: metrics\.counter keys: -1: give a number from 0/,
  );
  refuses(() => counter.inc(Number.NaN, { key: '1' }), /keys: NaN: give a number/);
  for (const labels of [undefined, {}, { kex: '1' }, { key: '1', more: '2' }, { key: {} }]) {
    refuses(() => counter.inc(1, labels as never), /keys: labels: .*give a text or a number for key/);
  }
  refuses(
    () => metrics.gauge('size', 'Help.').set(1, { key: 1 } as never),
    /labels: \{"key":1\}: leave them out/,
  );
  refuses(() => metrics.histogram('time', 'Help.').observe('1' as never), /time: "1": give a number/);
});

test('the same definition is the same metric; another one of the name is refused', async () => {
  const registry = new PluginRegistry();
  const metrics = registry.of('agent', log);
  metrics.counter('calls', 'Calls.').inc();
  metrics.counter('calls', 'Calls.').inc();
  refuses(() => metrics.counter('calls', 'Calls.', { labels: ['key'] }), /calls: it is defined already/);
  const other = registry.of('other', log);
  other.counter('calls', 'Calls.', { labels: ['key'] }).inc(5, { key: 'x' });
  metrics.gauge('level', 'Level.').set(1);
  refuses(() => other.histogram('level', 'Level.'), /level: plugin agent has a gauge of this name/);
  const families = await page(registry);
  assert.equal(sampleValue(families, 'sidetone_plugin_calls_total', { plugin: 'agent' }), 2);
  assert.equal(sampleValue(families, 'sidetone_plugin_calls_total', { plugin: 'other', key: 'x' }), 5);
});

test('a reload goes on counting; what it defines otherwise begins anew', async () => {
  const registry = new PluginRegistry();
  const define = (metrics: PluginMetrics, labels: string[]) => ({
    calls: metrics.counter('calls', 'Calls.'),
    keys: metrics.counter('keys', 'Keys.', { labels }),
  });
  const before = define(registry.of('agent', log), ['key']);
  before.calls.inc();
  before.keys.inc(1, { key: '1' });
  const after = define(registry.of('agent', log), ['digit']);
  after.calls.inc();
  before.calls.inc();
  before.keys.inc(1, { key: '1' });
  after.keys.inc(7, { digit: '1' });
  const families = await page(registry);
  assert.equal(sampleValue(families, 'sidetone_plugin_calls_total', { plugin: 'agent' }), 3);
  assert.equal(families.get('sidetone_plugin_keys_total')!.samples.length, 1);
  assert.equal(sampleValue(families, 'sidetone_plugin_keys_total', { plugin: 'agent', digit: '1' }), 7);
});

test('a label with a value for each call does not fill the memory: a thousand are counted, and the log says it once', async () => {
  const lines: string[] = [];
  const registry = new PluginRegistry();
  const write = (line: string): void => void lines.push(line);
  const counter = registry
    .of('agent', createLog('info', { write }))
    .counter('calls', 'Calls.', { labels: ['id'] });
  for (let id = 0; id < 1500; id++) counter.inc(1, { id });
  counter.inc(1, { id: 0 });
  const { samples } = (await page(registry)).get('sidetone_plugin_calls_total')!;
  assert.equal(samples.length, 1000);
  assert.equal(samples.find(({ labels }) => labels.id === '0')!.value, 2);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /plugin agent: metrics\.counter calls.*too many combinations/);
});

test('threads are added up; of one that has ended its counts stay, and what it held up does not', async () => {
  const threads = [new PluginRegistry(), new PluginRegistry()];
  for (const [i, registry] of threads.entries()) {
    const metrics = registry.of('agent', log);
    metrics.counter('calls', 'Calls.').inc(i + 1);
    metrics.gauge('level', 'Level.').set(10 * (i + 1));
    metrics.histogram('time', 'Time.', { buckets: [1] }).observe(i + 0.5);
  }
  const plugin = 'agent';
  const both = await page(...threads);
  assert.equal(sampleValue(both, 'sidetone_plugin_calls_total', { plugin }), 3);
  assert.equal(sampleValue(both, 'sidetone_plugin_level', { plugin }), 30);
  assert.equal(sampleValue(both, 'sidetone_plugin_time_bucket', { plugin, le: '1' }), 1);
  assert.equal(sampleValue(both, 'sidetone_plugin_time_count', { plugin }), 2);
  const [now, past] = await Promise.all(
    threads.map(async registry => ({ ...noFigures(0), pluginMetrics: await registry.families() })),
  );
  const summed = parseExposition(await familiesText(addCounters(now!, past!).pluginMetrics));
  assert.equal(sampleValue(summed, 'sidetone_plugin_calls_total', { plugin }), 3);
  assert.equal(sampleValue(summed, 'sidetone_plugin_level', { plugin }), 10);
  assert.equal(sampleValue(summed, 'sidetone_plugin_time_sum', { plugin }), 2);
  assert.equal(await familiesText([]), '');
});
