/** Whether a supervised server gives signs of life, and what is done with one that gives none. */
import type { Clock } from '../clock.js';

/** How often a server gives a sign of life, unless `--watchdog-interval` says otherwise. */
export const BEAT_SECONDS = 1;
/** Without a sign for so long it is ended, unless `--watchdog` says otherwise. */
export const LIMIT_SECONDS = 10;
/** Between SIGTERM and SIGKILL: an event loop that turns again by then drains. */
export const KILL_AFTER_MS = 2000;

export interface WatchTimes {
  /** Between two signs of life. */
  intervalMs: number;
  /** At least twice that. 0: nobody is watched. */
  limitMs: number;
}

export interface WatchedChild {
  /** No sign of life for `silentMs`: SIGTERM. */
  end(silentMs: number): void;
  /** It has not come back after SIGTERM: SIGKILL. */
  kill(): void;
  /** Its event loop turned again after SIGTERM, so it drains. */
  drains(): void;
}

export class ChildWatch {
  #hasBeaten = true;
  #silentLooks = 0;
  #isEnding = false;
  #stopLooking: () => void;
  #cancelKill = (): void => {};

  /**
   * Watches from now on. Looks without a sign are counted rather than time: where the supervisor stands still, with the
   * whole machine for example, the server is not blamed.
   */
  constructor(clock: Clock, { intervalMs, limitMs }: WatchTimes, child: WatchedChild) {
    const looksMax = Math.ceil(limitMs / intervalMs);
    const look = (): void => {
      this.#silentLooks = this.#hasBeaten ? 0 : this.#silentLooks + 1;
      this.#hasBeaten = false;
      if (this.#silentLooks < looksMax) return;
      this.#stopLooking();
      this.#isEnding = true;
      this.#cancelKill = clock.after(KILL_AFTER_MS, () => (this.#hasBeaten ? child.drains() : child.kill()));
      child.end(this.#silentLooks * intervalMs);
    };
    this.#stopLooking = limitMs > 0 ? clock.every(intervalMs, look) : () => {};
  }

  /** A sign of life. */
  beat(): void {
    this.#hasBeaten = true;
  }

  /** Whether it was found stuck and told to end. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** It has ended, or is to end for another reason. */
  close(): void {
    this.#stopLooking();
    this.#cancelKill();
  }
}
