import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { readWav, type WavAudio, wavBytes } from '../audio/wav.js';
import { SidetoneError } from '../errors.js';
import { CODECS, ENCODINGS, type Encoding, isEncoding } from '../formats.js';
import type { CallOptions } from '../simulator/options.js';
import type { CallResult } from '../simulator/result.js';
import { Simulator } from '../simulator/simulator.js';
import type { SocketOptions } from '../simulator/socket.js';
import type { Pcm } from '../simulator/speech.js';
import { counted, numberRemedy, numberWithin } from './values.js';

/** What the caller says without `--in`. */
const SPEECH = fileURLToPath(new URL('../../../assets/speech.wav', import.meta.url));
/** Digits given without a time are dialled this far apart. */
const DIGIT_INTERVAL_MS = 500;

/** The options as commander gives them. */
export interface CallCommandOptions {
  codec?: string;
  rate?: string;
  in?: string;
  out?: string;
  seconds?: string;
  linger?: string;
  bothTracks?: boolean;
  outboundCodec?: string;
  outboundRate?: string;
  mp3?: boolean;
  amrOctetAligned?: boolean;
  ptime?: string;
  timestampUnit?: string;
  chunkOrigin?: string;
  chunkCounting?: string;
  startDelay?: string;
  abrupt?: boolean;
  dtmf?: string;
  shuffle?: string;
  loss?: string;
  duplicate?: string;
  seed?: string;
  token?: string;
  from?: string;
  to?: string;
  clientState?: string;
  parameter?: string[];
  insecure?: boolean;
  allowSilence?: boolean;
  json?: boolean;
}

export interface CallCommandContext {
  write: (text: string) => void;
  writeError: (text: string) => void;
  /** Hangs up. */
  signal?: AbortSignal;
  /** Places the call. Default: one of its own; tests have one in virtual time. */
  simulator?: Simulator;
}

/** Adds `sidetone call` to the program. */
export function register(program: Command): void {
  program
    .command('call')
    .description('place one simulated Telnyx call, strict to the specification, to a media-stream server')
    .argument('<url>', 'where the server listens, ws:// or wss://')
    .option('--codec <encoding>', `what the caller speaks: ${ENCODINGS.join(', ')} (default PCMU)`)
    .option(
      '--rate <hz>',
      'sample rate that start announces, 8000 or 16000 (default: as usual for the codec)',
    )
    .option(
      '--in <file.wav>',
      'what the caller says; stereo: left caller, right callee (default: a built-in phrase)',
    )
    .option('--out <file.wav>', 'write what the caller hears (with --mp3: the MP3 data)')
    .option('--seconds <s>', 'how long the caller speaks: the speech is repeated or cut (default: once)')
    .option('--linger <s>', 'how long the caller stays on after that (default 1)')
    .option('--both-tracks', 'stream the callee too')
    .option('--outbound-codec <encoding>', 'stream_bidirectional_codec (default: --codec)')
    .option('--outbound-rate <hz>', 'stream_bidirectional_sampling_rate')
    .option('--mp3', 'stream_bidirectional_mode=mp3 instead of rtp')
    .option('--amr-octet-aligned', 'expect AMR-WB octet-aligned instead of bandwidth-efficient')
    .option('--ptime <ms>', 'length of a media frame (default 20)')
    .option('--timestamp-unit <unit>', 'media.timestamp in rtp clock units or ms (default rtp)')
    .option('--chunk-origin <n>', 'first media.chunk (default 1)')
    .option('--chunk-counting <what>', 'chunks counted by track or stream (default track)')
    .option('--start-delay <ms>', 'from the WebSocket to the answer (default 0)')
    .option('--abrupt', 'end by a broken connection instead of stop')
    .option('--dtmf <digits>', 'dial, for example 12# or 1@500,2@900 (ms since start)')
    .option('--shuffle <n>', 'let media frames overtake each other within a window of n')
    .option('--loss <p>', 'lose media frames, probability 0 to 1')
    .option('--duplicate <p>', 'repeat media frames, probability 0 to 1')
    .option('--seed <n>', 'repeat the random decisions of an earlier call')
    .option('--token <token>', 'x-telnyx-streaming-auth-token')
    .option('--from <number>', 'the caller')
    .option('--to <number>', 'the callee')
    .option('--client-state <base64>', 'client_state in start')
    .option(
      '--parameter <name=value>',
      'one of custom_parameters in start; may be repeated',
      (pair: string, before: string[] = []) => [...before, pair],
    )
    .option('--insecure', 'wss: accept any certificate')
    .option('--allow-silence', 'hearing nothing is no failure')
    .option('--json', 'print one JSON object')
    .action(async (url: string, options: CallCommandOptions) => {
      const abort = new AbortController();
      const interrupt = (): void => abort.abort();
      process.once('SIGINT', interrupt);
      process.exitCode = await runCall(url, options, {
        write: text => process.stdout.write(text),
        writeError: text => process.stderr.write(text),
        signal: abort.signal,
      });
      process.off('SIGINT', interrupt);
    });
}

/** Places the call and reports. Gives the exit code: 0 fine, 1 the call failed, 2 bad usage. */
export async function runCall(
  url: string,
  options: CallCommandOptions,
  context: CallCommandContext,
): Promise<number> {
  let result: CallResult;
  try {
    const { signal, simulator = new Simulator() } = context;
    const seed = optionalNumber('--seed', options.seed, 0, 2 ** 32 - 1);
    const callOptions: CallOptions & SocketOptions = {
      ...readOptions(options),
      ...(await speech(simulator, options)),
      ...(seed !== undefined && { seed }),
    };
    if (options.mp3 && options.out?.endsWith('.wav')) {
      throw usage(
        '--out',
        options.out,
        'with --mp3 the caller hears MP3 files: give a name that ends in .mp3',
      );
    }
    // The files are opened before the call, so that a wrong path does not waste a call.
    if (options.out !== undefined) await writeOut(options.out, new Uint8Array());
    const call = simulator.call(url, callOptions);
    signal?.addEventListener('abort', () => call.hangup());
    if (signal?.aborted) call.hangup();
    result = await call.result;
    if (options.out !== undefined) {
      await writeOut(options.out, heardFile(options.mp3 === true, result, simulator));
    }
  } catch (error) {
    if (!(error instanceof SidetoneError)) throw error;
    context.writeError(`sidetone call: ${error.message}\n`);
    return 2;
  }
  const problems = judge(result, options.allowSilence === true);
  context.write(
    options.json ? `${JSON.stringify(json(url, result, problems))}\n` : report(url, result, problems),
  );
  return problems.length > 0 ? 1 : 0;
}

function usage(option: string, value: unknown, remedy: string): SidetoneError {
  return new SidetoneError('SIDETONE_BAD_OPTION', `${option} is ${String(value)}: ${remedy}`);
}

function optionalNumber(
  option: string,
  text: string | undefined,
  min: number,
  max: number,
): number | undefined {
  if (text === undefined) return undefined;
  const value = numberWithin(text, { min, max });
  if (value === undefined) throw usage(option, text, numberRemedy({ min, max }));
  return value;
}

function optionalEncoding(option: string, text: string | undefined): Encoding | undefined {
  if (text === undefined) return undefined;
  if (!isEncoding(text)) throw usage(option, text, `give one of ${ENCODINGS.join(', ')}`);
  return text;
}

function optionalWord<T extends string>(
  option: string,
  text: string | undefined,
  words: readonly T[],
): T | undefined {
  if (text === undefined) return undefined;
  const word = words.find(each => each === text);
  if (!word) throw usage(option, text, `give one of ${words.join(', ')}`);
  return word;
}

function readOptions(options: CallCommandOptions): CallOptions & SocketOptions {
  const linger = optionalNumber('--linger', options.linger, 0, 3600);
  return {
    mode: options.mp3 ? 'mp3' : 'rtp',
    outboundEncoding: optionalEncoding('--outbound-codec', options.outboundCodec),
    outboundSampleRate: optionalNumber('--outbound-rate', options.outboundRate, 8000, 48_000),
    amrWbFraming: options.amrOctetAligned ? 'octet-aligned' : 'bandwidth-efficient',
    timestampUnit: optionalWord('--timestamp-unit', options.timestampUnit, ['rtp', 'ms']),
    chunkOrigin: optionalNumber('--chunk-origin', options.chunkOrigin, 0, Number.MAX_SAFE_INTEGER),
    chunkCounting: optionalWord('--chunk-counting', options.chunkCounting, ['track', 'stream']),
    startDelayMs: optionalNumber('--start-delay', options.startDelay, 0, 3_600_000),
    ending: options.abrupt ? 'abrupt' : 'stop',
    lingerMs: linger === undefined ? undefined : linger * 1000,
    dtmf: parseDtmf(options.dtmf),
    shuffle: optionalNumber('--shuffle', options.shuffle, 0, 1000),
    loss: optionalNumber('--loss', options.loss, 0, 1),
    duplicate: optionalNumber('--duplicate', options.duplicate, 0, 1),
    authToken: options.token,
    from: options.from,
    to: options.to,
    clientState: options.clientState,
    customParameters: parseParameters(options.parameter),
    verifyCertificate: !options.insecure,
  };
}

function parseDtmf(text: string | undefined): { atMs: number; digit: string }[] | undefined {
  if (text === undefined) return undefined;
  const remedy = 'give digits (0 to 9, *, #, A to D), as 12# or with ms since start as 1@500,2@900';
  if (/^[0-9*#A-D]+$/.test(text)) {
    return [...text].map((digit, i) => ({ atMs: (i + 1) * DIGIT_INTERVAL_MS, digit }));
  }
  return text.split(',').map(part => {
    const [, digit, at] = /^([0-9*#A-D])@(\d+)$/.exec(part) ?? [];
    if (digit === undefined) throw usage('--dtmf', text, remedy);
    return { atMs: Number(at), digit };
  });
}

function parseParameters(pairs: string[] | undefined): Record<string, string> | undefined {
  if (!pairs) return undefined;
  return Object.fromEntries(
    pairs.map(pair => {
      const at = pair.indexOf('=');
      if (at < 1) throw usage('--parameter', pair, 'give name=value');
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

async function speech(simulator: Simulator, options: CallCommandOptions): Promise<CallOptions> {
  const encoding = optionalEncoding('--codec', options.codec);
  const sampleRate = optionalNumber('--rate', options.rate, 8000, 16_000);
  const ptimeMs = optionalNumber('--ptime', options.ptime, 1, 1000);
  const seconds = optionalNumber('--seconds', options.seconds, 0.02, 86_400);
  const wav = await readWav(options.in ?? SPEECH);
  const format = {
    ...(encoding && { encoding }),
    ...(sampleRate !== undefined && { sampleRate }),
    ...(ptimeMs !== undefined && { ptimeMs }),
  };
  // A callee who says nothing still has a track, of silence.
  const callee = options.bothTracks
    ? lasting(wav, wav.channels.length > 1 ? 1 : undefined, seconds)
    : undefined;
  return simulator.speech(lasting(wav, 0, seconds), { ...format, ...(callee && { callee }) });
}

/** One channel of a file, repeated or cut to `seconds`; no channel: no sound. */
function lasting(wav: WavAudio, channel: number | undefined, seconds: number | undefined): Pcm {
  const { sampleRate } = wav;
  const once = channel === undefined ? new Int16Array(0) : wav.channels[channel]!;
  if (seconds === undefined || once.length === 0) return { samples: once, sampleRate };
  const samples = new Int16Array(Math.round(seconds * sampleRate));
  for (let at = 0; at < samples.length; at += once.length) {
    samples.set(once.subarray(0, samples.length - at), at);
  }
  return { samples, sampleRate };
}

/** The sound the caller heard as a WAV file, or the MP3 files it heard one after the other. */
function heardFile(mp3: boolean, result: CallResult, simulator: Simulator): Uint8Array {
  if (mp3) return Buffer.concat(result.heard.map(segment => segment.payload));
  const { samples, sampleRate } = simulator.render(result);
  return wavBytes({ sampleRate, channels: [samples] });
}

async function writeOut(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(path, bytes);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SidetoneError('SIDETONE_BAD_OPTION', `--out ${path} cannot be written: ${why}`, { cause });
  }
}

/** What makes the call a failure, in words. */
function judge(result: CallResult, allowSilence: boolean): string[] {
  const problems: string[] = [];
  const { ended, failure, closeCode, closeReason, errors, errorsSent, heardMs } = result;
  const close = `code ${closeCode ?? 'unknown'}${closeReason ? `, ${closeReason}` : ''}`;
  if (ended === 'failed') problems.push(failure ?? 'the connection failed');
  if (ended === 'unanswered') problems.push(`the server closed before the call was answered (${close})`);
  if (ended === 'by the application' && closeCode !== 1000 && closeCode !== 1005) {
    problems.push(`the server broke off (${close})`);
  }
  const first = errors[0];
  if (first)
    problems.push(
      `${counted(errorsSent, 'error frame')}; the first: ${first.code} ${first.title}: ${first.detail}`,
    );
  if (heardMs === 0 && ended !== 'failed' && ended !== 'unanswered' && !allowSilence) {
    problems.push('the caller heard nothing (if that is right: --allow-silence)');
  }
  return problems;
}

function json(url: string, result: CallResult, problems: string[]): object {
  const { heard, gaps: _gaps, ...rest } = result;
  return { ok: problems.length === 0, problems, url, ...rest, heardMessages: heard.length };
}

function report(url: string, result: CallResult, problems: string[]): string {
  const { frames, bytes, marks, latencies, echo, underruns } = result;
  const ms = (value: number): string => `${Math.round(value * 10) / 10} ms`;
  const rate = CODECS[result.encoding].clockRate(result.sampleRate);
  const lines = [
    `call       ${url}, ${result.encoding} at ${rate} Hz, seed ${result.seed}`,
    `sent       ${frames.mediaSent} media frames, ${bytes.sent} bytes; ${frames.lost} lost, ${frames.duplicated} duplicated, ${frames.overtaken} overtaken`,
    `received   ${frames.mediaReceived} media frames, ${bytes.received} bytes; ${marks.received} marks (${marks.returned} returned), ${frames.clearsReceived} clears`,
    `heard      ${ms(result.heardMs)}${latencies.firstHeardMs === undefined ? '' : `, first after ${ms(latencies.firstHeardMs)}`}; ${underruns.count} gaps, ${ms(underruns.totalMs)}; ${ms(result.discardedMs)} not played`,
  ];
  const away = latencies.echoArrivalMs;
  if (away) {
    lines.push(
      `echo       ${echo.matched} of ${echo.sent} frames came back unchanged: p50 ${ms(away.p50)}, p99 ${ms(away.p99)}`,
    );
  }
  for (const warning of result.warnings) lines.push(`warning    ${warning}`);
  for (const problem of problems) lines.push(`problem    ${problem}`);
  lines.push(`ended      ${result.ended}, after ${ms(result.durationMs)}`);
  return `${lines.join('\n')}\n`;
}
