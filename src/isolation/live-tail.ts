/** The end of a stream's live audio, from which a little more is made up where its plugin's thread does not go on in time. */
import { native } from '../native/addon.js';

/** Speech that is made up from the past fades out within this time. */
const MADE_UP_MS = 60;
const KEPT_MS = 60;

export class LiveTail {
  /** The last samples, as a circle that is written from `#next` on. */
  #samples = new Int16Array(0);
  #next = 0;
  #rate = 0;
  #bound = 0;
  #playedMs = Number.NEGATIVE_INFINITY;

  /** Live audio was played, at the time of `now`. */
  played(samples: Int16Array, rate: number, bound: number, now: { readonly nowMs: number }): void {
    if (this.#rate !== rate) {
      this.#samples = new Int16Array(Math.round((rate * KEPT_MS) / 1000));
      this.#next = 0;
    }
    this.#rate = rate;
    this.#bound = bound;
    this.#playedMs = now.nowMs;
    const room = this.#samples.length;
    const kept = samples.length > room ? samples.subarray(samples.length - room) : samples;
    const toEnd = room - this.#next;
    if (kept.length <= toEnd) this.#samples.set(kept, this.#next);
    else {
      this.#samples.set(kept.subarray(0, toEnd), this.#next);
      this.#samples.set(kept.subarray(toEnd), 0);
    }
    this.#next = (this.#next + kept.length) % room;
  }

  /** Whether live audio was played since `sinceMs`. */
  isSince(sinceMs: number): boolean {
    return this.#playedMs >= sinceMs;
  }

  /** What stands in for what does not come, once; undefined where there was none. */
  goOn(): { samples: Int16Array; rate: number; bound: number } | undefined {
    if (this.#rate === 0) return undefined;
    const concealer = new native.Concealer(this.#rate);
    const past = new Int16Array(this.#samples.length);
    past.set(this.#samples.subarray(this.#next));
    past.set(this.#samples.subarray(0, this.#next), past.length - this.#next);
    concealer.receive(past);
    const samples = concealer.conceal(Math.round((this.#rate * MADE_UP_MS) / 1000));
    this.#playedMs = Number.NEGATIVE_INFINITY;
    return { samples, rate: this.#rate, bound: this.#bound };
  }
}
