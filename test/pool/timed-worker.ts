/**
 * A worker whose time is its own: an encoded frame takes ENCODE_MS of it and a decoded one DECODE_MS, on any machine. A
 * payload of two bytes, and a frame of equal samples, takes as many microseconds as it says.
 */
import { serve } from '../../src/pool/worker-jobs.js';
import { DECODE_MS, ENCODE_MS } from './times.js';

let nowMs = 1000;
const pass = (us: number, otherwiseMs: number): void => {
  nowMs += us > 1 ? us / 1000 : otherwiseMs;
};

export default serve(
  {
    openDecoder: () => {
      const pcm = new Int16Array(320);
      return {
        sampleRate: 16000,
        decode(payload) {
          pass(payload.length > 1 ? payload[0]! * 256 + payload[1]! : 0, DECODE_MS);
          return pcm;
        },
        conceal() {
          pass(0, DECODE_MS);
          return pcm;
        },
        close() {},
      };
    },
    openEncoder: () => ({
      sampleRate: 16000,
      frameSamples: 320,
      encode(pcm) {
        pass(pcm.every(sample => sample === pcm[0]) ? pcm[0]! : 0, ENCODE_MS);
        return Uint8Array.of(1);
      },
      close() {},
    }),
  },
  () => nowMs,
);
