/** `sidetone serve`: runs a server until SIGTERM or SIGINT, then drains it. */
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { createServer } from '../server.js';
import { addServeOptions, readServeOptions, unknownVariables } from './serve-options.js';

export function register(program: Command): void {
  const serve = program.command('serve').description('run a media-stream server');
  addServeOptions(serve);
  serve.action((flags: Readonly<Record<string, unknown>>) => run(flags));
}

async function run(flags: Readonly<Record<string, unknown>>): Promise<void> {
  // V8 would let its young generation grow to tens of megabytes on a few bytes of garbage a message: half as much again
  // as all the streams take. Kept as it is, it is collected a few times a second more, which costs next to nothing. The
  // flag in the first line of main.ts keeps it smaller from the start; this is for whoever runs that file with node.
  setFlagsFromString('--semi-space-growth-factor=1');
  const server = await createServer(readServeOptions(flags, process.env));
  for (const { name, meant } of unknownVariables(process.env)) {
    const remedy = meant === undefined ? 'unset it' : `did you mean ${meant}?`;
    server.log.warn({ variable: name }, `the environment has an option that does not exist: ${remedy}`);
  }
  await server.listen();
  server.log.info({ host: server.options.host, port: server.port, adminPort: server.adminPort }, 'listening');
  // A reactor's thread has ended: the others' calls may end in peace, and the supervisor starts the process anew.
  server.on('error', () => {
    process.exitCode = 1;
    void server.close();
  });
  // A plugin's own promise or timer that nobody watches must not end the other calls.
  process.on('unhandledRejection', err => server.log.error({ err }, 'unhandled rejection'));
  process.on('uncaughtException', err => server.log.error({ err }, 'uncaught exception'));
  const stop = (signal: string): void => {
    server.log.info({ signal, streams: server.streams }, server.draining ? 'closing at once' : 'draining');
    server.close().then(() => {
      server.log.info('closed');
      process.exitCode = 0;
      process.off('SIGTERM', stop).off('SIGINT', stop);
    });
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
}
