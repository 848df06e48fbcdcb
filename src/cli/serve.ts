/** `sidetone serve`: runs a server until SIGTERM or SIGINT, then drains it. */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { CODECS, type Encoding, isEncoding } from '../codec.js';
import { SidetoneError } from '../errors.js';
import type { ServerOptions } from '../options.js';
import { createServer } from '../server.js';

interface ServeFlags {
  config?: string;
  host?: string;
  port?: number;
  adminHost?: string;
  adminPort?: number;
  admin?: boolean;
  plugin?: string[];
  reactors?: number;
  pool?: number;
  authToken?: string;
  tlsCert?: string;
  tlsKey?: string;
  outboundCodec?: ServerOptions['outboundCodec'];
  outboundMode?: string;
  webhookPublicKey?: string;
  webhookPath?: string;
  answer?: string;
  apiKeyFile?: string;
  apiBase?: string;
  maxStreams?: number;
  drainTimeout?: number;
  idleTimeout?: number;
  reorderWait?: number;
  gather?: number;
  lead?: number;
  chunk?: number;
  queueMax?: number;
  liveLatencyMax?: number;
  handlerErrors?: ServerOptions['handlerErrors'];
  l16ByteOrder?: ServerOptions['l16ByteOrder'];
  concealment?: ServerOptions['concealment'];
  capture?: string;
  capturePersonal?: boolean;
  logLevel?: ServerOptions['logLevel'];
}

export function register(program: Command): void {
  const serve = program.command('serve').description('run a media-stream server');
  const option = (flags: string, description: string, parser?: (value: string) => unknown): void => {
    const made = new Option(flags, description);
    made.env(
      `SIDETONE_${made
        .attributeName()
        .replace(/[A-Z]/g, c => `_${c}`)
        .toUpperCase()}`,
    );
    if (parser) made.argParser(parser);
    serve.addOption(made);
  };
  option(
    '--config <file>',
    'JSON file with the options of createServer; flags and environment come before it',
  );
  option('--host <address>', 'address to listen on (default: 127.0.0.1)');
  option('--port <n>', 'port to listen on, 0 for a free one (default: 8080)', number);
  option('--admin-host <address>', 'address of the admin port (default: 127.0.0.1)');
  option(
    '--admin-port <n>',
    'port for health, metrics and dashboard, 0 for a free one (default: 9090; 0 with --port 0)',
    number,
  );
  option('--no-admin', 'no admin port');
  serve.addOption(
    new Option(
      '--plugin <name|file.ts>',
      'built-in plugin, TypeScript file or npm package; repeatable (default: echo)',
    )
      .env('SIDETONE_PLUGIN')
      .argParser((value: string, before: string[] | undefined) => [...(before ?? []), ...value.split(',')]),
  );
  option('--reactors <n>', 'threads that carry streams (default: 1)', number);
  option('--pool <n>', 'worker threads for OPUS and AMR-WB (default: one a core)', number);
  option('--auth-token <token>', 'token wanted in x-telnyx-streaming-auth-token');
  option('--tls-cert <file>', 'certificate chain, PEM');
  option('--tls-key <file>', 'private key, PEM');
  option('--outbound-codec <encoding[@rate]>', 'what Telnyx was told as stream_bidirectional_codec', codec);
  option('--outbound-mode <rtp|mp3>', 'what Telnyx was told as stream_bidirectional_mode (default: rtp)');
  option('--webhook-public-key <key>', "take Telnyx's webhooks by POST, signed with this key of the account");
  option('--webhook-path <path>', 'where they come (default: /telnyx/webhooks)');
  option('--answer <wss-url>', 'answer every incoming call with a stream to this address');
  option('--api-key-file <file>', 'a file that holds the API key for it (default: TELNYX_API_KEY)');
  option('--api-base <url>', 'base of the API, for a test double');
  option('--max-streams <n>', 'more are refused with 503 (default: 10000)', number);
  option('--drain-timeout <seconds>', 'how long running calls may go on after SIGTERM (default: 30)', number);
  option(
    '--idle-timeout <seconds>',
    'close a connection on which nothing comes, 8 to 960 (default: 120)',
    number,
  );
  option('--reorder-wait <ms>', 'how long a gap waits for the missing frame (default: 60)', number);
  option(
    '--gather <ms>',
    'how long messages may wait to be read together while no handler answers at once, 0: never (default: 1)',
    number,
  );
  option('--lead <ms>', 'how far ahead Telnyx is kept while audio is queued (default: 200)', number);
  option('--chunk <ms>', 'longest audio of one message (default: 100)', number);
  option('--queue-max <ms>', 'longest audio that may wait in one stream (default: 60000)', number);
  option(
    '--live-latency-max <ms>',
    'live audio that is later than this is caught up, 0: never (default: 400)',
    number,
  );
  option(
    '--handler-errors <end|bypass>',
    "a failing handler's stream ends or goes on without it (default: end)",
  );
  option('--l16-byte-order <le|be|auto>', 'byte order of L16 on the wire (default: le)');
  option('--concealment <on|silence>', 'what stands in for lost audio (default: on)');
  option('--capture <dir>', "write each stream's messages, both ways, with times, into a file there");
  option('--capture-personal', 'captures keep numbers, client_state and custom_parameters');
  option('--log-level <level>', 'least level that is logged (default: info)');
  serve.action((flags: ServeFlags) => run(flags));
}

async function run(flags: ServeFlags): Promise<void> {
  // V8 would let its young generation grow to tens of megabytes on a few bytes of garbage a message: half as much again
  // as all the streams take. Kept as it is, it is collected a few times a second more, which costs next to nothing. The
  // flag in the first line of main.ts keeps it smaller from the start; this is for whoever runs that file with node.
  setFlagsFromString('--semi-space-growth-factor=1');
  const server = await createServer({ ...configFile(flags.config), ...fromFlags(flags) });
  await server.listen();
  server.log.info(
    { host: server.options.host, port: server.port, adminPort: server.adminPort, pid: process.pid },
    'listening',
  );
  // A reactor's thread has ended: the others' calls may end in peace, and the supervisor starts the process anew.
  server.on('error', () => {
    process.exitCode = 1;
    void server.close();
  });
  // A plugin's own promise or timer that nobody watches must not end the other calls.
  process.on('unhandledRejection', err => server.log.error({ err }, 'unhandled rejection'));
  process.on('uncaughtException', err => server.log.error({ err }, 'uncaught exception'));
  const stop = (signal: string): void => {
    server.log.info({ signal, streams: server.streams }, 'draining');
    server.close().then(() => {
      server.log.info('closed');
      process.exitCode = 0;
      process.off('SIGTERM', stop).off('SIGINT', stop);
    });
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
}

/** The flags' names follow the contract of the command line; here they become the library's. */
function fromFlags(flags: ServeFlags): ServerOptions {
  if ((flags.tlsCert === undefined) !== (flags.tlsKey === undefined)) {
    const missing = flags.tlsCert === undefined ? '--tls-cert' : '--tls-key';
    throw new SidetoneError('SIDETONE_BAD_OPTION', `${missing}: missing: certificate and key go together`);
  }
  const needs = (flag: string, value: unknown, other: string, otherValue: unknown): void => {
    if (value === undefined || otherValue !== undefined) return;
    throw new SidetoneError('SIDETONE_BAD_OPTION', `${flag}: ${value}: goes with ${other}, which is missing`);
  };
  const { webhookPublicKey, webhookPath, answer, apiKeyFile, apiBase } = flags;
  needs('--webhook-path', webhookPath, '--webhook-public-key', webhookPublicKey);
  needs('--api-key-file', apiKeyFile, '--answer', answer);
  needs('--api-base', apiBase, '--answer', answer);
  const options: Record<string, unknown> = {
    host: flags.host,
    port: flags.port,
    adminHost: flags.adminHost,
    adminPort: flags.adminPort,
    admin: flags.admin === false ? false : undefined,
    plugins: flags.plugin,
    reactors: flags.reactors,
    pool: flags.pool,
    authToken: flags.authToken,
    tls: flags.tlsCert === undefined ? undefined : { cert: flags.tlsCert, key: flags.tlsKey },
    outboundCodec: flags.outboundCodec,
    outboundMode: flags.outboundMode,
    webhooks: webhookPublicKey === undefined ? undefined : { publicKey: webhookPublicKey, path: webhookPath },
    answer: answer === undefined ? undefined : { streamUrl: answer, apiKeyFile, apiBase },
    maxStreams: flags.maxStreams,
    drainTimeoutMs: flags.drainTimeout === undefined ? undefined : flags.drainTimeout * 1000,
    idleTimeoutSeconds: flags.idleTimeout,
    reorderWaitMs: flags.reorderWait,
    gatherMs: flags.gather,
    leadMs: flags.lead,
    chunkMs: flags.chunk,
    queueMaxMs: flags.queueMax,
    liveLatencyMaxMs: flags.liveLatencyMax,
    handlerErrors: flags.handlerErrors,
    l16ByteOrder: flags.l16ByteOrder,
    concealment: flags.concealment,
    captureDir: flags.capture,
    capturePersonal: flags.capturePersonal,
    logLevel: flags.logLevel,
  };
  for (const key of Object.keys(options)) if (options[key] === undefined) delete options[key];
  return options as ServerOptions;
}

function configFile(path: string | undefined): ServerOptions {
  if (path === undefined) return {};
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ServerOptions;
  } catch (error) {
    throw new SidetoneError(
      'SIDETONE_BAD_OPTION',
      `--config: ${path}: ${(error as Error).message}: give a readable JSON file`,
      { cause: error },
    );
  }
}

function number(value: string): number {
  const parsed = Number(value);
  if (value.trim() === '' || !Number.isFinite(parsed))
    throw new InvalidArgumentError(`${value} is not a number.`);
  return parsed;
}

function codec(value: string): { encoding: Encoding; sampleRate?: number } {
  const [encoding, rate] = value.split('@');
  if (!isEncoding(encoding)) {
    throw new InvalidArgumentError(
      `${value} is not one of ${Object.keys(CODECS).join(', ')}, with or without @rate.`,
    );
  }
  return rate === undefined ? { encoding } : { encoding, sampleRate: number(rate) };
}
