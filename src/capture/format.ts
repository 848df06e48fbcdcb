/**
 * A capture: what went over one stream's WebSocket, both ways, as JSON lines. The first line is the header, every other
 * one a record; a reader ignores keys and notes that it does not know.
 */
import type { Format } from '../formats.js';
import { AUTH_TOKEN_HEADER } from '../telnyx/frames.js';

export const CAPTURE_VERSION = 1;

export interface CaptureHeader {
  capture: 'sidetone';
  version: typeof CAPTURE_VERSION;
  /** ISO 8601: when the WebSocket was opened, at `atMs` 0. */
  startedAt: string;
  /** Absent where no `start` came. */
  streamId?: string;
  /** What stands as `[redacted]`. */
  redacted: readonly ('token' | 'personal')[];
}

/** A message. `atMs` is since the WebSocket was opened, on a monotonic clock. */
export interface MessageRecord {
  atMs: number;
  from: 'telnyx' | 'server';
  /** Text as it stood on the wire, but for what is redacted; a binary message has `base64` instead. */
  text?: string;
  base64?: string;
  /** The server's message never left: too much was waiting to be sent. */
  dropped?: true;
}

/** Something the capture says itself. */
export type NoteRecord = { atMs: number; from: 'capture' } & (
  | { note: 'stream'; plugin: string; inbound: Format; outbound: Format; l16ByteOrder: 'le' | 'be' | 'auto' }
  /** Messages that are not in the capture because the disk was too slow. */
  | { note: 'dropped'; messages: number }
  | { note: 'closed'; reason: string }
  /** Made by the reader: the file ends inside a line. */
  | { note: 'truncated' }
);

export type CaptureRecord = MessageRecord | NoteRecord;

export const REDACTED = '[redacted]';
/** Everything that has a key below contains one of these, or an escape that may hide one. */
const SUSPICIOUS = /-token|authorization|"from"|"to"|client_state|custom_parameters|\\u/i;
const SECRET_KEYS = new Set([AUTH_TOKEN_HEADER, 'authorization']);
const PERSONAL_KEYS = new Set(['from', 'to', 'client_state']);

/**
 * A message of Telnyx without its auth token and, unless `keepPersonal`, without the numbers, `client_state` and the
 * values of `custom_parameters`. A message without them comes back as it is, character by character.
 */
export function redact(text: string, keepPersonal: boolean): string {
  if (!SUSPICIOUS.test(text)) return text;
  let changed = false;
  const mask = (): string => {
    changed = true;
    return REDACTED;
  };
  try {
    const redacted: unknown = JSON.parse(text, (key, value) => {
      if (SECRET_KEYS.has(key.toLowerCase())) return mask();
      if (keepPersonal) return value;
      if (PERSONAL_KEYS.has(key) && value !== null) return mask();
      if (key === 'custom_parameters' && typeof value === 'object' && value !== null) {
        return Object.fromEntries(Object.keys(value).map(name => [name, mask()]));
      }
      return value;
    });
    return changed ? JSON.stringify(redacted) : text;
  } catch {
    return `${REDACTED}: ${text.length} characters that are not JSON and may hold a secret`;
  }
}
