/** What a server did in a stream, in figures that two runs can be compared by. */

import { decodeBase64, type PayloadFormat, payloadDuration } from '../codecs/payload.js';
import { type Encoding, type Format, isEncoding } from '../formats.js';

export interface ServerSide {
  messages: number;
  media: number;
  marks: number;
  clears: number;
  /** Binary, no JSON, or an event that a server does not send. */
  other: number;
  /** Of all media, base64 undone. */
  payloadBytes: number;
  audioMs: number;
  /** When the first media message came, in ms of the capture's time since `start`; absent without one. */
  firstMediaMs?: number;
}

/** Counts a server's messages, and hands out its audio. */
export class ServerCounter {
  readonly side: ServerSide = {
    messages: 0,
    media: 0,
    marks: 0,
    clears: 0,
    other: 0,
    payloadBytes: 0,
    audioMs: 0,
  };
  #startMs: number | undefined;

  constructor(
    private readonly format: () => Format,
    private readonly onPayload: (payload: Uint8Array) => void,
  ) {}

  started(atMs: number): void {
    this.#startMs ??= atMs;
  }

  /** One message; undefined for a binary one. */
  message(atMs: number, text: string | undefined): void {
    const { side } = this;
    side.messages++;
    const frame = text === undefined ? undefined : parse(text);
    if (frame?.event === 'mark') side.marks++;
    else if (frame?.event === 'clear') side.clears++;
    else if (frame?.event === 'media')
      this.#media(atMs, (frame.media as { payload?: unknown } | null)?.payload);
    else side.other++;
  }

  #media(atMs: number, base64: unknown): void {
    const payload = typeof base64 === 'string' ? decodeBase64(base64) : undefined;
    if (!payload) {
      this.side.other++;
      return;
    }
    this.side.media++;
    this.side.payloadBytes += payload.length;
    if (this.#startMs !== undefined) this.side.firstMediaMs ??= Math.round((atMs - this.#startMs) * 10) / 10;
    const format: PayloadFormat = { ...this.format(), amrWbFraming: 'bandwidth-efficient' };
    const duration = payloadDuration(payload, format);
    if ('ms' in duration) this.side.audioMs += duration.ms;
    this.onPayload(payload);
  }
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const frame: unknown = JSON.parse(text);
    return typeof frame === 'object' && frame !== null ? (frame as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The format that a `start` message announces; undefined for any other message. */
export function announcedFormat(text: string): Format | undefined {
  const frame = parse(text);
  if (frame?.event !== 'start') return undefined;
  const start = frame.start as { media_format?: { encoding?: unknown; sample_rate?: unknown } } | undefined;
  const encoding = start?.media_format?.encoding;
  const rate = start?.media_format?.sample_rate;
  return isEncoding(encoding) && typeof rate === 'number' ? { encoding, sampleRate: rate } : undefined;
}

export const DEFAULT_FORMAT: Format = { encoding: 'PCMU' satisfies Encoding, sampleRate: 8000 };

/** Compares audio with earlier audio and finds the first difference, however either was cut into messages. */
export class AudioComparison {
  /** First byte that differs; undefined while none does. */
  differsAtByte: number | undefined;
  #bytes = 0;
  #piece = 0;
  #offset = 0;

  readonly #wanted: readonly Uint8Array[];

  constructor(wanted: readonly Uint8Array[]) {
    this.#wanted = wanted.filter(piece => piece.length > 0);
  }

  add(payload: Uint8Array): void {
    for (let at = 0; at < payload.length && this.differsAtByte === undefined; ) {
      const piece = this.#wanted[this.#piece];
      if (!piece) {
        this.differsAtByte = this.#bytes + at;
        return;
      }
      const length = Math.min(payload.length - at, piece.length - this.#offset);
      const same = Buffer.compare(
        payload.subarray(at, at + length),
        piece.subarray(this.#offset, this.#offset + length),
      );
      if (same !== 0) {
        let i = 0;
        while (payload[at + i] === piece[this.#offset + i]) i++;
        this.differsAtByte = this.#bytes + at + i;
      }
      at += length;
      this.#offset += length;
      if (this.#offset === piece.length) {
        this.#piece++;
        this.#offset = 0;
      }
    }
    this.#bytes += payload.length;
  }

  /** All audio has come. Gives the place of the first difference, if there is one. */
  finish(): number | undefined {
    if (this.differsAtByte === undefined && this.#piece < this.#wanted.length)
      this.differsAtByte = this.#bytes;
    return this.differsAtByte;
  }
}
