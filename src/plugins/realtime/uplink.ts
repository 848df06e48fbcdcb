/** The caller's audio on its way to the service: in messages of one length, whatever the frames' length is. */
import type { AudioFrame, Stream } from '../../plugin/stream.js';
import { bytesPerMs, type FrameReader, frameReader, inputFormat } from './audio.js';
import type { Link } from './link.js';

export class Uplink {
  readonly #read: FrameReader;
  readonly #link: Link;
  readonly #bytesPerMs: number;
  readonly #chunk: Uint8Array;
  #filled = 0;
  /** All that has been heard of the caller, in bytes of the wire format. */
  #bytes = 0;
  /** Where the session's audio begins in it. */
  #originBytes = 0;

  /** @param appendMs audio of one message, in ms */
  constructor(stream: Stream, link: Link, appendMs: number) {
    this.#read = frameReader(stream);
    this.#link = link;
    this.#bytesPerMs = bytesPerMs(inputFormat(stream));
    this.#chunk = new Uint8Array(appendMs * this.#bytesPerMs);
  }

  hear(frame: AudioFrame): void {
    const bytes = this.#read(frame);
    this.#bytes += bytes.length;
    let from = 0;
    while (from < bytes.length) {
      const count = Math.min(bytes.length - from, this.#chunk.length - this.#filled);
      this.#chunk.set(
        from === 0 && count === bytes.length ? bytes : bytes.subarray(from, from + count),
        this.#filled,
      );
      this.#filled += count;
      from += count;
      if (this.#filled < this.#chunk.length) return;
      this.#link.sendAudio(this.#chunk);
      this.#filled = 0;
    }
  }

  /** A session begins: what waits for it is its first audio. */
  begin(): void {
    this.#originBytes = this.#bytes - this.#filled - this.#link.waiting * this.#chunk.length;
  }

  /** How long ago the caller said what stands at `positionMs` of the session's audio, in ms. */
  agoMs(positionMs: number): number {
    return Math.max(0, (this.#bytes - this.#originBytes) / this.#bytesPerMs - positionMs);
  }
}
