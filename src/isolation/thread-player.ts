/** What one stream plays, as its plugin's thread knows it: the playbacks and sources that the reactor has numbers of. */

import { SidetoneError } from '../errors.js';
import type { Source, SourceOptions } from '../playback/feed.js';
import { stopSource } from '../playback/feed.js';
import { queueFull } from '../playback/output.js';
import type { SpeechPlayer } from '../playback/speech.js';
import type { MarkResult } from '../plugin/stream.js';
import { ASK, COMMAND } from './records.js';
import { type PlaybackOwner, ThreadPlayback } from './thread-playback.js';
import type { ThreadSide } from './thread-side.js';
import { ThreadSource } from './thread-source.js';

/** What the reactor has told counts for so long, in ms; after that it is asked again. */
const FRESH_MS = 20;
/** As the ledger's. */
const MARKS_MAX = 1000;

type Cleared = { playedMs: number; discardedMs: number };

export class ThreadPlayer implements PlaybackOwner, SpeechPlayer<ThreadPlayback> {
  readonly #side: ThreadSide;
  readonly #handle: number;
  readonly #failed: (where: string, cause: unknown) => void;
  readonly #playbacks = new Map<number, ThreadPlayback>();
  readonly #sources = new Map<number, ThreadSource>();
  readonly #marks = new Map<number, { name: string; resolve(result: MarkResult): void }>();
  readonly #clears = new Map<number, { waitingMs: number; resolve(result: Cleared): void }>();
  #live: ThreadPlayback | undefined;
  #nextId = 1;
  #closed = false;
  // What the reactor told last:
  #queuedMs = 0;
  #toldMs = Number.NEGATIVE_INFINITY;
  #writtenMs = 0; // played since the stream's start
  #takenMs = 0; // of it, what the reactor had taken when it told
  #heardId = 0;
  #heardMs = Number.NEGATIVE_INFINITY;
  #heard = { playedMs: 0, finished: false };
  #wantsQueue = false;

  constructor(side: ThreadSide, handle: number, failed: (where: string, cause: unknown) => void) {
    this.#side = side;
    this.#handle = handle;
    this.#failed = failed;
  }

  get isFeeding(): boolean {
    return this.#sources.size > 0;
  }

  /** Audio that was played and not yet heard in the call, in ms. */
  get queuedMs(): number {
    if (this.#closed) return 0;
    if (!this.#wantsQueue) this.#side.out.send(COMMAND.wantQueue, this.#handle);
    this.#wantsQueue = true;
    if (this.#side.clock.now() - this.#toldMs > 2 * FRESH_MS) this.#askQueued();
    return this.#queuedMs + this.#writtenMs - this.#takenMs + this.#sourcesMs();
  }

  /** The reactor had so much queued at `atMs`, when it had taken `takenMs` of what was played. */
  told(queuedMs: number, takenMs: number, atMs: number): void {
    if (atMs < this.#toldMs) return;
    this.#queuedMs = queuedMs;
    this.#takenMs = takenMs;
    this.#toldMs = atMs;
  }

  #askQueued(): void {
    const answer = this.#side.ask(ASK.queued, this.#handle);
    if (answer) this.told(answer[0]!, this.#writtenMs, this.#side.clock.now());
  }

  /** What waits in this thread, in ms. */
  #sourcesMs(): number {
    let ms = 0;
    for (const source of this.#sources.values()) ms += source.waitingMs;
    return ms;
  }

  // --- playing ---

  /** What the reactor has told does not hold any more. */
  changed(): void {
    this.#toldMs = Number.NEGATIVE_INFINITY;
    this.#heardMs = Number.NEGATIVE_INFINITY;
  }

  /** A playback of `ms`. @throws SidetoneError SIDETONE_QUEUE_FULL */
  open(ms: number): ThreadPlayback {
    const { queueMaxMs } = this.#side.options;
    // Nothing is asked while there must be room, also where nothing of what was queued has been heard.
    const queuedMs = (): number => this.#queuedMs + this.#writtenMs - this.#takenMs;
    if (queuedMs() + ms > queueMaxMs) this.#askQueued();
    if (queuedMs() + ms > queueMaxMs) throw queueFull(ms, queuedMs(), queueMaxMs);
    this.endLive();
    return this.#open();
  }

  /** `ms` were given to the reactor. */
  wrote(ms: number): void {
    this.#writtenMs += ms;
  }

  /** The one playback of live audio. */
  openLive(): ThreadPlayback {
    this.#live ??= this.#open();
    return this.#live;
  }

  get isLive(): boolean {
    return this.#live !== undefined;
  }

  /** What is played from here on is no part of the live audio before it. */
  endLive(): void {
    this.#live = undefined;
  }

  #open(): ThreadPlayback {
    const playback = new ThreadPlayback(this.#nextId++, this);
    this.#playbacks.set(playback.id, playback);
    return playback;
  }

  playSource(source: Source, options: SourceOptions): ThreadPlayback {
    this.endLive();
    const playback = this.#open();
    const { sampleRate, liveLatencyMaxMs, isEncoded = false, idleMaxMs } = options;
    const { id } = playback;
    const onOver = (): void => void this.#sources.delete(id);
    const read = new ThreadSource(this.#side, this.#handle, playback, source, sampleRate, isEncoded, onOver);
    this.#sources.set(id, read);
    const head = { id, flags: isEncoded ? 1 : 0, a: sampleRate, b: liveLatencyMaxMs, c: idleMaxMs };
    this.#side.out.send(COMMAND.source, this.#handle, head);
    return playback;
  }

  over(source?: Source): ThreadPlayback {
    if (source) stopSource(source);
    const playback = new ThreadPlayback(0, this);
    playback.settle({ playedMs: 0, interrupted: true });
    return playback;
  }

  /** Stops one playback alone. */
  cancel(playback: ThreadPlayback): Cleared {
    this.changed();
    if (playback.over || this.#closed) return { playedMs: playback.playedMs, discardedMs: 0 };
    const source = this.#sources.get(playback.id);
    const waitingMs = source?.waitingMs ?? 0;
    source?.stop();
    const answer = this.#side.ask(ASK.cancel, this.#handle, playback.id);
    const playedMs = answer ? answer[0]! : 0;
    const discardedMs = (answer ? answer[1]! : 0) + waitingMs;
    this.settled(playback.id, playedMs, true);
    return { playedMs, discardedMs };
  }

  /** @throws SidetoneError SIDETONE_QUEUE_FULL */
  mark(name: string): Promise<MarkResult> {
    if (this.#marks.size >= MARKS_MAX) {
      const problem = `mark: ${name}: ${this.#marks.size} marks are under way already: await some of them first`;
      throw new SidetoneError('SIDETONE_QUEUE_FULL', problem);
    }
    const id = this.#nextId++;
    return new Promise(resolve => {
      this.#marks.set(id, { name, resolve });
      this.#side.out.attach(COMMAND.mark, this.#handle, name, { id });
    });
  }

  clear(fadeMs: number): Promise<Cleared> {
    this.endLive();
    this.changed();
    const id = this.#nextId++;
    const waitingMs = this.#sourcesMs();
    for (const source of [...this.#sources.values()]) source.stop();
    return new Promise(resolve => {
      this.#clears.set(id, { waitingMs, resolve });
      this.#side.out.send(COMMAND.clear, this.#handle, { id, a: fadeMs });
    });
  }

  // --- a playback's ---

  watch(playback: ThreadPlayback): void {
    if (playback === this.#live) this.endLive();
    this.#side.out.send(COMMAND.watch, this.#handle, { id: playback.id });
  }

  heard(playback: ThreadPlayback): { playedMs: number; finished: boolean } {
    const nowMs = this.#side.clock.now();
    if (playback.id === this.#heardId && nowMs - this.#heardMs < FRESH_MS) return this.#heard;
    const answer = this.#side.ask(ASK.playback, this.#handle, playback.id);
    const playedMs = answer ? answer[0]! : 0;
    this.#heard = { playedMs, finished: answer !== undefined && answer[1] !== 0 };
    this.#heardId = playback.id;
    this.#heardMs = nowMs;
    return this.#heard;
  }

  follow(playback: ThreadPlayback, everyMs: number): void {
    this.#side.out.send(COMMAND.progress, this.#handle, { id: playback.id, a: everyMs });
  }

  handlerFailed(where: string, cause: unknown): void {
    this.#failed(where, cause);
  }

  // --- told by the reactor ---

  settled(id: number, playedMs: number, interrupted: boolean): void {
    const playback = this.#take(id);
    playback?.settle({ playedMs, interrupted });
  }

  failed(id: number, error: Error): void {
    this.#take(id)?.fail(error);
  }

  #take(id: number): ThreadPlayback | undefined {
    const playback = this.#playbacks.get(id);
    if (playback === this.#live) this.#live = undefined;
    this.#playbacks.delete(id);
    return playback;
  }

  progressed(id: number, playedMs: number): void {
    this.#playbacks.get(id)?.progress(playedMs);
  }

  marked(id: number, played: boolean): void {
    const mark = this.#marks.get(id);
    this.#marks.delete(id);
    mark?.resolve({ name: mark.name, played });
  }

  cleared(id: number, playedMs: number, discardedMs: number): void {
    const clear = this.#clears.get(id);
    this.#clears.delete(id);
    clear?.resolve({ playedMs, discardedMs: discardedMs + clear.waitingMs });
  }

  pull(id: number): void {
    this.#sources.get(id)?.pull();
  }

  stopSource(id: number): void {
    this.#sources.get(id)?.stop();
  }

  /** The stream has ended: nothing is played any more. What the reactor has still to tell of it may come later. */
  close(): void {
    this.#closed = true;
    this.endLive();
    for (const source of [...this.#sources.values()]) source.stop();
  }

  get closed(): boolean {
    return this.#closed;
  }
}
