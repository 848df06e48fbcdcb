/**
 * The event loop gathers messages. It needs fewer turns for as many messages, and does not gather where a caller
 * could hear it.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { GATHER, native } from '../../src/native/addon.js';

const SENDER = `
  const { workerData, parentPort } = require('node:worker_threads');
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  const until = performance.now() + workerData.forMs;
  while (performance.now() < until) {
    parentPort.postMessage(1);
    Atomics.wait(sleeper, 0, 0, workerData.everyMs);
  }
`;
const RUN_MS = 400;

const loops = (): number =>
  (performance.nodeTiming as unknown as { uvMetricsInfo: { loopCount: number } }).uvMetricsInfo.loopCount;

/** Turns of the event loop a message, while another thread sends one every `everyMs`. */
async function turnsAMessage(view: Float64Array, everyMs: number): Promise<number> {
  const sender = new Worker(SENDER, { eval: true, workerData: { forMs: RUN_MS, everyMs } });
  let messages = 0;
  let before = 0;
  let after = 0;
  sender.on('message', () => {
    view[GATHER.messages]!++;
    messages++;
    // The first window tells how many there are.
    if (messages === 200) before = loops();
    after = loops();
  });
  await once(sender, 'exit');
  return (after - before) / (messages - 200);
}

const skip = 'uvMetricsInfo' in performance.nodeTiming ? false : 'this Node.js does not count its turns';

test('many messages are read together; not where frames are answered at once', { skip }, async () => {
  const view = new Float64Array(3);
  const stop = native.gather(view, 10);
  const gathered = await turnsAMessage(view, 0.1);
  view[GATHER.answeredMs] = native.monotonicMs();
  const prompt = await turnsAMessage(view, 0.1);
  stop();
  const without = await turnsAMessage(view, 0.1);
  assert.ok(gathered < without / 4, `${gathered} turns a message, ${without} without gathering`);
  assert.ok(prompt > without / 2, `${prompt} turns a message where frames are answered, ${without} without`);
});

test('nothing waits for a timer that is due earlier', { skip }, async () => {
  const view = new Float64Array(3);
  const stop = native.gather(view, 1000);
  const flood = turnsAMessage(view, 0.1);
  let fired = 0;
  const timer = setInterval(() => fired++, 5);
  await flood;
  clearInterval(timer);
  stop();
  // Every 5 ms for as long as the flood goes on; a wait of a second would leave no room for one.
  assert.ok(fired >= RUN_MS / 5 / 4, `${fired} of ${RUN_MS / 5} timers`);
});
