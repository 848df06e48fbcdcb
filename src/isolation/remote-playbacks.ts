/** The playbacks of a stream that a plugin's thread knows by numbers, and what the thread is told of each. */
import type { Playback } from '../plugin/stream.js';

/** Playbacks that are over whose results a thread may still ask for, because it has not read them yet. */
const RESULTS_MAX = 64;

/** Tells the thread. */
export interface PlaybackTold {
  settled(id: number, playedMs: number, interrupted: boolean): void;
  failed(id: number, error: unknown): void;
}

export class RemotePlaybacks {
  readonly #told: PlaybackTold;
  readonly #playbacks = new Map<number, Playback>();
  /** Those whose end is told as soon as it comes. */
  readonly #watched = new Set<number>();
  readonly #results = new Map<number, { playedMs: number; interrupted: boolean }>();

  constructor(told: PlaybackTold) {
    this.#told = told;
  }

  get(id: number): Playback | undefined {
    return this.#playbacks.get(id);
  }

  set(id: number, playback: Playback): void {
    if (this.#playbacks.get(id) !== playback) this.#playbacks.set(id, playback);
  }

  /** Somebody awaits it: that asks Telnyx for a mark. */
  watch(id: number): void {
    const playback = this.#playbacks.get(id);
    if (!playback || this.#watched.has(id)) return;
    this.#watched.add(id);
    playback.then(
      ({ playedMs, interrupted }) => this.settle(id, playedMs, interrupted),
      error => {
        this.#forget(id);
        this.#told.failed(id, error);
      },
    );
  }

  /** Tells of those that are over although nobody awaits them. */
  look(): void {
    for (const [id, playback] of this.#playbacks) if (playback.finished) this.watch(id);
  }

  settle(id: number, playedMs: number, interrupted: boolean): void {
    this.#forget(id);
    this.#results.set(id, { playedMs, interrupted });
    if (this.#results.size > RESULTS_MAX) this.#results.delete(this.#results.keys().next().value as number);
    this.#told.settled(id, playedMs, interrupted);
  }

  /** How much of it has been heard, and whether it is over. */
  heard(id: number): { playedMs: number; finished: boolean } {
    const playback = this.#playbacks.get(id);
    if (playback) return { playedMs: playback.playedMs, finished: playback.finished };
    return { playedMs: this.#results.get(id)?.playedMs ?? 0, finished: true };
  }

  clear(): void {
    this.#playbacks.clear();
    this.#watched.clear();
    this.#results.clear();
  }

  #forget(id: number): void {
    this.#playbacks.delete(id);
    this.#watched.delete(id);
  }
}
