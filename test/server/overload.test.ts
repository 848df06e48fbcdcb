/** When a reactor takes no more streams: by samples in virtual time, and over the wire with a thread that is held on purpose. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import type { Server } from '../../src/index.js';
import { type LoadSample, OverloadGate, SAMPLE_MS } from '../../src/server/overload.js';
import { Random } from '../../src/simulator/random.js';
import { fetchAdmin } from '../admin/fake.js';
import { root } from '../helpers/paths.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { counts, eventually, startedCall, startServer, stopServer } from '../helpers/servers.js';

const BOUNDS = { busyMaxPercent: 85, lagMaxMs: 10, streamsMin: 32 };
const A_SECOND = 1000 / SAMPLE_MS;

afterEach(() => RawSocket.destroyAll());

/** `busy lagMs connections`, one sample after the other. */
function samples(recorded: string): LoadSample[] {
  return recorded.split('|').map(text => {
    const [busy, lagMs, connections] = text.trim().split(' ').map(Number);
    return { busy: busy!, lagMs: lagMs!, connections: connections! };
  });
}

/** What the gate says after each sample. */
function judged(all: readonly LoadSample[], gate = new OverloadGate(BOUNDS)): boolean[] {
  return all.map(sample => {
    gate.sample(sample);
    return gate.overloaded;
  });
}

// Recorded on two shared cores: 50 calls a second came, and each frame cost its handler 0.24 ms.
const CLIMB = samples(
  `0.022 0.2 1 | 0.110 0.3 6 | 0.237 0.2 11 | 0.231 0.2 16 | 0.367 0.2 21 | 0.305 0.0 26 | 0.325 0.1 31 | 0.383 0.1 36 |
   0.422 0.1 41 | 0.855 0.9 44 | 1.000 0.0 46 | 1.000 498.6 46 | 1.000 0.0 46 | 1.000 0.0 46 | 1.000 0.0 46`,
);
// The same server: other programs took the processor for some tenths of a second, again and again.
const UNSTEADY = samples(
  `0.565 0.0 32 | 0.550 0.3 32 | 0.311 0.0 32 | 0.311 0.0 32 | 0.350 0.2 32 | 0.356 0.1 32 | 0.357 0.1 32 | 0.404 0.0 32 |
   0.698 0.4 32 | 0.393 0.0 32 | 0.561 1.4 32 | 0.804 2.3 32 | 0.712 1.7 32 | 0.629 0.0 32 | 0.510 0.0 32 | 0.901 3.6 32`,
);
// All calls hung up at once.
const AFTER = samples(
  '1.000 1.6 32 | 1.000 31.4 32 | 0.528 0.3 32 | 0.324 0.2 32 | 0.561 1.2 32 | 0.489 0.3 0 | 0.035 0.3 0 | 0.030 0.2 0',
);

test('a recorded climb is stopped before a sample is late, and a recorded unsteady machine refuses nothing', () => {
  const climb = judged(CLIMB);
  assert.deepEqual(climb.slice(0, 10), new Array(10).fill(false));
  assert.deepEqual(climb.slice(11), new Array(CLIMB.length - 11).fill(true));
  assert.deepEqual(judged(UNSTEADY), new Array(UNSTEADY.length).fill(false));
  // A machine that was late with fewer connections than streamsMin takes a burst.
  const before = CLIMB.map(sample => ({ ...sample, connections: 31 }));
  const burst = new OverloadGate(BOUNDS);
  judged(before, burst);
  assert.equal(burst.admits(230), true);
  // Fewer connections than streamsMin: never.
  const few = CLIMB.map(sample => ({ ...sample, connections: Math.min(sample.connections, 31) }));
  assert.deepEqual(judged(few), new Array(CLIMB.length).fill(false));
});

test('streams are taken again within a second after the load has gone, and not while it comes and goes', () => {
  const gate = new OverloadGate({ ...BOUNDS, streamsMin: 0 });
  judged([...CLIMB, ...AFTER.slice(0, 5)], gate);
  assert.equal(gate.admits(0), false);
  // The last five samples are calm: half a second.
  const calm = { busy: 0.01, lagMs: 0.2, connections: 0 };
  const open = judged([...AFTER.slice(5), ...new Array(A_SECOND).fill(calm)], gate);
  assert.ok(open.indexOf(false) > 0 && open.indexOf(false) < A_SECOND, `${open}`);
  assert.ok(open.slice(open.indexOf(false)).every(isOverloaded => !isOverloaded));

  const between = { busy: 0.8, lagMs: 6, connections: 40 };
  const over = { busy: 1, lagMs: 20, connections: 40 };
  const swinging = new OverloadGate(BOUNDS);
  judged([over, over, over], swinging);
  assert.ok(judged(new Array(50).fill(between), swinging).every(isOverloaded => isOverloaded));
});

test('one pause of the collector refuses nothing, whatever its length', () => {
  const steady = { busy: 0.5, lagMs: 1, connections: 500 };
  const pause = { busy: 1, lagMs: 300, connections: 500 };
  const all = [...new Array(10).fill(steady), pause, ...new Array(10).fill(steady), pause, steady];
  assert.ok(judged(all).every(isOverloaded => !isOverloaded));
});

/** A thread that can carry 1,000 streams, to which `perSample` calls come in every sample. Each lasts for good. */
function offered(total: number, perSample: number, seed: number) {
  const gate = new OverloadGate(BOUNDS);
  const random = new Random(seed);
  let streams = 0;
  let refused = 0;
  let changes = 0;
  let was = false;
  for (let left = total, rest = 5 * A_SECOND; left > 0 || rest > 0; rest -= left > 0 ? 0 : 1) {
    const came = Math.min(left, perSample);
    left -= came;
    for (let i = 0; i < came; i++) {
      if (gate.admits(streams)) streams++;
      else refused++;
    }
    const load = (streams / 1000) * (0.95 + 0.1 * random.float());
    gate.sample({ busy: Math.min(1, load), lagMs: load > 1 ? 30 : 20 * load ** 8, connections: streams });
    if (gate.overloaded !== was) changes++;
    was = gate.overloaded;
  }
  return { streams, refused, changes };
}

test('offered half to three times its capacity, a reactor takes what it can carry and refuses the rest', () => {
  for (const seed of [1, 2, 3]) {
    for (const perSample of [5, 50]) {
      assert.equal(offered(500, perSample, seed).refused, 0);
      for (const times of [1.5, 2, 3]) {
        const { streams, refused, changes } = offered(1000 * times, perSample, seed);
        const what = `${times} times, ${perSample} a sample: ${streams} streams`;
        assert.equal(streams + refused, 1000 * times);
        assert.ok(streams > 750 && streams <= 900, what);
        assert.ok(changes <= 3, `${what}, ${changes} changes`);
      }
    }
  }
});

const HOLDER = join(root, 'dist/test/fixtures/holding-plugin.js');
/** Far from what a slow machine does by itself: the plugin holds its thread for 250 ms again and again. */
const HELD = { busyMaxPercent: 100, lagMaxMs: 50, streamsMin: 1 };

const ask = (server: Server): Promise<RawSocket> => RawSocket.open(server.port, { path: '/echo' });

test('a reactor that is late refuses new calls with 503, tells of it, and takes them again when it is not', async () => {
  const server = await startServer([HOLDER], { overload: HELD, admin: true });
  try {
    const holder = await startedCall(server, { path: '/hold' });
    await eventually(() => !server.ready, 'the overload');
    const refused = await ask(server);
    assert.equal(refused.status, 503);
    assert.match(refused.headers, /\r\nretry-after: 1\r\n/i);
    const { status, body } = await fetchAdmin(server.adminPort, '/readyz');
    assert.deepEqual([status, body], [503, 'overloaded\n']);
    const { upgradesOverloaded, upgradesFull, connectionsOpened } = await counts(server);
    assert.deepEqual([upgradesOverloaded, upgradesFull, connectionsOpened], [1, 0, 1]);
    holder.socket.destroy();
    // With one connection open, the next is judged by what is measured.
    await eventually(async () => (await ask(server)).status === 101, 'a call');
    await eventually(() => server.ready, 'room again');
    await eventually(async () => (await ask(server)).status === 101, 'a second call');
  } finally {
    RawSocket.destroyAll();
    await stopServer(server);
  }
});

test('with two reactors, calls go to the one that has room', async () => {
  const server = await startServer([HOLDER], { overload: HELD, reactors: 2 });
  try {
    await startedCall(server, { path: '/hold' });
    await eventually(() => server.reactorHealth.some(({ overloaded }) => overloaded), 'the overload of one');
    // On a busy machine the other one may be late, too, for a moment.
    await eventually(() => server.ready, 'the other has room');
    // The listening socket hears of it by a message.
    let taken = 0;
    await eventually(async () => {
      if ((await ask(server)).status === 101) taken++;
      return taken === 7;
    }, 'the other takes calls');
    const places = (await server.snapshot(0)).map(({ connections }) => connections).sort((a, b) => a - b);
    assert.equal(places[0], 1, `${places}`);
  } finally {
    RawSocket.destroyAll();
    await stopServer(server);
  }
});

test('with overload.refuse off nothing is refused', async () => {
  const server = await startServer([HOLDER], { overload: { ...HELD, refuse: false } });
  try {
    await startedCall(server, { path: '/hold' });
    await eventually(() => server.reactorHealth[0]!.busy > 0.8, 'the load');
    for (let i = 0; i < 3; i++) assert.equal((await ask(server)).status, 101);
    assert.equal(server.ready, true);
  } finally {
    RawSocket.destroyAll();
    await stopServer(server);
  }
});
