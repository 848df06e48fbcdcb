#!/usr/bin/env -S node --max-semi-space-size=2
/** The command `sidetone`. Each subcommand has a file of its own; this one lists them and prints errors. */
import { Command, CommanderError } from 'commander';
import { SidetoneError } from '../errors.js';
import { version } from '../version.js';
import { EXIT_FAILED, EXIT_USAGE } from './exit.js';

const COMMANDS = ['new', 'serve', 'call', 'load', 'start', 'check', 'demo', 'transcode', 'replay', 'doctor'];

const USAGE_ERRORS = new Set<string>([
  'SIDETONE_BAD_OPTION',
  'SIDETONE_BAD_ARGUMENT',
  'SIDETONE_PLUGIN_INVALID',
  'SIDETONE_PLUGIN_NOT_FOUND',
]);

const program = new Command('sidetone')
  .description('media-stream server for Telnyx phone calls, and the tools to test one')
  .version(version)
  .showHelpAfterError('(add --help for the options)')
  .exitOverride();

// A command is loaded only when it is named, because `sidetone check`, for example, needs no addon.
const named = process.argv[2];
// serve.ts handles SIGHUP. Before it is loaded, the signal must not end the process.
if (named === 'serve') process.on('SIGHUP', () => {});
const wanted = named !== undefined && COMMANDS.includes(named) ? [named] : COMMANDS;
for (const name of wanted) {
  const { register } = (await import(`./${name}.js`)) as { register(program: Command): void };
  register(program);
}
for (const command of program.commands) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  if (error instanceof SidetoneError) {
    console.error(`sidetone: ${error.message} [${error.code}]`);
    return USAGE_ERRORS.has(error.code) ? EXIT_USAGE : EXIT_FAILED;
  }
  console.error(error);
  return EXIT_FAILED;
}
