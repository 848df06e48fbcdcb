import { SidetoneError } from '../errors.js';
import type { PlaybackEntry } from './ledger.js';
import { queueFull } from './output.js';

/** What a feed needs of its stream. */
export interface FeedHost {
  /** Longest audio that may wait in the stream. */
  readonly queueMaxMs: number;
  /** Sources are read while less than this waits in the stream's queue, in ms. */
  readonly readAheadMs: number;
  /** Audio that waits in the stream's queue, in ms. */
  queuedMs(): number;
  enqueue(playback: PlaybackEntry, samples: Chunk, sampleRate: number, liveLatencyMaxMs: number): void;
  close(playback: PlaybackEntry): void;
  /** A source failed and nobody awaits its playback. */
  failed(error: Error): void;
  /** A source has given nothing for so long, and others wait behind it. */
  blocked(ms: number): void;
  /** Nothing is left to feed. */
  idle(): void;
}

/** Audio that is read: PCM, or bytes in the stream's own encoding. */
export type Chunk = Int16Array | Uint8Array;
export type Source = (AsyncIterator<Chunk> | Iterator<Chunk>) & {
  /** Audio that is known to wait in it, in ms. */
  readonly waitingMs?: number;
};

interface SourceItem {
  playback: PlaybackEntry;
  /** Audio that is known to wait in it, in ms. */
  waitingMs: number;
  source: Source;
  /** Elements of a chunk a second. */
  sampleRate: number;
  liveLatencyMaxMs: number;
  /** It gives bytes. */
  isEncoded: boolean;
  /** How long it may give nothing while others wait behind it, in ms. */
  idleMaxMs: number;
}

export interface SourceOptions {
  sampleRate: number;
  liveLatencyMaxMs: number;
  /** It gives bytes in the stream's own encoding: `sampleRate` of them a second. */
  isEncoded?: boolean;
  /** How long it may give nothing while others wait behind it, in ms. */
  idleMaxMs: number;
}

/** Audio that is queued whole: a file, or encoded audio. */
interface WholeItem {
  playback: PlaybackEntry;
  /** Its length until it is queued, then 0. */
  waitingMs: number;
  /** Queues all of it. @throws SidetoneError SIDETONE_QUEUE_FULL */
  queueAll: () => void;
  isQueued: boolean;
  bytes: number;
}

type Item = SourceItem | WholeItem;

/** The longest piece given to the queue at once, so that one endless chunk cannot overfill it. */
const PIECE_MS = 1000;
/** Sources and pieces of PCM that may wait their turn. */
const ITEMS_MAX = 1000;
/** What may wait whole among them: two of the longest files, as messages. */
const WHOLE_BYTES_MAX = 24e6;
/** A source that gives this many empty chunks in a row rests until the next pump(), or it would never let go. */
const EMPTY_CHUNKS_MAX = 1000;

/**
 * Sources of PCM (async iterables, web streams) on their way into a stream's queue, one after the other, each read
 * only as there is room. PCM that is played while a source is being read waits here in its turn.
 */
export class Feed {
  readonly #items: Item[] = [];
  #chunk: Chunk | undefined; // what is left of the chunk being queued
  #reading = false;
  #pumping = false;
  #dropped = false;
  #emptyChunks = 0; // in a row
  #resting = false;
  #blockedSinceMs = Number.POSITIVE_INFINITY; // Infinity: not, or told already
  #isBlocked = false;
  readonly #pieceMs: number;
  /** Sources are read while less than this waits in the stream's queue, in ms. */
  readonly readAheadMs: number;

  constructor(private readonly host: FeedHost) {
    // What is read ahead and one piece more fit into the queue.
    this.#pieceMs = Math.min(PIECE_MS, host.queueMaxMs / 4);
    this.readAheadMs = Math.min(host.readAheadMs, host.queueMaxMs / 2);
  }

  /** PCM that waits here, in ms. What a source still holds is unknown and not counted. */
  get waitingMs(): number {
    const first = this.#items[0];
    // A chunk is always the first item's.
    const chunkMs =
      this.#chunk && first && isSource(first) ? (this.#chunk.length * 1000) / first.sampleRate : 0;
    return this.#items.reduce((sum, item) => sum + waitingIn(item), chunkMs);
  }

  /** @throws SidetoneError SIDETONE_QUEUE_FULL */
  mustHaveRoom(): void {
    if (this.#items.length < ITEMS_MAX) return;
    const problem = `play: ${this.#items.length} sources wait to be read already: await their playbacks first`;
    throw new SidetoneError('SIDETONE_QUEUE_FULL', problem);
  }

  add(
    playback: PlaybackEntry,
    source: Source,
    { sampleRate, liveLatencyMaxMs, ...more }: SourceOptions,
  ): void {
    const { isEncoded = false, idleMaxMs } = more;
    const item = { playback, source, sampleRate, liveLatencyMaxMs, isEncoded, idleMaxMs, waitingMs: 0 };
    this.#items.push(item);
    this.pump();
  }

  /** @throws SidetoneError SIDETONE_QUEUE_FULL */
  addPcm(playback: PlaybackEntry, samples: Int16Array, sampleRate: number, liveLatencyMaxMs: number): void {
    const waitingMs = (samples.length * 1000) / sampleRate;
    this.#mustHaveRoomFor(waitingMs);
    // An array whose memory was transferred is empty.
    const source = (samples.length > 0 ? [samples.slice()] : [])[Symbol.iterator]();
    const options = { sampleRate, liveLatencyMaxMs, isEncoded: false, idleMaxMs: Number.POSITIVE_INFINITY };
    this.#items.push({ playback, source, ...options, waitingMs });
  }

  /**
   * A file, or encoded audio, in its turn. `method` is what the handler called.
   * @throws SidetoneError SIDETONE_QUEUE_FULL
   */
  addWhole(
    method: string,
    playback: PlaybackEntry,
    queueAll: () => void,
    waitingMs: number,
    bytes: number,
  ): void {
    this.mustHaveRoom();
    const bytesBefore = this.#items.reduce((sum, item) => sum + (isSource(item) ? 0 : item.bytes), 0);
    if (bytesBefore + bytes > WHOLE_BYTES_MAX) {
      const problem =
        `${method}: ${bytes} bytes do not fit behind the ${bytesBefore} bytes that wait ` +
        `for a source to end (${WHOLE_BYTES_MAX} at most): await their playbacks first`;
      throw new SidetoneError('SIDETONE_QUEUE_FULL', problem);
    }
    this.#mustHaveRoomFor(waitingMs);
    this.#items.push({ playback, waitingMs, queueAll, isQueued: false, bytes });
  }

  #mustHaveRoomFor(ms: number): void {
    this.mustHaveRoom();
    const { queueMaxMs } = this.host;
    const queuedMs = this.waitingMs + this.host.queuedMs();
    if (queuedMs + ms > queueMaxMs) throw queueFull(ms, queuedMs, queueMaxMs);
  }

  /** Called now and then: tells of a source that gives nothing while others wait. */
  sweep(nowMs: number): void {
    this.pump();
    const first = this.#items[0];
    const isBlocked = this.#reading && this.#items.length > 1 && first !== undefined && isSource(first);
    if (isBlocked !== this.#isBlocked) {
      this.#isBlocked = isBlocked;
      this.#blockedSinceMs = isBlocked ? nowMs : Number.POSITIVE_INFINITY;
    }
    if (!isBlocked || nowMs - this.#blockedSinceMs < first.idleMaxMs) return;
    this.#blockedSinceMs = Number.POSITIVE_INFINITY;
    this.host.blocked(first.idleMaxMs);
  }

  /** Forgets `playback` and tells its source to stop; what waits behind it goes on. Returns what waited of it, in ms. */
  remove(playback: PlaybackEntry): number {
    const at = this.#items.findIndex(item => item.playback === playback);
    const [item] = at < 0 ? [] : this.#items.splice(at, 1);
    if (!item) return 0;
    let waitingMs = waitingIn(item);
    if (isSource(item)) {
      if (at === 0 && this.#chunk) waitingMs += (this.#chunk.length * 1000) / item.sampleRate;
      stopSource(item.source);
    }
    if (at === 0) {
      this.#chunk = undefined;
      this.#gone();
    }
    return waitingMs;
  }

  /** Goes on as far as there is room and the source has something. Called whenever the queue has shrunk. */
  pump(): void {
    this.#resting = false;
    this.#advance();
  }

  #advance(): void {
    if (this.#pumping) return; // enqueue() sends, and sending pumps
    this.#pumping = true;
    try {
      while (
        !this.#dropped &&
        !this.#reading &&
        !this.#resting &&
        this.#items.length > 0 &&
        this.host.queuedMs() < this.readAheadMs
      ) {
        const item = this.#items[0]!;
        if (!isSource(item)) {
          if (!this.#advanceWhole(item)) break;
        } else if (!this.#chunk) this.#read(item);
        else if (!this.#queuePiece(item)) break;
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
    for (const item of this.#items.splice(0)) if (isSource(item)) stopSource(item.source);
    this.#chunk = undefined;
    return waitingMs;
  }

  /** Queues what is queued whole, or ends it when there is room for what follows it. False: no room now, the next pump() tries again. */
  #advanceWhole(item: WholeItem): boolean {
    if (item.isQueued) {
      this.#end(item);
      return true;
    }
    item.isQueued = tryToQueue(item.queueAll);
    if (item.isQueued) item.waitingMs = 0;
    return item.isQueued;
  }

  /** False: there is no memory now, because other streams have queued so much; the next pump() tries again. */
  #queuePiece(item: SourceItem): boolean {
    const chunk = this.#chunk!;
    // Even, because two bytes may be one sample.
    const pieceSamples = Math.round((item.sampleRate * this.#pieceMs) / 2000) * 2;
    const isLast = chunk.length <= pieceSamples;
    // enqueue() may send, and sending may end the stream, which drops what is here.
    this.#chunk = isLast ? undefined : chunk.subarray(pieceSamples);
    const piece = isLast ? chunk : chunk.subarray(0, pieceSamples);
    const isQueued = tryToQueue(() =>
      this.host.enqueue(item.playback, piece, item.sampleRate, item.liveLatencyMaxMs),
    );
    if (!isQueued) this.#chunk = chunk;
    return isQueued;
  }

  #read(item: SourceItem): void {
    let step: IteratorResult<Chunk> | Promise<IteratorResult<Chunk>>;
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
        if (this.#dropped || this.#items[0] !== item) return;
        this.#gone();
        this.#take(item, result);
        this.#advance();
      },
      error => {
        if (this.#dropped || this.#items[0] !== item) return;
        this.#gone();
        this.#fail(item, error);
        this.#advance();
      },
    );
  }

  /** The first source gave something, or is no longer the first. */
  #gone(): void {
    this.#reading = false;
    this.#isBlocked = false;
  }

  #take(item: SourceItem, result: IteratorResult<Chunk>): void {
    if (result.done) {
      this.#end(item);
    } else if (result.value instanceof (item.isEncoded ? Uint8Array : Int16Array)) {
      item.waitingMs = 0;
      this.#emptyChunks = result.value.length > 0 ? 0 : this.#emptyChunks + 1;
      if (result.value.length > 0) this.#chunk = result.value;
      this.#resting = this.#emptyChunks > 0 && this.#emptyChunks % EMPTY_CHUNKS_MAX === 0;
    } else {
      stopSource(item.source);
      const kind = Object.prototype.toString.call(result.value).slice(8, -1);
      this.#fail(
        item,
        new SidetoneError('SIDETONE_BAD_ARGUMENT', `play: the source gave ${kind}: yield Int16Array`),
      );
    }
  }

  /** `item`, the first one, has given all that it had. */
  #end(item: Item): void {
    this.#items.shift();
    this.host.close(item.playback);
  }

  #fail(item: SourceItem, cause: unknown): void {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    item.playback.fail(error);
    this.#end(item);
    // Somebody who is going to await the playback has had the time to.
    setImmediate(() => {
      if (!item.playback.watched) this.host.failed(error);
    });
  }
}

export function stopSource(source: Source): void {
  try {
    const stopped = source.return?.() as unknown;
    if (stopped instanceof Promise) stopped.catch(() => undefined);
  } catch {
    // The source is done for either way, and the call must not suffer for it.
  }
}

/** Audio that is known to wait in `item`, in ms, without the chunk that is being queued. */
function waitingIn(item: Item): number {
  return item.waitingMs + (isSource(item) ? (item.source.waitingMs ?? 0) : 0);
}

function isSource(item: Item): item is SourceItem {
  return 'source' in item;
}

/** Calls `enqueue`. Returns false when the queue was full and nothing was queued. */
function tryToQueue(enqueue: () => void): boolean {
  try {
    enqueue();
    return true;
  } catch (error) {
    if (!(error instanceof SidetoneError) || error.code !== 'SIDETONE_QUEUE_FULL') throw error;
    return false;
  }
}

/** The error of a source that others wait behind. */
export function sourceIdle(ms: number): SidetoneError {
  const problem = `play: a source has given nothing for ${ms} ms, and what was played after it waits`;
  return new SidetoneError('SIDETONE_SOURCE_IDLE', `${problem}: end it, cancel() it, or clear()`);
}
