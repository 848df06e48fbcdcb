/** Generated media messages, their mutants, and what JSON.parse with a strict validator makes of them. */
import fc from 'fast-check';
import type { Track } from '../../src/telnyx/frames.js';

export interface MediaFields {
  track: Track;
  sequence: number;
  chunk: number;
  timestamp: number;
  streamId: string;
  /** Base64, as it stands in the message. */
  payload: string;
}

export const strictBase64 = (text: string): boolean =>
  /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text);

function hasExactly(value: unknown, keys: string[]): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const own = Object.keys(value);
  return own.length === keys.length && keys.every(key => own.includes(key));
}

function numberOf(value: unknown): number | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value + 0 : null;
  if (typeof value !== 'string' || !/^[0-9]{1,16}$/.test(value)) return null;
  return BigInt(value) <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : null;
}

/** The judge: the fields of a media message, or null for anything else. */
export function referenceScan(bytes: Uint8Array): MediaFields | null {
  let message: unknown;
  try {
    message = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return null;
  }
  if (!hasExactly(message, ['event', 'sequence_number', 'stream_id', 'media'])) return null;
  const { event, sequence_number, stream_id, media } = message;
  if (!hasExactly(media, ['track', 'chunk', 'timestamp', 'payload'])) return null;
  const { track, payload } = media;
  const sequence = numberOf(sequence_number);
  const chunk = numberOf(media.chunk);
  const timestamp = numberOf(media.timestamp);
  if (event !== 'media' || sequence === null || chunk === null || timestamp === null) return null;
  if (track !== 'inbound' && track !== 'outbound') return null;
  if (typeof stream_id !== 'string' || !/^[\x20-\x7e]{1,128}$/.test(stream_id)) return null;
  if (typeof payload !== 'string' || !strictBase64(payload)) return null;
  return { track, sequence, chunk, timestamp, streamId: stream_id, payload };
}

const number = fc.oneof(fc.nat({ max: 10_000 }), fc.maxSafeNat(), fc.constant(Number.MAX_SAFE_INTEGER));
const digits = fc.tuple(number, fc.constantFrom('plain', 'zeros', 'bare')).map(([value, style]) => ({
  value,
  json: style === 'bare' ? String(value) : `"${style === 'zeros' ? String(value).padStart(16, '0') : value}"`,
}));

const idCharacters = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i)).filter(
  c => c !== '"' && c !== '\\',
);
const streamId = fc.oneof(
  fc.uuid(),
  fc.string({ unit: fc.constantFrom(...idCharacters), minLength: 1, maxLength: 128, size: 'max' }),
);
const payload = fc
  .uint8Array({ maxLength: 200, size: 'max' })
  .map(bytes => Buffer.from(bytes).toString('base64'));
const space = fc.constantFrom('', '', ' ', '\t', '\n', '\r', '\r\n  ');

/** A message that the scanner must accept, and its fields. */
export const mediaMessage = fc
  .record({
    outer: fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
    inner: fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
    track: fc.constantFrom<Track>('inbound', 'outbound'),
    sequence: digits,
    chunk: digits,
    timestamp: digits,
    streamId,
    payload,
    spaces: fc.array(space, { minLength: 1, maxLength: 7, size: 'max' }),
  })
  .map(({ outer, inner, track, sequence, chunk, timestamp, streamId, payload, spaces }) => {
    const ordered = (members: string[][], order: number[]): string[] =>
      order.flatMap((i, at) => [...(at > 0 ? [','] : []), ...members[i]!]);
    const counter = (key: string, { json }: { json: string }): string[] => [`"${key}"`, ':', json];
    const member = (key: string, value: string): string[] => counter(key, { json: `"${value}"` });
    const media = ordered(
      [
        member('track', track),
        counter('chunk', chunk),
        counter('timestamp', timestamp),
        member('payload', payload),
      ],
      inner,
    );
    const tokens = ordered(
      [
        member('event', 'media'),
        counter('sequence_number', sequence),
        member('stream_id', streamId),
        ['"media"', ':', '{', ...media, '}'],
      ],
      outer,
    );
    const text = ['{', ...tokens, '}', ''].map((token, i) => spaces[i % spaces.length] + token).join('');
    const fields: MediaFields = {
      track,
      sequence: sequence.value,
      chunk: chunk.value,
      timestamp: timestamp.value,
      streamId,
      payload,
    };
    return { text, fields };
  });

const MEMBERS = [
  '"event":"media"',
  '"sequence_number":"7"',
  '"stream_id":"x"',
  '"media":{}',
  '"media":null',
  '"track":"inbound"',
  '"chunk":"9007199254740991"',
  '"timestamp":"9007199254740992"',
  '"sequence_number":7',
  '"sequence_number":-0',
  '"chunk":9007199254740991',
  '"chunk":1e3',
  '"timestamp":9007199254740992',
  '"timestamp":5.0',
  '"payload":"AAAA"',
  '"payload":"AA\\u0041A"',
  '"extra":[{}]',
  '"__proto__":{"event":"media"}',
  '"ev\\u0065nt":"media"',
];
const PIECES = [
  ...('"\\{}[]:,=+/- \t\n\v\0' + '09aAé\u{feff}\u{1f600}'),
  '\\u0061',
  '\\"',
  'null',
  '""',
  '","',
  '"}',
  '{"',
  '0',
  '1e1',
  '.0',
];

const at = fc.nat({ max: 1_000_000 });
const mutation = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at, bit: fc.nat({ max: 7 }) }),
  fc.record({ kind: fc.constant('put' as const), at, byte: fc.nat({ max: 255 }) }),
  fc.record({ kind: fc.constant('remove' as const), at, length: fc.integer({ min: 1, max: 12 }) }),
  fc.record({ kind: fc.constant('repeat' as const), at, length: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant('insert' as const), at, piece: fc.constantFrom(...PIECES) }),
  fc.record({ kind: fc.constant('member' as const), at, piece: fc.constantFrom(...MEMBERS) }),
  fc.record({ kind: fc.constant('swap' as const), at, piece: fc.constantFrom(...MEMBERS) }),
  fc.record({ kind: fc.constant('truncate' as const), at }),
  fc.record({ kind: fc.constant('escape' as const), at }),
);
type Mutation = typeof mutation extends fc.Arbitrary<infer Value> ? Value : never;

/** Where a whole member can go: behind an opening brace or a comma. */
function memberPlaces(bytes: Buffer): number[] {
  const places: number[] = [];
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === 0x7b || bytes[i] === 0x2c) places.push(i + 1);
  return places;
}

function mutate(bytes: Buffer, change: Mutation): Buffer {
  const index = change.at % (bytes.length + 1);
  const splice = (from: number, removed: number, piece: string | Uint8Array): Buffer =>
    Buffer.concat([bytes.subarray(0, from), Buffer.from(piece), bytes.subarray(from + removed)]);
  switch (change.kind) {
    case 'flip':
      return index < bytes.length
        ? splice(index, 1, Uint8Array.of(bytes[index]! ^ (1 << change.bit)))
        : bytes;
    case 'put':
      return splice(index, 1, Uint8Array.of(change.byte));
    case 'remove':
      return splice(index, change.length, '');
    case 'repeat':
      return splice(index, 0, bytes.subarray(index, index + change.length));
    case 'insert':
      return splice(index, 0, change.piece);
    case 'truncate':
      return bytes.subarray(0, index);
    case 'escape': {
      const code = bytes[index] ?? 0x20;
      return splice(index, 1, `\\u${code.toString(16).padStart(4, '0')}`);
    }
    case 'member':
    case 'swap': {
      const places = memberPlaces(bytes);
      const place = places[change.at % Math.max(1, places.length)] ?? 0;
      if (change.kind === 'member') return splice(place, 0, `${change.piece},`);
      const comma = bytes.subarray(place).findIndex(byte => byte === 0x2c || byte === 0x7d);
      return splice(place, Math.max(0, comma), change.piece);
    }
  }
}

/** The message after one to three changes to its bytes or its members. */
export const mutated = (message: typeof mediaMessage): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(message, fc.array(mutation, { minLength: 1, maxLength: 3, size: 'max' }))
    .map(([{ text }, changes]) => changes.reduce<Buffer>(mutate, Buffer.from(text)));
