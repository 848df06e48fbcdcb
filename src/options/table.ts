/**
 * Every option of a server, once: what it takes, its default, its limits, its text, its flag.
 *
 * Validation (options.ts), the flags of `sidetone serve`, the environment and the config file (cli/serve-options.ts) and
 * docs/options.md (scripts/docs.mjs) are made of this. A new option is one entry here; `npm run docs`
 * then writes that page.
 */
import { z } from 'zod';
import { CODECS, ENCODINGS, type Encoding } from '../formats.js';
import { STREAM_CODECS } from '../telnyx/requests.js';
import { isLiveBound, LIVE_BOUND_MAX_MS, LIVE_BOUND_REMEDY } from './live-bound.js';
import { isRange } from './ranges.js';

/** What an option has besides the values that it takes. */
export interface OptionFacts<Former extends string = never> {
  /** What it does, for docs/options.md and --help. Limits, choices and the default are added from the type. */
  text: string;
  /** `--name <value>`; `--name` for an on/off option. None: library and config file only. */
  flag?: string;
  /** Another flag for the same. */
  flagAlias?: string;
  /** The unit of a number. */
  unit?: string;
  /** Where flag and environment count in another unit: its name, and how many of the option's unit it has. */
  flagUnit?: { name: string; factor: number };
  /** What stands in the help in place of a default that the type does not have. */
  defaultText?: string;
  /** The flag may be repeated, and the environment holds several with this between them. */
  separator?: ',' | '\n';
  /** Text of flag and environment to value; what is no text of the kind comes back as it is, and the type refuses it. */
  parse?: (text: string) => unknown;
  /** What to write, where the type does not tell. */
  remedy?: string;
  /** An older name in the library and in config files. */
  formerly?: Former;
  /** Never shown in a message. */
  secret?: boolean;
}

export interface OptionEntry<T extends z.ZodType = z.ZodType, Former extends string = string>
  extends OptionFacts<Former> {
  type: T;
  /** The options of a group, such as `tls`. */
  fields?: Readonly<Record<string, OptionEntry>>;
}

function option<T extends z.ZodType, Former extends string = never>(
  type: T,
  facts: OptionFacts<Former>,
): OptionEntry<T, Former> {
  return { ...facts, type };
}

export type Fields = Readonly<Record<string, OptionEntry>>;
type Shape<F extends Fields> = { [Name in keyof F]: F[Name]['type'] };

function shape<F extends Fields>(fields: F): Shape<F> {
  return Object.fromEntries(Object.entries(fields).map(([name, { type }]) => [name, type])) as Shape<F>;
}

/** Options that are one object, absent unless one of them is given. */
function group<F extends Fields>(text: string, fields: F) {
  const type = z.strictObject(shape(fields)).optional();
  return { text, fields, type } satisfies OptionEntry as OptionEntry<typeof type, never>;
}

/** The same, and `{}` where none is given: no field may have to be there. */
function groupOrEmpty<F extends Fields>(text: string, fields: F) {
  const type = z.strictObject(shape(fields)).prefault({} as never);
  return { text, fields, type } satisfies OptionEntry as OptionEntry<typeof type, never>;
}

const whole = (min: number, max: number) => z.number().int().min(min).max(max);
const number = (min: number, max: number) => z.number().min(min).max(max);
const text = z.string().min(1);
const port = whole(0, 65_535);
const onOff = z.boolean();

const outboundCodec = z
  .strictObject({ encoding: z.enum(ENCODINGS), sampleRate: z.number().int().optional() })
  .refine(
    ({ encoding, sampleRate }) =>
      sampleRate === undefined || CODECS[encoding].announcedRates.includes(sampleRate),
    { message: 'this encoding does not come at this sampleRate' },
  );

/** `L16@16000` as the option has it. */
function parseCodec(given: string): unknown {
  const [, encoding = '', rate] = /^([^@]+)(?:@(\d{1,6}))?$/.exec(given) ?? [];
  if (encoding === '') return given;
  return rate === undefined ? { encoding } : { encoding, sampleRate: Number(rate) };
}
const codecRemedy = ENCODINGS.map((encoding: Encoding) => {
  const rates = CODECS[encoding].announcedRates;
  return rates.length === 1 ? encoding : `${encoding}@${rates.join('|')}`;
}).join(', ');

const token = z.string().min(1).max(4000);
const boundToken = z.strictObject({ token, callControlId: text });

export const OPTION_TABLE = {
  host: option(text.default('127.0.0.1'), {
    flag: '--host <address>',
    text: 'address to listen on; 0.0.0.0 for all addresses of this machine',
  }),
  port: option(port.default(8080), {
    flag: '--port <n>',
    text: 'port to listen on; 0 picks a free one',
  }),
  sharePort: option(onOff.default(false), {
    flag: '--share-port',
    text: 'other processes of the same user may listen on the port, too, for a [hand-over](docs/operations.md#hand-over)',
  }),
  admin: option(onOff.default(true), {
    flag: '--admin',
    text: '[admin port](docs/admin.md): health, metrics, dashboard',
  }),
  adminHost: option(text.default('127.0.0.1'), {
    flag: '--admin-host <address>',
    text: 'address of the admin port',
  }),
  adminPort: option(port.optional(), {
    flag: '--admin-port <n>',
    text: 'port for health, metrics and dashboard; 0 picks a free one',
    defaultText: '9090; 0 where `port` is 0',
  }),
  plugins: option(z.array(z.any()).default([]), {
    flag: '--plugin <name|file.ts>',
    separator: ',',
    text: 'plugins: built-in names (`echo`, `speak`, `record`, `tone`), TypeScript files, npm packages; for the library also definitions',
    defaultText: 'echo',
    remedy: 'give a list of names, files or definitions',
  }),
  watch: option(onOff.default(false), {
    flag: '--watch',
    text: 'loads the plugins anew when files of their folders change: new calls get the [new code](docs/plugins.md#watching)',
  }),
  reactors: option(whole(1, 256).default(1), {
    flag: '--reactors <n>',
    text: 'threads that carry streams; connections are dealt to them in turn',
  }),
  pool: option(whole(0, 64).default(0), {
    flag: '--pool <n>',
    text: 'worker threads for OPUS and AMR-WB, for each reactor; 0: one fewer than there are cores, at least 1',
  }),
  poolWarm: option(z.boolean().default(false), {
    flag: '--pool-warm',
    text: 'starts these workers with the server, even where no option or plugin [names OPUS or AMR-WB](docs/codecs.md#the-pool)',
  }),
  authToken: option(z.union([token, z.array(z.union([token, boundToken])).min(1)]).optional(), {
    flag: '--auth-token <token>',
    separator: '\n',
    text: 'token wanted in `x-telnyx-streaming-auth-token`, 1 to 4000 characters; any one of several is accepted; `--auth-token-file` reads them from a file, one per line; [read again on SIGHUP](docs/admin.md#sighup); the config file and the library can bind one to a call: `{ "token", "callControlId" }`',
    remedy: 'give a token of 1 to 4000 characters, or a list of tokens and { token, callControlId }',
    secret: true,
  }),
  allow: option(z.array(z.string().refine(isRange)).min(1).optional(), {
    flag: '--allow <range>',
    separator: ',',
    text: 'addresses that may open streams, such as `203.0.113.0/24` or `2001:db8::/32`; others get 403 ([docs/operations.md](docs/operations.md#access))',
    defaultText: 'all',
    remedy: 'give addresses or ranges in CIDR form, such as 203.0.113.0/24 or 2001:db8::/32',
  }),
  tls: group('files of certificate and key; without them the server speaks plain HTTP', {
    cert: option(text, { flag: '--tls-cert <file>', text: 'file of the certificate chain, PEM' }),
    key: option(text, {
      flag: '--tls-key <file>',
      text: 'file of its private key, PEM, without a passphrase',
    }),
  }),
  outboundCodec: option(outboundCodec.optional(), {
    flag: '--outbound-codec <encoding[@rate]>',
    parse: parseCodec,
    text: 'what Telnyx was told as `stream_bidirectional_codec`, such as `L16@16000`; in the config file `{ "encoding", "sampleRate" }`',
    defaultText: 'what comes in',
    remedy: `give one of ${codecRemedy}`,
  }),
  outboundMode: option(z.enum(['rtp', 'mp3']).default('rtp'), {
    flag: '--outbound-mode <mode>',
    text: 'what Telnyx was told as `stream_bidirectional_mode`; [`mp3`](docs/codecs.md) sends files, one message a second',
  }),
  webhooks: group("takes Telnyx's webhooks by POST ([docs/control.md](docs/control.md))", {
    publicKey: option(text, {
      flag: '--webhook-public-key <key>',
      text: 'public key of the Telnyx account (base64); with it the server takes [webhooks](docs/control.md#webhooks) whose signature fits it',
    }),
    path: option(
      z
        .string()
        .regex(/^\/[\w./-]*$/)
        .default('/telnyx/webhooks'),
      {
        flag: '--webhook-path <path>',
        text: 'path of the webhooks',
        remedy: 'write it as /telnyx/webhooks',
      },
    ),
  }),
  answer: group('answers every incoming call that a webhook tells of', {
    streamUrl: option(text, {
      flag: '--answer <wss-url>',
      text: 'answers every incoming call with a stream to this address ([docs/control.md](docs/control.md)); needs `webhooks`',
    }),
    track: option(z.enum(['inbound', 'both']).optional(), {
      flag: '--answer-track <track>',
      text: 'the tracks that Telnyx is asked for',
      defaultText: 'what the plugins want',
    }),
    inboundEncoding: option(z.enum(STREAM_CODECS).optional(), {
      flag: '--answer-codec <encoding>',
      text: 'the encoding that Telnyx is asked for',
      defaultText: "the call's own",
    }),
    customParameters: option(z.record(z.string(), z.string()).optional(), {
      text: 'custom parameters of the stream, by name',
      remedy: 'give an object whose values are texts',
    }),
    apiKey: option(text.optional(), {
      text: 'key of the Telnyx API',
      defaultText: '`TELNYX_API_KEY` of the environment',
      secret: true,
    }),
    apiKeyFile: option(text.optional(), {
      flag: '--api-key-file <file>',
      text: 'a file with the key and nothing else',
    }),
    apiBase: option(text.optional(), {
      flag: '--api-base <url>',
      text: 'base of the API, for a test double',
      defaultText: "Telnyx's own",
    }),
  }),
  streamsMax: option(whole(1, 1e6).default(10_000), {
    flag: '--max-streams <n>',
    flagAlias: '--streams-max',
    formerly: 'maxStreams',
    text: 'streams at a time; more are refused with 503',
  }),
  overload: groupOrEmpty(
    'when new streams are refused because the running ones need all the time ([docs/operations.md](docs/operations.md#overload))',
    {
      refuse: option(onOff.default(true), {
        flag: '--overload-refuse',
        text: 'refuses new streams with 503 while a reactor is [overloaded](docs/operations.md#overload)',
      }),
      busyMaxPercent: option(number(10, 100).default(85), {
        flag: '--overload-busy-max <percent>',
        unit: '%',
        text: 'a reactor is overloaded when its thread uses more than this share of the time',
      }),
      lagMaxMs: option(number(1, 10_000).default(10), {
        flag: '--overload-lag-max <ms>',
        unit: 'ms',
        text: 'a reactor is overloaded when its event loop is usually later than this',
      }),
      streamsMin: option(whole(0, 1e6).default(32), {
        flag: '--overload-streams-min <n>',
        text: 'a reactor with fewer connections than this is never overloaded',
      }),
    },
  ),
  drainTimeoutMs: option(number(0, 24 * 3600e3).default(30_000), {
    flag: '--drain-timeout <seconds>',
    unit: 'ms',
    flagUnit: { name: 's', factor: 1000 },
    text: 'how long running calls may go on after SIGTERM',
  }),
  // uWebSockets.js ends the process for more than 960; below 8 its timer is too coarse.
  idleTimeoutSeconds: option(whole(8, 960).default(120), {
    flag: '--idle-timeout <seconds>',
    unit: 's',
    text: 'a connection on which no whole message comes for this long is closed',
  }),
  leadMs: option(number(20, 5000).default(200), {
    flag: '--lead <ms>',
    unit: 'ms',
    text: 'how far ahead Telnyx is kept while audio is queued',
  }),
  chunkMs: option(number(20, 1000).default(100), {
    flag: '--chunk <ms>',
    unit: 'ms',
    text: 'longest audio of one message',
  }),
  queueMaxMs: option(number(100, 3600e3).default(60_000), {
    flag: '--queue-max <ms>',
    unit: 'ms',
    text: 'longest audio that may wait in one stream',
  }),
  // 1 GiB: 10,000 streams with 12 s of PCMU each, or all of them at 100 ms of L16 48 kHz with plenty left.
  liveLatencyMaxMs: option(
    z.number().min(0).max(LIVE_BOUND_MAX_MS).refine(isLiveBound, LIVE_BOUND_REMEDY).default(400),
    {
      flag: '--live-latency-max <ms>',
      unit: 'ms',
      text: 'live audio that is later than this is caught up; at least 100, or 0: never',
      remedy: LIVE_BOUND_REMEDY,
    },
  ),
  queueBytesMax: option(whole(1 << 20, 64e9).default(1 << 30), {
    flag: '--queue-bytes-max <bytes>',
    unit: 'bytes',
    text: 'memory for the queued audio of all streams of a reactor',
  }),
  gatherMs: option(number(0, 20).default(1), {
    flag: '--gather <ms>',
    unit: 'ms',
    text: 'how long incoming messages may wait to be read together, as long as no handler plays inside its `onAudio`; 0: never',
  }),
  reorderWaitMs: option(number(0, 1000).default(60), {
    flag: '--reorder-wait <ms>',
    unit: 'ms',
    text: 'how long a gap waits for the missing frame',
  }),
  gapFillMaxMs: option(number(0, 10_000).default(1000), {
    flag: '--gap-fill-max <ms>',
    unit: 'ms',
    text: 'the longest loss that is filled with concealed frames',
  }),
  concealment: option(z.enum(['on', 'silence']).default('on'), {
    flag: '--concealment <what>',
    text: 'what stands in for lost audio: synthesised speech, or silence',
  }),
  l16ByteOrder: option(z.enum(['le', 'be', 'auto']).default('le'), {
    flag: '--l16-byte-order <order>',
    text: 'byte order of L16 on the wire; `auto` finds it from the sound',
  }),
  opus: groupOrEmpty('how OPUS is encoded ([docs/codecs.md](docs/codecs.md))', {
    bitrateBps: option(whole(6000, 128_000).optional(), {
      flag: '--opus-bitrate <bit/s>',
      unit: 'bit/s',
      text: 'bit rate of OPUS that is sent',
      defaultText: '16000 to 32000, by the rate',
    }),
    complexity: option(whole(0, 10).optional(), {
      flag: '--opus-complexity <n>',
      text: "the OPUS encoder's effort",
      defaultText: '5',
    }),
    dtx: option(onOff.optional(), {
      flag: '--opus-dtx',
      text: 'OPUS sends almost nothing in silence',
      defaultText: 'false',
    }),
    fec: option(onOff.optional(), {
      flag: '--opus-fec',
      text: 'each OPUS packet carries a coarse copy of the packet before it',
      defaultText: 'false',
    }),
    packetLossPercent: option(whole(0, 100).optional(), {
      flag: '--opus-packet-loss <percent>',
      unit: '%',
      text: 'the loss that OPUS prepares for',
      defaultText: '0; 5 with `opus.fec`',
    }),
  }),
  amrwb: groupOrEmpty('how AMR-WB is encoded ([docs/codecs.md](docs/codecs.md))', {
    form: option(z.enum(['bandwidth-efficient', 'octet-aligned']).optional(), {
      flag: '--amrwb-form <form>',
      text: 'payload format of AMR-WB that is sent',
      defaultText: 'bandwidth-efficient',
    }),
    mode: option(whole(0, 8).optional(), {
      flag: '--amrwb-mode <n>',
      text: 'bit rate of AMR-WB that is sent, 6.6 to 23.85 kbit/s',
      defaultText: '2',
    }),
    dtx: option(onOff.optional(), {
      flag: '--amrwb-dtx',
      text: 'AMR-WB sends comfort noise in silence',
      defaultText: 'false',
    }),
  }),
  handlerErrors: option(z.enum(['end', 'bypass']).default('end'), {
    flag: '--handler-errors <what>',
    text: 'when a handler fails, its stream ends, or goes on without it',
  }),
  messageBytesMax: option(whole(1024, 16e6).default(65_536), {
    flag: '--message-bytes-max <bytes>',
    unit: 'bytes',
    formerly: 'maxMessageBytes',
    text: 'a longer message closes the stream',
  }),
  malformedMax: option(whole(1, 1e9).default(100), {
    flag: '--malformed-max <n>',
    text: 'refused messages after which a stream is closed',
  }),
  backpressureBytesMax: option(whole(4096, 64e6).default(262_144), {
    flag: '--backpressure-bytes-max <bytes>',
    unit: 'bytes',
    formerly: 'maxBackpressureBytes',
    text: 'how much may wait to be sent to one peer',
  }),
  slowReader: option(z.enum(['drop', 'close']).default('drop'), {
    flag: '--slow-reader <what>',
    text: 'beyond `backpressureBytesMax` audio is dropped, or the stream is closed',
  }),
  captureDir: option(text.optional(), {
    flag: '--capture <dir>',
    text: "directory for captures: each stream's messages in a file, for [`doctor` and `replay`](docs/tools.md)",
  }),
  capturePersonal: option(onOff.default(false), {
    flag: '--capture-personal',
    text: 'captures keep numbers, client_state and custom_parameters; auth tokens are never kept',
  }),
  logLevel: option(z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'), {
    flag: '--log-level <level>',
    text: 'lowest level that is logged, one JSON line for each event ([fields](docs/admin.md#log)); tokens, numbers and client_state are never in it',
  }),
};

export type OptionTable = typeof OPTION_TABLE;
/** The older names, each with the values of the option that it names. */
type FormerNames = {
  [Name in keyof OptionTable as OptionTable[Name] extends { formerly?: infer Former extends string }
    ? Former
    : never]?: OptionTable[Name] extends { type: infer T extends z.ZodType } ? z.input<T> : never;
};

export const serverOptionsSchema = z.strictObject(shape(OPTION_TABLE));
/** What `createServer` takes; everything has a default. */
export type ServerOptions = z.input<typeof serverOptionsSchema> & FormerNames;
