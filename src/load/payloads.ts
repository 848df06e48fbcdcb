/** What a simulated caller says: payloads of one ptime each, made once before a run. */

import { createEncoder } from '../codecs/create.js';
import { SidetoneError } from '../errors.js';
import type { Encoding } from '../formats.js';

/**
 * How many bytes of different fixed-rate payloads a run has. Like real calls, they do not fit into the processor's
 * nearest caches.
 */
const POOL_BYTES = 256 * 1024;
const SPEECH_SECONDS = 3;

/** Encodings whose bytes a decode and an encode give back unchanged, so that an echo can be compared byte for byte. */
export const VERIFIABLE: ReadonlySet<Encoding> = new Set<Encoding>(['PCMU', 'PCMA', 'L16']);

/**
 * Payloads of `ptimeMs` each. PCMU, PCMA, L16 and G722: pseudo-random bytes (PCMU without 0x7F, the second code of zero, which
 * no encoder sends). OPUS and AMR-WB: a voice-like sound through the real encoder.
 * @throws SidetoneError SIDETONE_BAD_OPTION for a ptime that the encoding has no frame of
 */
export function makePayloads(encoding: Encoding, sampleRate: number, ptimeMs: number): Uint8Array[] {
  if (encoding === 'OPUS' || encoding === 'AMR-WB') return spoken(encoding, sampleRate, ptimeMs);
  const bytesPerMs = encoding === 'L16' ? (sampleRate * 2) / 1000 : 8;
  const bytes = bytesPerMs * ptimeMs;
  if (!Number.isInteger(bytes) || (encoding === 'L16' && bytes % 2 !== 0)) {
    throw new SidetoneError(
      'SIDETONE_BAD_OPTION',
      `ptime ${ptimeMs} ms is not a whole number of ${encoding} samples at ${sampleRate} Hz: use 20`,
    );
  }
  const random = generator();
  const count = Math.max(64, Math.floor(POOL_BYTES / bytes));
  return Array.from({ length: count }, () => {
    const payload = new Uint8Array(bytes);
    for (let i = 0; i < bytes; i++) {
      const byte = random() & 0xff;
      payload[i] = encoding === 'PCMU' && byte === 0x7f ? 0xff : byte;
    }
    return payload;
  });
}

function spoken(encoding: 'OPUS' | 'AMR-WB', sampleRate: number, ptimeMs: number): Uint8Array[] {
  const frames = encoding === 'OPUS' ? [10, 20, 40, 60] : [20];
  if (!frames.includes(ptimeMs)) {
    throw new SidetoneError(
      'SIDETONE_BAD_OPTION',
      `ptime ${ptimeMs} ms: ${encoding} load is made in frames of ${frames.join(', ')} ms`,
    );
  }
  const encoder = createEncoder(encoding, { sampleRate });
  try {
    const rate = encoder.sampleRate;
    const samples = (rate * ptimeMs) / 1000;
    return Array.from({ length: (SPEECH_SECONDS * 1000) / ptimeMs }, (_, frame) =>
      encoder.encode(voice(frame * samples, samples, rate)),
    );
  } finally {
    encoder.close();
  }
}

/** A glottal-like pulse train under two formants and a syllable's envelope: what a speech coder works hardest on. */
function voice(from: number, samples: number, sampleRate: number): Int16Array {
  return Int16Array.from({ length: samples }, (_, i) => {
    const t = (from + i) / sampleRate;
    const pitch = 2 * Math.PI * (120 * t + 6 * Math.sin(2 * Math.PI * 0.7 * t));
    let sound = 0;
    for (let harmonic = 1; harmonic <= 20; harmonic++) {
      const hz = 120 * harmonic;
      const weight = 1 / (1 + ((hz - 600) / 300) ** 2) + 0.5 / (1 + ((hz - 1700) / 400) ** 2);
      sound += weight * Math.sin(pitch * harmonic);
    }
    return Math.round(4000 * sound * (0.55 + 0.45 * Math.sin(2 * Math.PI * 4 * t)));
  });
}

/** xorshift32: the same payloads in every run. */
function generator(): () => number {
  let state = 0x2545f491;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
