/** A worker whose codecs do as their payloads say, to see the pool through every kind of failure. */

import { SidetoneError } from '../../src/errors.js';
import { serve } from '../../src/pool/serve.js';
import { FAULT } from './faults.js';

function fault(byte: number): void {
  if (byte === FAULT.exit) process.exit(3);
  if (byte === FAULT.crash) throw Object.assign(new Error('not even this'), { code: 'SIDETONE_BAD_PAYLOAD' });
  if (byte === FAULT.bad) throw new SidetoneError('SIDETONE_BAD_PAYLOAD', 'no such packet');
  if (byte === FAULT.outOfMemory) {
    const kept: number[][] = [];
    for (;;) kept.push(new Array(10_000).fill(kept.length));
  }
  if (byte === FAULT.hang) {
    // As a codec in native code would: terminate() is what ends it.
    for (;;) performance.now();
  }
}

/** PCM and packets carry what was sent in, and how many frames this codec has seen: its state. */
export default serve({
  openDecoder: ({ options }) => {
    if (options.sampleRate === 12000) throw new SidetoneError('SIDETONE_CODEC_UNAVAILABLE', 'no 12 kHz here');
    let seen = 0;
    const pcm = new Int16Array(320);
    return {
      sampleRate: 16000,
      decode(payload) {
        fault(payload[0]!);
        pcm.fill(++seen, 1).fill(payload[0]!, 0, 1);
        return pcm;
      },
      conceal() {
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
