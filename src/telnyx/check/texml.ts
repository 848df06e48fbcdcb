/** Checks a TeXML document: only what concerns `<Stream>`; other verbs are taken as they are. */
import { ENCODINGS } from '../../formats.js';
import { saxes } from '../../packages.js';
import { BIDIRECTIONAL_MODES, STREAM_CODECS, STREAM_TRACKS } from '../requests.js';
import { checkChoice, checkPlayback, checkTrack } from './body.js';
import type { Findings } from './findings.js';
import { likely, sameSpelling } from './suggest.js';
import { checkStreamUrl } from './url.js';

/** In Hz; TeXML lists fewer than the REST commands. */
export const TEXML_RATES = ['8000', '16000', '24000'] as const;
export const CALLBACK_METHODS = ['GET', 'POST'] as const;
const FLAGS = ['true', 'false'] as const;

const STREAM_ATTRIBUTES = [
  'url',
  'track',
  'name',
  'codec',
  'bidirectionalMode',
  'bidirectionalCodec',
  'bidirectionalSamplingRate',
  'statusCallback',
  'statusCallbackMethod',
  'enableReconnect',
] as const;
const ELEMENTS = ['Response', 'Start', 'Stop', 'Connect', 'Stream', 'Parameter'] as const;
/** Nesting that no document needs; the parser keeps a list of open elements. */
const DEPTH_MAX = 100;
/** A document longer than this is not read: in characters. */
const TEXT_MAX = 1_000_000;

type Attributes = Readonly<Record<string, string>>;
const has = (attributes: Attributes, name: string): boolean => Object.hasOwn(attributes, name);
const get = (attributes: Attributes, name: string): string | undefined =>
  has(attributes, name) ? attributes[name] : undefined;

interface Element {
  name: string;
  /** Names of the parameters seen inside, where this is a `<Stream>`. */
  parameters: Set<string>;
}

export function checkTexmlText(findings: Findings, text: string): void {
  if (text.length > TEXT_MAX) {
    findings.add('bad_xml', 'document', undefined, `${text.length} characters`, `at most ${TEXT_MAX}`);
    return;
  }
  const open: Element[] = [];
  let streams = 0;
  /** The last verb that stands directly in `<Response>`. */
  let lastVerb: { name: string; line: number; hasStream: boolean } | undefined;

  const parser = new (saxes().SaxesParser)({ xmlns: false, position: true });
  parser.on('error', error => {
    throw error;
  });
  parser.on('doctype', () => {
    throw new Error('a document type is not taken');
  });
  parser.on('opentag', tag => {
    findings.line = parser.line;
    if (open.length >= DEPTH_MAX) throw new Error(`more than ${DEPTH_MAX} elements inside each other`);
    const parent = open.at(-1);
    const attributes = tag.attributes as Attributes;
    if (!parent && tag.name !== 'Response') {
      findings.add('texml_root', tag.name, undefined, 'the root is not <Response>', 'wrap it in <Response>');
    }
    if (open.length === 1) lastVerb = { name: tag.name, line: parser.line, hasStream: false };
    if (!(ELEMENTS as readonly string[]).includes(tag.name)) {
      const meant = sameSpelling(tag.name, ELEMENTS);
      if (meant !== undefined && open.length > 0) {
        const problem = 'names of elements are case-sensitive';
        findings.add('texml_element', tag.name, undefined, problem, `<${meant}>`);
      } else if (parent?.name === 'Stream') {
        const problem = '<Stream> holds only <Parameter>';
        findings.add('texml_element', tag.name, undefined, problem, '<Parameter name="…" value="…"/>');
      }
    }
    if (tag.name === 'Parameter') checkParameter(findings, parent, attributes);
    if (tag.name === 'Stream' && parent?.name !== 'Stop') {
      streams++;
      if (lastVerb) lastVerb.hasStream = true;
      checkStream(findings, parent?.name, attributes, streams);
    }
    open.push({ name: tag.name, parameters: new Set() });
  });
  parser.on('closetag', () => {
    open.pop();
  });
  try {
    parser.write(text).close();
  } catch (error) {
    findings.line = parser.line;
    const reason = error instanceof Error ? error.message.replace(/^\d+:\d+: /, '') : String(error);
    const remedy = 'escape & as &amp; and < as &lt;, close every element; buildTexml() writes valid XML';
    findings.add('bad_xml', 'document', undefined, `not well-formed: ${reason}`, remedy);
    return;
  }
  if (lastVerb?.name === 'Start' && lastVerb.hasStream) {
    findings.line = lastVerb.line;
    const problem = '<Start> does not wait: nothing follows it, so the call ends';
    findings.add(
      'start_ends_call',
      'Start',
      undefined,
      problem,
      '<Connect> instead, or <Pause length="…"/> after it',
    );
  }
  findings.line = undefined;
  if (streams === 0) {
    const problem = 'the document starts no stream';
    findings.add('no_stream', 'Stream', undefined, problem, '<Connect><Stream url="wss://…"/></Connect>');
  }
}

function checkParameter(findings: Findings, parent: Element | undefined, attributes: Attributes): void {
  const both = '<Parameter name="…" value="…"/>';
  // Conversation relays have parameters of their own.
  if (parent?.name === 'ConversationRelay' || parent?.name === 'Siprec') return;
  if (parent?.name !== 'Stream') {
    findings.add('texml_place', 'Parameter', undefined, 'it stands outside <Stream>', 'put it into <Stream>');
    return;
  }
  const name = get(attributes, 'name');
  if (!name || !has(attributes, 'value')) {
    const problem = 'name and value are both needed';
    findings.add('parameter_shape', 'Parameter', JSON.stringify(attributes), problem, both);
    return;
  }
  for (const other of Object.keys(attributes)) {
    if (other === 'name' || other === 'value') continue;
    findings.add('unknown_field', `Parameter.${other}`, attributes[other], 'no such attribute', both);
  }
  if (parent.parameters.has(name)) {
    const problem = 'this name stands twice: start carries an object, so one value is lost';
    findings.add('duplicate_parameter', 'Parameter.name', name, problem, 'one <Parameter> a name');
  }
  parent.parameters.add(name);
}

function checkStream(
  findings: Findings,
  parent: string | undefined,
  attributes: Attributes,
  count: number,
): void {
  if (parent !== 'Start' && parent !== 'Connect') {
    const problem = `it stands in ${parent === undefined ? 'nothing' : `<${parent}>`}`;
    findings.add('texml_place', 'Stream', undefined, problem, 'put it into <Connect>, or into <Start>');
  }
  if (count === 2) {
    const problem = 'a call has one bidirectional stream: this one replaces the first';
    findings.add('second_stream', 'Stream', undefined, problem, 'one <Stream>');
  }
  for (const [name, value] of Object.entries(attributes)) {
    if ((STREAM_ATTRIBUTES as readonly string[]).includes(name)) continue;
    checkStrangeAttribute(findings, name, value);
  }
  const url = get(attributes, 'url');
  if (!url) {
    findings.add('missing_stream_url', 'Stream.url', url, 'no address to stream to', 'url="wss://…"');
  } else checkStreamUrl(findings, 'Stream.url', url);

  const choice = (name: string, values: readonly string[]): string | undefined => {
    const value = get(attributes, name);
    if (value !== undefined) checkChoice(findings, `Stream.${name}`, value, values);
    return value;
  };
  checkTrack(findings, 'Stream.track', choice('track', STREAM_TRACKS));
  const codec = choice('codec', STREAM_CODECS);
  if (codec !== undefined && STREAM_CODECS.includes(codec as never) && !/^(PCM[UA]|default)$/.test(codec)) {
    const problem = "TeXML transcodes between PCMU and PCMA only: the stream arrives in the call's own codec";
    findings.add(
      'codec_not_transcoded',
      'Stream.codec',
      codec,
      problem,
      'leave it out and read the codec from start',
    );
  }
  const rate = choice('bidirectionalSamplingRate', TEXML_RATES);
  checkPlayback(findings, {
    mode: ['Stream.bidirectionalMode', choice('bidirectionalMode', BIDIRECTIONAL_MODES)],
    codec: ['Stream.bidirectionalCodec', choice('bidirectionalCodec', ENCODINGS)],
    rate: ['Stream.bidirectionalSamplingRate', rate === undefined ? undefined : Number(rate)],
    hasRate: true,
  });
  choice('statusCallbackMethod', CALLBACK_METHODS);
  choice('enableReconnect', FLAGS);
  const callback = get(attributes, 'statusCallback');
  if (callback !== undefined && !(/^https?:\/\//i.test(callback) && URL.canParse(callback))) {
    const problem = 'this is no http or https address';
    findings.add('callback_url', 'Stream.statusCallback', callback, problem, 'https://…');
  }
}

function checkStrangeAttribute(findings: Findings, name: string, value: string): void {
  const field = `Stream.${name}`;
  if (/token/i.test(name)) {
    const problem = 'TeXML takes no token: the WebSocket opens without one';
    findings.add(
      'token_not_taken',
      field,
      value,
      problem,
      'use Call Control: answer, then streaming_start with the token',
    );
    return;
  }
  const meant = likely(name.replace(/^stream_?/i, ''), STREAM_ATTRIBUTES);
  const remedy = meant === undefined ? 'leave it out' : `did you mean ${meant}?`;
  findings.add('unknown_field', field, value, 'no such attribute', remedy);
}
