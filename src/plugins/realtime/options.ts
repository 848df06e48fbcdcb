/** The options of the realtime plugin: what they may be, their defaults, and what the environment says. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { parseWav } from '../../audio/wav.js';
import { checkHearing } from '../../plugin/hearing.js';
import type { VadOptions } from '../../plugin/speech.js';
import type { BuiltInTools, RealtimeTool } from './tools.js';

/** Prices in any currency, for a million tokens of each kind. */
export interface TokenPrices {
  textIn: number;
  audioIn: number;
  /** Input that the service had already. Default: as textIn. */
  cachedIn?: number;
  textOut: number;
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
const ms = (min: number, max: number, usual: number) => z.number().int().min(min).max(max).default(usual);
const text = z.string().min(1).max(100_000);
const token = z.number().min(0);
const sound = z.union([
  text,
  z.object({
    samples: z.instanceof(Int16Array),
    sampleRate: z.number().int().min(8000).max(48_000),
  }),
]);
const tool = z.custom<RealtimeTool>(value => {
  const { name, description, run } = (value ?? {}) as Partial<RealtimeTool>;
  return /^[\w-]{1,64}$/.test(name ?? '') && typeof description === 'string' && typeof run === 'function';
}, 'give { name, description, parameters, run } with a name of 1 to 64 letters, digits, _ and -');

const FIELDS = z.strictObject({
  url: z
    .string('give the address of the service, or set SIDETONE_REALTIME_URL')
    .regex(/^wss?:\/\/\S+$/, 'give a ws: or wss: address'),
  key: text.optional(),
  keyFile: text.optional(),
  model: text.optional(),
  voice: text.optional(),
  instructions: text.optional(),
  headers: z.record(z.string(), z.string()).default({}),
  protocol: z.enum(['ga', 'beta']).default('ga'),
  transcriptionModel: text.nullable().default('gpt-4o-mini-transcribe'),
  turnDetection: z.record(z.string(), z.unknown()).default({ type: 'server_vad' }),
  vad: z
    .union([
      z.boolean(),
      z.custom<VadOptions>(value => typeof value === 'object' && value !== null, 'give true or options'),
    ])
    .default(false),
  greeting: text.optional(),
  appendMs: ms(20, 100, 100),
  keepMs: ms(1000, 60_000, 10_000),
  tools: z.array(tool).default([]),
  hangUp: z.boolean().default(true),
  transferTo: z.record(z.string(), text).default({}),
  sendKeys: z.boolean().default(false),
  toolWord: z
    .string()
    .default('Say in at most five words, in the language of the call, that you are looking it up.'),
  toolPatienceMs: ms(0, DAY_MS, 1000),
  keyPauseMs: ms(0, 60_000, 1500),
  silenceMaxMs: ms(0, DAY_MS, 60_000),
  callMaxMs: ms(0, DAY_MS, 3_600_000),
  tokensMax: z.number().int().min(0).default(0),
  costMax: z.number().min(0).default(0),
  prices: z
    .strictObject({
      textIn: token,
      audioIn: token,
      cachedIn: token.optional(),
      textOut: token,
      audioOut: token,
    })
    .optional(),
  goodbye: text.default('The call has to end now. Say so and say goodbye, in one sentence.'),
  connectTimeoutMs: ms(100, 60_000, 5000),
  retryPausesMs: z.array(z.number().int().min(0).max(60_000)).max(100).default([250, 1000, 3000]),
  answerTimeoutMs: ms(100, 600_000, 10_000),
  waitingToneMs: ms(0, 60_000, 2000),
  fallback: sound.optional(),
  logWords: z.boolean().default(false),
});

/** The schema of the options: `own` are those of the code, which entries of `plugins` and `pluginOptions` change. */
export function settingsSchema(own: RealtimeOptions): z.ZodType<RealtimeSettings, object> {
  return z
    .preprocess(given => ({ ...fromEnvironment(), ...own, ...(given as object) }), FIELDS)
    .transform((fields, context): RealtimeSettings => {
      const { key, keyFile, fallback, url, ...rest } = fields;
      const refuse = (field: string, message: string): never => {
        context.addIssue({ code: 'custom', path: [field], message });
        return z.NEVER;
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
        spoken = typeof fallback === 'string' ? wav(fallback) : fallback;
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
    }) as unknown as z.ZodType<RealtimeSettings, object>;
}

function wav(path: string): { samples: Int16Array; sampleRate: number } {
  const { channels, sampleRate } = parseWav(readFileSync(path), path);
  return { samples: channels[0]!, sampleRate };
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
