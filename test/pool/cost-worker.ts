/** Measures the same for every frame, as fast as it can: for a reader that must not see half a measurement. */
import { workerData } from 'node:worker_threads';
import { CostWriter } from '../../src/pool/costs.js';

const { table, done, writes, frameUs } = workerData as {
  table: SharedArrayBuffer;
  done: Int32Array;
  writes: number;
  frameUs: number;
};
const costs = new CostWriter(table);
for (let i = 0; i < writes; i++) costs.add(0, frameUs, 1);
Atomics.store(done, 0, 1);
