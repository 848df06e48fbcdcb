/** Checks a JSON body of Call Control: first every field by itself, then what fields mean together. */
import { CODECS, isEncoding } from '../../formats.js';
import { isObject } from '../../objects.js';
import { AUTH_TOKEN_MAX, type Command } from '../requests.js';
import { FIELDS, type FieldRule, REQUIRED } from './fields.js';
import type { Findings } from './findings.js';
import { likely, sameSpelling } from './suggest.js';
import { checkStreamUrl } from './url.js';

type Body = Readonly<Record<string, unknown>>;

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const SENDABLE = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;

export function checkBody(findings: Findings, body: Body, command: Command): void {
  for (const [field, value] of Object.entries(body)) {
    const rule = FIELDS[command][field];
    if (rule) checkField(findings, field, value, rule);
    else checkStranger(findings, field, value, command);
  }
  for (const field of REQUIRED[command]) {
    if (body[field] !== undefined) continue;
    findings.add('missing_field', field, undefined, `${command} needs it`, `add ${field}`);
  }
  checkTogether(findings, body, command);
}

/** A field that the command does not have. */
function checkStranger(findings: Findings, field: string, value: unknown, command: Command): void {
  if (field === 'stream_auth_token') {
    const problem = `${command} takes no token: the WebSocket opens without one`;
    findings.add(
      'token_not_taken',
      field,
      value,
      problem,
      'answer first, then send streaming_start with the token',
    );
    return;
  }
  const owners = (Object.keys(FIELDS) as Command[]).filter(other => FIELDS[other][field]);
  if (owners.length > 0) {
    const remedy =
      command === 'answer' && owners.includes('streaming_start')
        ? 'answer without it, then send streaming_start with it'
        : `leave it out, or use ${owners.join(' or ')}`;
    findings.add('wrong_command', field, value, `${command} does not have this field`, remedy);
    return;
  }
  const meant = likely(field, Object.keys(FIELDS[command]));
  const remedy = meant === undefined ? 'leave it out' : `did you mean ${meant}?`;
  findings.add('unknown_field', field, value, 'no such field', remedy);
}

/** A string out of a list: exact, or said how it is spelt. */
export function checkChoice(
  findings: Findings,
  field: string,
  value: string,
  values: readonly string[],
): void {
  if (values.includes(value)) return;
  const same = sameSpelling(value, values);
  if (same !== undefined) {
    findings.add('wrong_case', field, value, 'the spelling is exact, case included', same);
    return;
  }
  const meant = likely(value, values);
  const remedy = meant === undefined ? `one of ${values.join(', ')}` : `did you mean ${meant}?`;
  findings.add('not_in_list', field, value, `not one of ${values.join(', ')}`, remedy);
}

function checkField(findings: Findings, field: string, value: unknown, rule: FieldRule): void {
  const wrongType = (wanted: string, remedy = `give ${wanted}`): void => {
    const is = value === null ? 'null' : Array.isArray(value) ? 'a list' : `a JSON ${typeof value}`;
    findings.add('wrong_type', field, value, `this is ${is}: ${wanted} is wanted`, remedy);
  };
  switch (rule.type) {
    case 'string':
      if (typeof value !== 'string') wrongType('a string');
      return;
    case 'boolean':
      if (typeof value !== 'boolean') wrongType('true or false', 'write it without quotes');
      return;
    case 'integer':
      if (!Number.isSafeInteger(value)) wrongType('a whole number', 'write it without quotes');
      return;
    case 'object':
      if (!isObject(value)) wrongType('an object');
      return;
    case 'list':
      if (!Array.isArray(value)) wrongType('a list');
      return;
    case 'strings':
      if (typeof value === 'string') return;
      if (!Array.isArray(value) || !value.every(one => typeof one === 'string'))
        wrongType('a string or a list of strings');
      return;
    case 'choice':
      if (typeof value !== 'string') wrongType('a string');
      else checkChoice(findings, field, value, rule.values);
      return;
    case 'number':
      if (typeof value !== 'number') wrongType('a number', 'write it without quotes');
      else if (!rule.values.includes(value)) {
        const values = rule.values.join(', ');
        findings.add('not_in_list', field, value, `not one of ${values}`, `one of ${values}`);
      }
      return;
    case 'stream_url':
      if (typeof value !== 'string') wrongType('a string');
      else if (value === '') missingUrl(findings, field, value);
      else checkStreamUrl(findings, field, value);
      return;
    case 'base64':
      if (typeof value !== 'string') wrongType('a string');
      else if (!BASE64.test(value)) {
        const urlSafe = /^[A-Za-z0-9_-]+=*$/.test(value) && /[_-]/.test(value);
        const problem = urlSafe ? 'this is URL-safe base64' : 'this is not base64 with padding';
        findings.add('client_state_base64', field, value, problem, "Buffer.from(text).toString('base64')");
      }
      return;
    case 'token':
      if (typeof value !== 'string') wrongType('a string');
      else if (value.length > AUTH_TOKEN_MAX) {
        const problem = `${value.length} characters; Telnyx takes ${AUTH_TOKEN_MAX}`;
        findings.add('token_too_long', field, value, problem, 'a shorter token');
      } else if (!SENDABLE.test(value)) {
        const problem = 'the token travels as an HTTP header, which cannot carry it';
        findings.add(
          'token_unsendable',
          field,
          value,
          problem,
          'printable ASCII, without spaces at its ends',
        );
      }
      return;
    case 'parameters':
      checkParameters(findings, field, value, wrongType);
      return;
    case 'dialogflow':
      if (!isObject(value)) wrongType('an object');
      else checkDialogflow(findings, field, value);
      return;
  }
}

function missingUrl(findings: Findings, field: string, value: unknown): void {
  const problem = 'no address to stream to';
  findings.add('missing_stream_url', field, value, problem, 'add the address of the media server: wss://…');
}

function checkParameters(
  findings: Findings,
  field: string,
  value: unknown,
  wrongType: (wanted: string) => void,
): void {
  if (isObject(value)) {
    const problem = 'they are sent as a list; only in start do they stand as an object';
    findings.add('parameters_not_list', field, value, problem, '[{ "name": "…", "value": "…" }]');
    return;
  }
  if (!Array.isArray(value)) {
    wrongType('a list of { name, value }');
    return;
  }
  const names = new Set<string>();
  value.forEach((entry: unknown, index) => {
    const at = `${field}[${index}]`;
    const both = '{ "name": "…", "value": "…" }';
    if (!isObject(entry) || typeof entry.name !== 'string' || typeof entry.value !== 'string') {
      findings.add('parameter_shape', at, entry, 'name and value are needed, both strings', both);
      return;
    }
    const other = Object.keys(entry).find(key => key !== 'name' && key !== 'value');
    if (other !== undefined) findings.add('parameter_shape', at, entry, `it has no ${other}`, both);
    if (entry.name === '') findings.add('parameter_shape', at, entry, 'the name is empty', 'give it a name');
    if (names.has(entry.name)) {
      const problem = 'this name stands twice: start carries an object, so one value is lost';
      findings.add('duplicate_parameter', at, entry.name, problem, 'one entry a name');
    }
    names.add(entry.name);
  });
}

const DIALOGFLOW: readonly string[] = ['analyze_sentiment', 'partial_automated_agent_reply'];

function checkDialogflow(findings: Findings, field: string, config: Body): void {
  for (const [key, value] of Object.entries(config)) {
    const at = `${field}.${key}`;
    if (DIALOGFLOW.includes(key)) checkField(findings, at, value, { type: 'boolean' });
    else {
      const meant = likely(key, DIALOGFLOW);
      const remedy = meant === undefined ? `one of ${DIALOGFLOW.join(', ')}` : `did you mean ${meant}?`;
      findings.add('unknown_field', at, value, 'no such field', remedy);
    }
  }
}

function checkTogether(findings: Findings, body: Body, command: Command): void {
  const dialogflow = body.enable_dialogflow === true;
  if (body.stream_url === undefined && !dialogflow) {
    const streams = Object.keys(body).some(field => field.startsWith('stream_'));
    if (command === 'streaming_start' || streams) missingUrl(findings, 'stream_url', undefined);
    else {
      const problem = `this ${command} starts no stream`;
      findings.add(
        'no_stream',
        'stream_url',
        undefined,
        problem,
        'add stream_url and the mode, or send streaming_start later',
      );
    }
  }
  if (body.dialogflow_config !== undefined && !dialogflow) {
    const problem = 'without enable_dialogflow it has no effect';
    findings.add(
      'dialogflow_off',
      'dialogflow_config',
      body.dialogflow_config,
      problem,
      '"enable_dialogflow": true',
    );
  }
  checkTrack(findings, 'stream_track', body.stream_track);
  if (typeof body.stream_url !== 'string' || body.stream_url === '') return;
  checkPlayback(findings, {
    mode: ['stream_bidirectional_mode', body.stream_bidirectional_mode],
    codec: ['stream_bidirectional_codec', body.stream_bidirectional_codec],
    rate: ['stream_bidirectional_sampling_rate', body.stream_bidirectional_sampling_rate],
    hasRate: FIELDS[command].stream_bidirectional_sampling_rate !== undefined,
  });
  const legs = body.stream_bidirectional_target_legs;
  const plays = body.stream_bidirectional_mode !== undefined || body.stream_bidirectional_codec !== undefined;
  if (plays && (legs === undefined || legs === 'opposite')) {
    const problem =
      'audio goes to the opposite leg, which an ordinary inbound call does not have: its caller hears nothing';
    findings.add('legs_opposite', 'stream_bidirectional_target_legs', legs, problem, 'self, or both');
  }
}

export function checkTrack(findings: Findings, field: string, track: unknown): void {
  if (track !== 'outbound_track') return;
  const problem = 'only what is played to this leg is streamed, not what its caller says';
  findings.add('track_without_caller', field, track, problem, 'inbound_track, or both_tracks');
}

/** Each a field's name and value. */
export interface Playback {
  mode: [string, unknown];
  codec: [string, unknown];
  rate: [string, unknown];
  /** Whether the command has a field for the rate. */
  hasRate: boolean;
}

/** Rates, in Hz, that Telnyx's guide allows for the bidirectional codec; its SDK's types allow all to every codec. */
const GUIDE_RATES: Readonly<Partial<Record<string, readonly number[]>>> = {
  OPUS: [8000, 16000],
  'AMR-WB': [8000, 16000],
  L16: [16000],
};

/** What mode, codec and rate of the audio that is played into a call mean together. */
export function checkPlayback(findings: Findings, { mode, codec, rate, hasRate }: Playback): void {
  for (const [field, value] of [codec, rate]) {
    if (value === undefined || (mode[1] !== undefined && mode[1] !== 'mp3')) continue;
    const problem = `it counts in rtp mode only, and the mode is mp3${mode[1] === undefined ? ' by default' : ''}: raw audio is ignored`;
    findings.add('codec_without_rtp', field, value, problem, `${mode[0]}: rtp`);
  }
  if (mode[1] === undefined && codec[1] === undefined && rate[1] === undefined) {
    const problem =
      'the mode is mp3 by default: raw audio from the server is ignored, the caller hears nothing';
    const remedy = `${mode[0]}: rtp; or mp3, said outright, to send MP3 files or only to listen`;
    findings.add('mp3_by_default', mode[0], undefined, problem, remedy);
  }
  if (codec[1] === 'L16' && (rate[1] === undefined || rate[1] === 8000)) {
    const problem = 'L16 at 8000 Hz: wideband audio plays at half speed, and narrowband needs no L16';
    const remedy = hasRate
      ? `${rate[0]}: 16000`
      : 'PCMU here; or answer first, then streaming_start with 16000';
    findings.add('l16_narrowband', rate[0], rate[1], problem, remedy);
  }
  const rates = isEncoding(codec[1]) ? CODECS[codec[1]].announcedRates : undefined;
  if (rates && typeof rate[1] === 'number' && !rates.includes(rate[1])) {
    const problem = `${codec[1]} has no such rate`;
    findings.add('rate_not_of_codec', rate[0], rate[1], problem, `${rates.join(', ')}; or leave it out`);
    return;
  }
  const guide = GUIDE_RATES[String(codec[1])];
  // An L16 of 8000 has been told of already, for what it sounds like.
  if (guide && typeof rate[1] === 'number' && !guide.includes(rate[1]) && rate[1] !== 8000) {
    const problem = `Telnyx's SDK knows this rate of ${codec[1]}, its guide does not: nobody promises that it is heard`;
    findings.add(
      'rate_outside_guide',
      rate[0],
      rate[1],
      problem,
      `${guide.join(' or ')}, or a test call first`,
    );
  }
}
