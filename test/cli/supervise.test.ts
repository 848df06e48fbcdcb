/** `sidetone serve --supervise`: when a crashed server is started again, and a hand-over that cuts no call. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ChildWatch, KILL_AFTER_MS } from '../../src/cli/child-watch.js';
import { DELAY_MAX_MS, FIRST_DELAY_MS, HEALTHY_MS, RestartPolicy } from '../../src/cli/restart-policy.js';
import { VirtualClock } from '../../src/clock.js';
import { Simulator } from '../../src/index.js';
import { runCli, type ServeChild, serveChild } from '../helpers/serve-child.js';
import { echoedCall, eventually, freePort, hangUp, longCall } from '../helpers/servers.js';

const WAIT_MS = 60_000;
const CRASH = { code: null, signal: 'SIGSEGV' } as const;
const directory = mkdtempSync(join(tmpdir(), 'sidetone-supervise-'));
after(() => rmSync(directory, { recursive: true }));

test('each crash waits twice as long as the one before, up to a maximum', () => {
  const policy = new RestartPolicy(new VirtualClock());
  const waits = Array.from({ length: 12 }, () => policy.ended(CRASH)!);
  assert.deepEqual(
    waits.slice(0, 4),
    [1, 2, 4, 8].map(times => times * FIRST_DELAY_MS),
  );
  assert.deepEqual(waits.slice(-2), [DELAY_MAX_MS, DELAY_MAX_MS]);
});

test('the wait begins anew after a time in service, and not one millisecond before', () => {
  const clock = new VirtualClock(5);
  const policy = new RestartPolicy(clock);
  const crashAfter = (ms: number): number | undefined => {
    policy.ready();
    clock.advance(ms);
    return policy.ended(CRASH);
  };
  assert.equal(crashAfter(0), FIRST_DELAY_MS);
  assert.equal(crashAfter(HEALTHY_MS - 1), 2 * FIRST_DELAY_MS);
  assert.equal(crashAfter(HEALTHY_MS), FIRST_DELAY_MS);
  // This one was never ready: the time before counts for nothing.
  clock.advance(HEALTHY_MS);
  assert.equal(policy.ended(CRASH), 2 * FIRST_DELAY_MS);
});

test('bad configuration is not tried again, any other end is', () => {
  const policy = new RestartPolicy(new VirtualClock());
  assert.equal(policy.ended({ code: 2, signal: null }), undefined);
  assert.equal(policy.ended({ code: 1, signal: null }), FIRST_DELAY_MS);
  assert.equal(policy.ended({ code: 0, signal: null }), 2 * FIRST_DELAY_MS);
});

interface Line {
  msg: string;
  pid: number;
  [field: string]: unknown;
}

const lines = (child: ServeChild): Line[] =>
  child
    .output()
    .split('\n')
    .flatMap(text => (text.startsWith('{') ? [JSON.parse(text) as Line] : []));

const said = (child: ServeChild, message: string): Line[] =>
  lines(child).filter(({ msg }) => msg.startsWith(message));

async function saying(child: ServeChild, message: string, count = 1): Promise<Line> {
  await eventually(() => said(child, message).length >= count, `"${message}": ${child.output()}`, WAIT_MS);
  return said(child, message)[count - 1]!;
}

async function supervised(
  args: readonly string[],
  run: (child: ServeChild, address: string) => Promise<void>,
): Promise<void> {
  const port = await freePort();
  const own = ['--supervise', '--port', String(port), '--no-overload-refuse', '--drain-timeout', '120'];
  const child = await serveChild([...own, ...args]);
  try {
    await run(child, `ws://127.0.0.1:${port}/echo`);
  } finally {
    // Servers whose supervisor has gone end by themselves; a failed test must not wait for their calls.
    await child.kill();
    for (const { pid } of said(child, 'listening')) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
  }
}

test('a server that crashes is started again, and the log says why it ended', async () => {
  await supervised([], async (child, address) => {
    const { pid } = await saying(child, 'listening');
    assert.notEqual(pid, child.process.pid);
    await saying(child, 'a server is in service');
    process.kill(pid, 'SIGKILL');
    const crash = await saying(child, 'the server crashed and is started again');
    assert.deepEqual(
      [crash.pid, crash.child, crash.signal, crash.code, crash.delayMs],
      [child.process.pid, pid, 'SIGKILL', null, FIRST_DELAY_MS],
    );
    await saying(child, 'listening', 2);
    await echoedCall(address, 5);
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
    assert.equal(said(child, 'the server crashed').length, 1);
  });
});

test('SIGUSR2 hands over: the running call is heard to its end, new ones reach the new server', async () => {
  await supervised([], async (child, address) => {
    const old = await saying(child, 'listening');
    const call = await longCall(address);
    child.process.kill('SIGUSR2');
    const drain = await saying(child, 'hand-over: the old server drains');
    const next = await saying(child, 'listening', 2);
    assert.deepEqual([drain.old, drain.next], [old.pid, next.pid]);
    const draining = await saying(child, 'draining');
    assert.deepEqual([draining.pid, draining.streams], [old.pid, 1]);
    await echoedCall(address, 5);
    await hangUp(call);
    const ended = await saying(child, 'a server has ended');
    assert.deepEqual([ended.child, ended.code], [old.pid, 0]);
    await echoedCall(address, 5);
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
  });
});

test('the admin port goes from the old server to the new one', async () => {
  const adminPort = await freePort();
  await supervised(['--admin', '--admin-port', String(adminPort)], async child => {
    const ready = async (): Promise<number> =>
      (await fetch(`http://127.0.0.1:${adminPort}/readyz`, { headers: { connection: 'close' } })).status;
    assert.equal(await ready(), 200);
    child.process.kill('SIGUSR2');
    const { pid } = await saying(child, 'the admin port is open');
    assert.equal(pid, said(child, 'listening')[1]!.pid);
    assert.equal(await ready(), 200);
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
  });
});

test('a new server that does not get ready leaves the old one running', async () => {
  const plugin = join(directory, 'agent.mjs');
  writeFileSync(plugin, "export default { name: 'agent', onStart: () => ({}) };\n");
  await supervised(['--plugin', 'echo', '--plugin', plugin], async (child, address) => {
    const call = await longCall(address);
    writeFileSync(plugin, "export default { name: 'agent', setup: () => { throw new Error('no'); } };\n");
    child.process.kill('SIGUSR2');
    await saying(child, 'hand-over failed: the old server goes on');
    await hangUp(call);
    await echoedCall(address, 5);
    assert.equal(said(child, 'draining').length, 0);
    // A bad configuration ends the supervisor, too, once no server is left.
    process.kill(said(child, 'listening')[0]!.pid, 'SIGKILL');
    const fatal = await saying(child, 'the server ended and is not started again');
    assert.equal(fatal.code, 2);
    assert.deepEqual(await child.exit, { code: 2, signal: null });
  });
});

test('SIGTERM drains, a second one ends at once', async () => {
  await supervised([], async (child, address) => {
    const call = await longCall(address);
    child.process.kill('SIGTERM');
    await saying(child, 'draining');
    assert.equal(child.process.exitCode, null);
    child.process.kill('SIGTERM');
    await saying(child, 'closing at once');
    assert.deepEqual(await child.exit, { code: 0, signal: null });
    assert.equal((await call.result).ended, 'by the application');
  });
});

test('a server whose supervisor has gone drains', async () => {
  await supervised([], async child => {
    const { pid } = await saying(child, 'listening');
    child.process.kill('SIGKILL');
    const draining = await saying(child, 'draining');
    assert.deepEqual([draining.pid, draining.signal], [pid, 'the supervisor has gone']);
    await child.exit;
  });
});

test('what has never been ready is not started again', async () => {
  const child = runCli(['serve', '--supervise', '--port', '0', '--no-admin', '--log-level', 'info']);
  assert.deepEqual(await child.exit, { code: 2, signal: null });
  assert.match(child.output(), /sharePort: true: port 0 .*give the port/);
  assert.match(child.output(), /it has never been ready/);
});

const TIMES = { intervalMs: 100, limitMs: 1000 };

/** A watched server on a clock that the test turns. */
function watched(times = TIMES): { clock: VirtualClock; watch: ChildWatch; done: string[] } {
  const clock = new VirtualClock();
  const done: string[] = [];
  const watch = new ChildWatch(clock, times, {
    end: silentMs => done.push(`end after ${silentMs}`),
    kill: () => done.push('kill'),
    drains: () => done.push('drains'),
  });
  return { clock, watch, done };
}

test('a server that gives signs of life is left alone, however long', () => {
  const { clock, watch, done } = watched();
  for (let i = 0; i < 1000; i++) {
    // It may miss as many signs as fit into the limit.
    clock.advance(i % 2 === 0 ? TIMES.intervalMs : TIMES.limitMs - TIMES.intervalMs);
    watch.beat();
  }
  assert.deepEqual([done, watch.isEnding], [[], false]);
});

test('a server without a sign of life is ended at the limit, then killed', () => {
  const { clock, watch, done } = watched();
  clock.advance(TIMES.intervalMs + TIMES.limitMs - 1);
  assert.deepEqual([done, watch.isEnding], [[], false]);
  clock.advance(1);
  assert.deepEqual([done, watch.isEnding], [['end after 1000'], true]);
  clock.advance(KILL_AFTER_MS - 1);
  assert.deepEqual(done, ['end after 1000']);
  clock.advance(1);
  assert.deepEqual(done, ['end after 1000', 'kill']);
  assert.equal(clock.timers, 0);
});

test('a stuck server that works again after SIGTERM is not killed', () => {
  const { clock, watch, done } = watched();
  clock.advance(TIMES.intervalMs + TIMES.limitMs);
  watch.beat();
  clock.advance(KILL_AFTER_MS);
  assert.deepEqual(done, ['end after 1000', 'drains']);
});

test('a server that has ended, or that nobody watches, is not killed', () => {
  const ended = watched();
  ended.clock.advance(TIMES.intervalMs + TIMES.limitMs);
  ended.watch.close();
  const unwatched = watched({ ...TIMES, limitMs: 0 });
  for (const { clock } of [ended, unwatched]) clock.advance(100 * TIMES.limitMs);
  assert.deepEqual([ended.done, unwatched.done], [['end after 1000'], []]);
});

for (const reactors of [1, 2]) {
  test(`a server that a plugin's endless loop holds is killed and started again; ${reactors} reactor(s)`, async () => {
    const plugin = join(directory, `loop${reactors}.mjs`);
    // The loop waits, because one that computes would take a core from the other tests.
    const loop = 'for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);';
    writeFileSync(plugin, `export default { name: 'loop', path: '/loop', onStart: () => { ${loop} } };\n`);
    const times = ['--watchdog', '2', '--watchdog-interval', '0.2', '--reactors', String(reactors)];
    await supervised([...times, '--plugin', 'echo', '--plugin', plugin], async (child, address) => {
      const { pid } = await saying(child, 'listening');
      // One for each reactor: a thread that is stuck gets no more connections.
      const calls = Array.from({ length: reactors }, () =>
        new Simulator().call(address.replace('/echo', '/loop'), { durationMs: Number.POSITIVE_INFINITY }),
      );
      const stuck = await saying(child, 'the server is stuck');
      assert.deepEqual([stuck.child, stuck.silentMs, stuck.signal], [pid, 2000, 'SIGTERM']);
      await saying(child, 'the stuck server does not end by itself');
      const restart = await saying(child, 'listening', 2);
      assert.notEqual(restart.pid, pid);
      await echoedCall(address, 5);
      for (const call of calls) call.hangup();
      await Promise.all(calls.map(call => call.result));
      assert.deepEqual(await child.stop(), { code: 0, signal: null });
    });
  });
}

test('a process that stands still is killed, and the log says why it ended', async () => {
  await supervised(['--watchdog', '2', '--watchdog-interval', '0.2'], async (child, address) => {
    const { pid } = await saying(child, 'listening');
    await saying(child, 'a server is in service');
    process.kill(pid, 'SIGSTOP');
    const kill = await saying(child, 'the stuck server does not end by itself');
    const crash = await saying(child, 'the server crashed and is started again');
    assert.deepEqual([kill.child, crash.child, crash.signal, crash.why], [pid, pid, 'SIGKILL', 'stuck']);
    await saying(child, 'listening', 2);
    await echoedCall(address, 5);
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
  });
});

test('an interval that is too long for the watchdog is refused', async () => {
  const child = runCli(['serve', '--supervise', '--watchdog', '3', '--watchdog-interval', '2']);
  assert.deepEqual(await child.exit, { code: 2, signal: null });
  assert.match(child.output(), /--watchdog-interval: 2: give at most 1\.5/);
});
