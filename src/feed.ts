import { SidetoneError } from './errors.js';
import type { PlaybackEntry } from './ledger.js';

/** What a feed needs of its stream. */
export interface FeedHost {
  /** Audio that waits in the stream's queue, in ms. */
  queuedMs(): number;
  enqueue(playback: PlaybackEntry, samples: Int16Array, sampleRate: number): void;
  close(playback: PlaybackEntry): void;
  /** Nothing is left to feed. */
  idle(): void;
}

type Source = AsyncIterator<Int16Array> | Iterator<Int16Array>;
interface Item {
  playback: PlaybackEntry;
  source: Source;
  sampleRate: number;
  waitingMs: number;
}

/** Sources are read while less than this waits in the queue. */
const READ_AHEAD_MS = 2000;
/** The longest piece given to the queue at once, so that one endless chunk cannot overfill it. */
const PIECE_MS = 1000;

/**
 * Sources of PCM (async iterables, web streams) on their way into a stream's queue, one after the other, each read
 * only as there is room. PCM that is played while a source is being read waits here in its turn.
 */
export class Feed {
  readonly #items: Item[] = [];
  #chunk: Int16Array | undefined; // what is left of the chunk being queued
  #reading = false;
  #pumping = false;
  #dropped = false;

  constructor(private readonly host: FeedHost) {}

  /** PCM that waits here, in ms. What a source still holds is unknown and not counted. */
  get waitingMs(): number {
    const chunkMs = this.#chunk ? (this.#chunk.length * 1000) / this.#items[0]!.sampleRate : 0;
    return this.#items.reduce((sum, item) => sum + item.waitingMs, chunkMs);
  }

  add(playback: PlaybackEntry, source: Source, sampleRate: number): void {
    this.#items.push({ playback, source, sampleRate, waitingMs: 0 });
    this.pump();
  }

  addPcm(playback: PlaybackEntry, samples: Int16Array, sampleRate: number): void {
    const waitingMs = (samples.length * 1000) / sampleRate;
    const source = [samples.slice()][Symbol.iterator]();
    this.#items.push({ playback, source, sampleRate, waitingMs });
  }

  /** Goes on as far as there is room and the source has something. Called whenever the queue has shrunk. */
  pump(): void {
    if (this.#pumping) return; // enqueue() sends, and sending pumps
    this.#pumping = true;
    try {
      while (
        !this.#dropped &&
        !this.#reading &&
        this.#items.length > 0 &&
        this.host.queuedMs() < READ_AHEAD_MS
      ) {
        const item = this.#items[0]!;
        if (this.#chunk) this.#queuePiece(item);
        else this.#read(item);
      }
    } finally {
      this.#pumping = false;
    }
    if (!this.#dropped && this.#items.length === 0) {
      this.#dropped = true;
      this.host.idle();
    }
  }

  /** Forgets everything and tells the sources to stop. Returns how much PCM waited here, in ms. */
  drop(): number {
    const waitingMs = this.waitingMs;
    this.#dropped = true;
    for (const { source } of this.#items.splice(0)) stopSource(source);
    this.#chunk = undefined;
    return waitingMs;
  }

  #queuePiece(item: Item): void {
    const chunk = this.#chunk!;
    const pieceSamples = Math.round((item.sampleRate * PIECE_MS) / 1000);
    this.#chunk = chunk.length > pieceSamples ? chunk.subarray(pieceSamples) : undefined;
    this.host.enqueue(
      item.playback,
      chunk.length > pieceSamples ? chunk.subarray(0, pieceSamples) : chunk,
      item.sampleRate,
    );
  }

  #read(item: Item): void {
    let step: IteratorResult<Int16Array> | Promise<IteratorResult<Int16Array>>;
    try {
      step = item.source.next();
    } catch (error) {
      this.#fail(item, error);
      return;
    }
    if (!(step instanceof Promise)) {
      this.#take(item, step);
      return;
    }
    this.#reading = true;
    step.then(
      result => {
        this.#reading = false;
        if (this.#dropped) return;
        this.#take(item, result);
        this.pump();
      },
      error => {
        this.#reading = false;
        if (this.#dropped) return;
        this.#fail(item, error);
        this.pump();
      },
    );
  }

  #take(item: Item, result: IteratorResult<Int16Array>): void {
    if (result.done) {
      this.#items.shift();
      this.host.close(item.playback);
    } else if (result.value instanceof Int16Array) {
      item.waitingMs = 0;
      if (result.value.length > 0) this.#chunk = result.value;
    } else {
      stopSource(item.source);
      const kind = Object.prototype.toString.call(result.value).slice(8, -1);
      this.#fail(
        item,
        new SidetoneError('SIDETONE_BAD_ARGUMENT', `play: the source gave ${kind}: yield Int16Array`),
      );
    }
  }

  #fail(item: Item, cause: unknown): void {
    this.#items.shift();
    this.host.close(item.playback);
    const error = cause instanceof Error ? cause : new Error(String(cause));
    item.playback.fail(error);
  }
}

function stopSource(source: Source): void {
  try {
    const stopped = source.return?.() as unknown;
    if (stopped instanceof Promise) stopped.catch(() => undefined);
  } catch {
    // The source is done for either way, and the call must not suffer for it.
  }
}
