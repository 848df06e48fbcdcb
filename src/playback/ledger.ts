/**
 * The playback ledger: what a stream was asked to play, what of it the caller has heard, and the marks behind it.
 *
 * Positions are samples accepted by the engine since the stream's start. The engine knows from the send times which
 * position is being heard (see native/stream/playout.h); marks that Telnyx returns confirm it. Each `clear()` opens a
 * new generation: what was unfinished is settled on the spot, and its marks, when Telnyx sends them back because of
 * the clear, count for nothing.
 */
import { SidetoneError } from '../errors.js';
import type { MarkResult, Playback, PlaybackResult } from '../plugin/stream.js';
import { markText } from '../telnyx/commands.js';

/** Where the outbound audio of a stream stands. */
export interface Positions {
  accepted: number;
  sent: number;
  played: number;
  samplesPerMs: number;
}

/** The part of an output that a ledger needs. */
export interface LedgerOutput {
  positions(): Positions;
  /** A mark goes behind this position: a message should end there. */
  cutAt(position: number): void;
}

/** The owner of a ledger. */
export interface LedgerOwner {
  /** From now on marks wait for their audio to be sent, or none does. */
  marksWait(): void;
  /** Somebody awaits a playback that is still growing with live audio: it ends here. */
  endLive(playback: PlaybackEntry): void;
  /** Somebody wants to hear how far a playback has been heard. @throws SidetoneError SIDETONE_BAD_ARGUMENT */
  progress(playback: PlaybackEntry, listener: unknown, everyMs: number | undefined): void;
}

const NEVER = Number.POSITIVE_INFINITY;
/** How long after its audio must have been heard a playback waits for a mark that does not come back. */
const MARK_GRACE_MS = 2000;
/** Marks of one stream that are under way: one a frame of 20 ms for 20 s. */
const MARKS_MAX = 1000;

/** In place of an array of each stream's own: most streams have no marks. */
const NO_MARKS: Mark[] = Object.freeze([]) as never;
const NO_NAMES: string[] = Object.freeze([]) as never;

/** What a log shows of a playback. */
export interface PlaybackState {
  playedMs: number;
  finished: boolean;
}

/** One `play()`: the positions from `start` up to `end`. */
export class PlaybackEntry implements Playback {
  start = NEVER; // until its first sample is accepted
  end = NEVER; // until its last sample is accepted
  /** Ranges that were left out because they came hopelessly late, by rising position. */
  skipped: { from: number; to: number }[] | undefined = undefined;
  #result: PlaybackResult | undefined;
  #error: Error | undefined;
  #promise: Promise<PlaybackResult> | undefined;
  #resolve: ((result: PlaybackResult) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  constructor(private readonly ledger: Ledger) {}

  get playedMs(): number {
    return this.#result ? this.#result.playedMs : this.ledger.playedMs(this);
  }

  get finished(): boolean {
    return this.#result !== undefined || this.#error !== undefined;
  }

  /** Its fields lead to the options of the server, and so to secrets. */
  toJSON(): PlaybackState {
    const { playedMs, finished } = this;
    return { playedMs, finished };
  }

  get watched(): boolean {
    return this.#promise !== undefined;
  }

  onProgress(listener: (playedMs: number) => void, everyMs?: number): this {
    this.ledger.owner.progress(this, listener, everyMs);
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
      else if (this.#error) this.#reject!(this.#error);
      else this.ledger.watch(this);
    }
    return this.#promise.then(onFulfilled, onRejected);
  }

  settle(result: PlaybackResult): void {
    if (this.finished) return;
    this.#result = result;
    this.#resolve?.(result);
  }

  fail(error: Error): void {
    if (this.finished) return;
    this.#error = error;
    this.#reject?.(error);
  }
}

interface Mark {
  /** Sent to Telnyx once everything up to here has been sent. */
  position: number;
  name: string;
  playback: PlaybackEntry | undefined;
  resolve: ((result: MarkResult) => void) | undefined;
}

export class Ledger {
  /** Unfinished playbacks, oldest first. */
  #playbacks: PlaybackEntry[] = [];
  /** Marks that wait for their audio to be sent, by rising position. */
  #waiting = NO_MARKS;
  /** Marks with Telnyx, in the order sent, which is the order in which they come back. */
  #outstanding = NO_MARKS;
  /** Names of marks that a clear will send back. */
  #cleared = NO_NAMES;
  #toldWaiting = false;
  #overdueSince = NEVER;
  #generation = 0;
  #markNumber = 0;

  constructor(
    private readonly output: LedgerOutput,
    private readonly link: { sendText(text: string): void },
    readonly owner: LedgerOwner,
  ) {}

  /** A playback that begins with the next sample accepted. */
  open(): PlaybackEntry {
    const playback = new PlaybackEntry(this);
    // A push onto nothing makes room for seventeen; most streams have one playback at a time.
    if (this.#playbacks.length === 0) this.#playbacks = [playback];
    else this.#playbacks.push(playback);
    return playback;
  }

  /** A playback that was over before any of it could be heard: the stream had ended. */
  over(): PlaybackEntry {
    const playback = new PlaybackEntry(this);
    playback.settle({ playedMs: 0, interrupted: true });
    return playback;
  }

  /** Everything of `playback` has been accepted. Finished ones before it are settled and forgotten. */
  close(playback: PlaybackEntry, end: number): void {
    playback.end = end;
    if (playback.start === NEVER) playback.start = end;
    if (playback.watched && !playback.finished) this.#placeMark(playback);
    this.#settleHeard(this.output.positions());
  }

  playedMs(playback: PlaybackEntry): number {
    const { played, samplesPerMs } = this.output.positions();
    return playedBetween(playback, played, samplesPerMs);
  }

  /** Samples of unfinished playbacks that have not been heard. */
  unheard({ accepted, played }: Positions): number {
    let samples = 0;
    for (const { start, end } of this.#playbacks) {
      samples += Math.max(0, Math.min(end, accepted) - Math.max(start, played));
    }
    return samples;
  }

  /** The audio between two positions will never be heard, although the positions are passed. */
  skip(from: number, to: number): void {
    for (const playback of this.#playbacks) {
      if (playback.end <= from || playback.start >= to) continue;
      playback.skipped ??= [];
      playback.skipped.push({ from, to });
    }
  }

  /** Somebody awaits `playback`: a mark behind it will tell when it has been heard. */
  watch(playback: PlaybackEntry): void {
    if (playback.end === NEVER) {
      this.owner.endLive(playback);
      return;
    }
    const { played, samplesPerMs } = this.output.positions();
    if (playback.end > played) this.#placeMark(playback);
    else playback.settle({ playedMs: lengthMs(playback, samplesPerMs), interrupted: false });
  }

  /** `playback`, just opened, could not be queued. */
  forget(playback: PlaybackEntry): void {
    playback.settle({ playedMs: 0, interrupted: true });
    this.#playbacks = this.#playbacks.filter(other => other !== playback);
  }

  /**
   * A mark behind all audio accepted so far.
   * @throws SidetoneError SIDETONE_QUEUE_FULL
   */
  mark(name: string, accepted: number): Promise<MarkResult> {
    const underWay = this.#waiting.length + this.#outstanding.length;
    if (underWay >= MARKS_MAX) {
      const problem = `mark: ${name}: ${underWay} marks are under way already: await some of them first`;
      throw new SidetoneError('SIDETONE_QUEUE_FULL', problem);
    }
    return new Promise(resolve => this.#add({ position: accepted, name, playback: undefined, resolve }));
  }

  /** Whether a message just sent may have let a mark go. */
  get marksWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  get idle(): boolean {
    return this.#outstanding.length === 0;
  }

  /** Sends the marks whose audio has been sent. */
  sent(position: number): void {
    while (this.#waiting.length > 0 && this.#waiting[0]!.position <= position) {
      const mark = this.#waiting.shift()!;
      if (this.#outstanding === NO_MARKS) this.#outstanding = [];
      this.#outstanding.push(mark);
      this.link.sendText(markText(mark.name));
    }
    this.#tellWaiting();
  }

  /** Telnyx returned a mark. Returns whether it is one of the handler's whose audio has been heard. */
  returned(name: string): boolean {
    const cleared = this.#cleared.indexOf(name);
    if (cleared >= 0) {
      this.#cleared.splice(cleared, 1);
      return false;
    }
    const at = this.#outstanding.findIndex(mark => mark.name === name);
    if (at < 0) return false;
    // Marks come back in order: one that was skipped was lost on the way, and its audio has been heard all the same.
    const heard = this.#outstanding.splice(0, at + 1);
    this.#overdueSince = NEVER;
    const { samplesPerMs } = this.output.positions();
    for (const mark of heard) {
      mark.playback?.settle({ playedMs: lengthMs(mark.playback, samplesPerMs), interrupted: false });
      mark.resolve?.({ name: mark.name, played: true });
    }
    this.#playbacks = this.#playbacks.filter(playback => !playback.finished);
    return heard.at(-1)!.playback === undefined;
  }

  /** Now and then: playbacks whose mark does not come back although they must have been heard are settled. */
  sweep(nowMs: number): void {
    const first = this.#outstanding[0];
    const positions = this.output.positions();
    if (!first || positions.played < first.position) {
      this.#overdueSince = NEVER;
      return;
    }
    if (this.#overdueSince === NEVER) this.#overdueSince = nowMs;
    if (nowMs - this.#overdueSince < MARK_GRACE_MS) return;
    this.#settleHeard(positions);
    this.#outstanding = this.#outstanding.filter(
      mark => mark.playback === undefined || !mark.playback.finished,
    );
  }

  /**
   * A clear, or the stream's end: settles all that is unfinished by `played`.
   * @returns how much of the unfinished playbacks was heard, in ms
   */
  clear(positions: Positions, marksComeBack: boolean): number {
    const { played, samplesPerMs } = positions;
    let playedMs = 0;
    for (const playback of this.#playbacks) {
      const ms = playedBetween(playback, played, samplesPerMs);
      const interrupted = playback.end === NEVER || played < playback.end;
      if (interrupted) playedMs += ms;
      playback.settle({ playedMs: ms, interrupted });
    }
    this.#playbacks = [];
    for (const mark of this.#outstanding) {
      if (marksComeBack) this.#comesBack(mark);
      mark.resolve?.({ name: mark.name, played: false });
    }
    for (const mark of this.#waiting) mark.resolve?.({ name: mark.name, played: false });
    this.#outstanding = NO_MARKS;
    this.#waiting = NO_MARKS;
    this.#tellWaiting();
    this.#generation++;
    return playedMs;
  }

  /** A pause: what lies behind `played` waits to be sent again, and so do the marks behind it. */
  pause(played: number): void {
    const heard = this.#outstanding.filter(mark => mark.position <= played);
    const again = this.#outstanding.slice(heard.length);
    this.#outstanding = heard;
    this.#overdueSince = NEVER;
    for (const mark of again) {
      this.#comesBack(mark);
      this.output.cutAt(mark.position);
    }
    if (again.length > 0) this.#waiting = [...again, ...this.#waiting];
    this.#tellWaiting();
  }

  /**
   * `playback` ends here. `removed` of it was taken out from `from` on, and what lies behind has moved up.
   * @returns how much of it was heard, in ms
   */
  cancel(playback: PlaybackEntry, from: number, removed: number): number {
    const { played, samplesPerMs } = this.output.positions();
    const playedMs = playedBetween(playback, Math.min(played, from), samplesPerMs);
    playback.settle({ playedMs, interrupted: true });
    this.#playbacks = this.#playbacks.filter(other => other !== playback);
    const to = from + removed;
    const moved = (position: number): number => (position >= to ? position - removed : position);
    for (const other of this.#playbacks) {
      other.start = moved(other.start);
      other.end = moved(other.end);
      for (const range of other.skipped ?? []) {
        range.from = moved(range.from);
        range.to = moved(range.to);
      }
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const mark of waiting) {
      const isInside = mark.position > from && mark.position <= to;
      if (mark.playback === playback || isInside) mark.resolve?.({ name: mark.name, played: false });
      if (mark.playback === playback || (isInside && mark.playback === undefined)) continue;
      mark.position = moved(mark.position);
      this.#waiting.push(mark);
      this.output.cutAt(mark.position);
    }
    this.#tellWaiting();
    return playedMs;
  }

  /** A clear sends `mark` back. Where marks do not come back, the oldest are forgotten. */
  #comesBack(mark: Mark): void {
    if (this.#cleared === NO_NAMES) this.#cleared = [];
    if (this.#cleared.push(mark.name) > MARKS_MAX) this.#cleared.shift();
  }

  #placeMark(playback: PlaybackEntry): void {
    const name = `sidetone.${this.#generation}.${this.#markNumber++}`;
    this.#add({ position: playback.end, name, playback, resolve: undefined });
  }

  #add(mark: Mark): void {
    if (this.#waiting === NO_MARKS) this.#waiting = [];
    let at = this.#waiting.length;
    while (at > 0 && this.#waiting[at - 1]!.position > mark.position) at--;
    this.#waiting.splice(at, 0, mark);
    this.output.cutAt(mark.position);
    this.sent(this.output.positions().sent);
  }

  #tellWaiting(): void {
    if (this.marksWaiting === this.#toldWaiting) return;
    this.#toldWaiting = this.marksWaiting;
    this.owner.marksWait();
  }

  #settleHeard(positions: Positions): void {
    const { played, samplesPerMs } = positions;
    let heard = 0;
    for (const playback of this.#playbacks) {
      if (playback.end > played) break;
      // A playback that is awaited waits for its mark, unless the mark is overdue.
      if (playback.watched && this.#overdueSince === NEVER) break;
      playback.settle({ playedMs: lengthMs(playback, samplesPerMs), interrupted: false });
      heard++;
    }
    if (heard > 0) this.#playbacks.splice(0, heard);
  }
}

function lengthMs(playback: PlaybackEntry, samplesPerMs: number): number {
  return playedBetween(playback, playback.end, samplesPerMs);
}

function playedBetween(playback: PlaybackEntry, played: number, samplesPerMs: number): number {
  if (playback.start === NEVER) return 0;
  const { start, skipped } = playback;
  const end = Math.min(played, playback.end);
  let samples = Math.max(0, end - start);
  for (const { from, to } of skipped ?? []) {
    samples -= Math.max(0, Math.min(to, end) - Math.max(from, start));
  }
  return samples / samplesPerMs;
}
