/**
 * The whole reading of a frame from Telnyx. The media path has a native scanner that accepts a strict subset of what
 * this accepts. Whatever it does not recognise comes here, so this file alone says what a valid frame is.
 *
 * Rules beyond the specification's schema, each chosen so that a live call survives what a peer may do:
 * - Unknown keys are ignored at every level, as is the order of keys.
 * - A key that stands twice counts with its last value (`JSON.parse`'s rule). A key named `__proto__` is an ordinary
 *   key.
 * - An optional field that is `null` counts as absent.
 * - `stream_id` and `user_id` need not be UUIDs; a `stream_id` has 1 to 128 characters.
 * - Counters (`sequence_number`, `chunk`, `timestamp`) are strings of 1 to 16 decimal digits or whole JSON numbers,
 *   from 0 to 2^53 - 1; in a frame they are strings.
 * - `sample_rate` may be any of Telnyx's streaming rates, not only the schema's 8000 and 16000.
 * - Scalars in `custom_parameters` become strings.
 * - Error codes that the specification does not list are let through.
 * - The payload's base64 is not judged here: only that it is a string.
 */
import { ENCODINGS, type Encoding, isEncoding } from '../formats.js';
import { isObject } from '../objects.js';
import {
  AUTH_TOKEN_HEADER,
  type ConnectedFrame,
  type DtmfFrame,
  type ErrorFrame,
  type MarkFrame,
  type MediaFrame,
  type StartFrame,
  type StopFrame,
  type TelnyxFrame,
} from './frames.js';

/** Why a message was refused; stable, fit for a metric's label. */
export type RefusalReason =
  /** The text is not JSON. */
  | 'bad_json'
  /** The text is JSON, but no object. */
  | 'not_an_object'
  /** A field that the specification requires is absent. */
  | 'missing_field'
  /** A field has another JSON type than the specification gives it. */
  | 'wrong_type'
  /** A field has the right type and a value outside what is allowed. */
  | 'bad_value';

export interface RefusedFrame {
  kind: 'refused';
  reason: RefusalReason;
  /** Names the field, its value (shortened; never a token, number or client_state) and what was expected. */
  detail: string;
}

export type ParsedFrame =
  /** `unknownKeys`: how many keys were ignored; absent when there were none. */
  | { kind: 'frame'; frame: TelnyxFrame; unknownKeys?: number }
  /** A well-formed message with an event that version 1.0.0 does not have; `event` is cut to 64 characters. */
  | { kind: 'unknown'; event: string }
  | RefusedFrame;

/** The sampling rates of Telnyx's streams, in Hz. */
export const STREAM_RATES = [8000, 16000, 22050, 24000, 48000] as const;

const SHOWN_MAX = 48;
const EVENT_MAX = 64;
const STREAM_ID_MAX = 128;
const DIGITS = /^[0-9]{1,16}$/;
const DTMF = /^[0-9*#A-D]$/;

/** Fields whose value never stands in a message: it may end in a log. */
const PRIVATE = new Set([AUTH_TOKEN_HEADER, 'from', 'to', 'client_state', 'custom_parameters', 'payload']);

type Fields = Record<string, unknown>;
const NO_FIELDS: Fields = Object.freeze({});

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

function shown(value: unknown): string {
  if (typeof value === 'string') {
    const cut = value.length > SHOWN_MAX ? '…' : '';
    return JSON.stringify(value.slice(0, SHOWN_MAX)) + cut;
  }
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : kindOf(value);
}

/**
 * Takes fields out of a parsed message. Only the first fault is kept, and after it the getters give harmless values. So
 * each frame below reads as its own schema, without an exception or a branch a field.
 */
class FieldReader {
  refused: RefusedFrame | undefined;

  refuse(reason: RefusalReason, field: string, value: unknown, expected: string, isPrivate = false): void {
    const got = value === undefined ? 'absent' : isPrivate ? kindOf(value) : shown(value);
    this.refused ??= { kind: 'refused', reason, detail: `${field} is ${got}: expected ${expected}` };
  }

  #wrong(value: unknown, path: string, key: string, expected: string): void {
    const reason = value === undefined ? 'missing_field' : 'wrong_type';
    this.refuse(reason, path + key, value, expected, PRIVATE.has(key));
  }

  object(from: Fields, path: string, key: string): Fields {
    const value = from[key];
    if (isObject(value)) return value;
    this.#wrong(value, path, key, 'an object');
    return NO_FIELDS;
  }

  text(from: Fields, path: string, key: string): string {
    const value = from[key];
    if (typeof value === 'string') return value;
    this.#wrong(value, path, key, 'a string');
    return '';
  }

  optionalText(from: Fields, path: string, key: string): string | undefined {
    const value = from[key];
    return value === undefined || value === null ? undefined : this.text(from, path, key);
  }

  counter(from: Fields, path: string, key: string): string {
    const value = from[key];
    if (typeof value === 'number') {
      // Minus zero is zero.
      if (Number.isSafeInteger(value) && value >= 0) return String(value);
      this.refuse('bad_value', path + key, value, 'a whole number from 0 to 2^53 - 1');
    } else if (typeof value !== 'string') {
      this.#wrong(value, path, key, 'a string of decimal digits, or a whole number');
    } else if (DIGITS.test(value) && Number(value) <= Number.MAX_SAFE_INTEGER) {
      return value;
    } else {
      this.refuse('bad_value', path + key, value, '1 to 16 decimal digits, at most 2^53 - 1');
    }
    return '0';
  }

  number(
    from: Fields,
    path: string,
    key: string,
    allowed: (value: number) => boolean,
    expected: string,
  ): number {
    const value = from[key];
    if (typeof value !== 'number') this.#wrong(value, path, key, `the number ${expected}`);
    else if (allowed(value)) return value;
    else this.refuse('bad_value', path + key, value, expected);
    return 0;
  }

  streamId(from: Fields): string {
    const id = this.text(from, '', 'stream_id');
    if (id.length < 1 || id.length > STREAM_ID_MAX)
      this.refuse('bad_value', 'stream_id', id, `1 to ${STREAM_ID_MAX} characters`);
    return id;
  }

  encoding(from: Fields, path: string): Encoding {
    const value = this.text(from, path, 'encoding');
    if (isEncoding(value)) return value;
    this.refuse('bad_value', `${path}encoding`, value, `one of ${ENCODINGS.join(', ')} (case-sensitive)`);
    return 'PCMU';
  }

  /** An array of strings, or absent. */
  tags(from: Fields, path: string): string[] | undefined {
    const value = from.tags;
    if (value === undefined || value === null) return undefined;
    if (!Array.isArray(value)) {
      this.refuse('wrong_type', `${path}tags`, value, 'an array of strings');
      return undefined;
    }
    const wrong = value.findIndex(tag => typeof tag !== 'string');
    if (wrong >= 0) this.refuse('wrong_type', `${path}tags[${wrong}]`, value[wrong], 'a string');
    return [...value];
  }

  /** An object of strings, or absent. It has no prototype: any key is only a key. */
  parameters(from: Fields, path: string): Record<string, string> | undefined {
    const key = 'custom_parameters';
    if (from[key] === undefined || from[key] === null) return undefined;
    const parameters: Record<string, string> = Object.create(null);
    for (const [name, value] of Object.entries(this.object(from, path, key))) {
      if (typeof value !== 'object' || value === null) parameters[name] = String(value);
      else this.refuse('wrong_type', `${path}${key}[${shown(name)}]`, value, 'a string', true);
    }
    return parameters;
  }
}

/** Sets only what is there, so that an absent field stays absent instead of being an own `undefined`. */
function withOptional<T extends object>(target: T, optional: Partial<T>): T {
  for (const key of Object.keys(optional) as (keyof T)[]) {
    if (optional[key] !== undefined) target[key] = optional[key] as T[keyof T];
  }
  return target;
}

function readConnected(message: Fields, read: FieldReader): ConnectedFrame {
  const frame: ConnectedFrame = { event: 'connected', version: read.text(message, '', 'version') };
  if (message.connected !== undefined && message.connected !== null) {
    const token = read.optionalText(read.object(message, '', 'connected'), 'connected.', AUTH_TOKEN_HEADER);
    frame.connected = token === undefined ? {} : { [AUTH_TOKEN_HEADER]: token };
  }
  return frame;
}

function readStart(message: Fields, read: FieldReader): StartFrame {
  const start = read.object(message, '', 'start');
  const path = 'start.';
  const format = read.object(start, path, 'media_format');
  const formatPath = 'start.media_format.';
  return {
    event: 'start',
    sequence_number: read.counter(message, '', 'sequence_number'),
    stream_id: read.streamId(message),
    start: withOptional<StartFrame['start']>(
      {
        user_id: read.text(start, path, 'user_id'),
        call_control_id: read.text(start, path, 'call_control_id'),
        media_format: {
          encoding: read.encoding(format, formatPath),
          sample_rate: read.number(
            format,
            formatPath,
            'sample_rate',
            rate => (STREAM_RATES as readonly number[]).includes(rate),
            STREAM_RATES.join(', '),
          ),
          channels: read.number(format, formatPath, 'channels', count => count === 1, '1') as 1,
        },
      },
      {
        call_session_id: read.optionalText(start, path, 'call_session_id'),
        from: read.optionalText(start, path, 'from'),
        to: read.optionalText(start, path, 'to'),
        tags: read.tags(start, path),
        client_state: read.optionalText(start, path, 'client_state'),
        custom_parameters: read.parameters(start, path),
      },
    ),
  };
}

function readMedia(message: Fields, read: FieldReader): MediaFrame {
  const media = read.object(message, '', 'media');
  const track = read.text(media, 'media.', 'track');
  if (track !== 'inbound' && track !== 'outbound')
    read.refuse('bad_value', 'media.track', track, 'inbound or outbound');
  return {
    event: 'media',
    sequence_number: read.counter(message, '', 'sequence_number'),
    stream_id: read.streamId(message),
    media: {
      track: track as MediaFrame['media']['track'],
      chunk: read.counter(media, 'media.', 'chunk'),
      timestamp: read.counter(media, 'media.', 'timestamp'),
      payload: read.text(media, 'media.', 'payload'),
    },
  };
}

function readDtmf(message: Fields, read: FieldReader): DtmfFrame {
  const digit = read.text(read.object(message, '', 'dtmf'), 'dtmf.', 'digit');
  if (!DTMF.test(digit)) read.refuse('bad_value', 'dtmf.digit', digit, 'one of 0-9 * # A-D');
  return withOptional<DtmfFrame>(
    {
      event: 'dtmf',
      sequence_number: read.counter(message, '', 'sequence_number'),
      stream_id: read.streamId(message),
      dtmf: { digit },
    },
    { occurred_at: read.optionalText(message, '', 'occurred_at') },
  );
}

function readMark(message: Fields, read: FieldReader): MarkFrame {
  return {
    event: 'mark',
    sequence_number: read.counter(message, '', 'sequence_number'),
    stream_id: read.streamId(message),
    mark: { name: read.text(read.object(message, '', 'mark'), 'mark.', 'name') },
  };
}

function readStop(message: Fields, read: FieldReader): StopFrame {
  const stop = read.object(message, '', 'stop');
  return {
    event: 'stop',
    sequence_number: read.counter(message, '', 'sequence_number'),
    stream_id: read.streamId(message),
    stop: {
      user_id: read.text(stop, 'stop.', 'user_id'),
      call_control_id: read.text(stop, 'stop.', 'call_control_id'),
    },
  };
}

function readError(message: Fields, read: FieldReader): ErrorFrame {
  const payload = read.object(message, '', 'payload');
  return {
    event: 'error',
    stream_id: read.streamId(message),
    payload: {
      code: read.number(payload, 'payload.', 'code', Number.isSafeInteger, 'an integer'),
      title: read.text(payload, 'payload.', 'title'),
      detail: read.text(payload, 'payload.', 'detail'),
    },
  };
}

const READERS: ReadonlyMap<string, (message: Fields, read: FieldReader) => TelnyxFrame> = new Map<
  string,
  (message: Fields, read: FieldReader) => TelnyxFrame
>([
  ['connected', readConnected],
  ['start', readStart],
  ['media', readMedia],
  ['dtmf', readDtmf],
  ['mark', readMark],
  ['stop', readStop],
  ['error', readError],
]);

/** Keys with a value that `frame`, which was read from `message`, does not have. Goes only as deep as `frame` does. */
function countUnknownKeys(message: Fields, frame: Fields): number {
  let count = 0;
  for (const [key, value] of Object.entries(message)) {
    if (value === null) continue;
    if (!Object.hasOwn(frame, key)) count++;
    else if (key !== 'custom_parameters' && isObject(value)) {
      count += countUnknownKeys(value, frame[key] as Fields);
    }
  }
  return count;
}

/**
 * Reads one text message from Telnyx (Media Streaming 1.0.0, messages telnyxConnected … telnyxError). Never throws. The
 * frame is a fresh object that holds only the fields of its type, each checked; nothing of the parsed text is kept in it.
 * The caller bounds the text's length (nesting costs `JSON.parse` no stack, only memory in proportion to the text).
 */
export function parseFrame(text: string): ParsedFrame {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may hold a token.
    return {
      kind: 'refused',
      reason: 'bad_json',
      detail: `message of ${text.length} characters is not JSON`,
    };
  }
  if (!isObject(message)) {
    const detail = `message is ${kindOf(message)}: expected an object`;
    return { kind: 'refused', reason: 'not_an_object', detail };
  }
  const read = new FieldReader();
  const event = read.text(message, '', 'event');
  if (read.refused) return read.refused;
  const readFrame = READERS.get(event);
  if (!readFrame) return { kind: 'unknown', event: event.slice(0, EVENT_MAX) };
  const frame = readFrame(message, read);
  if (read.refused) return read.refused;
  const unknownKeys = countUnknownKeys(message, frame as unknown as Fields);
  return unknownKeys > 0 ? { kind: 'frame', frame, unknownKeys } : { kind: 'frame', frame };
}
