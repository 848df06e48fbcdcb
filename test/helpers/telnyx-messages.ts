/** Telnyx's messages as plain objects, for peers that tests write by hand. */
import { randomUUID } from 'node:crypto';
import type { Encoding } from '../../src/formats.js';
import type { Track } from '../../src/telnyx/frames.js';

export interface WireCallOptions {
  encoding?: Encoding;
  sampleRate?: number;
  callControlId?: string;
  streamId?: string;
}

const WIDEBAND: readonly Encoding[] = ['L16', 'OPUS', 'AMR-WB'];

/** One call's messages: sequence, chunk and timestamp count by themselves. */
export class WireCall {
  readonly streamId: string;
  readonly callControlId: string;
  readonly encoding: Encoding;
  readonly sampleRate: number;
  sequence = 0;
  readonly #chunks = { inbound: 0, outbound: 0 };
  readonly #timestamps = { inbound: 0, outbound: 0 };

  constructor(options: WireCallOptions = {}) {
    this.streamId = options.streamId ?? randomUUID();
    this.callControlId = options.callControlId ?? `v2:${randomUUID()}`;
    this.encoding = options.encoding ?? 'PCMU';
    this.sampleRate = options.sampleRate ?? (WIDEBAND.includes(this.encoding) ? 16000 : 8000);
  }

  connected(token?: string) {
    const connected = token === undefined ? {} : { connected: { 'x-telnyx-streaming-auth-token': token } };
    return { event: 'connected', version: '1.0.0', ...connected };
  }

  start(more: object = {}) {
    return {
      event: 'start',
      sequence_number: this.next(),
      stream_id: this.streamId,
      start: {
        user_id: randomUUID(),
        call_control_id: this.callControlId,
        media_format: { encoding: this.encoding, sample_rate: this.sampleRate, channels: 1 },
        ...more,
      },
    };
  }

  media(payload: Uint8Array, track: Track = 'inbound') {
    const timestamp = this.#timestamps[track];
    this.#timestamps[track] += this.#clockUnits(payload.length);
    return {
      event: 'media',
      sequence_number: this.next(),
      stream_id: this.streamId,
      media: {
        track,
        chunk: String(++this.#chunks[track]),
        timestamp: String(timestamp),
        payload: Buffer.from(payload).toString('base64'),
      },
    };
  }

  /** Packets of OPUS and AMR-WB are taken for 20 ms. */
  #clockUnits(bytes: number): number {
    if (this.encoding === 'L16') return bytes >> 1;
    return WIDEBAND.includes(this.encoding) ? this.sampleRate / 50 : bytes;
  }

  dtmf(digit: string) {
    return { event: 'dtmf', sequence_number: this.next(), stream_id: this.streamId, dtmf: { digit } };
  }

  mark(name: string) {
    return { event: 'mark', sequence_number: this.next(), stream_id: this.streamId, mark: { name } };
  }

  stop() {
    return {
      event: 'stop',
      sequence_number: this.next(),
      stream_id: this.streamId,
      stop: { user_id: randomUUID(), call_control_id: this.callControlId },
    };
  }

  next(): string {
    return String(++this.sequence);
  }
}

/** `count` payloads of `bytes` bytes, all different and none like silence. */
export function payloads(count: number, bytes = 160, seed = 1): Uint8Array[] {
  let state = seed * 2654435761 + 1;
  return Array.from({ length: count }, () =>
    Uint8Array.from({ length: bytes }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 24;
    }),
  );
}
