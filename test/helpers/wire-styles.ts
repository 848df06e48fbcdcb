/** One call's messages, written and ordered as oddly as JSON, WebSockets and the network allow. */
import { Random } from '../../src/simulator/random.js';
import { fragments, OPCODE, wsFrame } from './raw-socket.js';
import type { WireCall } from './telnyx-messages.js';

/** Each is off (false) or on. None of them changes what is said. */
export interface WireStyle {
  /** Neighbours change places. */
  swapped: boolean;
  /** Groups of up to eight come backwards. */
  reversed: boolean;
  /** Some messages come again, up to ten later. */
  duplicated: boolean;
  /** Keys in any order. */
  rekeyed: boolean;
  /** \u0065 for e, \/ for /, in keys and values. */
  escaped: boolean;
  /** Sequence, chunk and timestamp as JSON numbers, some of them with a fraction or exponent that changes nothing. */
  numeric: boolean;
  /** White space between all tokens. */
  spaced: boolean;
  /** Messages in several frames, with pings between. */
  fragmented: boolean;
  /** The other track, digits and marks between the frames. */
  interleaved: boolean;
  /** One chunk counter for both tracks. */
  countedTogether: boolean;
}

export const ORDERLY: WireStyle = {
  swapped: false,
  reversed: false,
  duplicated: false,
  rekeyed: false,
  escaped: false,
  numeric: false,
  spaced: false,
  fragmented: false,
  interleaved: false,
  countedTogether: false,
};

const COUNTERS: readonly string[] = ['sequence_number', 'chunk', 'timestamp'];

/** The bytes to write, message by message, for a call that has started. */
export function written(
  call: WireCall,
  spoken: readonly Uint8Array[],
  style: WireStyle,
  seed: number,
): Buffer[] {
  const random = new Random(seed);
  const chance = (odds: number): boolean => random.float() < odds;
  const below = (limit: number): number => Math.floor(random.float() * limit);
  let messages: object[] = [];
  let chunk = 0;
  const add = (payload: Uint8Array, track: 'inbound' | 'outbound'): void => {
    const message = call.media(payload, track);
    if (style.countedTogether) message.media.chunk = String(++chunk);
    messages.push(message);
  };
  for (const payload of spoken) {
    add(payload, 'inbound');
    if (!style.interleaved) continue;
    add(
      payload.map(byte => byte ^ 0x55),
      'outbound',
    );
    if (chance(0.3)) messages.push(call.dtmf('5'));
    if (chance(0.2)) messages.push(call.mark('nobody’s'));
  }
  if (style.reversed) messages = backwards(messages, () => 1 + below(8));
  if (style.swapped) messages = backwards(messages, () => 1 + below(2));
  if (style.duplicated) {
    const again: [number, object][] = [];
    messages.forEach((message, i) => {
      if (chance(0.4)) again.push([i + 1 + below(10), message]);
    });
    for (const [at, message] of again.reverse()) messages.splice(Math.min(at, messages.length), 0, message);
  }

  const space = (): string => (style.spaced ? [' ', '\t', '\r\n', '', '  \n'][below(5)]! : '');
  const text = (value: string): string => {
    const plain = JSON.stringify(value);
    if (!style.escaped) return plain;
    return plain.replace(/[\w/+=:-]/g, character => {
      if (character === '/' && chance(0.5)) return '\\/';
      if (!chance(0.1)) return character;
      const code = character.charCodeAt(0).toString(16).padStart(4, '0');
      return `\\u${chance(0.5) ? code.toUpperCase() : code}`;
    });
  };
  const number = (digits: string): string => (chance(0.1) ? `${digits}${chance(0.5) ? '.0' : 'e0'}` : digits);
  const json = (value: unknown, key = ''): string => {
    if (style.numeric && COUNTERS.includes(key)) return number(String(value));
    if (typeof value !== 'object' || value === null)
      return typeof value === 'string' ? text(value) : String(value);
    const members = Object.entries(value);
    if (style.rekeyed) members.sort(() => random.float() - 0.5);
    const written = members.map(
      ([key, member]) => `${space()}${text(key)}${space()}:${space()}${json(member, key)}${space()}`,
    );
    return `{${written.join(',')}}`;
  };
  return messages.map(message => {
    const whole = `${space()}${json(message)}${space()}`;
    if (!style.fragmented) return wsFrame(whole);
    const sizes = Array.from({ length: below(5) }, () => below(whole.length));
    const cut = fragments(whole, sizes);
    return chance(0.1) ? Buffer.concat([wsFrame('', { opcode: OPCODE.ping }), cut]) : cut;
  });
}

function backwards<T>(items: readonly T[], groupSize: () => number): T[] {
  const result: T[] = [];
  for (let at = 0; at < items.length; ) {
    const size = groupSize();
    result.push(...items.slice(at, at + size).reverse());
    at += size;
  }
  return result;
}
