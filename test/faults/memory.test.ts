/** What many calls, long ones and dead ones leave behind (rows 63 to 65): nothing. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';
import type { Encoding } from '../../src/index.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { type ServeChild, serveChild } from '../helpers/serve-child.js';
import { beside, counts, eventually, startedCall, withServer } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';

afterEach(() => RawSocket.destroyAll());

/** Short calls in all: SIDETONE_SHORT_CALLS=100000 for the long form (some ten minutes). */
const SHORT_CALLS = Number(process.env.SIDETONE_SHORT_CALLS ?? 4000);
/** Seconds of soak: SIDETONE_SOAK_SECONDS=3600 for the long form. */
const SOAK_SECONDS = Number(process.env.SIDETONE_SOAK_SECONDS ?? 8);

const rssOf = (child: ServeChild): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.process.pid}/status`, 'utf8'))![1]) * 1024;
const descriptorsOf = (child: ServeChild): number => readdirSync(`/proc/${child.process.pid}/fd`).length;

/** One call: start, a few frames, most of them echoed, and one of the ways to end. */
async function shortCall(child: ServeChild, encoding: Encoding, i: number): Promise<void> {
  const socket = await RawSocket.open(child.port, { path: '/echo' });
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

async function calls(child: ServeChild, count: number, encodings: readonly Encoding[]): Promise<void> {
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < count) {
      const i = next++;
      await shortCall(child, encodings[i % encodings.length]!, i);
    }
  };
  await Promise.all(Array.from({ length: 20 }, caller));
}

/**
 * By how much a batch of calls makes the process grow. V8 lets its heap grow once in a while, the more so on a busy
 * machine, and then no more; a leak grows with every batch. So the smallest growth of up to four batches counts.
 */
async function growthOf(child: ServeChild, enough: number, batch: () => Promise<void>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 4 && least >= enough; i++) {
    const before = rssOf(child);
    await batch();
    least = Math.min(least, rssOf(child) - before);
  }
  return least;
}

/**
 * By how much the process may grow over the second half of the calls. Without the pool it does not grow at all (measured:
 * 87 MB from the 2,000th call to the 12,000th), so 8 MB show a leak of 4 KB a call. The pool's workers have heaps of
 * their own, which level off at some 90 MB more after 20,000 calls; a codec that stays behind is 67 KB a call, 134 MB.
 */
const FORMS: [string, Encoding[], number][] = [
  ['coded in the reactor', ['PCMU', 'PCMA', 'G722', 'L16'], 8e6],
  ['coded in the pool', ['OPUS', 'AMR-WB'], 60e6],
];

for (const [name, encodings, growthMax] of FORMS) {
  test(`fault 63: the memory of the process is flat over ${SHORT_CALLS} short calls ${name}`, async () => {
    const child = await serveChild();
    try {
      await calls(child, SHORT_CALLS / 2, encodings);
      const grown = await growthOf(child, growthMax, () => calls(child, SHORT_CALLS / 2, encodings));
      assert.ok(
        grown < growthMax,
        `RSS grew by ${grown} bytes, ${Math.round((2 * grown) / SHORT_CALLS)} a call`,
      );
      assert.deepEqual(await child.stop(), { code: 0, signal: null });
    } finally {
      await child.kill();
    }
  });
}

test(`fault 64: descriptors, handles and memory are flat over a soak of ${SOAK_SECONDS} s`, async () => {
  const child = await serveChild();
  try {
    const resting = descriptorsOf(child);
    const encodings: Encoding[] = ['PCMU', 'L16', 'G722'];
    await calls(child, 2000, encodings);
    await eventually(() => descriptorsOf(child) <= resting + 20, 'the first calls are gone');
    const warm = { descriptors: descriptorsOf(child) };
    const long = await RawSocket.open(child.port, { path: '/echo' });
    const call = new WireCall();
    long.send(call.start());
    const spoken = payloads(SOAK_SECONDS * 50);
    const began = performance.now();
    let said = 0;
    while (performance.now() - began < SOAK_SECONDS * 1000) {
      while (said < spoken.length && said * 20 <= performance.now() - began)
        long.send(call.media(spoken[said++]!));
      await calls(child, 20, encodings);
    }
    await long.until(() => long.audio().length >= said * 160, 'all of the long call');
    assert.deepEqual(long.audio(), Buffer.concat(spoken.slice(0, said)));
    long.destroy();
    await eventually(() => descriptorsOf(child) <= warm.descriptors, 'descriptors are as before');
    const grown = await growthOf(child, 8e6, () => calls(child, 2000, encodings));
    assert.ok(grown < 8e6, `RSS grew by ${grown} bytes with 2,000 more calls`);
    // Timers and handles would keep the process from ending.
    const ended = performance.now();
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
    assert.ok(performance.now() - ended < 1500, `the end took ${performance.now() - ended} ms`);
  } finally {
    await child.kill();
  }
});

test('fault 65: peers that are gone without a word are reaped by the idle timeout, with and without a stream', async () => {
  await withServer([], { idleTimeoutSeconds: 8 }, async server => {
    const grown = await beside(server, async () => {
      // A raw socket does not answer pings, as a host that has vanished does not.
      const { socket, call } = await startedCall(server);
      socket.send(call.media(payloads(1)[0]!));
      const waiting = await RawSocket.open(server.port, { path: '/echo' });
      await eventually(() => server.streams === 2, 'the start');
      await Promise.all([socket.end(16_000), waiting.end(16_000)]);
      await eventually(() => server.connections === 1, 'both are gone');
    });
    assert.equal(grown.idleTimeouts, 2);
    assert.equal(grown.streamsStopped, 1);
    assert.equal((await counts(server)).closedBeforeStart, 1);
  });
});
