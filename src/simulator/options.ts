import { SidetoneError, shown } from '../errors.js';
import { CODECS, ENCODINGS, type Encoding, isEncoding } from '../formats.js';
import { isPlainObject } from '../objects.js';
import type { Random } from './random.js';

/** The digits of a telephone keypad, as the specification lists them. */
const DIGITS = '0123456789*#ABCD';

/** What one simulated call is like. Everything has a default; times are in ms. */
export interface CallOptions {
  /** What the caller says: encoded payloads, one every `ptimeMs`. Default: nothing. */
  inbound?: readonly Uint8Array[];
  /** What the other leg says. Given (even empty), the stream carries both tracks. */
  outbound?: readonly Uint8Array[];
  /** A payload of silence, sent on every track that has nothing (more) to say. Default: nothing is sent then. */
  idle?: Uint8Array;
  /** Of the caller's audio, as `start` announces it. Default PCMU. */
  encoding?: Encoding;
  /** As `start` announces it: 8000 or 16000. Default: 16000 for OPUS, AMR-WB and L16, otherwise 8000. */
  sampleRate?: number;
  /** How far apart the payloads of a track are. Default 20. */
  ptimeMs?: number;

  /** `rtp`: the application sends RTP payloads. `mp3`: MP3 files, at most one a second. Default rtp. */
  mode?: 'rtp' | 'mp3';
  /** stream_bidirectional_codec: what the application must send. Default: `encoding`. */
  outboundEncoding?: Encoding;
  /** stream_bidirectional_sampling_rate: 8000, 16000, 22050, 24000 or 48000. Default: as for `sampleRate`. */
  outboundSampleRate?: number;
  /** How the application must pack AMR-WB (RFC 4867, sections 4.3 and 4.4). Default bandwidth-efficient. */
  amrWbFraming?: 'bandwidth-efficient' | 'octet-aligned';

  /** Unit of `media.timestamp`, which the specification leaves open: RTP clock units or ms. Default rtp. */
  timestampUnit?: 'rtp' | 'ms';
  /** First `media.timestamp`; counts modulo 2^32. Default 0. */
  timestampOrigin?: number;
  /** First `media.chunk`, which the specification leaves open. Default 1. */
  chunkOrigin?: number;
  /** Whether chunks are counted a track or a stream, where there are two tracks. Default track. */
  chunkCounting?: 'track' | 'stream';

  /** From the opening of the WebSocket to the answer, which brings `start`. Default 0. */
  startDelayMs?: number;
  /** From `start` to the end of the call; `Infinity`: until `hangup()`. Default: the audio and `lingerMs`. */
  durationMs?: number;
  /** How long the caller stays on after the last word. Default 1000. */
  lingerMs?: number;
  /** `stop`: a `stop` frame and a close, as Telnyx does. `abrupt`: the connection breaks (1006). Default stop. */
  ending?: 'stop' | 'abrupt';
  /** Digits that the caller dials, in ms since `start`. */
  dtmf?: readonly { atMs: number; digit: string }[];

  /** See `ImpairmentOptions`. Defaults 0: the network is perfect. */
  shuffle?: number;
  /** Share of media frames that are lost, 0 to 1. Default 0. */
  loss?: number;
  /** Share of media frames that are sent twice, 0 to 1. Default 0. */
  duplicate?: number;
  /** Everything random follows from it. Default: derived from the simulator's seed. */
  seed?: number;

  /** Sent as the upgrade header and in `connected`. Default none. */
  authToken?: string;
  /** Default: made from the seed, as the next three. */
  streamId?: string;
  /** Telnyx's id of the account's user. */
  userId?: string;
  /** The call. */
  callControlId?: string;
  /** Telnyx's id of the session. */
  callSessionId?: string;
  /** Default +13122010094. */
  from?: string;
  /** Default +13122123456. */
  to?: string;
  /** Default: not in `start`. */
  tags?: readonly string[];
  /** Base64, as the application gave it to Call Control. Default: not in `start`. */
  clientState?: string;
  /** As `start.custom_parameters` has them. Default: not in `start`. */
  customParameters?: Readonly<Record<string, string>>;

  /** Media messages a second above which the application draws error 100005, after a burst. Defaults 100, 300. */
  messageRateMax?: number;
  /** Messages that may come at once before `messageRateMax` counts. Default 300. */
  messageBurstMax?: number;
  /** Audio that may wait to be played; more draws error 100005. Default ten minutes: 4.8 MB of G.711. */
  queueMsMax?: number;
  /** Silence shorter than this is a gap inside an utterance, longer is a pause between two. Default 500. */
  utteranceGapMs?: number;
  /** Keys that the specification does not know, in the application's frames. Default warn. */
  extraKeys?: 'warn' | 'refuse';
}

/** `CallOptions` with every default filled in. */
export type ResolvedCallOptions = Required<Omit<CallOptions, OptionalKeys>> & Pick<CallOptions, OptionalKeys>;
type OptionalKeys = 'outbound' | 'idle' | 'authToken' | 'clientState' | 'customParameters' | 'tags';

const wideband = (encoding: Encoding): boolean => ['OPUS', 'AMR-WB', 'L16'].includes(encoding);

/** Fills in the defaults, with ids from `random`, and refuses what makes no sense (SIDETONE_BAD_OPTION). */
export function resolveCallOptions(options: CallOptions, random: Random): ResolvedCallOptions {
  const { encoding = 'PCMU' } = options;
  check('encoding', encoding, isEncoding(encoding), `one of ${ENCODINGS.join(', ')}`);
  const sampleRate = options.sampleRate ?? (wideband(encoding) ? 16000 : 8000);
  const outboundEncoding = options.outboundEncoding ?? encoding;
  const { ptimeMs = 20, lingerMs = 1000 } = options;
  check('ptimeMs', ptimeMs, typeof ptimeMs === 'number', 'a number from 1 to 1000');
  check('lingerMs', lingerMs, typeof lingerMs === 'number', 'a number from 0 to 3600000');
  const frames = Math.max(options.inbound?.length ?? 0, options.outbound?.length ?? 0);
  const resolved: ResolvedCallOptions = {
    inbound: [],
    encoding,
    sampleRate,
    ptimeMs,
    mode: 'rtp',
    outboundEncoding,
    outboundSampleRate:
      outboundEncoding === encoding ? sampleRate : wideband(outboundEncoding) ? 16000 : 8000,
    amrWbFraming: 'bandwidth-efficient',
    timestampUnit: 'rtp',
    timestampOrigin: 0,
    chunkOrigin: 1,
    chunkCounting: 'track',
    startDelayMs: 0,
    durationMs: frames * ptimeMs + lingerMs,
    lingerMs,
    ending: 'stop',
    dtmf: [],
    shuffle: 0,
    loss: 0,
    duplicate: 0,
    seed: random.seed,
    streamId: random.uuid(),
    userId: random.uuid(),
    callControlId: `v2:${random.token(54)}`,
    callSessionId: random.uuid(),
    from: '+13122010094',
    to: '+13122123456',
    messageRateMax: 100,
    messageBurstMax: 300,
    queueMsMax: 600_000,
    utteranceGapMs: 500,
    extraKeys: 'warn',
    ...withoutUndefined(options),
  };
  validate(resolved);
  return resolved;
}

function withoutUndefined(options: CallOptions): CallOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** @throws SidetoneError SIDETONE_BAD_OPTION unless `ok` */
export function check(field: string, value: unknown, ok: boolean, remedy: string): void {
  // `value` may be all payloads of a call, so it becomes text only where it is wrong.
  if (ok) return;
  const text = typeof value === 'string' ? value : shown(value);
  throw new SidetoneError('SIDETONE_BAD_OPTION', `${field} is ${text}: give ${remedy}`);
}

/** What a seed may be: Random takes it modulo 2^32. */
export function checkSeed(seed: number | undefined): void {
  check('seed', seed, seed === undefined || Number.isSafeInteger(seed), 'a whole number');
}

/** The field tells whether a text is secret: a message never shows a token. */
function checkText(field: string, value: unknown): void {
  const isText = value === undefined || typeof value === 'string';
  check(field, field === 'authToken' ? `a ${typeof value}` : value, isText, 'a string');
}

const TEXTS = [
  ...(['authToken', 'streamId', 'userId', 'callControlId', 'callSessionId'] as const),
  ...(['from', 'to', 'clientState'] as const),
];
const isPayload = (value: unknown): boolean => value instanceof Uint8Array;

function validate(options: ResolvedCallOptions): void {
  const oneOf = (field: keyof ResolvedCallOptions, allowed: readonly unknown[]): void =>
    check(field, options[field], allowed.includes(options[field]), `one of ${allowed.join(', ')}`);
  const range = (field: keyof ResolvedCallOptions, min: number, max: number, whole = false): void => {
    const value = options[field] as number;
    const ok =
      typeof value === 'number' && value >= min && value <= max && (!whole || Number.isInteger(value));
    check(field, value, ok, `${whole ? 'a whole number' : 'a number'} from ${min} to ${max}`);
  };
  oneOf('outboundEncoding', ENCODINGS);
  oneOf('sampleRate', [8000, 16000]);
  oneOf('outboundSampleRate', [8000, 16000, 22050, 24000, 48000]);
  oneOf('mode', ['rtp', 'mp3']);
  oneOf('amrWbFraming', ['bandwidth-efficient', 'octet-aligned']);
  oneOf('timestampUnit', ['rtp', 'ms']);
  oneOf('chunkCounting', ['track', 'stream']);
  oneOf('ending', ['stop', 'abrupt']);
  oneOf('extraKeys', ['warn', 'refuse']);
  range('ptimeMs', 1, 1000);
  range('timestampOrigin', 0, 2 ** 32 - 1, true);
  range('chunkOrigin', 0, Number.MAX_SAFE_INTEGER, true);
  range('startDelayMs', 0, 3_600_000);
  range('lingerMs', 0, 3_600_000);
  range('durationMs', 0, Number.POSITIVE_INFINITY);
  range('shuffle', 0, 1000, true);
  range('loss', 0, 1);
  range('duplicate', 0, 1);
  range('messageRateMax', 1, 1e9);
  range('messageBurstMax', 1, 1e9);
  range('queueMsMax', 30_000, 1e9);
  range('utteranceGapMs', 0, 1e9);
  for (const field of TEXTS) checkText(field, options[field]);
  for (const field of ['inbound', 'outbound'] as const) {
    const payloads = options[field];
    const ok = payloads === undefined || (Array.isArray(payloads) && payloads.every(isPayload));
    check(field, payloads, ok, 'an array of Uint8Array');
  }
  check('idle', options.idle, options.idle === undefined || isPayload(options.idle), 'a Uint8Array');
  const { tags, customParameters, dtmf } = options;
  const isText = (value: unknown): boolean => typeof value === 'string';
  const tagsOk = tags === undefined || (Array.isArray(tags) && tags.every(isText));
  check('tags', tags, tagsOk, 'an array of strings');
  const parametersOk =
    customParameters === undefined ||
    (isPlainObject(customParameters) && Object.values(customParameters).every(isText));
  check('customParameters', customParameters, parametersOk, 'an object of strings');
  check('dtmf', dtmf, Array.isArray(dtmf) && dtmf.every(isPlainObject), 'an array of { atMs, digit }');
  for (const { atMs, digit } of dtmf) {
    check('dtmf.atMs', atMs, typeof atMs === 'number' && atMs >= 0, 'ms since start, 0 or more');
    checkDigit(digit);
  }
}

/** Refuses what is no key of a telephone (SIDETONE_BAD_OPTION). */
export function checkDigit(digit: string): void {
  const ok = typeof digit === 'string' && digit.length === 1 && DIGITS.includes(digit);
  check('dtmf digit', digit, ok, 'one of 0 to 9, *, #, A to D');
}

/** By how much `media.timestamp` grows from one frame of a track to the next. */
export function timestampStep(options: ResolvedCallOptions): number {
  if (options.timestampUnit === 'ms') return options.ptimeMs;
  return (CODECS[options.encoding].clockRate(options.sampleRate) * options.ptimeMs) / 1000;
}
