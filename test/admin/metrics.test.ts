import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { COUNTER_HELP, REFUSAL_REASONS, snakeCase } from '../../src/admin/counters.js';
import { Metrics } from '../../src/admin/metrics.js';
import { Figures } from '../../src/admin/source.js';
import type { StreamGroup } from '../../src/reactor/snapshot.js';
import { version } from '../../src/version.js';
import { root } from '../helpers/paths.js';
import { parseExposition, sampleValue } from './exposition.js';
import { COUNTER_NAMES, FakeSource, fakeSnapshot } from './fake.js';

async function scrape(source = new FakeSource(), metrics = new Metrics(new Figures(source))) {
  return parseExposition(await metrics.text());
}

test('every counter of engine and reactor is there under its name, with a help text of its own', async () => {
  assert.deepEqual([...Object.keys(COUNTER_HELP)].sort(), [...COUNTER_NAMES].sort());
  assert.equal(new Set(Object.values(COUNTER_HELP)).size, COUNTER_NAMES.length);
  const families = await scrape();
  COUNTER_NAMES.forEach((name, i) => {
    const metric = `sidetone_${snakeCase(name)}_total`;
    assert.equal(families.get(metric)?.type, 'counter', metric);
    assert.equal(families.get(metric)?.help, COUNTER_HELP[name]);
    if (name !== 'refusedMessages') assert.equal(sampleValue(families, metric), i + 1);
  });
});

test('the dashboard looks at counters that exist', () => {
  const script = ['view.js', 'dashboard.js']
    .map(name => readFileSync(join(root, 'assets/dashboard', name), 'utf8'))
    .join('');
  const lists = ['FAULTS', 'ODDITIES'].map(
    name => new RegExp(`const ${name} = \\[([^\\]]+)\\]`).exec(script)![1]!,
  );
  const named = /(?:counters\.|counterColumn\('[A-Z]\w+', ')(\w+)/g;
  const names = [
    ...[...lists.join('').matchAll(/'(\w+)'/g)].map(([, name]) => name!),
    ...[...script.matchAll(named)].map(([, name]) => name!),
  ];
  assert.ok(names.length > 35, String(names.length));
  assert.deepEqual(
    names.filter(name => !COUNTER_NAMES.includes(name)),
    [],
  );
});

test('names follow the habits: counters end in _total, times in _seconds, memory in _bytes', async () => {
  for (const [name, { type, help }] of await scrape()) {
    assert.match(name, /^(sidetone|process|nodejs)_[a-z0-9_]+$/);
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    assert.doesNotMatch(name, /_(ms|milliseconds|kb|mb)(_|$)/);
    assert.match(help, /^[A-Z0-9].*\.$/, `${name} wants a sentence`);
  }
});

test('the documentation lists every metric with its type, labels and meaning, and no other', () => {
  const { definitions } = new Metrics(new Figures(new FakeSource()));
  const table = definitions.map(
    ({ name, type, labels, help }) =>
      `| \`${name}\` | ${type} | ${labels.map(label => `\`${label}\``).join(' ')} | ${help} |`,
  );
  const file = new URL('../../../docs/admin.md', import.meta.url);
  const documented = readFileSync(file, 'utf8')
    .split('\n')
    .filter(line => /^\| `(sidetone|process|nodejs)_/.test(line));
  assert.deepEqual(documented, table, `docs/admin.md should hold:\n${table.join('\n')}\n`);
});

test('what several reactors count is added up; what tells them apart has their number', async () => {
  const source = new FakeSource();
  const echo = { plugin: 'echo', inbound: 'PCMU', outbound: 'PCMU' } as const;
  source.answer = async () => [
    fakeSnapshot(0, 1, {
      groups: [
        { ...echo, streams: 2 },
        { ...echo, outbound: 'L16', streams: 1 },
      ],
      connections: 4,
      queueBytes: 1000,
      eventLoopDelayMs: { p50: 1, p99: 2, max: 30 },
    }),
    fakeSnapshot(1, 10, { groups: [{ ...echo, streams: 5 }], connections: 6, queueBytes: 3000 }),
  ];
  const families = await scrape(source);
  assert.equal(sampleValue(families, 'sidetone_media_received_total'), 11);
  assert.equal(sampleValue(families, 'sidetone_streams', echo), 7);
  assert.equal(sampleValue(families, 'sidetone_streams', { ...echo, outbound: 'L16' }), 1);
  assert.equal(sampleValue(families, 'sidetone_reactor_streams', { reactor: '0' }), 3);
  assert.equal(sampleValue(families, 'sidetone_reactor_streams', { reactor: '1' }), 5);
  assert.equal(sampleValue(families, 'sidetone_connections', { reactor: '1' }), 6);
  assert.equal(sampleValue(families, 'sidetone_queue_bytes', { reactor: '0' }), 1000);
  assert.equal(
    sampleValue(families, 'sidetone_event_loop_delay_seconds', { reactor: '0', stat: 'max' }),
    0.03,
  );
});

test('lateness is a histogram in seconds: cumulative, whole in +Inf, quarter-ms bins below their upper bound', async () => {
  const source = new FakeSource();
  const lateness = new Array<number>(256).fill(0);
  lateness[0] = 5; // below 0.25 ms
  lateness[3] = 4; // 0.75 to 1 ms
  lateness[4] = 3; // 1 to 1.25 ms
  lateness[239] = 2; // 59.75 to 60 ms
  lateness[255] = 1; // 63.75 ms and more
  source.answer = async () => [fakeSnapshot(0, 1, { lateness }), fakeSnapshot(1, 1, { lateness })];
  const families = await scrape(source);
  const name = 'sidetone_send_lateness_seconds';
  const bucket = (le: string) => sampleValue(families, `${name}_bucket`, { le });
  assert.equal(bucket('0.00025'), 10);
  assert.equal(bucket('0.0005'), 10);
  assert.equal(bucket('0.001'), 18);
  assert.equal(bucket('0.0015'), 24);
  assert.equal(bucket('0.06'), 28);
  assert.equal(bucket('+Inf'), 30);
  assert.equal(sampleValue(families, `${name}_count`), 30);
  const sumMs = 2 * (5 * 0.125 + 4 * 0.875 + 3 * 1.125 + 2 * 59.875 + 63.875);
  assert.ok(Math.abs(sampleValue(families, `${name}_sum`) - sumMs / 1000) < 1e-9);
  const buckets = families.get(name)!.samples.filter(sample => sample.name.endsWith('_bucket'));
  const bounds = buckets.map(({ labels }) => (labels.le === '+Inf' ? Infinity : Number(labels.le)));
  assert.deepEqual(
    bounds,
    bounds.toSorted((a, b) => a - b),
  );
  assert.deepEqual(
    buckets.map(({ value }) => value),
    buckets.map(({ value }) => value).toSorted((a, b) => a - b),
  );
});

test('refused messages stand by reason, known ones from zero on', async () => {
  const source = new FakeSource();
  source.answer = async () => [
    fakeSnapshot(0, 1, { refusals: { bad_json: 3, a_new_reason: 1 } }),
    fakeSnapshot(1, 1, { refusals: { bad_json: 4 } }),
  ];
  const families = await scrape(source);
  const name = 'sidetone_refused_messages_total';
  assert.equal(sampleValue(families, name, { reason: 'bad_json' }), 7);
  assert.equal(sampleValue(families, name, { reason: 'a_new_reason' }), 1);
  assert.equal(sampleValue(families, name, { reason: 'second_start' }), 0);
  assert.equal(families.get(name)!.samples.length, REFUSAL_REASONS.length + 1);
});

test('streams are 0, not absent: before the first one, and after the last one of a group', async () => {
  const source = new FakeSource();
  const metrics = new Metrics(new Figures(source));
  const group = { plugin: 'echo', inbound: 'PCMU', outbound: 'PCMU' } as const;
  const shown = async (groups: StreamGroup[]) => {
    source.answer = async () => [fakeSnapshot(0, 1, { groups })];
    const { samples } = (await scrape(source, metrics)).get('sidetone_streams')!;
    return samples.map(({ labels, value }) => ({ ...labels, value }));
  };
  assert.deepEqual(await shown([]), [{ plugin: '', inbound: '', outbound: '', value: 0 }]);
  assert.deepEqual(await shown([{ ...group, streams: 3 }]), [{ ...group, value: 3 }]);
  assert.deepEqual(await shown([{ ...group, plugin: 'tone', streams: 1 }]), [
    { ...group, value: 0 },
    { ...group, plugin: 'tone', value: 1 },
  ]);
  assert.deepEqual(await shown([]), [
    { ...group, value: 0 },
    { ...group, plugin: 'tone', value: 0 },
  ]);
});

test('a second scrape shows the new figures only: nothing adds up, what is gone is gone', async () => {
  const source = new FakeSource();
  const metrics = new Metrics(new Figures(source));
  const group = { plugin: 'echo', inbound: 'PCMU', outbound: 'PCMU', streams: 1 } as const;
  const pool = {
    workers: 2,
    streams: 3,
    load: 0.5,
    capacity: 0.8,
    opened: 4,
    openRefused: 2,
    jobs: 40,
    jobsPending: 5,
    batches: 6,
    refused: 7,
    discarded: 8,
    restarts: 9,
    hung: 1,
    jobsLost: 2,
    sinkErrors: 3,
  };
  source.answer = async () => [fakeSnapshot(0, 1, { groups: [group], pool })];
  const first = await scrape(source, metrics);
  assert.equal(first.get('sidetone_streams')!.samples.length, 1);
  assert.equal(sampleValue(first, 'sidetone_pool_jobs_total'), 40);
  assert.equal(sampleValue(first, 'sidetone_pool_jobs_pending'), 5);
  assert.equal(sampleValue(first, 'sidetone_pool_load'), 0.5);
  assert.equal(sampleValue(first, 'sidetone_pool_capacity'), 0.8);
  assert.equal(sampleValue(first, 'sidetone_pool_open_refused_total'), 2);
  source.answer = async () => [fakeSnapshot(0, 2)];
  const second = await scrape(source, metrics);
  assert.equal(sampleValue(second, 'sidetone_media_received_total'), 2);
  assert.equal(sampleValue(second, 'sidetone_pool_jobs_total'), 0);
});

test('a scrape shows the worst delay of the event loop since the last scrape, whoever looked meanwhile', async () => {
  const source = new FakeSource();
  const figures = new Figures(source);
  const metrics = new Metrics(figures);
  const delays = [
    { p50: 1, p99: 5, max: 9 },
    { p50: 2, p99: 3, max: 80 },
    { p50: 1, p99: 4, max: 6 },
    { p50: 1, p99: 1, max: 1 },
  ];
  source.answer = async () => [fakeSnapshot(0, 1, { eventLoopDelayMs: delays.shift()! })];
  await figures.take(0);
  await figures.take(0);
  const stats = (families: Awaited<ReturnType<typeof scrape>>) =>
    ['p50', 'p99', 'max'].map(stat =>
      sampleValue(families, 'sidetone_event_loop_delay_seconds', { reactor: '0', stat }),
    );
  assert.deepEqual(stats(await scrape(source, metrics)), [0.002, 0.005, 0.08]);
  assert.deepEqual(stats(await scrape(source, metrics)), [0.001, 0.001, 0.001]);
});

test('the process: what runs, whether it takes streams, CPU, memory, descriptors', async () => {
  const source = new FakeSource();
  source.draining = true;
  source.ready = false;
  const families = await scrape(source);
  assert.equal(sampleValue(families, 'sidetone_build_info', { version, node: process.version }), 1);
  assert.equal(sampleValue(families, 'sidetone_draining'), 1);
  assert.equal(sampleValue(families, 'sidetone_ready'), 0);
  assert.equal(sampleValue(families, 'sidetone_streams_max'), 100);
  const cpu = sampleValue(families, 'process_cpu_seconds_total');
  const parts = ['user', 'system'].map(part => sampleValue(families, `process_cpu_${part}_seconds_total`));
  assert.ok(cpu > 0 && Math.abs(cpu - parts[0]! - parts[1]!) < 1e-6);
  assert.ok(sampleValue(families, 'process_resident_memory_bytes') > 1e7);
  // A minute apart is far less than any mistake about the unit or the origin.
  const startedSeconds = performance.timeOrigin / 1000;
  assert.ok(Math.abs(sampleValue(families, 'process_start_time_seconds') - startedSeconds) < 60);
  if (process.platform === 'linux') {
    const open = sampleValue(families, 'process_open_fds');
    assert.ok(open > 3 && open < sampleValue(families, 'process_max_fds'));
  }
});
