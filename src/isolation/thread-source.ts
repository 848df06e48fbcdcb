/** A source that is read in a plugin's thread, as the reactor asks for it. */
import { SidetoneError } from '../errors.js';
import { type Chunk, type Source, stopSource } from '../playback/feed.js';
import { toPlain } from './plain-error.js';
import { COMMAND } from './records.js';
import type { ThreadPlayback } from './thread-playback.js';
import type { ThreadSide } from './thread-side.js';

/** One request of the reactor is answered with as much as this, where the source has it at once. */
const ANSWER_MS = 250;

export class ThreadSource {
  #wantedMs = 0;
  #isReading = false;
  #isOver = false;

  constructor(
    private readonly side: ThreadSide,
    private readonly handle: number,
    readonly playback: ThreadPlayback,
    private readonly source: Source,
    /** Elements of a chunk a second. */
    private readonly rate: number,
    private readonly isEncoded: boolean,
    private readonly onOver: () => void,
  ) {}

  /** Audio that is known to wait here, in ms. */
  get waitingMs(): number {
    return this.#isOver ? 0 : (this.source.waitingMs ?? 0);
  }

  /** The reactor has room for more. */
  pull(): void {
    this.#wantedMs = ANSWER_MS;
    this.#read();
  }

  /** Nothing more of it is wanted. */
  stop(): void {
    if (this.#isOver) return;
    this.#end();
    stopSource(this.source);
  }

  #read(): void {
    while (this.#wantedMs > 0 && !this.#isReading && !this.#isOver) {
      let step: IteratorResult<Chunk> | Promise<IteratorResult<Chunk>>;
      try {
        step = this.source.next();
      } catch (error) {
        this.#fail(error);
        return;
      }
      if (!(step instanceof Promise)) {
        this.#take(step);
        continue;
      }
      this.#isReading = true;
      step.then(
        result => {
          this.#isReading = false;
          if (this.#isOver) return;
          this.#take(result);
          this.#read();
        },
        error => this.#fail(error),
      );
    }
  }

  #take(result: IteratorResult<Chunk>): void {
    if (result.done) {
      this.#end();
      this.side.out.send(COMMAND.sourceEnd, this.handle, { id: this.playback.id });
      return;
    }
    const chunk = result.value;
    if (!(chunk instanceof (this.isEncoded ? Uint8Array : Int16Array))) {
      stopSource(this.source);
      const kind = Object.prototype.toString.call(chunk).slice(8, -1);
      const problem = `play: the source gave ${kind}: yield Int16Array`;
      this.#fail(new SidetoneError('SIDETONE_BAD_ARGUMENT', problem));
      return;
    }
    this.#wantedMs -= (chunk.length * 1000) / this.rate;
    // Even, because two bytes may be one sample.
    const pieceLength = this.side.out.ring.bodyBytesMax / 4;
    for (let from = 0; from < chunk.length; from += pieceLength) {
      this.side.chunk(this.handle, this.playback.id, chunk.subarray(from, from + pieceLength));
    }
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#end();
    this.playback.fail(error instanceof Error ? error : new Error(String(error)));
    this.side.out.attach(COMMAND.sourceFailed, this.handle, toPlain(error), { id: this.playback.id });
  }

  #end(): void {
    this.#isOver = true;
    this.onOver();
  }
}
