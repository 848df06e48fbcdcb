/**
 * Records from one thread to another, in order, in shared memory: one thread writes, one reads, and neither waits for the
 * other. A record is a head of eight words and four doubles, and a body.
 */

/** A frame of 20 ms at 16 kHz fits into one cell with its payload. */
const CELL_BYTES = 1024;
const HEAD_BYTES = 64;
const WORDS = CELL_BYTES / 4;
const DOUBLES = CELL_BYTES / 8;
/** Where the doubles of a head begin, in doubles. */
const HEAD_DOUBLES = 4;
/** Each thread's place is on a cache line of its own. */
const WRITTEN = 0;
const READ = 16;
/** 1 while the writer waits for the reader. */
const WAITS = 17;
const PLACES_BYTES = 128;
/** Its cells only fill the memory up to the end. */
const FILLER = 0;

/** Words of a head; the first one is the ring's own. */
export const HEAD = { type: 1, handle: 2, id: 3, flags: 4, samples: 5, bytes: 6, extra: 7 } as const;

export class Ring {
  /** Goes to the other thread, which makes a ring of it. */
  readonly memory: SharedArrayBuffer;
  /** All heads: HEAD says where in `words(cell)`. */
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  readonly #bytes: Uint8Array;
  readonly #samples: Int16Array;
  readonly #places: Int32Array;
  readonly #cells: number;
  /** The view of each cell's samples that was asked for last: frames of a call have one length. */
  readonly #views: (Int16Array | undefined)[];
  #next: number; // the writer's or the reader's own place
  #until: number; // what commit() and release() publish

  /** `cells`: how many of CELL_BYTES it has; or the memory of a ring that another thread has made. */
  constructor(cells: number | SharedArrayBuffer) {
    this.memory =
      typeof cells === 'number' ? new SharedArrayBuffer(PLACES_BYTES + cells * CELL_BYTES) : cells;
    this.#cells = (this.memory.byteLength - PLACES_BYTES) / CELL_BYTES;
    this.#places = new Int32Array(this.memory, 0, PLACES_BYTES / 4);
    this.words = new Int32Array(this.memory, PLACES_BYTES);
    this.doubles = new Float64Array(this.memory, PLACES_BYTES);
    this.#bytes = new Uint8Array(this.memory, PLACES_BYTES);
    this.#samples = new Int16Array(this.memory, PLACES_BYTES);
    this.#views = new Array(this.#cells).fill(undefined);
    this.#next = 0;
    this.#until = 0;
  }

  /** Longest body that is put into it: longer ones would hold up what the others write. */
  get bodyBytesMax(): number {
    return (this.#cells / 8) * CELL_BYTES;
  }

  /** Nothing waits to be read. */
  get empty(): boolean {
    return Atomics.load(this.#places, WRITTEN) === Atomics.load(this.#places, READ);
  }

  /** A number that is another one after the reader has gone on. */
  get readPlace(): number {
    return Atomics.load(this.#places, READ);
  }

  /** Cells that can be written to. */
  get free(): number {
    const used = (this.#next - Atomics.load(this.#places, READ) + this.#cells) % this.#cells;
    return this.#cells - 1 - used;
  }

  // --- the writer's ---

  /**
   * Room for a record with a body of `bodyBytes`; -1 where there is none, or less than `spare` of all cells would be left.
   * The record is there for the reader after commit().
   */
  begin(bodyBytes: number, spare = 0): number {
    const wanted = Math.ceil((HEAD_BYTES + bodyBytes) / CELL_BYTES);
    const toEnd = this.#cells - this.#next;
    const filler = wanted > toEnd ? toEnd : 0;
    if (this.free < wanted + filler + spare * this.#cells) return -1;
    if (filler > 0) {
      this.words[this.#next * WORDS] = filler;
      this.words[this.#next * WORDS + HEAD.type] = FILLER;
    }
    const cell = filler > 0 ? 0 : this.#next;
    this.words[cell * WORDS] = wanted;
    this.#until = (cell + wanted) % this.#cells;
    return cell;
  }

  commit(): void {
    this.#next = this.#until;
    Atomics.store(this.#places, WRITTEN, this.#until);
  }

  /** Waits until the reader has gone on, for at most `ms`; only for a thread that may wait. */
  waitForReader(ms: number): void {
    const place = Atomics.load(this.#places, READ);
    Atomics.store(this.#places, WAITS, 1);
    Atomics.wait(this.#places, READ, place, ms);
    Atomics.store(this.#places, WAITS, 0);
  }

  // --- the reader's ---

  /** The next record, which stays until release(); -1 where there is none. */
  take(): number {
    if (Atomics.load(this.#places, WRITTEN) === this.#next) return -1;
    // Behind a filler there is always a record: both are published at once.
    if (this.words[this.#next * WORDS + HEAD.type] === FILLER) this.#next = 0;
    this.#until = (this.#next + this.words[this.#next * WORDS]!) % this.#cells;
    return this.#next;
  }

  release(): void {
    this.#next = this.#until;
    Atomics.store(this.#places, READ, this.#until);
    if (Atomics.load(this.#places, WAITS) === 1) Atomics.notify(this.#places, READ);
  }

  // --- a record ---

  /** Where the words of a record's head begin in `words`. */
  head(cell: number): number {
    return cell * WORDS;
  }

  /** Where its four doubles begin in `doubles`. */
  figures(cell: number): number {
    return cell * DOUBLES + HEAD_DOUBLES;
  }

  /** Puts samples at the begin of a record's body, … */
  putSamples(cell: number, samples: Int16Array): void {
    this.#samples.set(samples, (cell * CELL_BYTES + HEAD_BYTES) / 2);
  }

  /** … or bytes `at` so many bytes of it. */
  putBytes(cell: number, bytes: Uint8Array, at = 0): void {
    this.#bytes.set(bytes, cell * CELL_BYTES + HEAD_BYTES + at);
  }

  /** The samples at the begin of a record's body: shared memory, valid until release(). */
  samples(cell: number, length: number): Int16Array {
    const kept = this.#views[cell];
    if (kept !== undefined && kept.length === length) return kept;
    const from = (cell * CELL_BYTES + HEAD_BYTES) / 2;
    const view = this.#samples.subarray(from, from + length);
    this.#views[cell] = view;
    return view;
  }

  /** A copy of `length` bytes of a record's body, from `at` on. */
  copyBytes(cell: number, length: number, at = 0): Uint8Array {
    const from = cell * CELL_BYTES + HEAD_BYTES + at;
    return this.#bytes.slice(from, from + length);
  }
}
