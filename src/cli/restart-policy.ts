/** When a supervisor starts a server again that has ended by itself. */
import type { Clock } from '../clock.js';
import { EXIT_USAGE } from './exit.js';

export interface ChildExit {
  /** Null where a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** Calls are refused until the new one listens, so the first wait is short. */
export const FIRST_DELAY_MS = 100;
export const DELAY_MAX_MS = 30_000;
/** After this time in service a crash counts as the first one. */
export const HEALTHY_MS = 60_000;

/** Waits of 0.1 s, 0.2 s, 0.4 s and so on up to 30 s; a server that was well for a minute begins anew. */
export class RestartPolicy {
  readonly #clock: Clock;
  #delayMs = FIRST_DELAY_MS;
  #readyAtMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A server takes calls now. */
  ready(): void {
    this.#readyAtMs = this.#clock.now();
  }

  /**
   * A server has ended that nobody had told to. Returns after how many ms to start the next, or undefined where that
   * would not help: bad configuration stays bad.
   */
  ended({ code }: ChildExit): number | undefined {
    if (code === EXIT_USAGE) return undefined;
    const wasHealthy = this.#readyAtMs !== undefined && this.#clock.now() - this.#readyAtMs >= HEALTHY_MS;
    this.#readyAtMs = undefined;
    if (wasHealthy) this.#delayMs = FIRST_DELAY_MS;
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(2 * delayMs, DELAY_MAX_MS);
    return delayMs;
  }
}
