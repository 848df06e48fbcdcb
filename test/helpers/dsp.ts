/** The addon's stateful signal processing, for tests: what native/binding/dsp.cpp exports. */
import { native } from '../../src/native/addon.js';

export interface Resampler {
  process(samples: Int16Array): Int16Array;
  flush(): Int16Array;
  reset(): void;
  readonly delayMs: number;
  readonly stateBytes: number;
}

export interface Concealer {
  receive(frame: Int16Array): void;
  conceal(samples: number): Int16Array;
  reset(): void;
  readonly delaySamples: number;
  readonly stateBytes: number;
}

export interface G722Encoder {
  encode(pcm: Int16Array): Uint8Array;
  encodeBands(low: Int16Array, high: Int16Array): Uint8Array;
  reset(): void;
}

export interface G722Decoder {
  decode(payload: Uint8Array): Int16Array;
  decodeBands(payload: Uint8Array): { low: Int16Array; high: Int16Array };
  reset(): void;
}

interface Dsp {
  Resampler: new (fromHz: number, toHz: number) => Resampler;
  Concealer: new (rateHz: number, options?: { standardTiming?: boolean }) => Concealer;
  G722Encoder: new () => G722Encoder;
  G722Decoder: new (mode?: number) => G722Decoder;
}

export const dsp = native as unknown as Dsp;

/** 16-bit words, little-endian, of a file's bytes. */
export function words(bytes: Buffer): Int16Array {
  return Int16Array.from({ length: bytes.length >> 1 }, (_, i) => bytes.readInt16LE(2 * i));
}
