/**
 * TeXML documents that start a stream: `<Connect><Stream>` (the document waits while the stream lasts) and
 * `<Start><Stream>` (it goes on at once). Output is well-formed XML 1.0 for every value; the mistakes of docs/mistakes.md
 * cannot be written down.
 */
import { SidetoneError, shown } from '../errors.js';
import { type Address, type Mp3, refuseFindings } from './build.js';
import { REQUESTED_PARAMETER, requestedParameter } from './expectations.js';

/** How audio is played into the call; rates in Hz. */
export type TexmlOutbound =
  | Omit<Mp3, 'legs'>
  | { mode: 'rtp'; encoding: 'PCMU' | 'PCMA' | 'G722' | 'AMR-WB'; sampleRate?: never }
  | { mode: 'rtp'; encoding: 'OPUS'; sampleRate?: 8000 | 16000 | 24000 }
  /** Default 16000. */
  | { mode: 'rtp'; encoding: 'L16'; sampleRate?: 16000 | 24000 };

/** A `<Stream>` and what stands in it. */
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
  /** Where Telnyx reports started, stopped and failed: form-encoded. The webhook route of a server takes them. */
  statusCallback?: `https://${string}` | `http://${string}`;
  /** Default POST. What a GET tells stands in its query, which the signature does not cover: the webhook route takes none. */
  statusCallbackMethod?: 'GET' | 'POST';
  /**
   * Whether Telnyx opens the WebSocket again when it drops, also when this server closed it. Default true, Telnyx's own;
   * false with `after: 'hangup'`, where the end of the stream is meant to be the end of the call.
   */
  enableReconnect?: boolean;
};

/**
 * The elements after `<Connect>`, which run when its stream has ended. The call ends with the document: a caller who
 * was transferred out of the stream is hung up too, unless the document goes on.
 */
export type TexmlAfter =
  /** The call ends with its stream. */
  | 'hangup'
  /** The call stays up: whole seconds, 1 to 14,400. For callers who are transferred by Call Control meanwhile. */
  | { pauseSeconds: number }
  /** Another document says how it goes on. */
  | { redirect: `https://${string}` | `http://${string}`; method?: 'GET' | 'POST' };

/** What `buildTexml()` takes: a stream that the document waits for (`connect`), or does not (`start`). */
export type TexmlDocument =
  /** Without `after` the document, and with it the call, ends with the stream; one that drops is opened again. */
  | { connect: TexmlStream; after?: TexmlAfter; start?: never }
  /** `<Start>` does not wait, so a pause keeps the call up: whole seconds, 1 to 14,400. */
  | { start: TexmlStream; pauseSeconds: number; connect?: never; after?: never };

const ESCAPES: Readonly<Record<string, string>> = {
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
/** Characters that are no Char of XML 1.0 section 2.2: they cannot be written in any form, not even as a reference. */
const NO_CHAR = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;

/**
 * Text for an attribute or an element's content; parsing gives `value` back, character for character.
 * @throws SIDETONE_BAD_ARGUMENT for a character that XML 1.0 cannot carry (most control characters, U+FFFE, U+FFFF,
 * halves of surrogate pairs).
 */
export function escapeXml(value: string): string {
  const bad = NO_CHAR.exec(value);
  if (bad) {
    const code = bad[0].codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
    throw new SidetoneError(
      'SIDETONE_BAD_ARGUMENT',
      `character ${bad.index} of an XML value is U+${code}, which XML 1.0 cannot carry: remove it, or encode the value as base64`,
    );
  }
  return value.replace(/[&<>"'\t\n\r]/g, one => ESCAPES[one]!);
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
    const requested = {
      mode: outbound.mode,
      outboundEncoding: encoding,
      outboundSampleRate: rate ?? 8000,
      track,
    };
    parameters[REQUESTED_PARAMETER] ??= requestedParameter(requested).value;
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
    enableReconnect: stream.enableReconnect?.toString(),
  };
  return element('Stream', attributes, inner.join(''));
}

function pauseElement(field: string, seconds: number, why: string): string {
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= 14_400) {
    return element('Pause', { length: String(seconds) });
  }
  throw new SidetoneError(
    'SIDETONE_BAD_OPTION',
    `${field} = ${seconds}: ${why} needs 1 to 14400 whole seconds`,
  );
}

function afterElement(after: TexmlAfter): string {
  if (after === 'hangup') return element('Hangup', {});
  if ('pauseSeconds' in after) {
    return pauseElement('after.pauseSeconds', after.pauseSeconds, 'a call that outlives its stream');
  }
  const { redirect, method } = after;
  if (!/^https?:\/\//i.test(redirect) || !URL.canParse(redirect)) {
    const message = `after.redirect = ${shown(redirect)}: give the http or https address of another document`;
    throw new SidetoneError('SIDETONE_BAD_OPTION', message);
  }
  return element('Redirect', { method }, escapeXml(redirect));
}

/**
 * A whole TeXML document, one line. @throws SIDETONE_BAD_OPTION naming the attribute, its value and the remedy;
 * SIDETONE_BAD_ARGUMENT for a character that XML cannot carry.
 */
export function buildTexml(document: TexmlDocument): string {
  let verbs: string;
  if (document.start) {
    const pause = pauseElement('pauseSeconds', document.pauseSeconds, '<Start> does not wait, so the call');
    verbs = `<Start>${streamElement(document.start)}</Start>${pause}`;
  } else {
    const { connect, after } = document;
    const { enableReconnect = after === 'hangup' ? false : undefined } = connect;
    const stream = streamElement({ ...connect, enableReconnect });
    verbs = `<Connect>${stream}</Connect>${after === undefined ? '' : afterElement(after)}`;
  }
  const text = `<?xml version="1.0" encoding="UTF-8"?><Response>${verbs}</Response>`;
  refuseFindings(text, 'texml', (document.start ?? document.connect).local === true);
  return text;
}
