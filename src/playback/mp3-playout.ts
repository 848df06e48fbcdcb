/** More messages than one a second draw error 100005. */
export const INTERVAL_MS = 1000;
/** The far end is kept this far ahead: two messages, so that a late one is not heard. */
export const LEAD_MS = 2 * INTERVAL_MS;
interface Run {
  position: number;
  ms: number;
  /** When its first sample is heard. */
  startMs: number;
}

/**
 * Tells how much the far end has played of the files it was sent, as native/stream/playout.h does for RTP. Positions
 * count milliseconds of accepted audio. The silence that an encoder adds has no positions.
 */
export class Playout {
  /** There are few: a file is sent when less than the lead is left of those before it. */
  readonly #runs: Run[] = [];
  #before = 0; // all of this has been heard, or was dropped
  #dryAtMs = Number.NEGATIVE_INFINITY;

  /** When the far end will run dry. */
  get dryAtMs(): number {
    return this.#dryAtMs;
  }

  /** How much the far end still has to play. */
  aheadMs(nowMs: number): number {
    return Math.max(0, this.#dryAtMs - nowMs);
  }

  /** A file of `fileMs` was sent; after `leadInMs` it holds the `ms` of audio from `position` on. */
  sent(position: number, ms: number, leadInMs: number, fileMs: number, nowMs: number): void {
    this.#forget(nowMs);
    const startMs = Math.max(this.#dryAtMs, nowMs);
    this.#runs.push({ position, ms, startMs: startMs + leadInMs });
    this.#dryAtMs = startMs + fileMs;
  }

  /** Position up to which everything that was sent has been heard. */
  played(nowMs: number): number {
    let played = this.#before;
    for (const { position, ms, startMs } of this.#runs) {
      if (nowMs <= startMs) break;
      played = position + Math.min(ms, nowMs - startMs);
    }
    return played;
  }

  /** The far end dropped what it had not played; the next audio will stand at `position`. */
  clear(position: number, nowMs: number): void {
    this.#before = position;
    this.#runs.length = 0;
    this.#dryAtMs = nowMs;
  }

  #forget(nowMs: number): void {
    for (let run = this.#runs[0]; run && run.startMs + run.ms <= nowMs; run = this.#runs[0]) {
      this.#before = run.position + run.ms;
      this.#runs.shift();
    }
  }
}
