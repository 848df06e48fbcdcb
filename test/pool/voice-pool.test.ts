/** The neural detector's thread, as its reactor sees it: batches, failures and the end, in virtual time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { VirtualClock } from '../../src/clock.js';
import { VOICE } from '../../src/native/addon.js';
import { VoiceMemory } from '../../src/pool/voice-memory.js';
import { GATHER_MS, VoicePool } from '../../src/pool/voice-pool.js';

/** A pool whose threads answer when the test says so, and whose windows are numbered. */
function pooled() {
  const clock = new VirtualClock(1000);
  const answers: number[][] = [];
  const errors: string[] = [];
  const threads: {
    memory: VoiceMemory;
    asked: number[];
    answer: () => void;
    fail: (error: Error) => void;
    ended: boolean;
  }[] = [];
  let waiting = 0;
  let next = 0;
  const pool = new VoicePool({
    clock,
    onError: error => errors.push((error as Error & { code: string }).code),
    source: {
      take(batch) {
        const windows = waiting;
        for (let i = 0; i < windows; i++) batch.samples[i * VOICE.samples] = next++;
        waiting = 0;
        return windows;
      },
      answer: ({ probabilities }, windows) => answers.push([...probabilities.subarray(0, windows)]),
    },
    start(buffers) {
      const memory = new VoiceMemory(buffers);
      const thread = {
        memory,
        asked: [] as number[],
        answer: () => {},
        fail: (_error: Error) => {},
        ended: false,
      };
      threads.push(thread);
      return {
        hear: windows =>
          new Promise<void>((resolve, reject) => {
            thread.asked.push(windows);
            thread.fail = reject;
            thread.answer = () => {
              for (let i = 0; i < windows; i++) memory.probabilities[i] = memory.samples[i * VOICE.samples]!;
              resolve();
            };
          }),
        async end() {
          thread.ended = true;
        },
      };
    },
  });
  const come = (windows: number) => {
    waiting += windows;
  };
  return { clock, pool, threads, answers, errors, come };
}

describe('the voice pool', () => {
  test('hears together what has gathered, one batch at a time, and answers in order', async () => {
    const { clock, pool, threads, answers, come } = pooled();
    pool.open();
    come(2);
    come(1);
    await clock.advanceAsync(GATHER_MS - 1);
    assert.equal(threads.length, 0);
    await clock.advanceAsync(1);
    const [thread] = threads;
    assert.deepEqual(thread!.asked, [3]);
    come(4);
    await clock.advanceAsync(3 * GATHER_MS);
    assert.deepEqual(thread!.asked, [3]);
    thread!.answer();
    // What came meanwhile goes at once.
    await clock.advanceAsync(0);
    assert.deepEqual(answers, [[0, 1, 2]]);
    assert.deepEqual(thread!.asked, [3, 4]);
    thread!.answer();
    await clock.advanceAsync(0);
    assert.deepEqual(answers[1], [3, 4, 5, 6]);
    await clock.advanceAsync(10 * GATHER_MS);
    assert.deepEqual(thread!.asked, [3, 4]);
    await pool.end();
    assert.ok(thread!.ended);
  });

  test('no timer runs without streams', async () => {
    const { clock, pool } = pooled();
    pool.open();
    pool.open();
    pool.close();
    assert.equal(clock.timers, 1);
    pool.close();
    assert.equal(clock.timers, 0);
    await pool.end();
  });

  test('a thread that fails is replaced, later each time while none hears anything', async () => {
    const { clock, pool, threads, answers, errors, come } = pooled();
    pool.open();
    come(2);
    await clock.advanceAsync(GATHER_MS);
    threads[0]!.fail(new Error('no model'));
    await clock.advanceAsync(0);
    assert.deepEqual(answers, [[Number.NaN, Number.NaN]]);
    assert.deepEqual(errors, ['SIDETONE_WORKER_DIED']);
    assert.ok(threads[0]!.ended);
    // Until it is started again, nothing is heard, and that is said at once.
    come(1);
    await clock.advanceAsync(GATHER_MS);
    assert.deepEqual(answers[1], [Number.NaN]);
    assert.equal(threads.length, 1);
    await clock.advanceAsync(200);
    come(1);
    await clock.advanceAsync(GATHER_MS);
    assert.equal(threads.length, 2);
    threads[1]!.fail(new Error('no model'));
    await clock.advanceAsync(300);
    come(1);
    await clock.advanceAsync(GATHER_MS);
    assert.equal(threads.length, 2);
    await clock.advanceAsync(200);
    come(1);
    await clock.advanceAsync(GATHER_MS);
    assert.equal(threads.length, 3);
    threads[2]!.answer();
    await clock.advanceAsync(0);
    assert.deepEqual(answers.at(-1), [5]);
    // One that has worked is replaced at once.
    come(1);
    await clock.advanceAsync(GATHER_MS);
    threads[2]!.fail(new Error('gone'));
    await clock.advanceAsync(0);
    come(1);
    await clock.advanceAsync(GATHER_MS);
    assert.equal(threads.length, 4);
    await pool.end();
  });

  test('a thread that hangs is given up, and its late answer is nobody’s', async () => {
    const { clock, pool, threads, answers, errors, come } = pooled();
    pool.open();
    come(1);
    await clock.advanceAsync(GATHER_MS);
    threads[0]!.answer();
    await clock.advanceAsync(0);
    come(2);
    await clock.advanceAsync(GATHER_MS);
    await clock.advanceAsync(4900);
    assert.deepEqual(errors, []);
    await clock.advanceAsync(200);
    assert.deepEqual(errors, ['SIDETONE_WORKER_DIED']);
    assert.deepEqual(answers, [[0], [Number.NaN, Number.NaN]]);
    threads[0]!.answer();
    await clock.advanceAsync(0);
    assert.equal(answers.length, 2);
    come(1);
    await clock.advanceAsync(GATHER_MS);
    threads[1]!.answer();
    await clock.advanceAsync(0);
    assert.deepEqual(answers[2], [3]);
    await pool.end();
  });

  test('its end while a batch runs answers nothing', async () => {
    const { clock, pool, threads, answers, come } = pooled();
    pool.open();
    come(3);
    await clock.advanceAsync(GATHER_MS);
    await pool.end();
    threads[0]!.answer();
    await clock.advanceAsync(100);
    assert.deepEqual(answers, []);
    assert.equal(clock.timers, 0);
  });
});
