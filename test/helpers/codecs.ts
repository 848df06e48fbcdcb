import type { CodecFactory } from '../../src/simulator/speech.js';

/** Expansion of mu-law by its definition (ITU-T G.711, table 2a), for tests that need a codec but do not test one. */
function expandMuLaw(code: number): number {
  const inverted = ~code & 0xff;
  const magnitude = ((((inverted & 0x0f) << 3) + 0x84) << ((inverted >> 4) & 7)) - 0x84;
  return inverted & 0x80 ? -magnitude : magnitude;
}

const MU_LAW = Int16Array.from({ length: 256 }, (_, code) => expandMuLaw(code));

/** The nearest of the 256 values: slow, and needs no second definition. */
function compressMuLaw(sample: number): number {
  let best = 0xff;
  for (let code = 0xff; code >= 0; code--) {
    if (Math.abs(MU_LAW[code]! - sample) < Math.abs(MU_LAW[best]! - sample)) best = code;
  }
  return best;
}

/** PCMU and L16 (little-endian), and resampling by picking the nearest sample. */
export const testCodecs: CodecFactory = {
  createEncoder(encoding) {
    return {
      encode: pcm =>
        encoding === 'L16'
          ? new Uint8Array(pcm.slice().buffer)
          : Uint8Array.from(pcm, sample => compressMuLaw(sample)),
      close() {},
    };
  },
  createDecoder(encoding, { sampleRate }) {
    return {
      sampleRate,
      decode: payload =>
        encoding === 'L16'
          ? new Int16Array(payload.slice().buffer)
          : Int16Array.from(payload, code => MU_LAW[code]!),
      close() {},
    };
  },
  resample(pcm, fromHz, toHz) {
    const length = Math.round((pcm.length * toHz) / fromHz);
    return Int16Array.from(
      { length },
      (_, i) => pcm[Math.min(pcm.length - 1, Math.floor((i * fromHz) / toHz))]!,
    );
  },
};
