/** Peers whose token was missing or wrong: counted by address, and logged no more often than once a second. */
import type { Clock } from '../clock.js';
import type { Logger } from '../log/log.js';

/** Addresses that are remembered; of more, the one that was refused longest ago is forgotten. */
const ADDRESSES_MAX = 1024;
const LOG_INTERVAL_MS = 1000;
const TOP_SHOWN = 5;

export interface RefusedAddress {
  address: string;
  /** Since it was last forgotten. */
  refused: number;
}

export class RefusedTokens {
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Ordered by the last refusal. */
  readonly #counts = new Map<string, number>();
  #loggedMs = Number.NEGATIVE_INFINITY;
  #notLogged = 0;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** A peer at `address` was refused. The token itself comes nowhere near. */
  refused(address: string): void {
    const refused = (this.#counts.get(address) ?? 0) + 1;
    this.#counts.delete(address);
    this.#counts.set(address, refused);
    if (this.#counts.size > ADDRESSES_MAX) this.#counts.delete(this.#counts.keys().next().value!);
    const now = this.#clock.now();
    if (now - this.#loggedMs < LOG_INTERVAL_MS) {
      this.#notLogged++;
      return;
    }
    const since = this.#notLogged > 0 && { notLogged: this.#notLogged, most: this.top(TOP_SHOWN) };
    this.#log.warn({ address, refused, ...since }, 'a stream was refused: its token is missing or wrong');
    this.#loggedMs = now;
    this.#notLogged = 0;
  }

  /** The addresses that were refused most, the worst first. */
  top(count: number): RefusedAddress[] {
    const all = Array.from(this.#counts, ([address, refused]) => ({ address, refused }));
    return all.sort((a, b) => b.refused - a.refused).slice(0, count);
  }
}
