/** Media that comes before `start`, which waits for it. */

/** 320 ms, far more than any reordering of the network … */
const MESSAGES_MAX = 16;
/** … in at most 64 KiB: 16 frames of L16 at 48 kHz are 43 KB. */
const BYTES_MAX = 65_536;

export class EarlyMedia {
  readonly #messages: ArrayBuffer[] = [];
  #bytes = 0;

  /** Of all messages that came, those that were not kept among them. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps a copy. False where there is no room for it. */
  add(message: ArrayBuffer): boolean {
    this.#bytes += message.byteLength;
    if (this.#messages.length >= MESSAGES_MAX || this.#bytes > BYTES_MAX) return false;
    this.#messages.push(message.slice(0));
    return true;
  }

  /** What was kept, in the order in which it came. */
  get messages(): readonly ArrayBuffer[] {
    return this.#messages;
  }
}
