/**
 * A queue of records in shared memory, one thread writing and one reading, without locks and without an allocation
 * a record.
 *
 *   SharedArrayBuffer
 *   ├─ 128 bytes   control: [0] head, slots ever written · [16] tail, slots ever read (two cache lines; both wrap)
 *   └─ N slots of 512 bytes, N a power of two. A record fills whole slots, one after the other:
 *        0   int32 kind    0: nothing, skip to the end of the ring
 *        4   int32 stream  whose record it is
 *        8   int32 value   kind's own
 *       12   int32 bytes   of data
 *       16   data          bytes, or s16 samples in the machine's order
 *
 * A frame of 20 ms at 16 kHz takes two slots, a packet of OPUS or AMR-WB one.
 */
export const SLOT_BYTES = 512;
const SLOT_WORDS = SLOT_BYTES / 4;
const CONTROL_BYTES = 128;
const HEADER_BYTES = 16;
const HEAD = 0;
const TAIL = 16;
const SKIP = 0;

/** The longest record: 24 frames of AMR-WB, 480 ms at 16 kHz, are 15,360 bytes; 120 ms at 48 kHz are 11,520. */
export const RECORD_SLOTS_MAX = 32;
/** The longest record's data, in bytes. */
export const RECORD_BYTES_MAX = RECORD_SLOTS_MAX * SLOT_BYTES - HEADER_BYTES;

export function ringBuffer(slots: number): SharedArrayBuffer {
  return new SharedArrayBuffer(CONTROL_BYTES + slots * SLOT_BYTES);
}

const slotsFor = (bytes: number): number => Math.ceil((HEADER_BYTES + bytes) / SLOT_BYTES);

export class RingWriter {
  readonly slots: number;
  readonly #control: Int32Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #samples: Int16Array;
  #head: number;

  constructor(buffer: SharedArrayBuffer) {
    this.slots = (buffer.byteLength - CONTROL_BYTES) / SLOT_BYTES;
    this.#control = new Int32Array(buffer, 0, CONTROL_BYTES / 4);
    this.#words = new Int32Array(buffer, CONTROL_BYTES);
    this.#bytes = new Uint8Array(buffer, CONTROL_BYTES);
    this.#samples = new Int16Array(buffer, CONTROL_BYTES);
    this.#head = Atomics.load(this.#control, HEAD);
  }

  get freeSlots(): number {
    return this.slots - ((this.#head - Atomics.load(this.#control, TAIL)) | 0);
  }

  /**
   * Adds a record with a copy of `data`, at most `RECORD_BYTES_MAX` bytes. Returns false, and writes nothing, where
   * it would leave fewer than `reserveSlots` slots.
   */
  write(
    kind: number,
    stream: number,
    value: number,
    data: Uint8Array | Int16Array | undefined,
    reserveSlots = 0,
  ): boolean {
    const bytes = data === undefined ? 0 : data.byteLength;
    const slots = slotsFor(bytes);
    let at = this.#head & (this.slots - 1);
    const toEnd = this.slots - at;
    const skipped = slots > toEnd ? toEnd : 0;
    if (this.freeSlots < skipped + slots + reserveSlots) return false;
    if (skipped > 0) {
      this.#words[at * SLOT_WORDS] = SKIP;
      at = 0;
    }
    const word = at * SLOT_WORDS;
    this.#words[word] = kind;
    this.#words[word + 1] = stream;
    this.#words[word + 2] = value;
    this.#words[word + 3] = bytes;
    const offset = at * SLOT_BYTES + HEADER_BYTES;
    if (data instanceof Int16Array) this.#samples.set(data, offset / 2);
    else if (data !== undefined) this.#bytes.set(data, offset);
    this.#head = (this.#head + skipped + slots) | 0;
    // The head is written last, so a reader never sees part of a record.
    Atomics.store(this.#control, HEAD, this.#head);
    return true;
  }
}

export class RingReader {
  /** The fields of the record that `next` took. */
  kind = SKIP;
  stream = 0;
  value = 0;
  bytes = 0;

  readonly #slots: number;
  readonly #control: Int32Array;
  readonly #words: Int32Array;
  readonly #ring: SharedArrayBuffer;
  /** A view for every slot, made when it is first read: copying through them allocates nothing. */
  readonly #slotViews: Uint8Array[] = [];
  /** The record that was taken, out of the other thread's reach. */
  readonly #record = new Uint8Array(RECORD_SLOTS_MAX * SLOT_BYTES);
  /** Views of the record's data by length, made when a length first comes. */
  readonly #byteViews: Uint8Array[] = [];
  readonly #sampleViews: Int16Array[] = [];
  #tail: number;

  constructor(buffer: SharedArrayBuffer) {
    this.#slots = (buffer.byteLength - CONTROL_BYTES) / SLOT_BYTES;
    this.#control = new Int32Array(buffer, 0, CONTROL_BYTES / 4);
    this.#words = new Int32Array(buffer, CONTROL_BYTES);
    this.#ring = buffer;
    this.#tail = Atomics.load(this.#control, TAIL);
  }

  get isEmpty(): boolean {
    return Atomics.load(this.#control, HEAD) === this.#tail;
  }

  /** Takes the oldest record out of the ring; false where there is none. */
  next(): boolean {
    if (this.isEmpty) return false;
    let at = this.#tail & (this.#slots - 1);
    if (this.#words[at * SLOT_WORDS] === SKIP) {
      this.#tail = (this.#tail + this.#slots - at) | 0;
      at = 0;
    }
    const word = at * SLOT_WORDS;
    this.kind = this.#words[word]!;
    this.stream = this.#words[word + 1]!;
    this.value = this.#words[word + 2]!;
    this.bytes = this.#words[word + 3]!;
    const slots = slotsFor(this.bytes);
    for (let i = 0; i < slots; i++) this.#record.set(this.#slotView(at + i), i * SLOT_BYTES);
    this.#tail = (this.#tail + slots) | 0;
    Atomics.store(this.#control, TAIL, this.#tail);
    return true;
  }

  /** The record's data, valid until `next`. */
  payload(): Uint8Array {
    let view = this.#byteViews[this.bytes];
    if (!view) {
      view = new Uint8Array(this.#record.buffer, HEADER_BYTES, this.bytes);
      this.#byteViews[this.bytes] = view;
    }
    return view;
  }

  /** The record's data as samples, valid until `next`. */
  samples(): Int16Array {
    const length = this.bytes / 2;
    let view = this.#sampleViews[length];
    if (!view) {
      view = new Int16Array(this.#record.buffer, HEADER_BYTES, length);
      this.#sampleViews[length] = view;
    }
    return view;
  }

  #slotView(slot: number): Uint8Array {
    let view = this.#slotViews[slot];
    if (!view) {
      view = new Uint8Array(this.#ring, CONTROL_BYTES + slot * SLOT_BYTES, SLOT_BYTES);
      this.#slotViews[slot] = view;
    }
    return view;
  }
}
