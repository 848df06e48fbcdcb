import { native } from '../../src/native/addon.js';

/** Every function throws a TypeError where an argument is of another type or `out` is too short. */
export interface Base64Kernel {
  /** Writes the characters of `bytes` as ASCII to `out` (at least ceil(bytes / 3) * 4); returns how many. */
  encode(bytes: Uint8Array, out: Uint8Array): number;
  /** Writes the bytes of `chars` to `out` (at least floor(chars / 4) * 3); returns how many, -1 if it is not base64. */
  decode(chars: Uint8Array, out: Uint8Array): number;
}

export interface LawKernel {
  /** One code a sample; returns the samples. */
  encode(pcm: Int16Array, out: Uint8Array): number;
  decode(payload: Uint8Array, out: Int16Array): number;
}

export interface ScannedMedia {
  track: 'inbound' | 'outbound';
  sequence: number;
  chunk: number;
  timestamp: number;
  streamId: string;
  /** Where the base64 characters stand in the text. */
  payload: { offset: number; length: number };
}

export interface KernelExports {
  /** By name of the kernel: 'scalar' first, the one that this machine uses last. */
  base64: Record<string, Base64Kernel>;
  ulaw: Record<string, LawKernel>;
  alaw: Record<string, LawKernel>;
  /** Null: left to the JSON parser. */
  scanMedia(text: Uint8Array): ScannedMedia | null;
  /** A PCMU media message to PCM, in one call; returns the samples, -1 where the JSON parser is needed. */
  ulawFromMedia(text: Uint8Array, out: Int16Array): number;
  /** The outgoing media frame as ASCII; returns its length. */
  writeMedia(payload: Uint8Array, out: Uint8Array): number;
}

const addon = native as unknown as {
  kernels: KernelExports;
};

export const kernels: KernelExports = addon.kernels;

/** The kernel that this machine uses. */
export function fastest<Kernel>(byName: Record<string, Kernel>): Kernel {
  return Object.values(byName).at(-1)!;
}
