/** The options of the realtime plugin: what they may be, their defaults, and what the environment says. */
import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { readMono } from '../../audio/wav.js';
import { checkHearing } from '../../plugin/hearing.js';
import type { VadOptions } from '../../plugin/speech.js';
import type { BuiltInTools, RealtimeTool } from './tools.js';

/** Prices in any currency, for a million tokens of each kind. */
export interface TokenPrices {
  /** Text that goes to the service. */
  textIn: number;
  /** The caller's audio. */
  audioIn: number;
  /** Input that the service had already. Default: as textIn. */
  cachedIn?: number;
  /** Text of the answers. */
  textOut: number;
  /** Audio of the answers. */
  audioOut: number;
}

/** PCM at one of SAMPLE_RATES, or the path of a WAV file. */
export type RealtimeSound = string | { samples: Int16Array; sampleRate: number };

/** Options of `realtime()`, of its entry in `plugins` and of `pluginOptions`. Durations are in ms. */
export interface RealtimeOptions {
  /** Address of the service, ws: or wss:, whole. Default: `SIDETONE_REALTIME_URL`. */
  url?: string | undefined;
  /** Sent as `Authorization: Bearer`. Default: `SIDETONE_REALTIME_KEY`, or none. */
  key?: string | undefined;
  /** A file with the key and nothing else. Default: `SIDETONE_REALTIME_KEY_FILE`, or none. */
  keyFile?: string | undefined;
  /** Default: `SIDETONE_REALTIME_MODEL`, or what the address says. It is also added to the address as `model`. */
  model?: string | undefined;
  /** Default: `SIDETONE_REALTIME_VOICE`, or the service's. */
  voice?: string | undefined;
  /** What the model is and does. Default: `SIDETONE_REALTIME_INSTRUCTIONS`, or the service's. */
  instructions?: string | undefined;
  /** Headers of the connection, such as another vendor's key. */
  headers?: Record<string, string>;
  /** Form of `session.update`: `beta` for services that know only the protocol of before. Default ga. */
  protocol?: 'ga' | 'beta';
  /** Model for the transcript of the caller's words; null: none, and a new session after a loss does not know them. */
  transcriptionModel?: string | null;
  /** `turn_detection` as the service takes it. Default `{ type: 'server_vad' }`. */
  turnDetection?: Record<string, unknown>;
  /**
   * The model falls silent as soon as this server hears speech, beside the service's own turn detection, which needs a way
   * there and back for it. Default false.
   */
  vad?: boolean | VadOptions;
  /** With it the model speaks first, as these instructions say. Default: it waits for the caller. */
  greeting?: string | undefined;

  /** How much of the caller's audio goes up in one message, 20 to 100. Default 100: fewer messages cost less. */
  appendMs?: number;
  /** How much of the caller's audio is kept while there is no session, 1000 to 60000; then the oldest is dropped. Default 10000. */
  keepMs?: number;

  /** Functions that the model may call. */
  tools?: readonly RealtimeTool[];
  /** The model may end the call. Default true. */
  hangUp?: boolean;
  /** Where the model may transfer the call: names that it uses, and numbers or SIP addresses. Default: nowhere. */
  transferTo?: Record<string, string>;
  /** The model may send keys into the call. Default false. */
  sendKeys?: boolean;
  /** How a word is asked for while a tool runs. Default: to say in a few words that it is being looked up. */
  toolWord?: string;
  /** After this long without a tool's result the word is said. Default 1000. */
  toolPatienceMs?: number;
  /** The keys that the caller presses are told to the model as text, when none has come for this long. Default 1500. */
  keyPauseMs?: number;

  /** How long both may be silent before the call is ended; 0: for ever. Default 60000. */
  silenceMaxMs?: number;
  /** How long a call may be; 0: for ever. Default 3600000. */
  callMaxMs?: number;
  /** How many tokens a call may use; 0: any number. Default 0. */
  tokensMax?: number;
  /** What a call may cost by `prices`; 0: anything. Default 0. */
  costMax?: number;
  /** What `costMax` counts with. Default: none. */
  prices?: TokenPrices | undefined;
  /** How the model is told to end the call at a limit. */
  goodbye?: string;

  /** From a try to connect until there is a session. Default 5000. */
  connectTimeoutMs?: number;
  /** Pauses before the tries that follow the first one. Default [250, 1000, 3000]. */
  retryPausesMs?: number[];
  /** A service that owes an answer and sends nothing for this long is taken for lost. Default 10000. */
  answerTimeoutMs?: number;
  /** A caller who waits for a lost or slow service hears a soft tone after this long, again and again. Default 2000. */
  waitingToneMs?: number;
  /** Said when the service is lost for good, before the call ends. Default: three tones. */
  fallback?: RealtimeSound | undefined;
  /** The log's line of a call also has its words. Default false: personal data. */
  logWords?: boolean;
}

/** The options with their defaults. */
export interface RealtimeSettings extends BuiltInTools {
  url: string;
  headers: Readonly<Record<string, string>>;
  model: string | undefined;
  voice: string | undefined;
  instructions: string | undefined;
  protocol: 'ga' | 'beta';
  transcriptionModel: string | null;
  turnDetection: Record<string, unknown>;
  vad: boolean | VadOptions;
  greeting: string | undefined;
  appendMs: number;
  keepMs: number;
  tools: readonly RealtimeTool[];
  toolWord: string;
  toolPatienceMs: number;
  keyPauseMs: number;
  silenceMaxMs: number;
  callMaxMs: number;
  tokensMax: number;
  costMax: number;
  prices: TokenPrices | undefined;
  goodbye: string;
  connectTimeoutMs: number;
  retryPausesMs: readonly number[];
  answerTimeoutMs: number;
  waitingToneMs: number;
  fallback: { samples: Int16Array; sampleRate: number } | undefined;
  logWords: boolean;
}

const DAY_MS = 86_400_000;
const ms = (min: number, max: number, usual: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max)), usual);
const text = v.pipe(v.string(), v.nonEmpty(), v.maxLength(100_000));
const token = v.pipe(v.number(), v.minValue(0));
const sound = v.union([
  text,
  v.object({
    samples: v.instance(Int16Array),
    sampleRate: v.pipe(v.number(), v.integer(), v.minValue(8000), v.maxValue(48_000)),
  }),
]);
const tool = v.custom<RealtimeTool>(value => {
  const { name, description, run } = (value ?? {}) as Partial<RealtimeTool>;
  return /^[\w-]{1,64}$/.test(name ?? '') && typeof description === 'string' && typeof run === 'function';
}, 'give { name, description, parameters, run } with a name of 1 to 64 letters, digits, _ and -');
const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

const FIELDS = v.strictObject({
  url: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^wss?:\/\/\S+$/, ({ input }) =>
        input === ''
          ? 'give the address of the service, or set SIDETONE_REALTIME_URL'
          : 'give a ws: or wss: address',
      ),
    ),
    '',
  ),
  key: v.optional(text),
  keyFile: v.optional(text),
  model: v.optional(text),
  voice: v.optional(text),
  instructions: v.optional(text),
  headers: v.optional(v.record(v.string(), v.string()), {}),
  protocol: v.optional(v.picklist(['ga', 'beta']), 'ga'),
  transcriptionModel: v.optional(v.nullable(text), 'gpt-4o-mini-transcribe'),
  turnDetection: v.optional(v.record(v.string(), v.unknown()), { type: 'server_vad' }),
  vad: v.optional(v.union([v.boolean(), v.custom<VadOptions>(isObject)], 'give true or options'), false),
  greeting: v.optional(text),
  appendMs: ms(20, 100, 100),
  keepMs: ms(1000, 60_000, 10_000),
  tools: v.optional(v.array(tool), []),
  hangUp: v.optional(v.boolean(), true),
  transferTo: v.optional(v.record(v.string(), text), {}),
  sendKeys: v.optional(v.boolean(), false),
  toolWord: v.optional(
    v.string(),
    'Say in at most five words, in the language of the call, that you are looking it up.',
  ),
  toolPatienceMs: ms(0, DAY_MS, 1000),
  keyPauseMs: ms(0, 60_000, 1500),
  silenceMaxMs: ms(0, DAY_MS, 60_000),
  callMaxMs: ms(0, DAY_MS, 3_600_000),
  tokensMax: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 0),
  costMax: v.optional(v.pipe(v.number(), v.minValue(0)), 0),
  prices: v.optional(
    v.strictObject({
      textIn: token,
      audioIn: token,
      cachedIn: v.optional(token),
      textOut: token,
      audioOut: token,
    }),
  ),
  goodbye: v.optional(text, 'The call has to end now. Say so and say goodbye, in one sentence.'),
  connectTimeoutMs: ms(100, 60_000, 5000),
  retryPausesMs: v.optional(
    v.pipe(v.array(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(60_000))), v.maxLength(100)),
    [250, 1000, 3000],
  ),
  answerTimeoutMs: ms(100, 600_000, 10_000),
  waitingToneMs: ms(0, 60_000, 2000),
  fallback: v.optional(sound),
  logWords: v.optional(v.boolean(), false),
});

/** The schema of the options: `own` are those of the code, which entries of `plugins` and `pluginOptions` change. */
export function settingsSchema(own: RealtimeOptions): v.GenericSchema<unknown, RealtimeSettings> {
  return v.pipe(
    v.unknown(),
    v.transform(given => ({ ...fromEnvironment(), ...own, ...(given as object) })),
    FIELDS,
    v.rawTransform(({ dataset, addIssue, NEVER }): RealtimeSettings => {
      const input = dataset.value;
      const { key, keyFile, fallback, url, ...rest } = input;
      const refuse = (field: keyof typeof input, message: string): never => {
        addIssue({
          message,
          path: [{ type: 'object', origin: 'value', input, key: field, value: input[field] }],
        });
        return NEVER;
      };
      const names = [...rest.tools.map(({ name }) => name), 'hang_up', 'transfer_call', 'press_keys'];
      const twice = names.find((name, i) => names.indexOf(name) !== i);
      if (twice !== undefined) return refuse('tools', `two tools are named ${twice}: give each its own name`);
      if (rest.costMax > 0 && !rest.prices) return refuse('costMax', 'give `prices` too');
      try {
        checkHearing({ vad: rest.vad }, '');
      } catch (error) {
        return refuse('vad', (error as Error).message);
      }
      let bearer = key;
      if (keyFile !== undefined) {
        if (key !== undefined) return refuse('keyFile', 'give it or `key`, not both');
        try {
          bearer = readFileSync(keyFile, 'utf8').trim();
        } catch (error) {
          return refuse('keyFile', `cannot be read: ${String(error)}`);
        }
      }
      let spoken: RealtimeSettings['fallback'];
      try {
        spoken = typeof fallback === 'string' ? readMono(fallback) : fallback;
      } catch (error) {
        return refuse('fallback', error instanceof Error ? error.message : String(error));
      }
      return {
        ...rest,
        model: rest.model,
        voice: rest.voice,
        instructions: rest.instructions,
        greeting: rest.greeting,
        prices: rest.prices as TokenPrices | undefined,
        url: withModel(url, rest.model),
        headers: bearer === undefined ? rest.headers : { authorization: `Bearer ${bearer}`, ...rest.headers },
        fallback: spoken,
      };
    }),
  );
}

function withModel(address: string, model: string | undefined): string {
  const url = new URL(address);
  if (model !== undefined && !url.searchParams.has('model')) url.searchParams.set('model', model);
  return url.href;
}

const VARIABLES = {
  url: 'SIDETONE_REALTIME_URL',
  key: 'SIDETONE_REALTIME_KEY',
  keyFile: 'SIDETONE_REALTIME_KEY_FILE',
  model: 'SIDETONE_REALTIME_MODEL',
  voice: 'SIDETONE_REALTIME_VOICE',
  instructions: 'SIDETONE_REALTIME_INSTRUCTIONS',
} as const;

function fromEnvironment(): RealtimeOptions {
  const set = Object.entries(VARIABLES).flatMap(([field, variable]) => {
    const value = process.env[variable];
    return value === undefined || value === '' ? [] : [[field, value]];
  });
  return Object.fromEntries(set) as RealtimeOptions;
}
