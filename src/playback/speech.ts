/** What `stream.speak()` returns: audio that is written as it comes, in bursts, and may be longer than the queue. */

import { SidetoneError, shown } from '../errors.js';
import type { Encoding, Format, OutboundMode } from '../formats.js';
import { NOT_LIVE } from '../native/addon.js';
import type { Playback, PlaybackResult, Speech, SpeechOptions } from '../plugin/stream.js';
import { encodedRate, toBytes } from './encoded.js';
import type { Chunk, Source, SourceOptions } from './feed.js';
import type { PlaybackState } from './ledger.js';
import { checkedIdle, checkedSampleRate, checkOptions } from './playable.js';

/** write() says that there is enough while more than this waits to be read. */
const ENOUGH_MS = 5000;
/** Longest audio that one speech holds: an answer that a service gives at once. */
const HELD_MS_MAX = 600_000;

/** The stream that speaks. */
export interface Speaker {
  readonly outbound: Format;
  readonly mode: OutboundMode;
  readonly sampleRate: number;
  readonly closed: boolean;
}

/** What plays it. `P` are its playbacks. */
export interface SpeechPlayer<P extends Playback> {
  playSource(source: Source, options: SourceOptions): P;
  /** The playback of a stream that has ended. */
  over(source: Source): P;
  cancel(playback: P): { playedMs: number; discardedMs: number };
}

/** Memory for queued audio. */
export interface SpeechMemory {
  /** False where not as much of it is left. */
  reserve(bytes: number): boolean;
  release(bytes: number): void;
}

interface Form {
  /** Elements of a chunk a second. */
  rate: number;
  /** Bytes in the stream's own encoding, and not PCM. */
  encoding: Encoding | undefined;
}

type Step = IteratorResult<Chunk>;

/** What was written and has not been read by the stream's feed. */
class Written implements AsyncIterator<Chunk> {
  readonly #form: Form;
  readonly #memory: SpeechMemory;
  #chunks: Chunk[] = [];
  #elements = 0;
  #reader: ((step: Step) => void) | undefined;
  #roomPromise: Promise<void> | undefined;
  #tellRoom: (() => void) | undefined;
  ended = false;
  stopped = false;

  constructor(form: Form, memory: SpeechMemory) {
    this.#form = form;
    this.#memory = memory;
  }

  get waitingMs(): number {
    return (this.#elements * 1000) / this.#form.rate;
  }

  /** Resolves when there is room for more, or nothing is wanted any more. */
  get ready(): Promise<void> {
    if (this.stopped || this.waitingMs <= ENOUGH_MS) return Promise.resolve();
    this.#roomPromise ??= new Promise(resolve => {
      this.#tellRoom = resolve;
    });
    return this.#roomPromise;
  }

  push(chunk: Chunk): boolean {
    const ms = (chunk.length * 1000) / this.#form.rate;
    if (this.waitingMs + ms > HELD_MS_MAX || !this.#memory.reserve(chunk.byteLength)) {
      const problem = `speak write: ${Math.round(ms)} ms do not fit behind the ${Math.round(this.waitingMs)} ms that wait`;
      const remedy = `(${HELD_MS_MAX} ms at most, within queueBytesMax): await ready when write() returns false`;
      throw new SidetoneError('SIDETONE_QUEUE_FULL', `${problem} ${remedy}`);
    }
    this.#chunks.push(chunk);
    this.#elements += chunk.length;
    // The reader comes for it at once; until then it counts as waiting here.
    this.#reader?.({ done: false, value: chunk.subarray(0, 0) });
    this.#reader = undefined;
    return this.waitingMs <= ENOUGH_MS;
  }

  end(): void {
    this.ended = true;
    this.#reader?.({ done: true, value: undefined });
    this.#reader = undefined;
  }

  // The feed takes a step that is no promise at once.
  next(): Promise<Step> {
    const chunk = this.#chunks.shift();
    if (chunk) {
      this.#elements -= chunk.length;
      this.#memory.release(chunk.byteLength);
      if (this.waitingMs <= ENOUGH_MS) this.#room();
      return { done: false, value: chunk } as unknown as Promise<Step>;
    }
    if (this.ended || this.stopped) return { done: true, value: undefined } as unknown as Promise<Step>;
    return new Promise(resolve => {
      this.#reader = resolve;
    });
  }

  /** A clear, cancel() or the stream's end. */
  return(): Promise<Step> {
    this.stopped = true;
    for (const chunk of this.#chunks) this.#memory.release(chunk.byteLength);
    this.#chunks = [];
    this.#elements = 0;
    this.#reader = undefined;
    this.#room();
    return Promise.resolve({ done: true, value: undefined });
  }

  #room(): void {
    this.#tellRoom?.();
    this.#tellRoom = this.#roomPromise = undefined;
  }
}

export class SpeechPlayback<P extends Playback> implements Speech {
  readonly #form: Form;
  readonly #player: SpeechPlayer<P>;
  readonly #written: Written;
  readonly #playback: P;

  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT for wrong options; SIDETONE_QUEUE_FULL */
  constructor(options: SpeechOptions, stream: Speaker, player: SpeechPlayer<P>, memory: SpeechMemory) {
    checkOptions('speak', options, '{ sampleRate, encoding, idleMs }');
    const idleMaxMs = checkedIdle('speak', options.idleMs);
    this.#form = formOf(options, stream);
    this.#player = player;
    this.#written = new Written(this.#form, memory);
    const isEncoded = this.#form.encoding !== undefined;
    this.#playback = stream.closed
      ? player.over(this.#written)
      : player.playSource(this.#written, {
          sampleRate: this.#form.rate,
          liveLatencyMaxMs: NOT_LIVE,
          isEncoded,
          idleMaxMs,
        });
  }

  get playedMs(): number {
    return this.#playback.playedMs;
  }

  get finished(): boolean {
    return this.#playback.finished;
  }

  get ready(): Promise<void> {
    return this.#written.ready;
  }

  toJSON(): PlaybackState {
    const { playedMs, finished } = this.#playback;
    return { playedMs, finished };
  }

  write(audio: Int16Array | Uint8Array | string): boolean {
    const chunk = this.#chunk(audio);
    if (this.#written.stopped) return true;
    if (this.#written.ended) {
      throw new SidetoneError(
        'SIDETONE_STREAM_CLOSED',
        'speak write: after end(): make another with speak()',
      );
    }
    return chunk.length === 0 || this.#written.push(chunk);
  }

  end(): this {
    this.#written.end();
    return this;
  }

  cancel(): { playedMs: number; discardedMs: number } {
    return this.#player.cancel(this.#playback);
  }

  onProgress(listener: (playedMs: number) => void, everyMs?: number): this {
    this.#playback.onProgress(listener, everyMs);
    return this;
  }

  // biome-ignore lint/suspicious/noThenProperty: it is awaited as a playback is
  then<A = PlaybackResult, B = never>(
    onFulfilled?: ((result: PlaybackResult) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#playback.then(onFulfilled, onRejected) as Promise<A | B>;
  }

  /** A copy of what was written. */
  #chunk(audio: unknown): Chunk {
    const { encoding } = this.#form;
    const isEncoded = encoding !== undefined;
    if (audio instanceof Int16Array && !isEncoded) return audio.slice();
    if (typeof audio !== 'string' && !(isEncoded && audio instanceof Uint8Array)) {
      const wanted = isEncoded ? 'a Uint8Array of the encoding' : 'an Int16Array of mono PCM';
      const problem = `speak write: ${shown(audio)}: pass ${wanted}, or base64 text of it`;
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
    }
    const given = toBytes(audio, 'speak write');
    // Base64 was decoded into memory of its own.
    // A Buffer's slice() would share its memory.
    const bytes = typeof audio === 'string' ? given : new Uint8Array(given);
    if (bytes.length % 2 !== 0 && (!isEncoded || encoding === 'L16')) {
      const problem = `speak write: ${bytes.length} bytes: a sample has two`;
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
    }
    return isEncoded ? bytes : new Int16Array(bytes.buffer, 0, bytes.length / 2);
  }
}

function formOf(options: SpeechOptions, stream: Speaker): Form {
  const { encoding, sampleRate } = options;
  if (encoding === undefined) {
    return { rate: checkedSampleRate('speak', sampleRate ?? stream.sampleRate), encoding: undefined };
  }
  return { rate: encodedRate('speak', encoding, stream), encoding };
}
