/** `sidetone load`: load against any Telnyx media server. */
import { writeFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { SidetoneError } from '../errors.js';
import { ENCODINGS, type Encoding } from '../formats.js';
import { type LoadOptions, STREAMS_MAX } from '../load/options.js';
import { htmlReport, rampHtml, rampText, textReport } from '../load/report.js';
import { p99Of, rampLoad, runLoad } from '../load/run.js';
import type { LoadProgress } from '../native/load.js';
import { loadCharts } from '../report/charts.js';
import { EXIT_FAILED, EXIT_OK } from './exit.js';
import { numberArgument } from './values.js';

interface LoadFlags {
  streams?: number;
  seconds: number;
  codec: Encoding;
  rate?: number;
  replyCodec?: Encoding;
  replyRate?: number;
  mode: 'echo' | 'bridge' | 'listen';
  ptime?: number;
  verify?: boolean;
  token?: string;
  serverPid?: number;
  connectsPerSecond?: number;
  warmup?: number;
  connectTimeout?: number;
  drain?: number;
  playout?: number;
  utteranceGap?: number;
  rampToP99?: number;
  report?: string;
  json?: boolean;
}

const STREAMS_DEFAULT = 100;

/** Adds `sidetone load` to the program. */
export function register(program: Command): void {
  program
    .command('load')
    .description('put load on any Telnyx media server and measure what callers would hear')
    .argument('<url>', 'where the server listens, ws://')
    .option(
      '--streams <n>',
      `simultaneous streams, 1 to ${STREAMS_MAX} (default ${STREAMS_DEFAULT}); with --ramp-to-p99: the most to try`,
      numberArgument(),
    )
    .option(
      '--seconds <s>',
      'length of the measurement; with --ramp-to-p99: of each step',
      numberArgument(),
      10,
    )
    .addOption(new Option('--codec <encoding>', 'what the callers speak').choices(ENCODINGS).default('PCMU'))
    .option(
      '--rate <hz>',
      'sample rate that start announces (default: as usual for the codec)',
      numberArgument(),
    )
    .addOption(
      new Option('--reply-codec <encoding>', 'what the application speaks (default: --codec)').choices(
        ENCODINGS,
      ),
    )
    .option('--reply-rate <hz>', 'its sample rate, for L16', numberArgument())
    .addOption(
      new Option('--mode <mode>', 'echo: the application sends back what it hears; bridge: it joins each two streams; listen: it speaks')
        .choices(['echo', 'bridge', 'listen'])
        .default('echo'),
    )
    .option('--ptime <ms>', 'length of a media frame (default 20)', numberArgument())
    .option('--verify', 'check every byte that comes back (echo or bridge of PCMU, PCMA or L16)')
    .option('--ramp-to-p99 <ms>', 'find the most streams that keep p99 under this', numberArgument())
    .option('--token <token>', 'x-telnyx-streaming-auth-token')
    .option(
      '--server-pid <pid>',
      "read this local process' processor time and memory: the server's",
      numberArgument(),
    )
    .option('--connects-per-second <n>', 'pace of the connects (default 500)', numberArgument())
    .option('--warmup <s>', 'before the measurement begins (default 2)', numberArgument())
    .option('--connect-timeout <ms>', 'for a stream to open (default 5000)', numberArgument())
    .option('--drain <s>', 'for the last frames to come back (default 0.5)', numberArgument())
    .option('--playout <ms>', "jitter buffer of the callers' end (default 40)", numberArgument())
    .option('--utterance-gap <ms>', 'silence that is a pause, not a gap (default 1000)', numberArgument())
    .option('--report <file.html>', 'write a report with plots')
    .option('--json', 'print one JSON object')
    .action(run);
}

async function run(url: string, flags: LoadFlags): Promise<void> {
  const abort = new AbortController();
  const interrupt = (): void => abort.abort();
  process.once('SIGINT', interrupt);
  const options: LoadOptions = {
    streams: flags.streams ?? (flags.rampToP99 === undefined ? STREAMS_DEFAULT : STREAMS_MAX),
    seconds: flags.seconds,
    mode: flags.mode,
    encoding: flags.codec,
    sampleRate: flags.rate,
    replyEncoding: flags.replyCodec,
    replySampleRate: flags.replyRate,
    ptimeMs: flags.ptime,
    verify: flags.verify ?? false,
    token: flags.token,
    serverPid: flags.serverPid,
    connectsPerSecond: flags.connectsPerSecond,
    warmupSeconds: flags.warmup,
    connectTimeoutMs: flags.connectTimeout,
    drainSeconds: flags.drain,
    playoutMs: flags.playout,
    utteranceGapMs: flags.utteranceGap,
    signal: abort.signal,
    ...(process.stderr.isTTY && { onProgress: showProgress }),
  };
  try {
    // Checked before the run, so that a wrong path or a missing package does not waste a run.
    if (flags.report !== undefined) {
      await loadCharts();
      await write(flags.report, '');
    }
    process.exitCode =
      flags.rampToP99 === undefined
        ? await single(url, options, flags)
        : await ramp(url, options, flags.rampToP99, flags);
  } finally {
    process.off('SIGINT', interrupt);
  }
}

async function single(url: string, options: LoadOptions, flags: LoadFlags): Promise<number> {
  const result = await runLoad(url, options);
  hideProgress();
  if (flags.report !== undefined) await write(flags.report, await htmlReport(result));
  const ok = result.problems.length === 0;
  process.stdout.write(flags.json ? `${JSON.stringify({ ok, ...result })}\n` : textReport(result));
  return ok ? EXIT_OK : EXIT_FAILED;
}

async function ramp(url: string, options: LoadOptions, p99Ms: number, flags: LoadFlags): Promise<number> {
  const found = await rampLoad(url, {
    ...options,
    p99Ms,
    onStep: (result, held) => {
      hideProgress();
      if (flags.json) return;
      const reason = held ? 'holds' : (result.problems[0] ?? 'does not hold');
      process.stdout.write(
        `${String(result.streams.asked).padStart(5)} streams: p99 ${p99Of(result).toFixed(2)} ms, audio rate ${result.audioRate.mean.toFixed(4)}: ${reason}\n`,
      );
    },
  });
  if (flags.report !== undefined) await write(flags.report, await rampHtml(found));
  process.stdout.write(
    flags.json ? `${JSON.stringify({ ok: found.streams > 0, ...found })}\n` : rampText(found),
  );
  return found.streams > 0 ? EXIT_OK : EXIT_FAILED;
}

function showProgress({ phase, opened, failed, mediaMessages }: LoadProgress): void {
  process.stderr.write(`\r\x1b[K${phase}: ${opened} open, ${failed} failed, ${mediaMessages} messages back`);
}

function hideProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}

async function write(path: string, text: string): Promise<void> {
  await writeFile(path, text).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SidetoneError('SIDETONE_BAD_OPTION', `--report ${path} cannot be written: ${why}`, { cause });
  });
}
