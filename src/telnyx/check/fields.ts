/**
 * Which fields each command has, and of which JSON type. Those of streams are checked to the value; a command's other
 * fields only to their type, so that a misspelt stream field is told from a field of something else.
 */
import { ENCODINGS } from '../../formats.js';
import {
  BIDIRECTIONAL_MODES,
  BIDIRECTIONAL_RATES,
  type Command,
  STREAM_CODECS,
  STREAM_TRACKS,
  TARGET_LEGS,
} from '../requests.js';

export type FieldRule =
  | { type: 'string' | 'boolean' | 'integer' | 'object' | 'list' | 'strings' }
  /** One of these strings, exactly. */
  | { type: 'choice'; values: readonly string[] }
  /** One of these numbers. */
  | { type: 'number'; values: readonly number[] }
  | { type: 'stream_url' | 'base64' | 'token' | 'parameters' | 'dialogflow' };

const string = { type: 'string' } as const;
const boolean = { type: 'boolean' } as const;
const integer = { type: 'integer' } as const;
const object = { type: 'object' } as const;
const list = { type: 'list' } as const;
const choice = (...values: string[]): FieldRule => ({ type: 'choice', values });

const STREAM: Record<string, FieldRule> = {
  stream_url: { type: 'stream_url' },
  stream_track: { type: 'choice', values: STREAM_TRACKS },
  stream_codec: { type: 'choice', values: STREAM_CODECS },
  stream_bidirectional_mode: { type: 'choice', values: BIDIRECTIONAL_MODES },
  stream_bidirectional_codec: { type: 'choice', values: ENCODINGS },
  stream_bidirectional_target_legs: { type: 'choice', values: TARGET_LEGS },
  client_state: { type: 'base64' },
  command_id: string,
};

const STREAM_EXTRA: Record<string, FieldRule> = {
  stream_bidirectional_sampling_rate: { type: 'number', values: BIDIRECTIONAL_RATES },
  stream_auth_token: { type: 'token' },
  enable_dialogflow: boolean,
  dialogflow_config: { type: 'dialogflow' },
};

/** What `answer` and `dial` have in common beside streams. */
const CALL: Record<string, FieldRule> = {
  assistant: object,
  billing_group_id: string,
  conversation_relay_config: object,
  custom_headers: list,
  deepfake_detection: object,
  preferred_codecs: string,
  record: choice('record-from-answer'),
  record_channels: choice('single', 'dual'),
  record_custom_file_name: string,
  record_format: choice('wav', 'mp3'),
  record_max_length: integer,
  record_timeout_secs: integer,
  record_track: choice('both', 'inbound', 'outbound'),
  record_trim: choice('trim-silence'),
  send_silence_when_idle: boolean,
  sip_headers: list,
  sound_modifications: object,
  transcription: boolean,
  transcription_config: object,
  webhook_retries_policies: object,
  webhook_url: string,
  webhook_url_method: choice('POST', 'GET'),
  webhook_urls: object,
  webhook_urls_method: choice('POST', 'GET'),
};

const DIAL: Record<string, FieldRule> = {
  connection_id: string,
  from: string,
  to: { type: 'strings' },
  answering_machine_detection: choice(
    'premium',
    'detect',
    'detect_beep',
    'detect_words',
    'greeting_end',
    'disabled',
  ),
  answering_machine_detection_config: object,
  audio_url: string,
  bridge_intent: boolean,
  bridge_on_answer: boolean,
  conference_config: object,
  diversion: string,
  from_display_name: string,
  link_to: string,
  media_encryption: choice('disabled', 'SRTP', 'DTLS'),
  media_name: string,
  park_after_unbridge: string,
  prevent_double_bridge: boolean,
  privacy: choice('id', 'none'),
  retry_on_timeout: boolean,
  route_to_mobile: boolean,
  send_digits_on_answer: string,
  sip_auth_password: string,
  sip_auth_username: string,
  sip_region: choice('US', 'Europe', 'Canada', 'Australia', 'Middle East'),
  sip_transport_protocol: choice('UDP', 'TCP', 'TLS'),
  stream_establish_before_call_originate: boolean,
  supervise_call_control_id: string,
  supervisor_role: choice('barge', 'whisper', 'monitor'),
  time_limit_secs: integer,
  timeout_secs: integer,
};

/** Without a prototype, so that a field named `constructor` is not found. */
const table = (...parts: Record<string, FieldRule>[]): Readonly<Record<string, FieldRule>> =>
  Object.freeze(Object.assign(Object.create(null), ...parts));

export const FIELDS: Readonly<Record<Command, Readonly<Record<string, FieldRule>>>> = {
  streaming_start: table(STREAM, STREAM_EXTRA, { custom_parameters: { type: 'parameters' } }),
  answer: table(STREAM, CALL),
  dial: table(STREAM, STREAM_EXTRA, CALL, DIAL),
};

export const REQUIRED: Readonly<Record<Command, readonly string[]>> = {
  streaming_start: [],
  answer: [],
  dial: ['connection_id', 'from', 'to'],
};
