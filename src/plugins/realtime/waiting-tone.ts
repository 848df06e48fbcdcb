/** Beeps now and then while the caller waits, so that the line does not seem dead. */
import type { Stream } from '../../plugin/stream.js';
import { beeps } from './tones.js';

const { samples, sampleRate } = beeps(1);

export class WaitingTone {
  readonly #stream: Stream;
  readonly #everyMs: number;
  #quietSinceMs: number;
  #lastBeepMs = 0;

  /** `everyMs`: 0 for no tone. */
  constructor(stream: Stream, everyMs: number, nowMs: number) {
    this.#stream = stream;
    this.#everyMs = everyMs;
    this.#quietSinceMs = nowMs;
  }

  /** `isQuiet`: nobody speaks; `waits`: the model, its tool or the service is waited for. */
  tick(nowMs: number, { isQuiet, waits }: { isQuiet: boolean; waits: boolean }): void {
    if (!isQuiet) this.#quietSinceMs = nowMs;
    if (this.#everyMs === 0 || !waits || !isQuiet) return;
    if (nowMs - Math.max(this.#quietSinceMs, this.#lastBeepMs) < this.#everyMs) return;
    this.#lastBeepMs = nowMs;
    this.#stream.play(samples, { sampleRate });
  }
}
