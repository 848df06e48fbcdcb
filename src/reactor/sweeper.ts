import type { Clock } from '../clock.js';

/** Everything is looked after this often, in slices: all at once, a thousand connections would hold the thread for 2 ms. */
const SWEEP_MS = 500;
const SLICES = 10;

/** Goes round a set again and again, a slice at a time, for as long as there is something in it. */
export class Sweeper<T extends { sweep(nowMs: number): void }> {
  #stop: (() => void) | undefined;
  // The iterator lives for one round only: one at rest keeps all that has left the set since its last step.
  #iterator: Iterator<T> | undefined;
  #slice = -1;
  #swept = 0; // of this round

  constructor(
    private readonly clock: Clock,
    private readonly all: ReadonlySet<T>,
  ) {}

  start(): void {
    this.#stop ??= this.clock.every(SWEEP_MS / SLICES, () => this.#sweep());
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
    this.#iterator = undefined;
    this.#slice = -1;
  }

  #sweep(): void {
    const now = this.clock.now();
    this.#slice = (this.#slice + 1) % SLICES;
    if (this.#slice === 0) {
      this.#iterator = this.all.values();
      this.#swept = 0;
    }
    // The set may grow and shrink meanwhile: its iterator allows that.
    const until = Math.floor((this.all.size * (this.#slice + 1)) / SLICES);
    while (this.#iterator && this.#swept < until) {
      const next = this.#iterator.next();
      if (next.done) {
        this.#iterator = undefined;
        return;
      }
      this.#swept++;
      next.value.sweep(now);
    }
    if (this.#slice === SLICES - 1) this.#iterator = undefined;
  }
}
