/**
 * Every option of a server, once: what it takes, its default, its limits, its text, its flag.
 *
 * Validation (options.ts), the flags of `sidetone serve`, the environment and the config file (cli/serve-options.ts) and
 * docs/options.md (scripts/docs.mjs) are made of this. A new option is one entry here; `npm run docs`
 * then writes that page.
 */
import * as v from 'valibot';
import { isObject } from '../objects.js';
import { STREAM_CODECS } from '../telnyx/requests.js';
import { AMRWB_OPTIONS, CODEC_REMEDY, OPUS_OPTIONS, outboundCodec, parseCodec } from './codec-options.js';
import { group, groupOrEmpty, number, onOff, option, shape, whole } from './entry.js';
import { isLiveBound, LIVE_BOUND_MAX_MS, LIVE_BOUND_REMEDY } from './live-bound.js';
import { isRange } from './ranges.js';

const text = v.pipe(v.string(), v.nonEmpty());
const port = whole(0, 65_535);
const texts = v.custom<Record<string, string>>(
  value => isObject(value) && Object.values(value).every(each => typeof each === 'string'),
);

/** One plugin with settings of its own. */
export interface PluginEntry {
  /** A built-in name, a file, an npm package; for the library, with one reactor, also a definition. */
  module: string | PluginLike;
  /** Its options, as its schema takes them. With several reactors only what can be cloned: no functions, no classes. */
  options?: object | undefined;
  /** Its name in this server, in place of its own. */
  name?: string | undefined;
  /** The path of the stream_url that it answers, in place of its own. */
  path?: string | undefined;
}

/** A definition, as far as it matters here: `definePlugin` has its types. */
interface PluginLike {
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: a plugin's own types are checked where it is defined
  onStart(...values: any[]): unknown;
}

type PluginGiven = string | PluginEntry | PluginLike;

const token = v.pipe(v.string(), v.nonEmpty(), v.maxLength(4000));
const boundToken = v.strictObject({ token, callControlId: text });

export const OPTION_TABLE = {
  host: option(v.optional(text, '127.0.0.1'), {
    flag: '--host <address>',
    text: 'address to listen on; 0.0.0.0 for all addresses of this machine',
  }),
  port: option(v.optional(port, 8080), {
    flag: '--port <n>',
    text: 'port to listen on; 0 picks a free one',
  }),
  sharePort: option(v.optional(onOff, false), {
    flag: '--share-port',
    text: 'other processes of the same user may listen on the port, too, for a [hand-over](docs/operations.md#hand-over)',
  }),
  admin: option(v.optional(onOff, true), {
    flag: '--admin',
    text: '[admin port](docs/admin.md): health, metrics, dashboard',
  }),
  adminHost: option(v.optional(text, '127.0.0.1'), {
    flag: '--admin-host <address>',
    text: 'address of the admin port',
  }),
  adminPort: option(v.optional(port), {
    flag: '--admin-port <n>',
    text: 'port for health, metrics and dashboard; 0 picks a free one',
    defaultText: '9090; 0 where `port` is 0',
  }),
  adminToken: option(v.optional(v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,4000}$/))), {
    flag: '--admin-token <token>',
    text: 'token wanted by the [admin port](docs/admin.md#access), but for `/healthz` and `/readyz`; `--admin-token-file` reads it from a file',
    remedy: 'give a token of 1 to 4000 printable ASCII characters without spaces',
    secret: true,
  }),
  plugins: option(v.optional(v.array(v.custom<PluginGiven>(() => true)), []), {
    flag: '--plugin <name|file.ts>',
    separator: ',',
    text: 'plugins: built-in names (`echo`, `speak`, `record`, `tone`, [`realtime`](docs/realtime.md)), TypeScript files, npm packages; in the config file and the library also [`{ "module", "options", "name", "path" }`](docs/plugins.md#options), for the library definitions too',
    defaultText: 'echo',
    remedy: 'give a list of names, files, { module, options, name, path } or definitions',
  }),
  pluginOptions: option(v.optional(v.record(v.string(), v.custom<object>(isObject)), {}), {
    text: "options of plugins by the plugins' names, field by field before those of `plugins`; in the environment [`SIDETONE_PLUGIN_OPTIONS_NAME='{ … }'`](docs/plugins.md#options)",
    defaultText: 'none',
    remedy: "give an object with an object for each plugin's name",
    secret: true,
  }),
  setupTimeoutMs: option(v.optional(number(100, 600e3), 30_000), {
    flag: '--setup-timeout <seconds>',
    unit: 'ms',
    flagUnit: { name: 's', factor: 1000 },
    text: "how long a plugin's `setup` may take before the server gives up its start",
  }),
  watch: option(v.optional(onOff, false), {
    flag: '--watch',
    text: 'loads the plugins anew when files of their folders change: new calls get the [new code](docs/plugins.md#watching)',
  }),
  reactors: option(v.optional(whole(1, 256), 1), {
    flag: '--reactors <n>',
    text: 'threads that carry streams; connections are dealt to them in turn',
  }),
  pool: option(v.optional(whole(0, 64), 0), {
    flag: '--pool <n>',
    text: 'worker threads for OPUS and AMR-WB, for each reactor; 0: one fewer than there are cores, at least 1',
  }),
  poolWarm: option(v.optional(onOff, false), {
    flag: '--pool-warm',
    text: 'starts these workers with the server, even where no option or plugin [names OPUS or AMR-WB](docs/codecs.md#the-pool)',
  }),
  authToken: option(
    v.optional(v.union([token, v.pipe(v.array(v.union([token, boundToken])), v.minLength(1))])),
    {
      flag: '--auth-token <token>',
      separator: '\n',
      text: 'token wanted in `x-telnyx-streaming-auth-token`, 1 to 4000 characters; any one of several is accepted; `--auth-token-file` reads them from a file, one per line; [read again on SIGHUP](docs/admin.md#sighup); the config file and the library can bind one to a call: `{ "token", "callControlId" }`',
      remedy: 'give a token of 1 to 4000 characters, or a list of tokens and { token, callControlId }',
      secret: true,
    },
  ),
  allow: option(v.optional(v.pipe(v.array(v.pipe(v.string(), v.check(isRange))), v.minLength(1))), {
    flag: '--allow <range>',
    separator: ',',
    text: 'addresses that may open streams, such as `203.0.113.0/24` or `2001:db8::/32`; others get 403 ([docs/operations.md](docs/operations.md#access))',
    defaultText: 'all',
    remedy: 'give addresses or ranges in CIDR form, such as 203.0.113.0/24 or 2001:db8::/32',
  }),
  trustedProxies: option(v.optional(v.pipe(v.array(v.pipe(v.string(), v.check(isRange))), v.minLength(1))), {
    flag: '--trusted-proxy <range>',
    separator: ',',
    text: "addresses of proxies whose `X-Forwarded-For` is believed: `allow`, limits, logs and plugins see the caller's address ([docs/operations.md](docs/operations.md#access))",
    defaultText: 'none',
    remedy: 'give addresses or ranges in CIDR form, such as 10.0.0.0/8 or 2001:db8::/32',
  }),
  upgradesPerSecondMax: option(v.optional(whole(1, 1e6)), {
    flag: '--upgrades-per-second-max <n>',
    text: 'upgrades a second that one address may ask for; more are refused with 429 ([docs/operations.md](docs/operations.md#access))',
    defaultText: 'no limit',
  }),
  tls: group('files of certificate and key; without them the server speaks plain HTTP', {
    cert: option(text, { flag: '--tls-cert <file>', text: 'file of the certificate chain, PEM' }),
    key: option(text, {
      flag: '--tls-key <file>',
      text: 'file of its private key, PEM, without a passphrase',
    }),
  }),
  outboundCodec: option(v.optional(outboundCodec), {
    flag: '--outbound-codec <encoding[@rate]>',
    parse: parseCodec,
    text: 'what Telnyx was told as `stream_bidirectional_codec`, such as `L16@16000`; in the config file `{ "encoding", "sampleRate" }`',
    defaultText: 'what comes in',
    remedy: `give one of ${CODEC_REMEDY}`,
  }),
  outboundMode: option(v.optional(v.picklist(['rtp', 'mp3']), 'rtp'), {
    flag: '--outbound-mode <mode>',
    text: 'what Telnyx was told as `stream_bidirectional_mode`; [`mp3`](docs/codecs.md) sends files, one message a second',
  }),
  webhooks: group("takes Telnyx's webhooks by POST ([docs/control.md](docs/control.md))", {
    publicKey: option(text, {
      flag: '--webhook-public-key <key>',
      text: 'public key of the Telnyx account (base64); with it the server takes [webhooks](docs/control.md#webhooks) whose signature fits it',
    }),
    path: option(v.optional(v.pipe(v.string(), v.regex(/^\/[\w./-]*$/)), '/telnyx/webhooks'), {
      flag: '--webhook-path <path>',
      text: 'path of the webhooks',
      remedy: 'write it as /telnyx/webhooks',
    }),
  }),
  answer: group('answers every incoming call that a webhook tells of', {
    streamUrl: option(text, {
      flag: '--answer <wss-url>',
      text: 'answers every incoming call with a stream to this address ([docs/control.md](docs/control.md)); needs `webhooks`',
    }),
    track: option(v.optional(v.picklist(['inbound', 'both'])), {
      flag: '--answer-track <track>',
      text: 'the tracks that Telnyx is asked for',
      defaultText: 'what the plugins want',
    }),
    inboundEncoding: option(v.optional(v.picklist(STREAM_CODECS)), {
      flag: '--answer-codec <encoding>',
      text: 'the encoding that Telnyx is asked for',
      defaultText: "the call's own",
    }),
    customParameters: option(v.optional(texts), {
      text: 'custom parameters of the stream, by name',
      remedy: 'give an object whose values are texts',
    }),
    apiKey: option(v.optional(text), { text: 'older name of `api.key`', secret: true, isFormer: true }),
    apiKeyFile: option(v.optional(text), { text: 'older name of `api.keyFile`', isFormer: true }),
    apiBase: option(v.optional(text), { text: 'older name of `api.base`', isFormer: true }),
  }),
  api: groupOrEmpty('how commands reach the Telnyx API', {
    key: option(v.optional(text), {
      text: 'key of the Telnyx API: for `answer`, and for `stream.callControl` of plugins',
      defaultText: '`TELNYX_API_KEY` of the environment',
      secret: true,
    }),
    keyFile: option(v.optional(text), {
      flag: '--api-key-file <file>',
      text: 'a file with the key and nothing else',
    }),
    base: option(v.optional(text), {
      flag: '--api-base <url>',
      text: 'base of the API, for a test double',
      defaultText: "Telnyx's own",
    }),
  }),
  streamsMax: option(v.optional(whole(1, 1e6), 10_000), {
    flag: '--max-streams <n>',
    flagAlias: '--streams-max',
    formerly: 'maxStreams',
    text: 'streams at a time; more are refused with 503',
  }),
  overload: groupOrEmpty(
    'when new streams are refused because the running ones need all the time ([docs/operations.md](docs/operations.md#overload))',
    {
      refuse: option(v.optional(onOff, true), {
        flag: '--overload-refuse',
        text: 'refuses new streams with 503 while a reactor is [overloaded](docs/operations.md#overload)',
      }),
      busyMaxPercent: option(v.optional(number(10, 100), 85), {
        flag: '--overload-busy-max <percent>',
        unit: '%',
        text: 'a reactor is overloaded when its thread uses more than this share of the time',
      }),
      lagMaxMs: option(v.optional(number(1, 10_000), 10), {
        flag: '--overload-lag-max <ms>',
        unit: 'ms',
        text: 'a reactor is overloaded when its event loop is usually later than this',
      }),
      streamsMin: option(v.optional(whole(0, 1e6), 32), {
        flag: '--overload-streams-min <n>',
        text: 'a reactor with fewer connections than this is never overloaded',
      }),
    },
  ),
  drainTimeoutMs: option(v.optional(number(0, 24 * 3600e3), 30_000), {
    flag: '--drain-timeout <seconds>',
    unit: 'ms',
    flagUnit: { name: 's', factor: 1000 },
    text: 'how long running calls may go on after SIGTERM',
  }),
  resumeWindowMs: option(v.optional(number(0, 300_000), 30_000), {
    flag: '--resume-window <seconds>',
    unit: 'ms',
    flagUnit: { name: 's', factor: 1000 },
    text: 'how long a handler with `onResume` is kept for a dropped stream to come back ([docs/plugins.md](docs/plugins.md)); 0: not at all',
  }),
  // uWebSockets.js ends the process for more than 960; below 8 its timer is too coarse.
  idleTimeoutSeconds: option(v.optional(whole(8, 960), 120), {
    flag: '--idle-timeout <seconds>',
    unit: 's',
    text: 'a connection on which no whole message comes for this long is closed',
  }),
  leadMs: option(v.optional(number(20, 5000), 200), {
    flag: '--lead <ms>',
    unit: 'ms',
    text: 'how far ahead Telnyx is kept while audio is queued',
  }),
  chunkMs: option(v.optional(number(20, 1000), 100), {
    flag: '--chunk <ms>',
    unit: 'ms',
    text: 'longest audio of one message',
  }),
  queueMaxMs: option(v.optional(number(100, 3600e3), 60_000), {
    flag: '--queue-max <ms>',
    unit: 'ms',
    text: 'longest audio that may wait in one stream',
  }),
  // 1 GiB: 10,000 streams with 12 s of PCMU each, or all of them at 100 ms of L16 48 kHz with plenty left.
  liveLatencyMaxMs: option(
    v.optional(
      v.pipe(
        number(0, LIVE_BOUND_MAX_MS),
        v.check((value: number) => isLiveBound(value), LIVE_BOUND_REMEDY),
      ),
      400,
    ),
    {
      flag: '--live-latency-max <ms>',
      unit: 'ms',
      text: 'live audio that is later than this is caught up; at least 100, or 0: never',
      remedy: LIVE_BOUND_REMEDY,
    },
  ),
  queueBytesMax: option(v.optional(whole(1 << 20, 64e9), 1 << 30), {
    flag: '--queue-bytes-max <bytes>',
    unit: 'bytes',
    text: 'memory for the queued audio of all streams of a reactor',
  }),
  gatherMs: option(v.optional(number(0, 20), 1), {
    flag: '--gather <ms>',
    unit: 'ms',
    text: 'how long incoming messages may wait to be read together, as long as no handler plays inside its `onAudio`; 0: never',
  }),
  reorderWaitMs: option(v.optional(number(0, 1000), 60), {
    flag: '--reorder-wait <ms>',
    unit: 'ms',
    text: 'how long a gap waits for the missing frame',
  }),
  gapFillMaxMs: option(v.optional(number(0, 10_000), 1000), {
    flag: '--gap-fill-max <ms>',
    unit: 'ms',
    text: 'the longest loss that is filled with concealed frames',
  }),
  concealment: option(v.optional(v.picklist(['on', 'silence']), 'on'), {
    flag: '--concealment <what>',
    text: 'what stands in for lost audio: synthesised speech, or silence',
  }),
  l16ByteOrder: option(v.optional(v.picklist(['le', 'be', 'auto']), 'le'), {
    flag: '--l16-byte-order <order>',
    text: 'byte order of L16 on the wire; `auto` finds it from the sound',
  }),
  opus: OPUS_OPTIONS,
  amrwb: AMRWB_OPTIONS,
  isolation: option(v.optional(v.picklist(['reactor', 'thread']), 'reactor'), {
    flag: '--isolation <where>',
    text: 'where the handlers of plugins run that do not say it themselves: in the thread that carries the calls, or in [threads of their own](docs/isolation.md)',
  }),
  handlerErrors: option(v.optional(v.picklist(['end', 'bypass']), 'end'), {
    flag: '--handler-errors <what>',
    text: 'when a handler fails, its stream ends, or goes on without it',
  }),
  messageBytesMax: option(v.optional(whole(1024, 16e6), 65_536), {
    flag: '--message-bytes-max <bytes>',
    unit: 'bytes',
    formerly: 'maxMessageBytes',
    text: 'a longer message closes the stream',
  }),
  malformedMax: option(v.optional(whole(1, 1e9), 100), {
    flag: '--malformed-max <n>',
    text: 'refused messages after which a stream is closed',
  }),
  backpressureBytesMax: option(v.optional(whole(4096, 64e6), 262_144), {
    flag: '--backpressure-bytes-max <bytes>',
    unit: 'bytes',
    formerly: 'maxBackpressureBytes',
    text: 'how much may wait to be sent to one peer',
  }),
  slowReader: option(v.optional(v.picklist(['drop', 'close']), 'drop'), {
    flag: '--slow-reader <what>',
    text: 'beyond `backpressureBytesMax` audio is dropped, or the stream is closed',
  }),
  captureDir: option(v.optional(text), {
    flag: '--capture <dir>',
    text: "directory for captures: each stream's messages in a file, for [`doctor` and `replay`](docs/tools.md)",
  }),
  capturePersonal: option(v.optional(onOff, false), {
    flag: '--capture-personal',
    text: 'captures keep numbers, client_state and custom_parameters; auth tokens are never kept',
  }),
  logLevel: option(
    v.optional(v.picklist(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']), 'info'),
    {
      flag: '--log-level <level>',
      text: 'lowest level that is logged, one JSON line for each event ([fields](docs/admin.md#log)); tokens, numbers and client_state are never in it',
    },
  ),
};

export const serverOptionsSchema = v.object(shape(OPTION_TABLE));
/** The values that each option takes. */
export type OptionValues = v.InferInput<typeof serverOptionsSchema>;
