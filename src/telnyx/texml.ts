/**
 * TeXML documents that start a stream: `<Connect><Stream>` (the document waits while the stream lasts) and
 * `<Start><Stream>` (it goes on at once). Output is well-formed XML 1.0 for every value; the mistakes of docs/mistakes.md
 * cannot be written down.
 */
import { SidetoneError } from '../errors.js';
import { type Address, type Mp3, refuseFindings } from './build.js';
import { WISHES_PARAMETER, wishesParameter } from './expectations.js';

export type TexmlOutbound =
  | Omit<Mp3, 'legs'>
  | { mode: 'rtp'; encoding: 'PCMU' | 'PCMA' | 'G722' | 'AMR-WB'; sampleRate?: never }
  | { mode: 'rtp'; encoding: 'OPUS'; sampleRate?: 8000 | 16000 | 24000 }
  /** Default 16000. */
  | { mode: 'rtp'; encoding: 'L16'; sampleRate?: 16000 | 24000 };

export type TexmlStream = Address & {
  /** What the server hears: the caller (default), or both parties. */
  track?: 'inbound' | 'both';
  /** Needed to stop this stream by name. */
  name?: string;
  /** Wanted codec of what the server hears: TeXML transcodes between these two only. */
  inboundEncoding?: 'PCMU' | 'PCMA';
  /** How audio is played into the call. Default RTP with PCMU. */
  outbound?: TexmlOutbound;
  /** Arrive in `start.custom_parameters`. Names are not empty. */
  parameters?: Readonly<Record<string, string>>;
  /** Tells the server by a parameter what it is to send (`sidetone_outbound`). Default true. */
  announce?: boolean;
  /** Where Telnyx reports started, stopped and failed. */
  statusCallback?: `https://${string}` | `http://${string}`;
  /** Default POST. */
  statusCallbackMethod?: 'GET' | 'POST';
};

export type TexmlDocument =
  | { connect: TexmlStream; start?: never }
  /** `<Start>` does not wait, so a pause keeps the call up: whole seconds, 1 to 14,400. */
  | { start: TexmlStream; pauseSeconds: number; connect?: never };

const kEscapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  // A parser turns these into spaces unless they are written as references (XML 1.0 section 3.3.3).
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};
/** What is no Char of XML 1.0 section 2.2: it cannot be written in any form, a reference included. */
const kNoChar = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;

/**
 * Text for an attribute or an element's content; parsing gives `value` back, character for character.
 * @throws SIDETONE_BAD_ARGUMENT for a character that XML 1.0 cannot carry (most control characters, U+FFFE, U+FFFF,
 * halves of surrogate pairs).
 */
export function escapeXml(value: string): string {
  const bad = kNoChar.exec(value);
  if (bad) {
    const code = bad[0].codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
    throw new SidetoneError(
      'SIDETONE_BAD_ARGUMENT',
      `character ${bad.index} of an XML value is U+${code}, which XML 1.0 cannot carry: remove it, or encode the value as base64`,
    );
  }
  return value.replace(/[&<>"'\t\n\r]/g, one => kEscapes[one]!);
}

function element(name: string, attributes: Readonly<Record<string, string | undefined>>, inner = ''): string {
  const written = Object.entries(attributes)
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .map(([key, value]) => ` ${key}="${escapeXml(value)}"`)
    .join('');
  return inner === '' ? `<${name}${written}/>` : `<${name}${written}>${inner}</${name}>`;
}

function streamElement(stream: TexmlStream): string {
  const outbound: TexmlOutbound = stream.outbound ?? { mode: 'rtp', encoding: 'PCMU' };
  const encoding = outbound.mode === 'rtp' ? outbound.encoding : undefined;
  const rate =
    outbound.mode === 'mp3'
      ? undefined
      : (outbound.sampleRate ?? (encoding === 'L16' || encoding === 'AMR-WB' ? 16000 : undefined));
  const track = stream.track ?? 'inbound';
  const parameters = { ...stream.parameters };
  if (encoding && stream.announce !== false) {
    const wishes = {
      mode: outbound.mode,
      outboundEncoding: encoding,
      outboundSampleRate: rate ?? 8000,
      track,
    };
    parameters[WISHES_PARAMETER] ??= wishesParameter(wishes).value;
  }
  const inner = Object.entries(parameters).map(([name, value]) => element('Parameter', { name, value }));
  const attributes = {
    url: stream.url,
    track: track === 'both' ? 'both_tracks' : 'inbound_track',
    name: stream.name,
    codec: stream.inboundEncoding,
    bidirectionalMode: outbound.mode,
    bidirectionalCodec: encoding,
    bidirectionalSamplingRate: rate?.toString(),
    statusCallback: stream.statusCallback,
    statusCallbackMethod: stream.statusCallbackMethod,
  };
  return element('Stream', attributes, inner.join(''));
}

/**
 * A whole TeXML document, one line. @throws SIDETONE_BAD_OPTION naming the attribute, its value and the remedy;
 * SIDETONE_BAD_ARGUMENT for a character that XML cannot carry.
 */
export function buildTexml(document: TexmlDocument): string {
  let verbs: string;
  if (document.start) {
    const pause = document.pauseSeconds;
    if (!Number.isInteger(pause) || pause < 1 || pause > 14_400) {
      const message = `pauseSeconds = ${pause}: <Start> does not wait, so the call needs 1 to 14400 whole seconds`;
      throw new SidetoneError('SIDETONE_BAD_OPTION', message);
    }
    verbs = `<Start>${streamElement(document.start)}</Start><Pause length="${pause}"/>`;
  } else {
    verbs = `<Connect>${streamElement(document.connect)}</Connect>`;
  }
  const text = `<?xml version="1.0" encoding="UTF-8"?><Response>${verbs}</Response>`;
  refuseFindings(text, 'texml', (document.start ?? document.connect).local === true);
  return text;
}
