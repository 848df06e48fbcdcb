/** The kinds of records in the two rings between a reactor and a worker. */
import type { PoolDecoderOptions, PoolEncoderOptions } from '../codecs/open.js';
import type { PoolEncoding } from '../codecs/types.js';

/** Reactor to worker. A decode, a conceal and an encode each have exactly one answer, in order. */
export const JOB = {
  /** Data: JSON of `OpenJob`. No answer. */
  openDecoder: 1,
  /** Data: JSON of `OpenJob`. No answer. */
  openEncoder: 2,
  /** Data: the payload. Answer: pcm, or error and then concealed. */
  decode: 3,
  /** A payload that is longer than a record; value: its bytes. Answer: as for a decode that fails. */
  decodeTooLong: 4,
  /** Answer: concealed. */
  conceal: 5,
  /** Data: samples of one frame. Answer: packet, or encodeFailed. */
  encode: 6,
  /** No answer. */
  close: 7,
} as const;

/** Worker to reactor. */
export const RESULT = {
  /** Data: samples. */
  pcm: 1,
  /** Data: samples. */
  concealed: 2,
  /** Data: the packet. */
  packet: 3,
  /** Data: JSON of `JobError`, of a decode whose audio follows as concealed. */
  error: 4,
  /** Data: JSON of `JobError`. */
  encodeFailed: 5,
} as const;

export interface OpenJob<Options = PoolDecoderOptions | PoolEncoderOptions> {
  encoding: PoolEncoding;
  options: Options;
  /** The `CostClass.index` of the codec. */
  cost: number;
}

export interface JobError {
  code: string;
  message: string;
}

/** What a worker is started with. */
export interface WorkerRings {
  jobs: SharedArrayBuffer;
  results: SharedArrayBuffer;
  /** Microseconds and frames of every cost class (costs.ts). */
  costs: SharedArrayBuffer;
}

/** Characters of an error's message that travel: with its JSON at most 4 slots, were each a 3-byte one escaped. */
export const ERROR_MESSAGE_MAX = 300;

/** Slots of the result ring that one job can need: an error (4, and 3 skipped), the longest record (32, and 31). */
export const RESULT_SLOTS_MAX = 70;
