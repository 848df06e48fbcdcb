/** A source of audio that is read in a plugin's thread, as the stream's feed sees it. */
import type { Chunk, Source } from '../playback/feed.js';

type Step = IteratorResult<Chunk>;

/** What it has the thread do. */
export interface RemoteReader {
  pull(): void;
  stop(): void;
}

const OVER: Step = { done: true, value: undefined };

export class RemoteSource implements AsyncIterator<Chunk> {
  readonly #thread: RemoteReader;
  /** Elements of a chunk a second. */
  readonly #rate: number;
  readonly #chunks: Chunk[] = [];
  #elements = 0;
  #reader: { resolve(step: Step): void; reject(error: Error): void } | undefined;
  #error: Error | undefined;
  #isOver = false;

  constructor(thread: RemoteReader, rate: number) {
    this.#thread = thread;
    this.#rate = rate;
  }

  get waitingMs(): number {
    return (this.#elements * 1000) / this.#rate;
  }

  // The feed takes a step that is no promise at once.
  next(): ReturnType<Source['next']> & Promise<Step> {
    const chunk = this.#chunks.shift();
    if (chunk) {
      this.#elements -= chunk.length;
      return { done: false, value: chunk } as unknown as Promise<Step>;
    }
    if (this.#error) return Promise.reject(this.#error);
    if (this.#isOver) return OVER as unknown as Promise<Step>;
    this.#thread.pull();
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  /** A clear, cancel() or the stream's end. */
  return(): Promise<Step> {
    if (!this.#isOver) this.#thread.stop();
    this.#isOver = true;
    this.#chunks.length = 0;
    this.#elements = 0;
    return Promise.resolve(OVER);
  }

  // --- told by the thread ---

  push(chunk: Chunk): void {
    if (this.#isOver) return;
    this.#chunks.push(chunk);
    this.#elements += chunk.length;
    // The reader comes for it at once. Until then it counts as waiting here: a cancel() may come before the reader does.
    this.#reader?.resolve({ done: false, value: chunk.subarray(0, 0) });
    this.#reader = undefined;
  }

  end(): void {
    this.#isOver = true;
    this.#reader?.resolve(OVER);
    this.#reader = undefined;
  }

  fail(error: Error): void {
    this.#error = error;
    this.#isOver = true;
    this.#reader?.reject(error);
    this.#reader = undefined;
  }
}
