/**
 * The event loop gathers messages. native/test/gather_plan.cpp tests when it does so, and test/timing tests how much
 * it saves.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { GATHER, native } from '../../src/native/addon.js';

const SENDER = `
  const { workerData, parentPort } = require('node:worker_threads');
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (let i = 0; i < workerData.count; i++) {
    parentPort.postMessage(i);
    if (i % 10 === 0) Atomics.wait(sleeper, 0, 0, 1);
  }
`;

test('while it gathers, every message comes and every timer fires, whatever the wait', async () => {
  for (const waitMs of [0, 10, 1000]) {
    const view = new Float64Array(3);
    const stop = native.gather(view, waitMs);
    const sender = new Worker(SENDER, { eval: true, workerData: { count: 2000 } });
    const messages: number[] = [];
    sender.on('message', index => {
      view[GATHER.messages]!++;
      messages.push(index);
    });
    let fired = 0;
    const timer = setInterval(() => fired++, 5);
    await once(sender, 'exit');
    // A wait that a timer could not cut short would hold each of these up for a second.
    const before = fired;
    await new Promise<void>(resolve => {
      const look = setInterval(() => {
        if (fired < before + 20) return;
        clearInterval(look);
        resolve();
      }, 1);
    });
    clearInterval(timer);
    stop();
    assert.deepEqual(
      messages,
      Array.from({ length: 2000 }, (_, i) => i),
    );
  }
});

test('stopping twice, and a view that is too short', () => {
  const stop = native.gather(new Float64Array(3), 1);
  stop();
  stop();
  assert.throws(() => native.gather(new Float64Array(1), 1), /too short/);
});

test('a thread that ends while it gathers leaves nothing behind', async () => {
  const addon = fileURLToPath(new URL('../../../build/Release/sidetone.node', import.meta.url));
  const source = `
    require(${JSON.stringify(process.env.SIDETONE_ADDON || addon)}).gather(new Float64Array(3), 1);
    setTimeout(() => process.exit(0), 20);
  `;
  const worker = new Worker(source, { eval: true });
  const [code] = await once(worker, 'exit');
  assert.equal(code, 0);
});
