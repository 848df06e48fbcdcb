/** A playback as a handler in a thread of its own has it: the reactor, which plays it, tells how far it has been heard. */
import { checkProgress, PROGRESS_MS } from '../playback/progress.js';
import type { Playback, PlaybackResult } from '../plugin/stream.js';

/** What a playback needs of its stream. */
export interface PlaybackOwner {
  /** Somebody awaits it. */
  watch(playback: ThreadPlayback): void;
  /** How much of it has been heard, by the reactor's account. */
  heard(playback: ThreadPlayback): { playedMs: number; finished: boolean };
  follow(playback: ThreadPlayback, everyMs: number): void;
  /** A listener threw. */
  handlerFailed(where: string, cause: unknown): void;
}

export class ThreadPlayback implements Playback {
  /** Its number in its stream. */
  readonly id: number;
  readonly #owner: PlaybackOwner;
  #result: PlaybackResult | undefined;
  #error: unknown;
  #hasFailed = false;
  #promise: Promise<PlaybackResult> | undefined;
  #resolve: ((result: PlaybackResult) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  #listeners: ((playedMs: number) => void)[] | undefined;
  #toldMs = 0;

  constructor(id: number, owner: PlaybackOwner) {
    this.id = id;
    this.#owner = owner;
  }

  get playedMs(): number {
    return this.#result?.playedMs ?? this.#owner.heard(this).playedMs;
  }

  get finished(): boolean {
    return this.#result !== undefined || this.#hasFailed || this.#owner.heard(this).finished;
  }

  /** Whether this thread knows that it is over. */
  get over(): boolean {
    return this.#result !== undefined || this.#hasFailed;
  }

  /** For a log or a message. */
  toJSON(): { playedMs: number; finished: boolean } {
    const { playedMs, finished } = this;
    return { playedMs, finished };
  }

  onProgress(listener: (playedMs: number) => void, everyMs = PROGRESS_MS): this {
    checkProgress(listener, everyMs);
    this.#listeners ??= [];
    this.#listeners.push(listener);
    if (!this.over) this.#owner.follow(this, everyMs);
    return this;
  }

  // biome-ignore lint/suspicious/noThenProperty: a playback is awaited; the promise behind it is made on demand
  then<A = PlaybackResult, B = never>(
    onFulfilled?: ((result: PlaybackResult) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (!this.#promise) {
      this.#promise = new Promise((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
      });
      if (this.#result) this.#resolve!(this.#result);
      else if (this.#hasFailed) this.#reject!(this.#error);
      else this.#owner.watch(this);
    }
    return this.#promise.then(onFulfilled, onRejected);
  }

  progress(playedMs: number): void {
    if (playedMs === this.#toldMs) return;
    this.#toldMs = playedMs;
    for (const listener of this.#listeners ?? []) {
      try {
        listener(playedMs);
      } catch (error) {
        this.#owner.handlerFailed('onProgress', error);
      }
    }
  }

  settle(result: PlaybackResult): void {
    if (this.over) return;
    this.#result = result;
    if (this.#listeners) this.progress(result.playedMs);
    this.#resolve?.(result);
  }

  fail(error: unknown): void {
    if (this.over) return;
    this.#hasFailed = true;
    this.#error = error;
    this.#reject?.(error);
  }
}
