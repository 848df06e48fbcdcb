/** Tells how far playbacks have been heard, to those who ask. */

import type { Clock } from '../clock.js';
import { SidetoneError, shown } from '../errors.js';
import type { PlaybackEntry } from './ledger.js';

export const PROGRESS_MS = 100;

interface Listener {
  playback: PlaybackEntry;
  tell(playedMs: number): void;
  everyMs: number;
  dueMs: number;
  toldMs: number;
}

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
export function checkProgress(tell: unknown, everyMs: unknown): asserts everyMs is number {
  if (typeof tell !== 'function') {
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `onProgress: ${shown(tell)}: give a function`);
  }
  if (typeof everyMs !== 'number' || !(everyMs >= 20 && everyMs <= 60_000)) {
    const problem = `onProgress everyMs: ${shown(everyMs)}: give ms from 20 to 60000`;
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
  }
}

/** One timer for all listeners of a stream; none while nobody listens. */
export class Progress {
  #listeners: Listener[] = [];
  #stop: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
  add(playback: PlaybackEntry, tell: unknown, everyMs: unknown = PROGRESS_MS): void {
    checkProgress(tell, everyMs);
    const dueMs = this.clock.now() + everyMs;
    this.#listeners.push({ playback, tell: tell as Listener['tell'], everyMs, dueMs, toldMs: 0 });
    this.#stop ??= this.clock.every(20, () => this.#tick());
  }

  /** The stream has ended, and every playback is over. */
  close(): void {
    if (this.#listeners.length > 0) this.#tick();
    this.#listeners = [];
    this.#rest();
  }

  #tick(): void {
    const nowMs = this.clock.now();
    for (const listener of this.#listeners) {
      const { playback, toldMs } = listener;
      if (nowMs < listener.dueMs && !playback.finished) continue;
      while (listener.dueMs <= nowMs) listener.dueMs += listener.everyMs;
      const { playedMs } = playback;
      if (playedMs === toldMs) continue;
      listener.toldMs = playedMs;
      try {
        listener.tell(playedMs);
      } catch (error) {
        this.failed(error);
      }
    }
    this.#listeners = this.#listeners.filter(({ playback }) => !playback.finished);
    if (this.#listeners.length === 0) this.#rest();
  }

  #rest(): void {
    this.#stop?.();
    this.#stop = undefined;
  }
}
