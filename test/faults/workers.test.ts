/** Workers of the pool that end, crash, run out of memory or do not come back (rows 54, 55 and 57), as calls hear it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants, existsSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { VirtualClock } from '../../src/clock.js';
import { definePlugin, type SidetoneError } from '../../src/index.js';
import { CodecPool } from '../../src/pool/pool.js';
import { eventually } from '../helpers/servers.js';
import { WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';
import { FAULT, FIFO_VARIABLE } from '../pool/faults.js';

const WAIT_MS = 30_000;
const TASK_MS_MAX = 5000;

/** First sample (the payload's byte), second (how many frames that codec had seen), and whether it was concealed. */
type Heard = [value: number, seen: number, concealed: boolean];

/** Two OPUS calls, each with a worker of its own, on a clock that the test moves. */
async function withCalls(
  body: (calls: ReturnType<typeof makeCall>[], pool: CodecPool, clock: VirtualClock) => Promise<void>,
): Promise<void> {
  const clock = new VirtualClock();
  const poolErrors: Error[] = [];
  const pool = new CodecPool({
    threads: 2,
    clock,
    taskMsMax: TASK_MS_MAX,
    workerHeapMb: 24,
    workerUrl: new URL('../pool/faulty-worker.js', import.meta.url),
    onError: error => poolErrors.push(error),
  });
  const virtual = new VirtualReactor();
  Object.defineProperty(virtual.reactor, 'pool', { value: pool });
  try {
    const calls = [makeCall(virtual), makeCall(virtual)];
    assert.equal(pool.stats.workers, 2);
    await body(calls, pool, clock);
    assert.deepEqual(
      poolErrors.map(error => (error as SidetoneError).code),
      ['SIDETONE_WORKER_DIED'],
    );
  } finally {
    await virtual.close();
    // A thread whose end does not come is waited for until this clock says so.
    const passing = setInterval(() => clock.advance(TASK_MS_MAX), 1000);
    await pool.close();
    clearInterval(passing);
  }
}

function makeCall(virtual: VirtualReactor) {
  const heard: Heard[] = [];
  const errors: (string | undefined)[] = [];
  const listener = definePlugin({
    name: 'listener',
    onStart: () => ({
      onAudio: ({ samples, concealed }) => {
        heard.push([samples[0]!, samples[1]!, concealed]);
      },
      onError: error => {
        errors.push((error as SidetoneError).code);
      },
    }),
    outbound: { encoding: 'PCMU' },
  });
  const { receive, socket } = virtual.connect(listener);
  const call = new WireCall({ encoding: 'OPUS' });
  receive(call.start());
  const say = (...values: number[]): void => {
    for (const value of values) receive(call.media(Uint8Array.of(value)));
  };
  const until = (frames: number): Promise<void> =>
    eventually(() => heard.length >= frames, `${frames} frames are heard, not ${heard.length}`, WAIT_MS);
  return { heard, errors, socket, say, until };
}

for (const [row, name, byte] of [
  [54, 'ends itself', FAULT.exit],
  [54, 'throws what nobody catches', FAULT.crash],
  [55, 'runs out of memory', FAULT.outOfMemory],
] as const) {
  test(`fault ${row}: a worker that ${name}: its calls hear concealment and go on in another, the others hear nothing of it`, async () => {
    await withCalls(async ([struck, other], pool) => {
      struck!.say(1, 2, 3);
      other!.say(1, 2, 3);
      await Promise.all([struck!.until(3), other!.until(3)]);
      struck!.say(byte, 4, 5);
      other!.say(4, 5);
      await Promise.all([struck!.until(6), other!.until(5)]);
      // Sometimes it ends at once, sometimes after it has decoded what came behind.
      struck!.say(6, 7);
      other!.say(6, 7);
      await Promise.all([struck!.until(8), other!.until(7)]);
      await eventually(
        () => pool.stats.restarts === 1 && pool.stats.jobsPending === 0,
        'the new worker',
        WAIT_MS,
      );
      struck!.say(8, 9);
      other!.say(8, 9);
      await Promise.all([struck!.until(10), other!.until(9)]);

      assert.equal(struck!.heard.length, 10, 'a frame for each that came, heard or concealed');
      assert.deepEqual(struck!.heard.slice(0, 3), [
        [1, 1, false],
        [2, 2, false],
        [3, 3, false],
      ]);
      assert.ok(struck!.heard.some(([, , concealed]) => concealed));
      // What is heard is heard in order; behind the loss the codec is a new one.
      const values = struck!.heard.filter(([, , concealed]) => !concealed).map(([value]) => value);
      assert.deepEqual(
        values,
        [...values].sort((a, b) => a - b),
      );
      const [eighth, ninth] = struck!.heard.slice(-2) as [Heard, Heard];
      assert.deepEqual([eighth[0], eighth[2], ninth[0], ninth[2]], [8, false, 9, false]);
      assert.equal(ninth[1], eighth[1] + 1);
      assert.ok(eighth[1] < 8, 'a codec that has seen less than all');
      assert.ok(struck!.errors.includes('SIDETONE_WORKER_DIED'));
      assert.equal(struck!.socket.ended, undefined);

      assert.deepEqual(
        other!.heard,
        Array.from({ length: 9 }, (_, i): Heard => [i + 1, i + 1, false]),
      );
      assert.deepEqual(other!.errors, []);
      assert.equal(pool.stats.hung, 0);
    });
  });
}

test('fault 57: a worker that does not return from a native call is replaced, and no call hears what it writes later', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sidetone-fifo-'));
  const path = join(directory, 'pipe');
  execFileSync('mkfifo', [path]);
  process.env[FIFO_VARIABLE] = path;
  const keeper = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  // The ring's control words and its first records; no longer than any pipe holds.
  const release = (): number => writeSync(keeper, Buffer.alloc(4096, 0x5a));
  let isReleased = false;
  try {
    await withCalls(async ([struck, other], pool, clock) => {
      try {
        struck!.say(1, 2);
        other!.say(1);
        await Promise.all([struck!.until(2), other!.until(1)]);
        struck!.say(FAULT.native, 3);
        await eventually(() => existsSync(`${path}.waiting`), 'the native call', WAIT_MS);
        assert.equal(struck!.heard.length, 2);
        assert.equal(pool.stats.hung, 0);
        clock.advance(2 * TASK_MS_MAX);
        assert.deepEqual([pool.stats.hung, pool.stats.restarts], [1, 1]);
        await struck!.until(4);
        struck!.say(4, 5);
        await struck!.until(6);
        isReleased = true;
        release();
        struck!.say(6, 7, 8);
        other!.say(2);
        await Promise.all([struck!.until(9), other!.until(2)]);
        await new Promise(resolve => setImmediate(resolve));
        assert.deepEqual(struck!.heard, [
          [1, 1, false],
          [2, 2, false],
          [0, 0, true],
          [0, 0, true],
          [4, 1, false],
          [5, 2, false],
          [6, 3, false],
          [7, 4, false],
          [8, 5, false],
        ]);
        assert.deepEqual(other!.heard, [
          [1, 1, false],
          [2, 2, false],
        ]);
        assert.deepEqual(other!.errors, []);
        const { jobsPending, discarded, sinkErrors, restarts } = pool.stats;
        assert.deepEqual(
          { jobsPending, discarded, sinkErrors, restarts },
          { jobsPending: 0, discarded: 0, sinkErrors: 0, restarts: 1 },
        );
      } finally {
        if (!isReleased) release();
      }
    });
  } finally {
    delete process.env[FIFO_VARIABLE];
    rmSync(directory, { recursive: true });
  }
});
