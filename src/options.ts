/** Every option of a server, with its default, its limits and what it means. The command line builds on the same list. */
import { z } from 'zod';
import { CODECS, ENCODINGS } from './codec.js';
import { SidetoneError, shown } from './errors.js';
import { isLiveBound, LIVE_BOUND_REMEDY } from './live.js';
import { STREAM_CODECS } from './telnyx/requests.js';

const port = z.number().int().min(0).max(65535);
const ms = (min: number, max: number) => z.number().min(min).max(max);

const outboundCodec = z
  .object({
    encoding: z.enum(ENCODINGS),
    sampleRate: z.number().int().optional(),
  })
  .refine(
    ({ encoding, sampleRate }) =>
      sampleRate === undefined || CODECS[encoding].announcedRates.includes(sampleRate),
    { message: 'this encoding does not come at this sampleRate' },
  );

const token = z.string().min(1).max(4000);

const ADMIN_PORT = 9090;

export const serverOptionsSchema = z.strictObject({
  host: z.string().default('127.0.0.1').describe('address to listen on'),
  port: port.default(8080).describe('port to listen on; 0 picks a free one'),
  adminHost: z.string().default('127.0.0.1').describe('address of the admin port'),
  adminPort: port
    .optional()
    .describe(
      'port for health, metrics and dashboard; 0 picks a free one. Default: 9090, or 0 where `port` is 0',
    ),
  admin: z.boolean().default(true).describe('whether there is an admin port'),
  plugins: z.array(z.any()).default([]).describe('plugins: definitions, names of built-in ones, or files'),
  reactors: z.number().int().min(1).max(256).default(1).describe('threads that carry streams'),
  pool: z
    .number()
    .int()
    .min(0)
    .max(256)
    .default(0)
    .describe('worker threads for OPUS and AMR-WB; 0: one a core'),
  authToken: z
    .union([
      token,
      z.array(z.union([token, z.strictObject({ token, callControlId: z.string().min(1) })])).min(1),
    ])
    .optional()
    .describe(
      'token wanted in x-telnyx-streaming-auth-token; several are possible, each bound to a call or not',
    ),
  tls: z
    .strictObject({ cert: z.string(), key: z.string() })
    .optional()
    .describe('files of certificate and key'),
  outboundCodec: outboundCodec.optional().describe('what Telnyx was told as stream_bidirectional_codec'),
  outboundMode: z
    .enum(['rtp', 'mp3'])
    .default('rtp')
    .describe('what Telnyx was told as stream_bidirectional_mode'),
  webhooks: z
    .strictObject({
      publicKey: z.string().min(1),
      path: z
        .string()
        .regex(/^\/[\w./-]*$/, 'write it as /telnyx/webhooks')
        .default('/telnyx/webhooks'),
    })
    .optional()
    .describe("takes Telnyx's webhooks by POST, signed with this public key of the account (base64)"),
  answer: z
    .strictObject({
      streamUrl: z.string().min(1),
      track: z.enum(['inbound', 'both']).optional(),
      inboundEncoding: z.enum(STREAM_CODECS).optional(),
      customParameters: z.record(z.string(), z.string()).optional(),
      apiKey: z.string().min(1).optional(),
      apiKeyFile: z.string().min(1).optional(),
      apiBase: z.string().min(1).optional(),
    })
    .optional()
    .describe('answers every incoming call that a webhook tells of, with a stream to streamUrl'),
  maxStreams: z.number().int().min(1).max(1e6).default(10_000).describe('more are refused with 503'),
  drainTimeoutMs: ms(0, 24 * 3600e3)
    .default(30_000)
    .describe('how long running calls may go on after SIGTERM'),
  // uWebSockets.js ends the process for more than 960; below 8 its timer is too coarse.
  idleTimeoutSeconds: z
    .number()
    .int()
    .min(8)
    .max(960)
    .default(120)
    .describe('a connection on which no whole message comes for this long is closed (8 to 960)'),
  maxMessageBytes: z
    .number()
    .int()
    .min(1024)
    .max(16e6)
    .default(65_536)
    .describe('longer messages close the stream'),
  maxBackpressureBytes: z
    .number()
    .int()
    .min(4096)
    .max(64e6)
    .default(262_144)
    .describe('bytes that may wait to be sent to one peer'),
  slowReader: z
    .enum(['drop', 'close'])
    .default('drop')
    .describe('beyond that: drop audio, or close the stream'),
  malformedMax: z
    .number()
    .int()
    .min(1)
    .default(100)
    .describe('refused messages after which a stream is closed'),
  handlerErrors: z
    .enum(['end', 'bypass'])
    .default('end')
    .describe("a failing handler's stream ends or goes on without it"),
  reorderWaitMs: ms(0, 1000).default(60).describe('how long a gap waits for the missing frame'),
  gapFillMaxMs: ms(0, 10_000).default(1000).describe('longest loss that is filled with concealed frames'),
  gatherMs: ms(0, 20)
    .default(1)
    .describe(
      'how long incoming messages may wait to be read together while no handler answers frames at once; 0: never',
    ),
  leadMs: ms(20, 5000).default(200).describe('how far ahead Telnyx is kept while audio is queued'),
  chunkMs: ms(20, 1000).default(100).describe('longest audio of one message'),
  queueMaxMs: ms(100, 3600e3).default(60_000).describe('longest audio that may wait in one stream'),
  liveLatencyMaxMs: z
    .number()
    .refine(isLiveBound, LIVE_BOUND_REMEDY)
    .default(400)
    .describe('live audio that is later than this is caught up; 0: never'),
  // 1 GiB: 10,000 streams with 12 s of PCMU each, or all of them at 100 ms of L16 48 kHz with plenty left.
  queueBytesMax: z
    .number()
    .int()
    .min(1 << 20)
    .max(64e9)
    .default(1 << 30)
    .describe('memory for all queued audio'),
  l16ByteOrder: z
    .enum(['le', 'be', 'auto'])
    .default('le')
    .describe('byte order of L16 on the wire; auto: found by listening'),
  concealment: z
    .enum(['on', 'silence'])
    .default('on')
    .describe('what stands in for lost audio: something made of what was heard, or silence'),
  opus: z
    .strictObject({
      bitrateBps: z.number().int().min(6000).max(128_000).optional(),
      complexity: z.number().int().min(0).max(10).optional(),
      dtx: z.boolean().optional(),
      fec: z.boolean().optional(),
      packetLossPercent: z.number().int().min(0).max(100).optional(),
    })
    .default({})
    .describe('how OPUS is encoded'),
  amrwb: z
    .strictObject({
      form: z.enum(['bandwidth-efficient', 'octet-aligned']).optional(),
      mode: z.number().int().min(0).max(8).optional(),
      dtx: z.boolean().optional(),
    })
    .default({})
    .describe('how AMR-WB is encoded'),
  captureDir: z
    .string()
    .min(1)
    .optional()
    .describe("directory for captures: each stream's messages, both ways, with times; for finding faults"),
  capturePersonal: z
    .boolean()
    .default(false)
    .describe('captures keep numbers, client_state and custom_parameters; auth tokens they never do'),
  logLevel: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info')
    .describe('least level that is logged'),
});

/** What `createServer` takes; everything has a default. */
export type ServerOptions = z.input<typeof serverOptionsSchema>;
export type ResolvedOptions = z.output<typeof serverOptionsSchema> & { adminPort: number };
/** The options that a reactor reads. */
export type ReactorOptions = Pick<
  ResolvedOptions,
  | 'maxMessageBytes'
  | 'maxBackpressureBytes'
  | 'slowReader'
  | 'malformedMax'
  | 'handlerErrors'
  | 'reorderWaitMs'
  | 'gapFillMaxMs'
  | 'leadMs'
  | 'chunkMs'
  | 'queueMaxMs'
  | 'liveLatencyMaxMs'
  | 'queueBytesMax'
  | 'l16ByteOrder'
  | 'idleTimeoutSeconds'
  | 'concealment'
  | 'outboundCodec'
  | 'outboundMode'
  | 'pool'
  | 'captureDir'
  | 'capturePersonal'
  | 'opus'
  | 'amrwb'
>;

/**
 * Fills in defaults and refuses what is wrong.
 * @throws SidetoneError SIDETONE_BAD_OPTION naming each field, its value and what would do
 */
export function resolveOptions(options: ServerOptions): ResolvedOptions {
  const result = serverOptionsSchema.safeParse(options);
  if (result.success) {
    const { data } = result;
    return { ...data, adminPort: data.adminPort ?? (data.port === 0 ? 0 : ADMIN_PORT) };
  }
  throw new SidetoneError('SIDETONE_BAD_OPTION', describeIssues(result.error, options));
}

const SECRET = /token|apiKey$/i;

function describeIssues(error: z.ZodError, input: unknown): string {
  // An unknown key is told with the object that holds it, which may hold a secret too.
  const hide = (key: string, value: unknown): unknown =>
    SECRET.test(key) && value !== undefined ? '(hidden)' : value;
  return error.issues
    .map(issue => {
      const field = issue.path.join('.') || '(options)';
      if (SECRET.test(field)) return `${field}: ${issue.message}`;
      let value: unknown = input;
      for (const key of issue.path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
      // Unknown keys are listed there, and an array given by mistake has many.
      return `${field}: ${shown(value, hide)}: ${issue.message.slice(0, 200)}`;
    })
    .join('; ');
}
