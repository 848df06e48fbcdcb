/** The end of a stream's live audio, from which a little more is made up where its plugin's thread does not go on in time. */
import { native } from '../native/addon.js';

/** Speech synthesis from the past fades out within this time. */
const MADE_UP_MS = 60;
const KEPT_MS = 60;

export class LiveTail {
  #samples = new Int16Array(0);
  #rate = 0;
  #bound = 0;
  #playedMs = Number.NEGATIVE_INFINITY;

  /** Live audio was played. */
  played(samples: Int16Array, rate: number, bound: number, nowMs: number): void {
    const room = Math.round((rate * KEPT_MS) / 1000);
    if (this.#rate !== rate) this.#samples = new Int16Array(room);
    this.#rate = rate;
    this.#bound = bound;
    this.#playedMs = nowMs;
    const kept = this.#samples;
    if (samples.length >= room) {
      kept.set(samples.subarray(samples.length - room));
      return;
    }
    kept.copyWithin(0, samples.length);
    kept.set(samples, room - samples.length);
  }

  /** Whether live audio was played since `sinceMs`. */
  isSince(sinceMs: number): boolean {
    return this.#playedMs >= sinceMs;
  }

  /** What stands in for what does not come, once; undefined where there was none. */
  goOn(): { samples: Int16Array; rate: number; bound: number } | undefined {
    if (this.#rate === 0) return undefined;
    const concealer = new native.Concealer(this.#rate);
    concealer.receive(this.#samples.slice());
    const samples = concealer.conceal(Math.round((this.#rate * MADE_UP_MS) / 1000));
    this.#playedMs = Number.NEGATIVE_INFINITY;
    return { samples, rate: this.#rate, bound: this.#bound };
  }
}
