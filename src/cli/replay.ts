/** `sidetone replay`: Telnyx's side of a capture, once more. */
import type { Command } from 'commander';
import type { ServerSide } from '../capture/outcome.js';
import { type ReplayResult, replay } from '../capture/replay.js';
import { EXIT_FAILED, EXIT_OK } from './exit.js';
import { numberArgument } from './values.js';

interface ReplayFlags {
  speed?: number;
  token?: string;
  insecure?: boolean;
  expectSame?: boolean;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command('replay')
    .description("send Telnyx's side of a capture to a server again, and compare what comes back")
    .argument('<capture>', 'a file of sidetone serve --capture')
    .argument('<url>', 'where the server listens, ws:// or wss://')
    .option(
      '--speed <x>',
      'faster (2: in half the time) or slower than it was (default: 1)',
      numberArgument(),
    )
    .option('--token <token>', 'x-telnyx-streaming-auth-token: captures do not hold it')
    .option('--insecure', 'wss: accept any certificate')
    .option('--expect-same', 'exit 1 where the audio that comes back is not that of the capture')
    .option('--json', 'print one JSON object')
    .action(async (capture: string, url: string, flags: ReplayFlags) => {
      const abort = new AbortController();
      const interrupt = (): void => abort.abort();
      process.once('SIGINT', interrupt);
      const result = await replay(capture, url, {
        ...(flags.speed !== undefined && { speed: flags.speed }),
        ...(flags.token !== undefined && { token: flags.token }),
        verifyCertificate: flags.insecure !== true,
        signal: abort.signal,
      });
      process.off('SIGINT', interrupt);
      process.stdout.write(flags.json ? `${JSON.stringify(result)}\n` : report(result));
      const failed = result.failure !== undefined || (flags.expectSame === true && !result.audio.same);
      process.exitCode = failed ? EXIT_FAILED : EXIT_OK;
    });
}

const ROWS: readonly (readonly [string, keyof ServerSide])[] = [
  ['messages', 'messages'],
  ['media messages', 'media'],
  ['payload bytes', 'payloadBytes'],
  ['audio, ms', 'audioMs'],
  ['first audio after start, ms', 'firstMediaMs'],
  ['marks', 'marks'],
  ['clears', 'clears'],
  ['anything else', 'other'],
];

function report(result: ReplayResult): string {
  const { sent, toSend, captured, replayed, audio, latestMs, failure } = result;
  const cell = (value: number | undefined): string => String(value ?? '-').padStart(12);
  const differs = audio.differsAtMs === undefined ? '' : `, first at ${audio.differsAtMs} ms`;
  return [
    `sent ${sent.messages} of ${toSend} messages, ${sent.media} of them media, at most ${latestMs} ms late`,
    '',
    `${'from the server'.padEnd(28)}${'captured'.padStart(12)}${'now'.padStart(12)}`,
    ...ROWS.map(([label, key]) => `${label.padEnd(28)}${cell(captured[key])}${cell(replayed[key])}`),
    '',
    `audio: ${audio.same ? 'the same' : `differs${differs}`}`,
    ...(failure === undefined ? [] : [`failed: ${failure}`]),
    '',
  ].join('\n');
}
