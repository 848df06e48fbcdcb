/** A worker whose codecs do as their payloads say, to see the pool through every kind of failure. */

import { constants, openSync, readSync, writeFileSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { SidetoneError } from '../../src/errors.js';
import type { WorkerRings } from '../../src/pool/jobs.js';
import { serve } from '../../src/pool/worker-jobs.js';
import { FAULT, FIFO_VARIABLE } from './faults.js';

function fault(byte: number): void {
  if (byte === FAULT.exit) process.exit(3);
  if (byte === FAULT.crash) throw new Error('this is caught, and what stands in for it fails too');
  if (byte === FAULT.native) waitInNativeCode();
  if (byte === FAULT.bad) throw new SidetoneError('SIDETONE_BAD_PAYLOAD', 'no such packet');
  if (byte === FAULT.outOfMemory) {
    const kept: number[][] = [];
    for (;;) kept.push(new Array(10_000).fill(kept.length));
  }
  if (byte === FAULT.hang) {
    // It blocks as a codec in native code would. Only terminate() ends it.
    for (;;) performance.now();
  }
}

/**
 * A native call that does not come back and that terminate() cannot end: a read out of a pipe into the memory that this
 * thread shares with the pool. When it does come back it has written there.
 */
function waitInNativeCode(): void {
  const path = process.env[FIFO_VARIABLE]!;
  const pipe = openSync(path, constants.O_RDWR);
  const memory = Buffer.from((workerData as WorkerRings).results);
  writeFileSync(`${path}.waiting`, '');
  readSync(pipe, memory, 0, memory.length, null);
}

/** PCM and packets carry what was sent in, and how many frames this codec has seen: its state. */
export default serve({
  openDecoder: ({ options }) => {
    if (options.sampleRate === 12000) throw new SidetoneError('SIDETONE_CODEC_UNAVAILABLE', 'no 12 kHz here');
    let seen = 0;
    let isBroken = false;
    const pcm = new Int16Array(320);
    return {
      sampleRate: 16000,
      decode(payload) {
        isBroken = payload[0] === FAULT.crash;
        fault(payload[0]!);
        pcm.fill(++seen, 1).fill(payload[0]!, 0, 1);
        return pcm;
      },
      conceal() {
        if (isBroken) throw new Error('nobody catches this');
        return pcm.fill(++seen, 1).fill(-1, 0, 1);
      },
      close() {},
    };
  },
  openEncoder: () => {
    let seen = 0;
    return {
      sampleRate: 16000,
      frameSamples: 320,
      encode(pcm) {
        fault(pcm[0]!);
        return Uint8Array.of(pcm[0]!, ++seen);
      },
      close() {},
    };
  },
});
