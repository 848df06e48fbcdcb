/** `sidetone serve`: runs a server until SIGTERM or SIGINT, then drains it. */
import { isDeepStrictEqual } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { type Command, Option } from 'commander';
import { resolveOptions, type ServerOptions } from '../options/options.js';
import { createServer, type Server } from '../server/server.js';
import { BEAT_SECONDS, LIMIT_SECONDS } from './child-watch.js';
import { EXIT_FAILED, EXIT_OK } from './exit.js';
import { addServeOptions, readServeOptions, unknownVariables } from './serve-options.js';
import { FORCED_END_MS, ServiceManager } from './service-manager.js';
import { obeyParent, SUPERVISE_FLAG, SUPERVISED_FLAG } from './supervised.js';
import { numberArgument } from './values.js';

/** As commander gives them. */
type ServeFlagValues = Readonly<Record<string, unknown>>;

export function register(program: Command): void {
  const serve = program.command('serve').description('run a media-stream server');
  addServeOptions(serve);
  serve.option(
    SUPERVISE_FLAG,
    'a parent process starts a crashed server again, and hands over to a new one at SIGUSR2; shares the port',
  );
  serve.addOption(
    new Option(
      '--watchdog <seconds>',
      'with --supervise: a server without a sign of life for so long is ended and started again; 0: never',
    )
      .env('SIDETONE_WATCHDOG')
      .default(LIMIT_SECONDS)
      .argParser(numberArgument({ min: 0, max: 3600 })),
  );
  serve.addOption(
    new Option('--watchdog-interval <seconds>', 'between two signs of life; at most half of --watchdog')
      .env('SIDETONE_WATCHDOG_INTERVAL')
      .default(BEAT_SECONDS)
      .argParser(numberArgument({ min: 0.01, max: 1800 })),
  );
  serve.addOption(new Option(`${SUPERVISED_FLAG} <place>`).choices(['first', 'next']).hideHelp());
  serve.action(async (flags: ServeFlagValues) => {
    if (!flags.supervise) return run(flags);
    const { supervise } = await import('./supervise.js');
    supervise(flags);
  });
}

/** A supervised server shares its port. One that takes over has no admin port until the old one has closed its own. */
function readOptions(flags: ServeFlagValues): { options: ServerOptions; hasAdmin: boolean } {
  const options = readServeOptions(flags, process.env);
  const hasAdmin = options.admin ?? true;
  if (flags.supervised === undefined) return { options, hasAdmin };
  const admin = hasAdmin && flags.supervised === 'first';
  return { options: { ...options, sharePort: true, admin }, hasAdmin };
}

async function run(flags: ServeFlagValues): Promise<void> {
  // V8 would let its young generation grow to tens of megabytes, half as much again as all the streams take. At this
  // size it is collected a few times a second more often, which costs almost nothing. The flag in the first line of
  // main.ts does the same; this is for a start with `node`.
  setFlagsFromString('--semi-space-growth-factor=1');
  const hangups = catchHangups();
  const { options, hasAdmin } = readOptions(flags);
  const server = await createServer(options);
  for (const { name, meant } of unknownVariables(process.env)) {
    const remedy = meant === undefined ? 'unset it' : `did you mean ${meant}?`;
    server.log.warn({ variable: name }, `the environment has an option that does not exist: ${remedy}`);
  }
  await server.listen();
  server.log.info({ host: server.options.host, port: server.port, adminPort: server.adminPort }, 'listening');
  const manager = new ServiceManager(process.env, process.pid);
  const stop = (signal: string): void => {
    manager.stopping('draining', server.options.drainTimeoutMs + FORCED_END_MS);
    server.log.info({ signal, streams: server.streams }, server.draining ? 'closing at once' : 'draining');
    server.close().then(
      () => {
        server.log.info('closed');
        process.exitCode = EXIT_OK;
      },
      error => {
        server.log.fatal({ err: error }, 'closed by force');
        process.exitCode = EXIT_FAILED;
      },
    );
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  server.guardProcess();
  manager.ready(`listening on ${server.options.host}:${server.port}`);
  if (flags.supervised !== undefined) {
    obeyParent(server, {
      hasAdmin,
      intervalMs: 1000 * (flags.watchdogInterval as number),
      orphaned: () => server.draining || stop('the supervisor has gone'),
    });
  }
  hangups.take(() => void reload(server, flags));
}

/** Without a handler SIGHUP would end the process. One that comes during the start is handled after it. */
function catchHangups(): { take(action: () => void): void } {
  let came = false;
  let action = (): void => {
    came = true;
  };
  process.on('SIGHUP', () => action());
  return {
    take(taken) {
      action = taken;
      if (came) action();
    },
  };
}

/**
 * Reads tokens and certificates again. No connection is dropped. Where a file cannot be read, everything stays as it
 * was.
 */
async function reload(server: Server, flags: ServeFlagValues): Promise<void> {
  if (server.draining) {
    server.log.info({ signal: 'SIGHUP' }, 'not read again: the server is draining');
    return;
  }
  try {
    const { authToken, tls, adminToken, ...others } = readOptions(flags).options;
    const before = server.options as Record<string, unknown>;
    const needRestart = Object.entries(resolveOptions(others))
      .filter(([key, value]) => !RELOADED.has(key) && !isDeepStrictEqual(value, before[key]))
      .map(([key]) => key);
    await server.reload({ authToken, tls, adminToken });
    server.log.info({ signal: 'SIGHUP' }, 'tokens and certificates read again');
    if (needRestart.length > 0) {
      server.log.warn({ options: needRestart }, 'these have changed and need a restart of the server');
    }
  } catch (error) {
    const problem = 'tokens and certificates could not be read again: the server keeps what it has';
    server.log.error({ signal: 'SIGHUP', err: error }, problem);
  }
}

/** `plugins` is filled in where there are none, so it cannot be compared. */
const RELOADED: ReadonlySet<string> = new Set(['authToken', 'tls', 'adminToken', 'plugins']);
