/**
 * MP3 mode: Telnyx plays files, and takes one message a second.
 *
 *   play(pcm) ─▶ gathered until it may be sent ─▶ encoded in a thread of its own ─┐
 *   playFile(bytes) ──────────────────────────────────────────────────────────────┴▶ sent in the order played
 *
 * A file is sent when a second has passed since the last one and the far end has less than the lead left to play, so
 * that it does not run dry and a clear has little to take back. Nothing is sent while the peer has not read what it was sent before. Files wait here instead of being dropped, and so do the marks and the clear behind them.
 */
import { joinPcm } from '../audio/pcm.js';
import type { OutputCounter } from '../counters.js';
import { SidetoneError } from '../errors.js';
import type { StreamHost, StreamLink } from '../media/host.js';
import { CLEAR_TEXT } from '../telnyx/commands.js';
import type { Positions } from './ledger.js';
import { fileOf, type Mp3File, noPause } from './mp3-file.js';
import { INTERVAL_MS, LEAD_MS, Playout } from './mp3-playout.js';
import { type Output, queueFull } from './output.js';

/** Less audio than this waits for more, as one message a second is all there is. */
const GATHER_MS = INTERVAL_MS;
/** Enough audio, or a playback that is complete, waits only for what comes in the same moment. */
const SETTLE_MS = 100;
/** Longest file made of PCM that keeps coming: about 1 s of encoding for each two minutes. */
const PIECE_MS_MAX = 10_000;
/** Longest file made of one play(). */
const UTTERANCE_MS_MAX = 300_000;
/** Files and gathered pieces that may wait: as many seconds as it takes to send them. */
const PIECES_MAX = 1000;
/** The encoder's queue, which all streams share, was full. */
const ENCODE_RETRY_MS = 100;
/** Samples of silence that an MP3 encoder and decoder put before the audio: 576 and 529 (measured with LAME and ffmpeg). */
const LEAD_IN_SAMPLES = 1105;

/** One message that is being made. */
interface Piece {
  position: number;
  /** The length of the audio, without what the encoder adds. */
  ms: number;
  /** Bytes reserved for it in the memory for queued audio. */
  bytes: number;
  /** Silence in the file before the audio. */
  leadInMs: number;
  file: Mp3File | undefined;
  // As PCM:
  parts: Int16Array[];
  sampleRate: number;
  /** More may be added. */
  open: boolean;
  /** It is not encoded before this time. */
  gatherUntilMs: number;
  encoding: boolean;
  failures: number;
}

export interface Mp3OutputSetup {
  host: StreamHost;
  link: StreamLink;
  /** The engine's number of the stream; the engine goes on counting what comes in. */
  slot: number;
  /** A message was sent. */
  afterSend(): void;
  report(error: Error): void;
}

/** Positions count milliseconds of audio, in steps of 1/1024: sums of these are exact, so that ends meet. */
export class Mp3Output implements Output {
  /** Sources are read as far ahead as one file may hold. */
  readonly readAheadMs = PIECE_MS_MAX;
  readonly #setup: Mp3OutputSetup;
  readonly #playout = new Playout();
  readonly #counters: Record<OutputCounter, number> = { mediaSent: 0, bytesSent: 0, playsRefused: 0 };
  #queue: Piece[] = [];
  #accepted = 0;
  #handed = 0; // to the socket, or dropped by a clear
  #sent = 0; // and read by the peer so far that what follows is not dropped
  #clearOwed = false;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #stopTimer: (() => void) | undefined;
  #pumping = false;
  #closed = false;

  constructor(setup: Mp3OutputSetup) {
    this.#setup = setup;
  }

  positions(): Positions {
    return {
      accepted: this.#accepted,
      sent: this.#sent,
      played: this.#playout.played(this.#now()),
      samplesPerMs: 1,
    };
  }

  queuedMs(): number {
    return this.#waitingMs + this.#playout.aheadMs(this.#now());
  }

  enqueue(samples: Int16Array, sampleRate: number): void {
    if (samples.length === 0) return;
    const ms = (samples.length * 1000) / sampleRate;
    this.#mustHaveRoom(ms, samples.byteLength, this.#waitingMs + ms);
    const longest = (UTTERANCE_MS_MAX / 1000) * sampleRate;
    for (let at = 0; at < samples.length; at += longest) {
      this.#gather(samples.slice(at, at + longest), sampleRate);
    }
    this.#pump();
  }

  /**
   * A file goes behind what is queued. One that has nothing to wait behind may be longer than the queue.
   * @throws SidetoneError SIDETONE_QUEUE_FULL
   */
  enqueueFile(file: Mp3File): void {
    const { durationMs, message } = file;
    this.#mustHaveRoom(durationMs, message.length, this.#waitingMs > 0 ? this.#waitingMs + durationMs : 0);
    this.#add({ ms: inSteps(durationMs), bytes: message.length, file, open: false });
    this.#pump();
  }

  complete(): void {
    const last = this.#queue.at(-1);
    if (!last?.open) return;
    // Whoever awaits an utterance hears of its end from a mark behind the whole file.
    if (last.ms >= GATHER_MS) last.open = false;
    this.#gatherFor(last, last.open ? SETTLE_MS : 0);
    this.#pump();
  }

  cutAt(position: number): void {
    const last = this.#queue.at(-1);
    if (last && position === this.#accepted) last.open = false;
  }

  // Every message calls afterSend(), and there is at most one a second.
  follow(): void {}

  enqueueEncoded(): void {
    throw new SidetoneError(
      'SIDETONE_BAD_ARGUMENT',
      `playEncoded: this stream is in MP3 mode: play files with playFile(), or use mode 'rtp'`,
    );
  }

  /** Files end where the far end drops them. */
  fadeLength(): number {
    return 0;
  }

  pause(): void {
    throw noPause();
  }

  /** Nothing ever pauses … */
  resume(): void {}

  /** … nothing goes out beside files … */
  goOn(): void {}

  /** … and a file is never cut: Player.cancel() clears. */
  remove(): void {}

  head(): number {
    return this.#accepted;
  }

  clear(): void {
    this.#empty();
    this.#playout.clear(this.#accepted, this.#now());
    this.#handed = this.#accepted;
    this.#clearOwed = true;
    this.#pump();
  }

  /** Nothing to tell: files are heard whole. */
  tellSkipped(): void {}

  drained(): void {
    this.#pump();
  }

  /** No stream in MP3 mode is in a conference. */
  hasOwnAudio(): boolean {
    return true;
  }

  counters(): Record<string, number> {
    const { host, slot } = this.#setup;
    return { ...host.path.engine.counters(slot), ...this.#counters };
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer?.();
    this.#empty();
  }

  // --- what waits ---

  get #waitingMs(): number {
    return this.#accepted - this.#handed;
  }

  #now(): number {
    return this.#setup.host.clock.now();
  }

  /** `bytes` are taken of the memory for queued audio. */
  #mustHaveRoom(ms: number, bytes: number, waitingMs: number): void {
    const { host } = this.#setup;
    const { queueMaxMs } = host.options;
    if (this.#queue.length < PIECES_MAX && waitingMs <= queueMaxMs && host.reserve(bytes)) return;
    this.#count('playsRefused', 1);
    throw queueFull(ms, this.queuedMs(), queueMaxMs);
  }

  #gather(samples: Int16Array, sampleRate: number): void {
    const ms = inSteps((samples.length * 1000) / sampleRate);
    let piece = this.#queue.at(-1);
    if (piece?.open && piece.sampleRate === sampleRate && piece.ms + ms <= PIECE_MS_MAX) {
      piece.parts.push(samples);
      piece.ms += ms;
      piece.bytes += samples.byteLength;
      this.#accepted += ms;
    } else {
      piece = this.#add({ ms, bytes: samples.byteLength, open: true });
      piece.parts = [samples];
      piece.sampleRate = sampleRate;
      piece.leadInMs = (LEAD_IN_SAMPLES * 1000) / sampleRate;
      piece.gatherUntilMs = this.#now() + GATHER_MS;
    }
    if (piece.ms >= GATHER_MS) this.#gatherFor(piece, piece.ms >= PIECE_MS_MAX ? 0 : SETTLE_MS);
  }

  #gatherFor(piece: Piece, ms: number): void {
    piece.gatherUntilMs = Math.min(piece.gatherUntilMs, this.#now() + ms);
  }

  #add(known: Pick<Piece, 'ms' | 'bytes' | 'open'> & { file?: Mp3File }): Piece {
    const piece: Piece = {
      file: undefined,
      ...known,
      position: this.#accepted,
      leadInMs: 0,
      parts: [],
      sampleRate: 0,
      gatherUntilMs: 0,
      encoding: false,
      failures: 0,
    };
    this.#accepted += known.ms;
    this.#queue.push(piece);
    return piece;
  }

  #empty(): void {
    for (const piece of this.#queue) this.#setup.host.release(piece.bytes);
    this.#queue = [];
  }

  // --- what goes ---

  /** Does what is due, and sets the clock for what will be. */
  #pump(): void {
    if (this.#pumping || this.#closed) return; // sending lets marks and sources go on, which play
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#pumping = true;
    let waitMs: number | undefined = 0;
    while (waitMs === 0 && !this.#closed) waitMs = this.#step();
    this.#pumping = false;
    if (waitMs === undefined || this.#closed) return;
    // At least 1: a timer may be early by a fraction, and rounding of sums must not make it fire for ever.
    this.#stopTimer = this.#setup.host.clock.after(Math.max(1, Math.ceil(waitMs)), () => this.#pump());
  }

  /**
   * Does one thing that is due and returns 0. When nothing is due, returns in how many ms something will be, if that is
   * known.
   */
  #step(): number | undefined {
    const { link, host } = this.#setup;
    const first = this.#queue[0];
    const dueMs =
      Math.max(this.#lastSentMs + INTERVAL_MS, this.#playout.dryAtMs - LEAD_MS, first?.gatherUntilMs ?? 0) -
      this.#now();
    if (link.backlogged) {
      if (first && dueMs <= 0 && host.options.slowReader === 'close') link.end('protocol_error');
      return undefined;
    }
    if (this.#clearOwed) {
      this.#clearOwed = false;
      link.sendText(CLEAR_TEXT);
      return 0;
    }
    if (this.#sent !== this.#handed) {
      this.#sent = this.#handed;
      this.#setup.afterSend();
      return 0;
    }
    if (!first || first.encoding) return undefined;
    if (dueMs > 0) return dueMs;
    if (first.file) this.#send(first, first.file);
    else this.#encode(first);
    return 0;
  }

  #send(piece: Piece, file: Mp3File): void {
    const nowMs = this.#now();
    this.#queue.shift();
    this.#setup.host.release(piece.bytes);
    this.#lastSentMs = nowMs;
    this.#handed = piece.position + piece.ms;
    this.#playout.sent(piece.position, piece.ms, piece.leadInMs, file.durationMs, nowMs);
    this.#count('mediaSent', 1);
    this.#count('bytesSent', file.payloadBytes);
    this.#setup.link.sendText(file.message);
  }

  #encode(piece: Piece): void {
    piece.open = false;
    piece.encoding = true;
    this.#setup.host
      .encodeMp3(piece.parts.length === 1 ? piece.parts[0]! : joinPcm(piece.parts), piece.sampleRate)
      .then(
        bytes => this.#encoded(piece, bytes),
        (error: Error) => this.#notEncoded(piece, error),
      );
  }

  #encoded(piece: Piece, bytes: Uint8Array): void {
    if (this.#queue[0] !== piece) return; // a clear, or the end
    piece.encoding = false;
    piece.parts = [];
    piece.file = fileOf(bytes);
    // Compressed: it takes less than was held for it.
    const spare = piece.bytes - piece.file.message.length;
    if (spare > 0) {
      this.#setup.host.release(spare);
      piece.bytes -= spare;
    }
    this.#pump();
  }

  #notEncoded(piece: Piece, error: Error): void {
    if (this.#queue[0] !== piece) return;
    piece.encoding = false;
    if (error instanceof SidetoneError && error.code === 'SIDETONE_QUEUE_FULL') {
      piece.gatherUntilMs = this.#now() + ENCODE_RETRY_MS;
    } else if (++piece.failures > 1) {
      // The piece is left out: positions go on behind it.
      this.#queue.shift();
      this.#setup.host.release(piece.bytes);
      this.#handed = piece.position + piece.ms;
      this.#setup.report(error);
    }
    this.#pump();
  }

  #count(counter: OutputCounter, by: number): void {
    this.#counters[counter] += by;
    this.#setup.host.outputCounters[counter] += by;
  }
}

function inSteps(ms: number): number {
  return Math.round(ms * 1024) / 1024;
}
