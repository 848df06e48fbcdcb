/**
 * Many calls and long calls leave nothing behind (rows 63 and 64). The tests count what is live after a forced
 * collection, because the size of a process depends on when V8 collects. `npm run test:soak` is the long form. (Row
 * 65 is in idle.test.ts.)
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { definePlugin, type Encoding, Simulator } from '../../src/index.js';
import echo from '../../src/plugins/echo.js';
import { root } from '../helpers/paths.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { eventually, hangUp, longCall } from '../helpers/servers.js';
import type { Figures } from '../helpers/soak-child.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

after(() => RawSocket.destroyAll());

/** Short calls of a batch. */
const SHORT_CALLS = Number(process.env.SIDETONE_SHORT_CALLS ?? 300);
/** Seconds of soak; by default only until the heaps have settled. */
const SOAK_SECONDS = Number(process.env.SIDETONE_SOAK_SECONDS ?? 0);

/** Of twelve seconds each. */
const VIRTUAL_CALLS = SOAK_SECONDS > 0 ? 1000 : 60;

interface SoakChild {
  port: number;
  /** What it holds once its connections and their timers have gone, or have had the time to. */
  figures(): Promise<Figures>;
  close(): Promise<number | null>;
  kill(): void;
}

async function soakChild(): Promise<SoakChild> {
  const child = fork(join(root, 'dist/test/helpers/soak-child.js'), {
    execArgv: ['--expose-gc'],
    // All memory of malloc lies in the one heap whose bounds the kernel shows, and what is free at its end goes back.
    env: {
      ...process.env,
      MALLOC_ARENA_MAX: '1',
      MALLOC_MMAP_MAX_: '0',
      MALLOC_TRIM_THRESHOLD_: '65536',
    },
  });
  const exit = once(child, 'exit') as Promise<[number | null]>;
  const answer = async (): Promise<unknown> => {
    const first = await Promise.race([once(child, 'message'), exit.then(() => undefined)]);
    if (!first) throw new Error('the server has ended');
    return first[0];
  };
  const ask = (question: string): Promise<unknown> => {
    const answered = answer();
    child.send(question);
    return answered;
  };
  return {
    port: (await answer()) as number,
    async figures() {
      await eventually(
        async () => !(await ask('busy')),
        'the end of all connections, and of their timers',
      ).catch(
        () => undefined, // the figures tell more
      );
      return (await ask('figures')) as Figures;
    },
    async close() {
      child.send('close');
      return (await exit)[0];
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

/** One call: start, a few frames, most of them echoed, and one of the ways to end. */
async function shortCall(port: number, encoding: Encoding, i: number): Promise<void> {
  const socket = await RawSocket.open(port, { path: '/echo' });
  assert.equal(socket.status, 101);
  const call = new WireCall({ encoding });
  socket.send(call.connected());
  socket.send(call.start());
  const pooled = encoding === 'OPUS' || encoding === 'AMR-WB';
  for (const payload of payloads(3, pooled ? 33 : encoding === 'L16' ? 640 : 160, i))
    socket.send(call.media(payload));
  if (!pooled) await socket.until(() => socket.messages('media').length > 0, 'the echo');
  if (i % 3 === 0) {
    socket.destroy();
    return;
  }
  socket.send(call.stop());
  if (i % 3 === 1) await new Promise<void>(resolve => socket.tcp.end(() => resolve()));
  socket.destroy();
}

async function calls(port: number, count: number, encodings: readonly Encoding[]): Promise<void> {
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < count) {
      const i = next++;
      await shortCall(port, encodings[i % encodings.length]!, i);
    }
  };
  await Promise.all(Array.from({ length: 20 }, caller));
}

/** What is held beyond what is allowed. It must become empty, but the last jobs and timers may take their time. */
function held(now: Figures, before: Figures | undefined): string[] {
  const found: [string, number][] = [];
  if (now.live > 0) found.push(['connections', now.live]);
  if (now.poolStreams > 0) found.push(['streams in the pool', now.poolStreams]);
  if (before) {
    const { descriptors, queueBytes } = now;
    if (descriptors > before.descriptors) found.push(['descriptors', descriptors - before.descriptors]);
    if (queueBytes > before.queueBytes) found.push(['queueBytes', queueBytes - before.queueBytes]);
    for (const [kind, count] of Object.entries(now.resources)) {
      const more = count - (before.resources[kind] ?? 0);
      if (more > 0) found.push([kind, more]);
    }
  }
  return found.map(([name, count]) => `${count} ${name}`);
}

/** The figures when nothing is held that was not held `before`. */
async function atRest(child: SoakChild, before?: Figures): Promise<Figures> {
  let now = await child.figures();
  await eventually(async () => {
    if (held(now, before).length > 0) now = await child.figures();
    return held(now, before).length === 0;
  }, 'the end of all that a call holds').catch(() =>
    assert.fail(`still held: ${held(now, before).join(', ')}`),
  );
  return now;
}

/**
 * Batches of calls until one leaves the heaps as they were. A heap grows once in a while, by its own rounding; what
 * leaks makes it grow with every batch. `bytesMax` is what a call may leave, far less than the least of its objects.
 */
async function settles(
  child: SoakChild,
  batch: () => Promise<void>,
  callsOfBatch: number,
  bytesMax: { heap: number; native: number },
): Promise<void> {
  const grown: { heap: number; native: number }[] = [];
  const first = await atRest(child);
  let before = first;
  for (let i = 0; i < 8; i++) {
    await batch();
    const now = await atRest(child, first);
    const heap = Math.round((now.heapBytes - before.heapBytes) / callsOfBatch);
    const native = Math.round((now.nativeBytes - before.nativeBytes) / callsOfBatch);
    grown.push({ heap, native });
    if (heap <= bytesMax.heap && native <= bytesMax.native) return;
    before = now;
  }
  assert.fail(`bytes that a call leaves behind, batch by batch: ${JSON.stringify(grown)}`);
}

/** What runs, how many calls warm it up, and what a call may leave. */
const FORMS: [string, Encoding[], number, { heap: number; native: number }][] = [
  ['coded in the reactor', ['PCMU', 'PCMA', 'G722', 'L16'], 200, { heap: 200, native: 500 }],
  // A codec that stays behind is 67 KB. V8's heaps of the pool's threads are not in malloc's.
  ['coded in the pool', ['OPUS', 'AMR-WB'], 900, { heap: 200, native: 2000 }],
];

describe('fault 63', { concurrency: true }, () => {
  for (const [name, encodings, warmUp, bytesMax] of FORMS) {
    test(`${SHORT_CALLS} short calls ${name} leave nothing behind`, async () => {
      const child = await soakChild();
      try {
        await calls(child.port, warmUp, encodings);
        await settles(child, () => calls(child.port, SHORT_CALLS, encodings), SHORT_CALLS, bytesMax);
        assert.equal(await child.close(), 0);
      } finally {
        child.kill();
      }
    });
  }
});

test('fault 64: a long call beside short ones leaves nothing behind, and is heard to its end', async () => {
  const child = await soakChild();
  const encodings: Encoding[] = ['PCMU', 'L16', 'G722'];
  const until = performance.now() + SOAK_SECONDS * 1000;
  const round = async (): Promise<void> => {
    const long = await longCall(`ws://127.0.0.1:${child.port}/echo`);
    await calls(child.port, 200, encodings);
    await hangUp(long);
  };
  try {
    await round();
    const before = await atRest(child);
    while (performance.now() < until) {
      await round();
      await atRest(child, before);
    }
    await settles(child, round, 201, { heap: 400, native: 1000 });
    // Timers and handles would keep the process from ending.
    assert.equal(await child.close(), 0);
  } finally {
    child.kill();
  }
});

test(`fault 64: one after the other, ${VIRTUAL_CALLS} calls in virtual time leave no timer, stream or memory behind`, async () => {
  const virtual = new VirtualReactor();
  const { clock, reactor } = virtual;
  const simulator = new Simulator({ clock, seed: 64 });
  const speaker = definePlugin({
    name: 'speaker',
    onStart(stream) {
      stream.play([new Int16Array(8000 * 5)]);
      void stream.mark('end');
      return {};
    },
  });
  const resting = { timers: clock.timers, queueBytes: reactor.snapshot(0).queueBytes };
  const spoken = payloads(250);
  for (let i = 0; i < VIRTUAL_CALLS; i++) {
    const options = { inbound: spoken, lingerMs: 500, ending: i % 2 ? 'abrupt' : 'stop' } as const;
    const { call } = virtual.call(simulator, i % 3 ? echo : speaker, options);
    // Every fourth call is cut off in the midst of its audio.
    clock.advance(i % 4 ? 6000 : 2000);
    call.hangup();
    clock.advance(i % 4 ? 6000 : 10_000);
    await call.result;
    assert.equal(reactor.streams + reactor.connections.size, 0);
    const { timers } = clock;
    assert.deepEqual({ timers, queueBytes: reactor.snapshot(0).queueBytes }, resting, `after call ${i}`);
  }
  assert.equal(reactor.counters().streamsStopped, VIRTUAL_CALLS);
  await virtual.close();
  assert.equal(clock.timers, 0);
});
