/**
 * What one stream plays: whole audio, sources that are read, files, marks behind them, and the clear that ends it all.
 *
 *   playPcm() ─▶ output ─▶ …            playSource() ─▶ feed ─▶ output ─▶ …            ledger: who has been heard
 *
 * Live audio passes by here: the stream sends it itself (see Stream.play) and opens a playback for all of it.
 */

import type { OutboundMode } from '../formats.js';
import type { StreamHost, StreamLink } from '../media/host.js';
import type { MarkResult, Playback } from '../plugin/stream.js';
import { CLEAR_TEXT } from '../telnyx/commands.js';
import { type Chunk, Feed, type Source, type SourceOptions, sourceIdle, stopSource } from './feed.js';
import { Ledger, type LedgerOwner, type PlaybackEntry, type Positions } from './ledger.js';
import { mp3File, noFiles } from './mp3-file.js';
import { Mp3Output } from './mp3-output.js';
import type { Output, OutputOwner } from './output.js';
import { Progress } from './progress.js';
import { RtpOutput, type RtpOutputSetup } from './rtp-output.js';
import { takeOut } from './take-out.js';

export interface PlayerSetup extends RtpOutputSetup {
  mode: OutboundMode;
}

/** The stream that plays. */
export interface PlayerOwner {
  /** Live audio ends here: all of it, or only where `playback` is what stands for it. */
  endLive(playback?: PlaybackEntry): void;
  /** Messages were sent past the engine. */
  afterSend(): void;
  /** Something failed that nobody awaits. */
  report(error: unknown): void;
  /** The far end drops what it has not played. */
  takenBack(): void;
  /** A listener of the handler threw. */
  handlerFailed(where: string, cause: unknown): void;
}

/** What clears and audio that was left out have made of the positions: most streams have none of it. */
class Corrections {
  /** Heard before the last clear. */
  heardMs = 0;
  /** The position that the last clear left behind. */
  heardFrom = 0;
  /** Samples left out since then, because they were late. */
  skippedSamples = 0;
  /** Where the last of them ends. */
  skippedEnd = 0;
  /** Clears that cut off audio. */
  interruptions = 0;
}

const NO_CORRECTIONS: Readonly<Corrections> = Object.freeze(new Corrections());

export class Player implements LedgerOwner, OutputOwner {
  readonly #host: StreamHost;
  readonly #owner: PlayerOwner;
  readonly #output: Output;
  readonly #ledger: Ledger;
  #feed: Feed | undefined;
  #followsAll = true;
  #closed = false;
  #corrections = NO_CORRECTIONS;
  #paused = false;
  readonly #link: StreamLink;
  #progress: Progress | undefined;

  constructor(setup: PlayerSetup, owner: PlayerOwner) {
    this.#host = setup.host;
    this.#owner = owner;
    this.#output =
      setup.mode === 'mp3'
        ? new Mp3Output({
            ...setup,
            afterSend: () => owner.afterSend(),
            report: error => owner.report(error),
          })
        : new RtpOutput(setup);
    this.#link = setup.link;
    this.#ledger = new Ledger(this.#output, setup.link, this);
    this.#follow();
  }

  /** Audio that was played and not yet heard in the call, in ms: what waits here and what Telnyx still has. */
  get queuedMs(): number {
    return this.#output.queuedMs() + (this.#feed?.waitingMs ?? 0);
  }

  /** Audio heard in the call since the stream's start, in ms. */
  get heardMs(): number {
    const { heardMs } = this.#corrections;
    return this.#closed ? heardMs : heardMs + this.#heardSince(this.#output.positions());
  }

  /** Clears that cut off audio. */
  get interruptions(): number {
    return this.#corrections.interruptions;
  }

  counters(): Record<string, number> {
    return this.#output.counters();
  }

  /** Sources are being read: what is played now waits its turn behind them. */
  get isFeeding(): boolean {
    return this.#feed !== undefined;
  }

  // --- playing ---

  /** A playback for live audio from here on; complete() ends it. */
  openLive(): PlaybackEntry {
    const live = this.#ledger.open();
    live.start = this.#output.positions().accepted;
    return live;
  }

  /** @throws SidetoneError SIDETONE_QUEUE_FULL */
  enqueueLive(samples: Int16Array, sampleRate: number, nowMs: number, liveLatencyMaxMs: number): void {
    this.#output.enqueue(samples, sampleRate, nowMs, liveLatencyMaxMs);
  }

  /** Everything of `playback` has been accepted. */
  complete(playback: PlaybackEntry): void {
    this.#ledger.close(playback, this.#output.positions().accepted);
    this.#output.complete();
  }

  /** @throws SidetoneError SIDETONE_QUEUE_FULL */
  playPcm(samples: Int16Array, sampleRate: number, liveLatencyMaxMs: number): Playback {
    return this.#playWhole(
      playback => this.#enqueue(playback, samples, sampleRate, liveLatencyMaxMs),
      (feed, playback) => feed.addPcm(playback, samples, sampleRate, liveLatencyMaxMs),
    );
  }

  /** @throws SidetoneError SIDETONE_QUEUE_FULL */
  playSource(source: Source, options: SourceOptions): PlaybackEntry {
    const feed = this.#feeding();
    feed.mustHaveRoom();
    const playback = this.#ledger.open();
    feed.add(playback, source, options);
    return playback;
  }

  /** Stops `playback` alone: what waits behind it moves up. In MP3 mode all is cleared. */
  cancel(playback: PlaybackEntry): { playedMs: number; discardedMs: number } {
    if (this.#closed || playback.finished) return { playedMs: playback.playedMs, discardedMs: 0 };
    if (this.#output instanceof Mp3Output) return this.clear(0);
    const waitingMs = this.#feed?.remove(playback) ?? 0;
    const { playedMs, removedMs } = takeOut(playback, this.#output, this.#ledger, this);
    const discardedMs = waitingMs + removedMs;
    if (discardedMs > 0) this.#correct().interruptions++;
    this.#feed?.pump();
    return { playedMs, discardedMs };
  }

  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is not MP3, and in RTP mode; SIDETONE_QUEUE_FULL */
  playFile(bytes: Uint8Array): Playback {
    const output = this.#output;
    if (!(output instanceof Mp3Output)) throw noFiles();
    const file = mp3File(bytes);
    if (this.#closed) return this.over();
    const queue = (playback: PlaybackEntry): void => {
      this.#begin(playback);
      output.enqueueFile(file);
    };
    return this.#playWhole(queue, (feed, playback) => {
      feed.addWhole('playFile', playback, () => queue(playback), file.durationMs, file.message.length);
    });
  }

  /**
   * Audio in the stream's own encoding, of `ms`.
   * @throws SidetoneError SIDETONE_QUEUE_FULL
   */
  playEncoded(bytes: Uint8Array, ms: number): Playback {
    return this.#playWhole(
      playback => {
        this.#begin(playback);
        this.#output.enqueueEncoded(bytes, ms);
      },
      (feed, playback) => {
        // A Buffer's slice() would share its memory.
        const kept = new Uint8Array(bytes);
        const queue = (): void => {
          this.#begin(playback);
          this.#output.enqueueEncoded(kept, ms);
        };
        feed.addWhole('playEncoded', playback, queue, ms, kept.length);
      },
    );
  }

  /** The result of a play() after the stream's end. `source` is told to stop and is not read. */
  over(source?: Source): PlaybackEntry {
    if (source) stopSource(source);
    return this.#ledger.over();
  }

  /** A mark behind everything played so far. */
  mark(name: string): Promise<MarkResult> {
    return this.#ledger.mark(name, this.#output.positions().accepted);
  }

  get paused(): boolean {
    return this.#paused;
  }

  /**
   * Stops what is playing, and keeps it and what is queued for resume(). Without `goesOn`, resume() comes at once.
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT in MP3 mode
   */
  pause(goesOn = true): void {
    if (this.#paused) return;
    this.#tellSkipped();
    this.#output.pause();
    this.#paused = true;
    this.#tellSkipped();
    // Before the far end is told: it sends back marks at once.
    this.#ledger.pause(this.#output.positions().played);
    this.#link.sendText(CLEAR_TEXT);
    this.#owner.takenBack();
    if (goesOn) this.#output.goOn();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#output.resume();
    // Marks behind audio that was left out wait for no message.
    this.#ledger.sent(this.#output.positions().sent);
  }

  /**
   * Stops what is playing and drops what is queued, here and at the far end. What is being heard fades out in `fadeMs`, and
   * counts as heard until then. `ownOnly`: what a conference has played is not counted.
   */
  clear(fadeMs: number, ownOnly = false): { playedMs: number; discardedMs: number } {
    const waitingMs = this.#dropFeed();
    this.#tellSkipped();
    const positions = this.#output.positions();
    positions.played += this.#output.fadeLength(fadeMs);
    const unheard = ownOnly ? this.#ledger.unheard(positions) : positions.accepted - positions.played;
    const playedMs = this.#ledger.clear(positions, true);
    const corrections = this.#correct();
    corrections.heardMs += this.#heardSince(positions);
    corrections.skippedSamples = 0;
    this.#paused = false;
    this.#output.clear(fadeMs);
    // What fades has positions of its own, and was counted above.
    corrections.heardFrom = this.#output.positions().accepted;
    this.#follow();
    const discardedMs = unheard / positions.samplesPerMs + waitingMs;
    if (discardedMs > 0) this.#correct().interruptions++;
    return { playedMs, discardedMs };
  }

  /** Whether something is queued, read or being heard that was played, rather than what a conference plays. */
  get hasOwnAudio(): boolean {
    return this.#paused || this.isFeeding || this.#output.hasOwnAudio();
  }

  // --- driven by the stream ---

  /** Whether the stream wants to hear of every message that is sent. */
  followAll(isWanted: boolean): void {
    this.#followsAll = isWanted;
    this.#follow();
  }

  /** Messages were sent: marks and sources may go on. */
  afterSend(): void {
    this.#tellSkipped();
    if (!this.#ledger.marksWaiting && !this.#feed) return;
    this.#ledger.sent(this.#output.positions().sent);
    this.#feed?.pump();
  }

  /** A mark came back. Returns whether it is one of the handler's whose audio has been heard. */
  markReturned(name: string): boolean {
    return this.#ledger.returned(name);
  }

  /** The far end has read what it was sent. */
  drained(): void {
    this.#output.drained();
  }

  /** Called a few times a second. */
  sweep(nowMs: number): void {
    if (!this.#ledger.idle) this.#ledger.sweep(nowMs);
    this.#output.drained();
    this.#feed?.sweep(nowMs);
  }

  /** The stream's end: settles everything. */
  finish(): void {
    this.#dropFeed();
    this.#tellSkipped();
    const positions = this.#output.positions();
    this.#correct().heardMs += this.#heardSince(positions);
    this.#ledger.clear(positions, false);
    this.#progress?.close();
    this.#output.close();
    this.#closed = true;
  }

  // --- driven by the output ---

  skipped(from: number, to: number): void {
    this.#ledger.skip(from, to);
    const corrections = this.#correct();
    corrections.skippedEnd = to;
    corrections.skippedSamples += to - from;
  }

  // --- driven by the ledger ---

  progress(playback: PlaybackEntry, listener: unknown, everyMs: number | undefined): void {
    this.#progress ??= new Progress(this.#host.clock, error =>
      this.#owner.handlerFailed('onProgress', error),
    );
    this.#progress.add(playback, listener, everyMs);
  }

  marksWait(): void {
    this.#follow();
  }

  endLive(playback: PlaybackEntry): void {
    this.#owner.endLive(playback);
  }

  // ---

  /** Audio that is known whole is queued at once, or waits behind the sources that are being read. */
  #playWhole(
    queue: (playback: PlaybackEntry) => void,
    addTo: (feed: Feed, playback: PlaybackEntry) => void,
  ): Playback {
    this.#owner.endLive();
    const playback = this.#ledger.open();
    try {
      if (this.#feed) {
        addTo(this.#feed, playback);
        return playback;
      }
      queue(playback);
    } catch (error) {
      this.#ledger.forget(playback);
      throw error;
    }
    this.complete(playback);
    return playback;
  }

  #enqueue(playback: PlaybackEntry, samples: Chunk, sampleRate: number, liveLatencyMaxMs: number): void {
    this.#begin(playback);
    if (samples instanceof Uint8Array) {
      this.#output.enqueueEncoded(samples, (samples.length * 1000) / sampleRate);
      return;
    }
    this.#output.enqueue(samples, sampleRate, this.#host.clock.now(), liveLatencyMaxMs);
  }

  #tellSkipped(): void {
    this.#output.tellSkipped(this);
  }

  #begin(playback: PlaybackEntry): void {
    if (playback.start === Number.POSITIVE_INFINITY) playback.start = this.#output.positions().accepted;
  }

  #feeding(): Feed {
    this.#owner.endLive();
    if (this.#feed) return this.#feed;
    this.#feed = new Feed({
      queueMaxMs: this.#host.options.queueMaxMs,
      readAheadMs: this.#output.readAheadMs,
      // Read ahead of what Telnyx has, not of what has been heard.
      queuedMs: () => {
        const { accepted, sent, samplesPerMs } = this.#output.positions();
        return (accepted - sent) / samplesPerMs;
      },
      enqueue: (playback, samples, rate, live) => this.#enqueue(playback, samples, rate, live),
      close: playback => this.complete(playback),
      failed: error => {
        this.#host.count('sourceFailures');
        this.#owner.report(error);
      },
      blocked: ms => this.#owner.report(sourceIdle(ms)),
      idle: () => {
        this.#feed = undefined;
        this.#follow();
      },
    });
    this.#follow();
    return this.#feed;
  }

  /** Audio heard since the last clear, in ms: positions go on counting over what was dropped or left out. */
  #heardSince({ played, samplesPerMs }: Positions): number {
    const { heardFrom, skippedSamples, skippedEnd } = this.#corrections;
    // The range that was left out last may still lie ahead of what is being heard.
    const ahead = Math.min(skippedSamples, Math.max(0, skippedEnd - played));
    return Math.max(0, played - heardFrom - skippedSamples + ahead) / samplesPerMs;
  }

  #correct(): Corrections {
    if (this.#corrections === NO_CORRECTIONS) this.#corrections = new Corrections();
    return this.#corrections as Corrections;
  }

  /** Returns what waited there, in ms. */
  #dropFeed(): number {
    const waitingMs = this.#feed?.drop() ?? 0;
    this.#feed = undefined;
    return waitingMs;
  }

  /** Says which of its messages the stream must hear of. */
  #follow(): void {
    if (this.#closed) return;
    this.#output.follow(this.#followsAll || this.#ledger.marksWaiting, this.#feed?.readAheadMs ?? 0);
  }
}
