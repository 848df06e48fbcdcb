import { native } from './native/addon.js';

/** Where time comes from. Nothing on the media path reads a clock of its own, so a test can own time. */
export interface Clock {
  /** Monotonic milliseconds since an arbitrary origin; steps of the wall clock do not show. */
  now(): number;
  /**
   * A function that writes the time to `view[at]`: for what reads the clock with every message, because a number that a
   * function returns may have to be allocated. Where a clock has none, now() is asked.
   */
  stamper?(view: Float64Array, at: number): () => void;
  /** Calls `callback` every `intervalMs` until the returned function is called. */
  every(intervalMs: number, callback: () => void): () => void;
  /** Calls `callback` once after `delayMs` unless the returned function is called first. */
  after(delayMs: number, callback: () => void): () => void;
}

/** The machine's monotonic clock. */
export const systemClock: Clock = {
  now: () => native.monotonicMs(),
  stamper: (view, at) => native.createStamper(view, at),
  every(intervalMs, callback) {
    const timer = setInterval(callback, intervalMs);
    return () => clearInterval(timer);
  },
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

interface Timer {
  at: number;
  order: number;
  intervalMs: number;
  callback: () => void;
}

/**
 * A clock that stands still until it is told to go on. Timers fire in order of their deadline, and of their making
 * where deadlines are equal, with `now()` at exactly their deadline.
 */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #timers = new Set<Timer>();

  /** `startMs`: what `now()` says first. Default 0. */
  constructor(startMs = 0) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  /** Timers that are set. */
  get timers(): number {
    return this.#timers.size;
  }

  every(intervalMs: number, callback: () => void): () => void {
    return this.#add(intervalMs, intervalMs, callback);
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#add(delayMs, 0, callback);
  }

  #add(delayMs: number, intervalMs: number, callback: () => void): () => void {
    const timer: Timer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, intervalMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  #next(until: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at > until) continue;
      if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
    }
    return next;
  }

  /** Goes on by `ms`, firing what falls due, without giving promises a turn in between. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (let timer = this.#next(until); timer; timer = this.#next(until)) this.#fire(timer);
    this.#now = Math.max(this.#now, until); // a callback may have blocked for longer
  }

  /** Goes on by `ms`, letting pending promises run before the first timer and after each. */
  async advanceAsync(ms: number): Promise<void> {
    await new Promise(resolve => setImmediate(resolve));
    const until = this.#now + ms;
    for (let timer = this.#next(until); timer; timer = this.#next(until)) {
      this.#fire(timer);
      await new Promise(resolve => setImmediate(resolve));
    }
    this.#now = Math.max(this.#now, until);
    await new Promise(resolve => setImmediate(resolve));
  }

  /** Jumps without firing anything in between, as a blocked event loop does; what is overdue fires at the next advance. */
  block(ms: number): void {
    this.#now += ms;
  }

  #fire(timer: Timer): void {
    this.#now = Math.max(this.#now, timer.at);
    if (timer.intervalMs > 0) {
      timer.at = this.#now + timer.intervalMs;
      timer.order = this.#order++;
    } else {
      this.#timers.delete(timer);
    }
    timer.callback();
  }
}
