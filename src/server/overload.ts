/**
 * Judges by measurements whether a reactor has time for another stream. It reads nothing itself: samples come in, one
 * every SAMPLE_MS, and the same samples always lead to the same answers.
 */

/** How often a reactor's load is measured. */
export const SAMPLE_MS = 100;
/** Samples in a row that say the same before anything changes. One pause of the garbage collector is one sample. */
const SAMPLES_TO_CLOSE = 2;
const SAMPLES_TO_OPEN = 5;
/** Bounds for opening, as shares of those for closing: between them everything stays as it is. */
const OPEN_BUSY = 0.9;
const OPEN_LAG = 0.5;
/** A reactor that is full takes streams again when this share of `busyMaxPercent` would do. */
const REFILL_BUSY = 0.95;
/** What a new sample counts beside the ones before it. */
const SMOOTHING = 0.5;
/** From this share of `busyMaxPercent` on, what a stream costs is known well enough to count on it. */
const FORESIGHT_BUSY = 0.5;

export interface LoadSample {
  /** Share of the time in which the thread worked or waited for a processor, 0 to 1. */
  busy: number;
  /** How late the event loop usually is, in ms. */
  lagMs: number;
  /** Connections of the reactor at the end of the sample. */
  connections: number;
}

export interface OverloadBounds {
  busyMaxPercent: number;
  lagMaxMs: number;
  /** With fewer connections it is never overloaded: something else takes the time, and refusing would give none back. */
  streamsMin: number;
}

export class OverloadGate {
  readonly #busyMax: number;
  readonly #lagMaxMs: number;
  readonly #streamsMin: number;
  #busy = 0;
  #busyEach = 0;
  #isClosed = false;
  #isOverloaded = false;
  #lateRow = 0;
  #calmRow = 0;

  constructor({ busyMaxPercent, lagMaxMs, streamsMin }: OverloadBounds) {
    this.#busyMax = busyMaxPercent / 100;
    this.#lagMaxMs = lagMaxMs;
    this.#streamsMin = streamsMin;
  }

  sample({ busy, lagMs, connections }: LoadSample): void {
    this.#busy += SMOOTHING * (busy - this.#busy);
    this.#busyEach = this.#averageEach(busy, connections);
    const isLate = this.#busy > this.#busyMax || lagMs > this.#lagMaxMs;
    const isCalm = busy <= OPEN_BUSY * this.#busyMax && lagMs <= OPEN_LAG * this.#lagMaxMs;
    // Before it has so many, lateness says nothing of the streams that come next.
    this.#lateRow = isLate && connections >= this.#streamsMin ? this.#lateRow + 1 : 0;
    this.#calmRow = isCalm ? this.#calmRow + 1 : 0;
    if (this.#lateRow >= SAMPLES_TO_CLOSE) this.#isClosed = true;
    if (this.#calmRow >= SAMPLES_TO_OPEN) this.#isClosed = false;
    this.#isOverloaded = !this.admits(connections);
  }

  /** By connection, so that a rising load is not taken for a smaller one. Of a few, it would tell of other work. */
  #averageEach(busy: number, connections: number): number {
    if (connections === 0 || connections < this.#streamsMin) return 0;
    const each = busy / connections;
    return this.#busyEach === 0 ? each : this.#busyEach + SMOOTHING * (each - this.#busyEach);
  }

  /** Whether one more stream may come to the `connections` that are open now. */
  admits(connections: number): boolean {
    if (connections < this.#streamsMin) return true;
    const busyMax = this.#isOverloaded ? REFILL_BUSY * this.#busyMax : this.#busyMax;
    return !this.#isClosed && this.#foreseen(connections + 1) <= busyMax;
  }

  /** The busy share that so many connections will lead to: those of the last 100 ms are in no sample yet. */
  #foreseen(connections: number): number {
    return this.#busy < FORESIGHT_BUSY * this.#busyMax ? 0 : this.#busyEach * connections;
  }

  /** Whether a stream would have been refused at the last sample. */
  get overloaded(): boolean {
    return this.#isOverloaded;
  }

  /** The share that is used, over the last samples. */
  get busy(): number {
    return this.#busy;
  }
}
