import type { Clock } from '../clock.js';

/** One message of the application's audio, as the caller heard it. Times are in ms since the `start` frame. */
export interface HeardSegment {
  /** When its first sample was heard. */
  atMs: number;
  /** When the message arrived. */
  arrivedMs: number;
  /** How long it plays in full. */
  durationMs: number;
  /** As it was sent, base64 undone. */
  payload: Uint8Array;
  /** Set where a `clear` or the end of the call cut it short: how much of it was heard. */
  clearedAfterMs?: number;
  /** Set where it was heard in full, and a `clear` or the end of the call dropped what was to follow without a gap. */
  clearedBehind?: true;
}

/** Silence between two segments of one utterance: the application's next audio came too late. */
export interface Gap {
  /** When it began, in ms since `start`. */
  atMs: number;
  /** In ms. */
  durationMs: number;
}

interface PendingMark {
  name: string;
  dueMs: number;
}

/** Times that differ by less than this are the same: timers are inexact, and sums of durations are rounded. */
const EPSILON_MS = 1e-6;

/**
 * The playback queue on Telnyx's side. It plays audio in real time, in the order in which it came, and returns each
 * mark when the audio before it has been played. It keeps what the caller heard, and `queueMsMax` bounds it.
 */
export class PlaybackQueue {
  readonly #segments: HeardSegment[] = [];
  readonly #gaps: Gap[] = [];
  #marks: PendingMark[] = [];
  /** When what is queued will have been played. */
  #endMs = 0;
  #discardedMs = 0;
  /** Whether what comes next begins an utterance, so that the silence before it is no gap. */
  #begins = true;
  #cancelTimer: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    /** The time of the clock at which the stream's time is 0. */
    private readonly startedAt: number,
    private readonly options: { queueMsMax: number; utteranceGapMs: number },
    private readonly returnMark: (name: string) => void,
  ) {}

  /** Stream time, in ms. */
  get #nowMs(): number {
    return this.clock.now() - this.startedAt;
  }

  /** What is queued and has not been played, in ms. */
  get queuedMs(): number {
    return Math.max(0, this.#endMs - this.#nowMs);
  }

  /** Audio that arrived and was never heard, in ms. */
  get discardedMs(): number {
    return this.#discardedMs;
  }

  get gaps(): readonly Gap[] {
    return this.#gaps;
  }

  /** Queues audio. False, and nothing queued, where the queue would grow over `queueMsMax`. */
  play(payload: Uint8Array, durationMs: number): boolean {
    const nowMs = this.#nowMs;
    if (this.queuedMs + durationMs > this.options.queueMsMax) return false;
    const lateMs = nowMs - this.#endMs;
    if (!this.#begins && lateMs > EPSILON_MS && lateMs < this.options.utteranceGapMs) {
      this.#gaps.push({ atMs: this.#endMs, durationMs: lateMs });
    }
    this.#begins = false;
    const atMs = Math.max(nowMs, this.#endMs);
    this.#segments.push({ atMs, arrivedMs: nowMs, durationMs, payload });
    this.#endMs = atMs + durationMs;
    return true;
  }

  /** Returns the mark when all that is queued has been played: at once if nothing is. */
  mark(name: string): void {
    this.#marks.push({ name, dueMs: this.#endMs });
    this.#returnDueMarks();
  }

  /** Stops playing, drops what is queued and returns all waiting marks. */
  clear(): void {
    this.#cut();
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const marks = this.#marks;
    this.#marks = [];
    for (const mark of marks) this.returnMark(mark.name);
  }

  /** The call has ended: what is queued is never heard, waiting marks never return. */
  end(): void {
    this.#cut();
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  /** What the caller has heard up to now, in order; a segment that is playing is in it as if cut now. */
  heard(): HeardSegment[] {
    const nowMs = this.#nowMs;
    return this.#segments
      .filter(segment => segment.atMs < nowMs - EPSILON_MS)
      .map(segment => {
        const heardMs = nowMs - segment.atMs;
        const cut = segment.clearedAfterMs === undefined && heardMs < segment.durationMs - EPSILON_MS;
        return cut ? { ...segment, clearedAfterMs: heardMs } : { ...segment };
      });
  }

  #cut(): void {
    const nowMs = this.#nowMs;
    let last = this.#segments.at(-1);
    while (last && last.clearedAfterMs === undefined && last.atMs + last.durationMs > nowMs + EPSILON_MS) {
      if (last.atMs < nowMs - EPSILON_MS) {
        last.clearedAfterMs = nowMs - last.atMs;
        this.#discardedMs += last.durationMs - last.clearedAfterMs;
        break;
      }
      this.#discardedMs += last.durationMs;
      this.#segments.pop();
      last = this.#segments.at(-1);
      if (last && Math.abs(last.atMs + last.durationMs - nowMs) <= EPSILON_MS) last.clearedBehind = true;
    }
    this.#endMs = Math.min(this.#endMs, nowMs);
    this.#begins = true;
  }

  #returnDueMarks(): void {
    // The mark leaves the list before it is returned, because the application may answer at once with its next frame.
    while (this.#marks[0] && this.#marks[0].dueMs <= this.#nowMs + EPSILON_MS) {
      this.returnMark(this.#marks.shift()!.name);
    }
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#marks[0]) {
      const waitMs = this.#marks[0].dueMs - this.#nowMs;
      this.#cancelTimer = this.clock.after(waitMs, () => this.#returnDueMarks());
    }
  }
}
