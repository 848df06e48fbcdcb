/**
 * A local double of Telnyx's Call Control REST endpoint: real HTTP on a free loopback port. It judges every field of a
 * body by its own table, written from the vendor's pages and apart from the checker, and refuses what Telnyx refuses.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Commands to a call that it carries out. */
const ACTIONS = [
  'streaming_start',
  'answer',
  'hangup',
  'transfer',
  'send_dtmf',
  'bridge',
  'streaming_stop',
  'record_start',
  'record_stop',
  'suppression_start',
  'suppression_stop',
] as const;

export interface DoubleRequest {
  command: (typeof ACTIONS)[number] | 'dial' | 'other';
  callControlId: string | undefined;
  body: Record<string, unknown>;
  headers: IncomingMessage['headers'];
  status: number;
  /** Same command_id for the same call as before: answered with ok and not carried out. */
  ignored: boolean;
}

interface Failure {
  /** 0: the command is carried out, and the connection breaks before its answer. */
  status: number;
  times: number;
  headers?: Record<string, string>;
  /** Sent as it is; default is Telnyx's shape for the status. */
  body?: string;
}

type Judge = (value: unknown) => boolean;
const text: Judge = value => typeof value === 'string';
const flag: Judge = value => value === true || value === false;
const whole: Judge = value => typeof value === 'number' && Number.isInteger(value);
const thing: Judge = value => typeof value === 'object' && value !== null && !Array.isArray(value);
const array: Judge = value => Array.isArray(value);
const oneOf =
  (...values: (string | number)[]): Judge =>
  value =>
    values.some(allowed => allowed === value);
const exactly = (value: unknown, keys: Record<string, Judge>): boolean =>
  thing(value) && Object.entries(value as object).every(([key, inner]) => keys[key]?.(inner) === true);

/** Telnyx's table of error codes, as far as calls and streams go (2026-04): titles and what they are about. */
const CODES: Readonly<Record<string, [title: string, detail: string, pointer?: string]>> = {
  '90015': ['Invalid Call Control ID', 'The call_control_id provided was not valid.', '/call_control_id'],
  '90017': ['Invalid value for client_state', 'The client_state must be Base-64 encoded.', '/client_state'],
  '90018': ['Call has already ended', 'This call is no longer active and can not receive commands.'],
  '90041': ['Account channel limit exceeded', 'The account has reached its limit of concurrent calls.'],
  '90042': [
    'Outbound profile channel limit exceeded',
    'The profile has reached its limit of concurrent calls.',
  ],
  '90043': ['Connection channel limit exceeded', 'The connection has reached its limit of concurrent calls.'],
  '90045': ['Media streaming in use', 'This command cannot be issued while media streaming is used.'],
  '90046': ['Media streaming failed', 'Media streaming failed to start.', '/stream_url'],
  '90048': ['Media streaming not used', 'This command can be issued only when media streaming is used.'],
};

const base64: Judge = value =>
  typeof value === 'string' &&
  Buffer.from(value, 'base64').toString('base64').length === value.length &&
  /^[A-Za-z0-9+/]*={0,2}$/.test(value);

const webSocketUrl: Judge = value => {
  if (typeof value !== 'string' || value.length > 2000 || /[\s#]/.test(value)) return false;
  try {
    const { protocol, hostname } = new URL(value);
    return /^wss?:\/\//i.test(value) && (protocol === 'wss:' || protocol === 'ws:') && hostname !== '';
  } catch {
    return false;
  }
};

const parameters: Judge = value =>
  Array.isArray(value) &&
  value.every(
    entry =>
      exactly(entry, { name: name => text(name) && name !== '', value: text }) &&
      'name' in entry &&
      'value' in entry,
  );

const stream = {
  stream_url: webSocketUrl,
  stream_track: oneOf('inbound_track', 'outbound_track', 'both_tracks'),
  stream_codec: oneOf('PCMU', 'PCMA', 'G722', 'OPUS', 'AMR-WB', 'L16', 'default'),
  stream_bidirectional_mode: oneOf('mp3', 'rtp'),
  stream_bidirectional_codec: oneOf('PCMU', 'PCMA', 'G722', 'OPUS', 'AMR-WB', 'L16'),
  stream_bidirectional_target_legs: oneOf('both', 'self', 'opposite'),
  client_state: base64,
  command_id: text,
};
const token: Judge = value => typeof value === 'string' && value.length <= 4000;
const extra = {
  stream_bidirectional_sampling_rate: oneOf(8000, 16000, 22050, 24000, 48000),
  stream_auth_token: token,
  enable_dialogflow: flag,
  dialogflow_config: (value: unknown) =>
    exactly(value, { analyze_sentiment: flag, partial_automated_agent_reply: flag }),
};
const call: Record<string, Judge> = {};
const kinds: [Judge, string][] = [
  [text, 'billing_group_id preferred_codecs record_custom_file_name webhook_url'],
  [whole, 'record_max_length record_timeout_secs'],
  [flag, 'send_silence_when_idle transcription'],
  [array, 'custom_headers sip_headers'],
  [
    thing,
    'assistant conversation_relay_config deepfake_detection sound_modifications transcription_config webhook_retries_policies webhook_urls',
  ],
  [oneOf('record-from-answer'), 'record'],
  [oneOf('single', 'dual'), 'record_channels'],
  [oneOf('wav', 'mp3'), 'record_format'],
  [oneOf('both', 'inbound', 'outbound'), 'record_track'],
  [oneOf('trim-silence'), 'record_trim'],
  [oneOf('GET', 'POST'), 'webhook_url_method webhook_urls_method'],
];
for (const [judge, names] of kinds) for (const name of names.split(' ')) call[name] = judge;
const dial: Record<string, Judge> = {
  connection_id: text,
  from: text,
  to: value => text(value) || (Array.isArray(value) && value.every(text)),
  answering_machine_detection: oneOf(
    'premium',
    'detect',
    'detect_beep',
    'detect_words',
    'greeting_end',
    'disabled',
  ),
  media_encryption: oneOf('disabled', 'SRTP', 'DTLS'),
  privacy: oneOf('id', 'none'),
  sip_region: oneOf('US', 'Europe', 'Canada', 'Australia', 'Middle East'),
  sip_transport_protocol: oneOf('UDP', 'TCP', 'TLS'),
  supervisor_role: oneOf('barge', 'whisper', 'monitor'),
};
for (const [judge, names] of [
  [
    text,
    'audio_url diversion from_display_name link_to media_name park_after_unbridge send_digits_on_answer sip_auth_password sip_auth_username supervise_call_control_id',
  ],
  [
    flag,
    'bridge_intent bridge_on_answer prevent_double_bridge retry_on_timeout route_to_mobile stream_establish_before_call_originate',
  ],
  [whole, 'time_limit_secs timeout_secs'],
  [thing, 'answering_machine_detection_config conference_config'],
] as [Judge, string][]) {
  for (const name of names.split(' ')) dial[name] = judge;
}

const spec: Record<string, Record<string, Judge>> = {
  streaming_start: { ...stream, ...extra, custom_parameters: parameters },
  // A token on an answer is dropped without a word.
  answer: { ...stream, ...call, stream_auth_token: () => true },
  dial: { ...stream, ...extra, ...call, ...dial },
};

const common = { client_state: base64, command_id: text };
const within =
  (least: number, most: number): Judge =>
  value =>
    whole(value) && (value as number) >= least && (value as number) <= most;
Object.assign(spec, {
  hangup: { ...common, custom_headers: array },
  transfer: { ...common, ...dial, ...call, target_leg_client_state: base64, mute_dtmf: text },
  send_dtmf: {
    ...common,
    digits: (value: unknown) => text(value) && /^[0-9A-DwW*#]+$/.test(value as string),
    duration_millis: within(100, 500),
  },
  bridge: { ...common, call_control_id: text, park_after_unbridge: text, play_ringtone: flag },
  streaming_stop: { ...common, stream_id: text },
  record_start: {
    ...common,
    format: oneOf('wav', 'mp3'),
    channels: oneOf('single', 'dual'),
    play_beep: flag,
    max_length: whole,
    trim: oneOf('trim-silence'),
  },
  record_stop: { ...common, recording_id: text },
  suppression_start: { ...common, direction: oneOf('inbound', 'outbound', 'both') },
  suppression_stop: common,
});
/** Fields that a command cannot do without. */
const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  dial: ['connection_id', 'from', 'to'],
  transfer: ['to'],
  send_dtmf: ['digits'],
  bridge: ['call_control_id'],
  record_start: ['format', 'channels'],
};

interface Refusal {
  status: number;
  code: string;
  title: string;
  detail: string;
  pointer?: string;
}

function refusalOf(code: string): Refusal {
  const [title, detail, pointer] = CODES[code]!;
  return { status: 422, code, title, detail, ...(pointer !== undefined && { pointer }) };
}

function judge(command: string, body: Record<string, unknown>): Refusal | undefined {
  const fields = spec[command] as Record<string, Judge>;
  const refuse = (code: string, title: string, field: string): Refusal => ({
    status: 422,
    code,
    title,
    detail: `The '${field}' parameter is not acceptable.`,
    pointer: `/${field}`,
  });
  for (const [field, value] of Object.entries(body)) {
    if (!Object.hasOwn(fields, field)) return refuse('10015', 'Bad Request', field);
    if (fields[field]?.(value)) continue;
    if (field === 'stream_url') return refuse('90046', 'Invalid stream_url', field);
    return field === 'client_state' ? refusalOf('90017') : refuse('10015', 'Bad Request', field);
  }
  const required = [...(REQUIRED[command] ?? [])];
  const wantsStream =
    command === 'streaming_start' ||
    (command !== 'streaming_stop' && Object.keys(body).some(field => field.startsWith('stream_')));
  if (wantsStream && body.enable_dialogflow !== true) required.push('stream_url');
  const missing = required.find(field => body[field] === undefined);
  return missing === undefined ? undefined : refuse('10004', 'Missing required parameter', missing);
}

export interface RestDouble {
  /** Base of the API, version included: `http://127.0.0.1:PORT/v2`. */
  base: string;
  /** Every request, oldest first. */
  requests: DoubleRequest[];
  /** Calls that have ended: commands for them are refused with 90018. */
  ended: Set<string>;
  /** Calls whose commands are refused with one of Telnyx's codes. */
  refusing: Map<string, string>;
  /** Sent with every answer: `x-ratelimit-limit` and the like. */
  answerHeaders: Record<string, string>;
  /** The next requests fail like this, whatever they hold. */
  failNext(failure: Failure): void;
  /** Called for every command that was carried out. */
  onCommand: ((request: DoubleRequest) => void) | undefined;
  close(): Promise<void>;
}

const ROUTE = new RegExp(`^/v2/calls(?:/([^/]+)/actions/(${ACTIONS.join('|')}))?$`);

async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

/** Starts the double on a free loopback port. Commands must carry `apiKey`. */
export async function startRestDouble(apiKey: string): Promise<RestDouble> {
  const failures: Failure[] = [];
  const done = new Set<string>();

  function answer(response: ServerResponse, status: number, body: unknown, headers = {}): void {
    const bytes = typeof body === 'string' ? body : JSON.stringify(body);
    const all = { 'content-type': 'application/json', ...double.answerHeaders, ...headers };
    response.writeHead(status, all).end(bytes);
  }
  function refuse(
    response: ServerResponse,
    { status, code, title, detail, pointer }: Refusal,
    headers = {},
  ): void {
    const source = pointer === undefined ? {} : { source: { pointer } };
    answer(response, status, { errors: [{ code, title, detail, ...source }] }, headers);
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const raw = await readBody(request);
    const path = ROUTE.exec(request.url ?? '');
    const record: DoubleRequest = {
      command: path ? ((path[2] ?? 'dial') as DoubleRequest['command']) : 'other',
      callControlId: path?.[1] === undefined ? undefined : decodeURIComponent(path[1]),
      body: {},
      headers: request.headers,
      status: 200,
      ignored: false,
    };
    double.requests.push(record);
    const no = (refusal: Refusal, headers = {}): void => {
      record.status = refusal.status;
      refuse(response, refusal, headers);
    };
    let isLost = false;
    const failure = failures[0];
    if (failure) {
      if (--failure.times <= 0) failures.shift();
      record.status = failure.status;
      isLost = failure.status === 0;
      if (isLost) record.status = 200;
      else if (failure.body !== undefined) answer(response, failure.status, failure.body, failure.headers);
      else {
        const title = failure.status === 429 ? 'Too many requests' : 'Unexpected error';
        const code = failure.status === 429 ? '10011' : '10007';
        refuse(response, { status: failure.status, code, title, detail: title }, failure.headers);
      }
      if (!isLost) return;
    }
    if (request.headers.authorization !== `Bearer ${apiKey}`)
      return no({
        status: 401,
        code: '10009',
        title: 'Authentication failed',
        detail: 'No key found matching the ID.',
      });
    if (!path || request.method !== 'POST')
      return no({
        status: 404,
        code: '10005',
        title: 'Resource not found',
        detail: 'The requested resource could not be found.',
      });
    if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
      return no({ status: 415, code: '10014', title: 'Unsupported Media Type', detail: 'JSON is wanted.' });
    try {
      const parsed: unknown = JSON.parse(raw);
      if (!thing(parsed)) throw new Error('not an object');
      record.body = parsed as Record<string, unknown>;
    } catch {
      return no({
        status: 400,
        code: '10015',
        title: 'Bad Request',
        detail: 'The request is not well-formed.',
      });
    }
    const code = double.ended.has(record.callControlId ?? '')
      ? '90018'
      : double.refusing.get(record.callControlId ?? '');
    if (code !== undefined) return no(refusalOf(code));
    const refusal = judge(record.command, record.body);
    if (refusal) return no(refusal);
    const id = record.body.command_id;
    const key = `${record.callControlId} ${String(id)}`;
    record.ignored = id !== undefined && record.command !== 'dial' && done.has(key);
    if (id !== undefined) done.add(key);
    if (isLost) response.destroy();
    else answer(response, 200, { data: { result: 'ok' } });
    if (!record.ignored) double.onCommand?.(record);
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(error => response.destroy(error as Error));
  });
  // A connection that is closed while idle races with the next request on it.
  server.keepAliveTimeout = 0;
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const double: RestDouble = {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v2`,
    requests: [],
    ended: new Set(),
    refusing: new Map(),
    answerHeaders: {},
    failNext: failure => void failures.push({ ...failure }),
    onCommand: undefined,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return double;
}
