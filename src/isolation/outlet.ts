/** The writing end of what goes from one thread to another: records in a ring, and what is too large for one beside it. */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { HEAD, type Ring } from './ring.js';

/** What may be written in a record's head: left out, each is 0. */
export interface Head {
  id?: number;
  flags?: number;
  /** Where samples have their rate. */
  bytes?: number;
  a?: number;
  b?: number;
  c?: number;
}

/** A record's head as it was written. */
export interface RecordHead extends Required<Head> {
  type: number;
}

/** The head of a record, for commands that are not those of every frame. */
export function headOf(ring: Ring, cell: number): RecordHead {
  const { words, doubles } = ring;
  const at = ring.head(cell);
  const figures = ring.figures(cell);
  return {
    type: words[at + HEAD.type]!,
    id: words[at + HEAD.id]!,
    flags: words[at + HEAD.flags]!,
    bytes: words[at + HEAD.bytes]!,
    a: doubles[figures]!,
    b: doubles[figures + 1]!,
    c: doubles[figures + 2]!,
  };
}

/** What is to be done with a record for which there is no room: `write` tries again and says whether there was. */
export type WhenFull = (write: () => boolean) => void;

const NOTHING: Head = {};

export class Outlet {
  constructor(
    readonly ring: Ring,
    private readonly attachments: MessagePort,
    private readonly whenFull: WhenFull,
  ) {}

  /** A record without a body. */
  send(type: number, handle: number, head: Head = NOTHING): void {
    if (!this.#write(type, handle, head)) this.whenFull(() => this.#write(type, handle, head));
  }

  /**
   * A record with a value of any kind that can be cloned.
   * @throws DataCloneError for one that cannot
   */
  attach(type: number, handle: number, value: unknown, head: Head = NOTHING): void {
    // Cloned here and now, also where the record has to wait.
    const write = (): boolean => {
      if (this.ring.begin(0) < 0) return false;
      this.attachments.postMessage(value);
      return this.#write(type, handle, head, 1);
    };
    if (write()) return;
    value = structuredClone(value);
    this.whenFull(write);
  }

  /** A record with samples; `rate` stands where others have their bytes. False: there is no room, and nothing was written. */
  sendSamples(
    type: number,
    handle: number,
    samples: Int16Array,
    id: number,
    flags: number,
    rate: number,
    a = 0,
  ): boolean {
    const { ring } = this;
    const cell = ring.begin(samples.byteLength);
    if (cell < 0) return false;
    const { words, doubles } = ring;
    const at = ring.head(cell);
    words[at + HEAD.type] = type;
    words[at + HEAD.handle] = handle;
    words[at + HEAD.id] = id;
    words[at + HEAD.flags] = flags;
    words[at + HEAD.samples] = samples.length;
    words[at + HEAD.bytes] = rate;
    words[at + HEAD.extra] = 0;
    doubles[ring.figures(cell)] = a;
    ring.putSamples(cell, samples);
    ring.commit();
    return true;
  }

  /** The same of bytes. */
  sendBytes(type: number, handle: number, bytes: Uint8Array, id: number): boolean {
    const { ring } = this;
    const cell = ring.begin(bytes.length);
    if (cell < 0) return false;
    this.#putHead(cell, type, handle, { id }, bytes.length);
    ring.putBytes(cell, bytes);
    ring.commit();
    return true;
  }

  #write(type: number, handle: number, head: Head, attachments = 0): boolean {
    const cell = this.ring.begin(0);
    if (cell < 0) return false;
    this.#putHead(cell, type, handle, head, head.bytes ?? 0);
    this.ring.words[this.ring.head(cell) + HEAD.extra] = attachments;
    this.ring.commit();
    return true;
  }

  #putHead(cell: number, type: number, handle: number, head: Head, bytes: number): void {
    const { words, doubles } = this.ring;
    const at = this.ring.head(cell);
    words[at + HEAD.type] = type;
    words[at + HEAD.handle] = handle;
    words[at + HEAD.id] = head.id ?? 0;
    words[at + HEAD.flags] = head.flags ?? 0;
    words[at + HEAD.samples] = 0;
    words[at + HEAD.bytes] = bytes;
    words[at + HEAD.extra] = 0;
    const figures = this.ring.figures(cell);
    doubles[figures] = head.a ?? 0;
    doubles[figures + 1] = head.b ?? 0;
    doubles[figures + 2] = head.c ?? 0;
  }
}

/** What was attached to the record that has just been taken. */
export function attached<T>(port: MessagePort): T {
  // It was sent before the record was written, and attachments come in the order of their records.
  return receiveMessageOnPort(port)!.message as T;
}
