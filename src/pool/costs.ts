/**
 * Measures what the codecs of a pool cost, and so how many of them a worker can carry.
 *
 * The unit is the microsecond of a worker's time for 20 ms of one stream's audio. A worker has 20,000 of them every 20
 * ms; the sum over its streams may be `loadMax` of that. It is wall time, not processor time: on a machine that is busy
 * with other things a frame takes longer, and a worker carries fewer streams.
 */
import type { PoolDecoderOptions, PoolEncoderOptions } from '../codecs/open.js';
import type { PoolEncoding } from '../codecs/types.js';

/** A worker's time in 20 ms. */
export const FRAME_US = 20_000;

/** Codecs with the same settings, which cost the same. */
export interface CostClass {
  /** Place in the workers' tables of measurements. */
  readonly index: number;
  /** Its name in messages: `OPUS encoder`. */
  readonly name: string;
  /** The cost of 20 ms of audio: measured, or a guess until something is measured. */
  us: number;
  /** Frames that `us` rests on, up to `MEMORY_FRAMES`. */
  weight: number;
}

/** Classes that are told apart. A server has about ten; any more share the last place. */
export const COST_CLASSES_MAX = 64;
/** How many writes have begun and ended: odd while one is under way. */
const WRITES_BYTES = Float64Array.BYTES_PER_ELEMENT;
/** A worker's table of measurements: the writes, then microseconds and frames of every class, both ever growing. */
export const COST_TABLE_BYTES = WRITES_BYTES + COST_CLASSES_MAX * 2 * Float64Array.BYTES_PER_ELEMENT;

/** The mean forgets what is older than about this: 10 s of one stream, 0.1 s of a hundred. */
const MEMORY_FRAMES = 500;
/** Fewer are not looked at: one that was interrupted would count for too much. */
const LEARN_FRAMES = 25;
/** The most that one look can say, against what was known: a process that stood still has not become slow. */
const LEAP_MAX = 4;
/** The same while only a guess is known: this machine may be much slower than the one of the guess. */
const FIRST_LEAP_MAX = 20;

/** Medians of docs/codecs.md at complexity 5, in µs by sampling rate. */
const OPUS_ENCODE_US: Readonly<Record<number, number>> = {
  8000: 45,
  12000: 65,
  16000: 85,
  24000: 95,
  48000: 104,
};
const OPUS_DECODE_US: Readonly<Record<number, number>> = {
  8000: 7,
  12000: 10,
  16000: 12,
  24000: 16,
  48000: 23,
};
const AMRWB_US = { encode: 140, decode: 30 };

export type Direction = 'encode' | 'decode';
type CodecOptions = PoolDecoderOptions | PoolEncoderOptions;

/** The assumed cost of such a codec before any has been measured here. */
export function guessUs(direction: Direction, encoding: PoolEncoding, options: CodecOptions): number {
  if (encoding === 'AMR-WB') return AMRWB_US[direction];
  const rate = options.sampleRate ?? 16000;
  if (direction === 'decode') return OPUS_DECODE_US[rate] ?? OPUS_DECODE_US[48000]!;
  // 0.35 at complexity 0, 1 at 5, 1.7 at 10.
  const { complexity = 5 } = options as PoolEncoderOptions;
  const effort = 0.35 + 0.125 * complexity + 0.001 * complexity ** 2;
  return (OPUS_ENCODE_US[rate] ?? OPUS_ENCODE_US[48000]!) * effort;
}

/** The classes of one pool. */
export class Costs {
  readonly #classes = new Map<string, CostClass>();
  readonly #byIndex: CostClass[] = [];

  classOf(direction: Direction, encoding: PoolEncoding, options: CodecOptions): CostClass {
    const key = `${direction} ${encoding} ${JSON.stringify(options)}`;
    let cost = this.#classes.get(key);
    if (!cost) {
      const isFull = this.#byIndex.length === COST_CLASSES_MAX;
      cost = isFull ? this.#byIndex[COST_CLASSES_MAX - 1]! : this.#add(direction, encoding, options);
      if (!isFull) this.#classes.set(key, cost);
    }
    return cost;
  }

  #add(direction: Direction, encoding: PoolEncoding, options: CodecOptions): CostClass {
    const cost: CostClass = {
      index: this.#byIndex.length,
      name: `${encoding} ${direction}r`,
      us: guessUs(direction, encoding, options),
      weight: 0,
    };
    this.#byIndex.push(cost);
    return cost;
  }

  /** `frames` of 20 ms of this class have taken `us` microseconds in all. */
  learn(index: number, us: number, frames: number): void {
    const cost = this.#byIndex[index];
    if (!cost) return;
    const leap = cost.weight === 0 ? FIRST_LEAP_MAX : LEAP_MAX;
    const mean = Math.min(us / frames, leap * cost.us);
    // The plain mean at first; an exponentially weighted one once it rests on MEMORY_FRAMES.
    cost.us += (mean - cost.us) * (frames / (frames + cost.weight));
    cost.weight = Math.min(MEMORY_FRAMES, cost.weight + frames);
  }

  get count(): number {
    return this.#byIndex.length;
  }
}

/** Adds to what a worker has measured; the only writer of its table. */
export class CostWriter {
  readonly #writes: Int32Array;
  readonly #table: Float64Array;

  constructor(table: SharedArrayBuffer) {
    this.#writes = new Int32Array(table, 0, 1);
    this.#table = new Float64Array(table, WRITES_BYTES);
  }

  /** `frames` of 20 ms of the class at `index` have taken `us` microseconds in all. */
  add(index: number, us: number, frames: number): void {
    Atomics.add(this.#writes, 0, 1);
    this.#table[2 * index]! += us;
    this.#table[2 * index + 1]! += frames;
    Atomics.add(this.#writes, 0, 1);
  }
}

/** Reads what one worker has measured since it was read last. */
export class CostReader {
  readonly #writes: Int32Array;
  readonly #table: Float64Array;
  readonly #read = new Float64Array(COST_CLASSES_MAX * 2);

  constructor(
    readonly costs: Costs,
    table: SharedArrayBuffer,
  ) {
    this.#writes = new Int32Array(table, 0, 1);
    this.#table = new Float64Array(table, WRITES_BYTES);
  }

  read(): void {
    for (let i = 0; i < this.costs.count; i++) {
      const writes = Atomics.load(this.#writes, 0);
      const us = this.#table[2 * i]! - this.#read[2 * i]!;
      const frames = this.#table[2 * i + 1]! - this.#read[2 * i + 1]!;
      if (frames < LEARN_FRAMES) continue;
      // While the worker writes, the time of a frame may be there without the frame. The next read has both.
      if ((writes & 1) !== 0 || Atomics.load(this.#writes, 0) !== writes) continue;
      this.#read[2 * i]! += us;
      this.#read[2 * i + 1]! += frames;
      this.costs.learn(i, us, frames);
    }
  }
}
