/** A capture taken apart: what the checks look at. */
import { openCapture } from '../capture/reader.js';
import { decodeBase64 } from '../codecs/payload.js';
import type { Format } from '../formats.js';
import type { ErrorFrame, MediaFrame, StartFrame, Track } from '../telnyx/frames.js';
import { parseFrame } from '../telnyx/validate.js';

/** A media message of Telnyx. */
export interface InboundMedia {
  atMs: number;
  sequence: number;
  chunk: number;
  timestamp: number;
  /** Without the base64; of the later ones only the length is kept. */
  payload: Uint8Array | undefined;
  payloadBytes: number;
}

/** A message of the server. */
export interface ServerMessage {
  atMs: number;
  kind: 'media' | 'mark' | 'clear' | 'wrong';
  /** Of media: as for InboundMedia, undefined too where the base64 is not right. */
  payload?: Uint8Array | undefined;
  payloadBytes: number;
  badBase64: boolean;
  /** Of a mark. */
  name?: string;
  /** What is wrong with it. */
  problem?: string;
  dropped: boolean;
}

export interface Evidence {
  streamId?: string;
  startMs?: number;
  endMs: number;
  declared?: Format;
  /** What the server took its stream's formats for; `expected` where the capture does not say. */
  expected?: Format;
  l16ByteOrder: 'le' | 'be';
  tracks: Partial<Record<Track, InboundMedia[]>>;
  /** Messages of Telnyx that a server refuses, by their detail. */
  refused: Map<string, number>;
  badBase64: number;
  binaryIn: number;
  errors: (ErrorFrame['payload'] & { atMs: number })[];
  server: ServerMessage[];
  marksReturned: string[];
  /** Messages that are missing from the capture. */
  missing: number;
  truncated: boolean;
}

/** Payload bytes that are kept of each direction: ten minutes of G.711, 2.5 of L16 at 16 kHz. */
const KEPT_BYTES_MAX = 4_800_000;
const REFUSALS_KEPT_MAX = 20;

/** Throws SIDETONE_BAD_ARGUMENT where the file is no capture. */
export async function gather(path: string): Promise<Evidence> {
  const { header, records } = await openCapture(path);
  const evidence: Evidence = {
    ...(header.streamId !== undefined && { streamId: header.streamId }),
    endMs: 0,
    l16ByteOrder: 'le',
    tracks: {},
    refused: new Map(),
    badBase64: 0,
    binaryIn: 0,
    errors: [],
    server: [],
    marksReturned: [],
    missing: 0,
    truncated: false,
  };
  const gatherer = new Gatherer(evidence);
  for await (const record of records) {
    evidence.endMs = Math.max(evidence.endMs, record.atMs);
    if (record.from === 'capture') {
      if (record.note === 'stream') {
        evidence.expected = record.outbound;
        evidence.l16ByteOrder = record.l16ByteOrder === 'auto' ? 'le' : record.l16ByteOrder;
      } else if (record.note === 'dropped') evidence.missing += record.messages;
      else if (record.note === 'truncated') evidence.truncated = true;
    } else if (record.from === 'telnyx') {
      if (record.text === undefined) evidence.binaryIn++;
      else gatherer.telnyx(record.atMs, record.text);
    } else {
      gatherer.server(record.atMs, record.text, record.dropped === true);
    }
  }
  return evidence;
}

class Gatherer {
  #keptIn = 0;
  #keptOut = 0;

  constructor(private readonly evidence: Evidence) {}

  telnyx(atMs: number, text: string): void {
    const { evidence } = this;
    const parsed = parseFrame(text);
    if (parsed.kind === 'unknown') return;
    if (parsed.kind === 'refused') {
      const { refused } = evidence;
      const { detail } = parsed;
      if (refused.has(detail) || refused.size < REFUSALS_KEPT_MAX)
        refused.set(detail, (refused.get(detail) ?? 0) + 1);
      return;
    }
    const { frame } = parsed;
    if (frame.event === 'start') this.#start(atMs, frame);
    else if (frame.event === 'media') this.#media(atMs, frame);
    else if (frame.event === 'error') evidence.errors.push({ atMs, ...frame.payload });
    else if (frame.event === 'mark') evidence.marksReturned.push(frame.mark.name);
  }

  #start(atMs: number, frame: StartFrame): void {
    const { evidence } = this;
    if (evidence.declared) return;
    const { encoding, sample_rate } = frame.start.media_format;
    evidence.startMs = atMs;
    evidence.streamId ??= frame.stream_id;
    evidence.declared = { encoding, sampleRate: sample_rate };
  }

  #media(atMs: number, frame: MediaFrame): void {
    const { track, chunk, timestamp, payload: base64 } = frame.media;
    const payload = decodeBase64(base64);
    if (!payload) {
      this.evidence.badBase64++;
      return;
    }
    const keeps = this.#keptIn < KEPT_BYTES_MAX;
    if (keeps) this.#keptIn += payload.length;
    this.evidence.tracks[track] ??= [];
    this.evidence.tracks[track].push({
      atMs,
      sequence: Number(frame.sequence_number),
      chunk: Number(chunk),
      timestamp: Number(timestamp),
      payload: keeps ? payload : undefined,
      payloadBytes: payload.length,
    });
  }

  server(atMs: number, text: string | undefined, dropped: boolean): void {
    const { server } = this.evidence;
    const message: ServerMessage = { atMs, kind: 'wrong', payloadBytes: 0, badBase64: false, dropped };
    server.push(message);
    if (text === undefined) {
      message.problem = 'a binary message';
      return;
    }
    let frame: { event?: unknown; media?: { payload?: unknown }; mark?: { name?: unknown } } | null;
    try {
      frame = JSON.parse(text);
    } catch {
      message.problem = 'no JSON';
      return;
    }
    const base64 = frame?.media?.payload;
    if (frame?.event === 'clear') message.kind = 'clear';
    else if (frame?.event === 'mark' && typeof frame.mark?.name === 'string') {
      message.kind = 'mark';
      message.name = frame.mark.name;
    } else if (frame?.event === 'media' && typeof base64 === 'string') this.#serverMedia(message, base64);
    else message.problem = `event ${JSON.stringify(frame?.event) ?? 'missing'} without what belongs to it`;
  }

  #serverMedia(message: ServerMessage, base64: string): void {
    message.kind = 'media';
    const payload = decodeBase64(base64);
    message.badBase64 = payload === undefined;
    message.payloadBytes = payload?.length ?? 0;
    if (!payload || this.#keptOut >= KEPT_BYTES_MAX) return;
    this.#keptOut += payload.length;
    message.payload = payload;
  }
}
