/** The life of a thread's plugins, in virtual time: setup and its bound, replacement, signal, teardown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../src/clock.js';
import { definePlugin, type Plugin } from '../../src/index.js';
import { createLog } from '../../src/log/log.js';
import { PluginInstance } from '../../src/plugin/instance.js';
import { PluginRegistry } from '../../src/plugin/metrics.js';
import { PluginSet } from '../../src/plugin/plugin-set.js';

const SETUP_MS = 5000;

function environment() {
  const clock = new VirtualClock();
  const logged: string[] = [];
  const log = createLog('info', {
    write: (line: string) => {
      const { plugin, msg, err } = JSON.parse(line);
      logged.push(`${plugin}: ${msg}: ${err?.message}`);
    },
  });
  const set = (plugins: PluginInstance[]): PluginSet =>
    new PluginSet(plugins, {
      log,
      metrics: new PluginRegistry(),
      clock,
      reactor: 0,
      setupTimeoutMs: SETUP_MS,
    });
  return { clock, logged, set };
}

/** Writes down what is called, with whether its signal was aborted by then. */
function traced(name: string, trace: string[], more: Partial<Plugin> = {}): PluginInstance {
  return new PluginInstance(
    definePlugin({
      name,
      setup: ({ signal }) => {
        trace.push(`setup ${name} ${signal.aborted}`);
        return name;
      },
      onStart: () => {},
      teardown: ({ signal, state }) => {
        trace.push(`teardown ${state as string} ${signal.aborted}`);
      },
      ...more,
    } as Plugin),
  );
}

const turns = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

test('a setup that hangs fails the start at its bound; the others are torn down, and the hanging one is told', async () => {
  const { clock, set } = environment();
  const trace: string[] = [];
  let signal: AbortSignal | undefined;
  const hanging = traced('hanging', trace, {
    setup: context => {
      signal = context.signal;
      return new Promise(() => {});
    },
  });
  const plugins = set([traced('well', trace), hanging]);
  let failure: Error | undefined;
  const start = plugins.start().catch(error => {
    failure = error as Error;
  });
  await clock.advanceAsync(SETUP_MS - 1);
  assert.equal(failure, undefined);
  assert.equal(signal!.aborted, false);
  await clock.advanceAsync(1);
  await start;
  assert.match(failure!.message, /plugin hanging: setup failed: it has not finished after 5000 ms/);
  assert.equal(signal!.aborted, true);
  assert.deepEqual(trace, ['setup well false', 'teardown well true']);
  await plugins.close();
  assert.equal(trace.length, 2);
  assert.equal(clock.timers, 0);
});

test('the state that setup gives is there for all that come later, and each end is told once', async () => {
  const { clock, set } = environment();
  const trace: string[] = [];
  const plugins = set([traced('a', trace), traced('b', trace, { setup: async () => 'later' })]);
  await plugins.start();
  assert.deepEqual(
    plugins.running.map(({ context }) => context.state),
    ['a', 'later'],
  );
  await Promise.all([plugins.close(), plugins.close()]);
  assert.deepEqual(trace.slice(1).sort(), ['teardown a true', 'teardown later true']);
  assert.equal(clock.timers, 0);
});

test('the end waits for calls and for what their onStop does, up to its bound', async () => {
  const { clock, set } = environment();
  const trace: string[] = [];
  const [plugin] = [traced('a', trace)];
  const plugins = set([plugin!]);
  await plugins.start();
  let saved!: () => void;
  plugin!.opened();
  const closing = plugins.close(1000);
  await clock.advanceAsync(500);
  plugin!.stopped(
    new Promise<void>(resolve => {
      saved = resolve;
    }),
  );
  plugin!.closed();
  await clock.advanceAsync(400);
  assert.deepEqual(trace, ['setup a false']);
  saved();
  await closing;
  assert.deepEqual(trace, ['setup a false', 'teardown a true']);

  const late = set([traced('late', trace)]);
  await late.start();
  late.running[0]!.stopped(new Promise(() => {}));
  late.running[0]!.stopped(Promise.reject(new Error('logged elsewhere')));
  const closed = late.close(1000);
  await clock.advanceAsync(999);
  assert.ok(!trace.includes('teardown late true'));
  await clock.advanceAsync(1);
  await closed;
  assert.ok(trace.includes('teardown late true'));
});

test('a teardown that hangs is given up after 4 s, logged and counted', async () => {
  const { clock, logged, set } = environment();
  let counted = 0;
  const plugins = set([traced('a', [], { teardown: () => new Promise(() => {}) })]);
  plugins.count = () => counted++;
  await plugins.start();
  const closing = plugins.close();
  await clock.advanceAsync(3999);
  assert.deepEqual(logged, []);
  await clock.advanceAsync(1);
  await closing;
  assert.equal(counted, 1);
  assert.deepEqual(logged, ["a: a plugin's teardown failed: teardown has not finished after 4000 ms"]);
});

test('replaced code lives until its last call is over, or the end comes; a failing setup replaces nothing', async () => {
  const { clock, logged, set } = environment();
  const trace: string[] = [];
  const first = traced('first', trace);
  const plugins = set([first]);
  const held = plugins.running;
  await plugins.start();
  first.opened();
  await assert.rejects(
    plugins.replace([
      traced('good', trace),
      traced('bad', trace, { setup: () => Promise.reject(new Error('no')) }),
    ]),
    { code: 'SIDETONE_SETUP_FAILED', message: 'plugin bad: setup failed: no' },
  );
  assert.deepEqual(plugins.all, [first]);
  assert.deepEqual(trace, ['setup first false', 'setup good false', 'teardown good true']);
  const second = traced('second', trace);
  await plugins.replace([second]);
  assert.deepEqual(held, [second], 'whoever holds the list sees it');
  assert.deepEqual(plugins.all, [second, first]);
  await clock.advanceAsync(3_600_000);
  assert.equal(trace.length, 4);
  first.closed();
  await turns();
  assert.deepEqual(trace.slice(3), ['setup second false', 'teardown first true']);
  assert.deepEqual(plugins.all, [second]);

  second.opened();
  const third = traced('third', trace);
  await plugins.replace([third]);
  const closing = plugins.close(1000);
  await clock.advanceAsync(1000);
  await closing;
  assert.deepEqual(trace.slice(5).sort(), [
    'setup third false',
    'teardown second true',
    'teardown third true',
  ]);
  second.closed();
  await turns();
  assert.equal(trace.length, 8);
  assert.deepEqual(logged, []);
});

test('a reload that is under way at the end is torn down too', async () => {
  const { set } = environment();
  const trace: string[] = [];
  const plugins = set([traced('first', trace)]);
  await plugins.start();
  let finish!: (state: string) => void;
  const slow = traced('slow', trace, {
    setup: () =>
      new Promise<string>(resolve => {
        finish = resolve;
      }),
  });
  const replacing = plugins.replace([slow]);
  const closing = plugins.close();
  await turns();
  finish('slow');
  await Promise.all([replacing, closing]);
  assert.deepEqual(trace.slice(1).sort(), ['teardown first true', 'teardown slow true']);
});
