/** What a load run found, in the units people read. */

import type { Encoding } from '../formats.js';
import type { LoadProgress, NativeHistogram, NativeLoadOptions, NativeLoadResult } from '../native/load.js';
import type { Distribution } from '../report/charts.js';

/** Processor time for one stream during one second, in µs. 1,000,000 divided by it is how many streams fill a core. */
export interface CpuPerStreamSecond {
  userUs: number;
  kernelUs: number;
  totalUs: number;
}

/** How a run went on: one point each half second. */
export interface TimelinePoint {
  /** Since the run's start. */
  seconds: number;
  phase: LoadProgress['phase'];
  /** Streams that have been opened by then, and those that failed. */
  opened: number;
  failed: number;
  /** Media messages a second, since the point before. */
  sentPerSecond: number;
  receivedPerSecond: number;
}

export interface LoadResult {
  url: string;
  /** ISO 8601. */
  startedAt: string;
  encoding: Encoding;
  replyEncoding: Encoding;
  mode: 'echo' | 'bridge' | 'listen';
  ptimeMs: number;
  /** How long was measured, in seconds. */
  seconds: number;
  streams: {
    asked: number;
    opened: number;
    connectFailed: number;
    upgradeRefused: number;
    timedOut: number;
    /** Closed or reset by the application before the call's end. */
    closedEarly: number;
    /** Closed by us: what came was not WebSocket. */
    protocolErrors: number;
  };
  /** Within the measurement. `framesNotSent`: the application reads so slowly that the socket's queue was full. */
  sent: { frames: number; framesNotSent: number; wireBytes: number };
  received: { messages: number; payloadBytes: number; wireBytes: number; audioMs: number };
  /** Audio received over time passed, a stream: 1 is real time. `worst` is the one farthest from 1. */
  audioRate: { mean: number; min: number; median: number; max: number; worst: number };
  /** How often the far end had nothing to play in the middle of an utterance, which is heard as a gap. */
  underruns: { count: number; totalMs: number; streams: number; length: Distribution };
  /** Echo: from sending a frame to its last byte's return, by the kernel's arrival times. */
  latency?: Distribution;
  /** How late each message came against its stream's own schedule (arrival less the audio before it, least value = 0). */
  deadlineError: Distribution;
  /** Whole run. Marks are returned when the audio before them has been played, or at a clear. */
  control: { marks: number; marksReturned: number; marksRefused: number; clears: number; other: number };
  /** Whole run: messages that are not JSON with an event, payloads that are not the codec's. */
  bad: { messages: number; payloads: number };
  /** With `verify`, whole run. */
  verify?: { bytesRight: number; bytesWrong: number; framesMissing: number; framesRepeated: number };
  /** Echo: frames whose audio had not come back `drainSeconds` after the last one was sent. */
  framesUnreturned: number;
  /** With `serverPid`. */
  server?: { cpu: CpuPerStreamSecond; rssBytesBefore: number; rssBytesAfter: number };
  /** The generator's own thread, and how late it sent against its schedule. */
  generator: { cpu: CpuPerStreamSecond; sendLateness: Distribution };
  /** The whole run. */
  timeline: TimelinePoint[];
  /** What makes the run a failure; empty: every stream was served whole. */
  problems: string[];
  /** What makes the figures doubtful. */
  warnings: string[];
}

/** A generator that is this late at p99 is short of processor time itself. */
const LATE_MS = 5;

export function distribution(histogram: NativeHistogram): Distribution {
  const { buckets } = histogram;
  return {
    count: histogram.count,
    minMs: histogram.minUs / 1000,
    meanMs: histogram.meanUs / 1000,
    p50Ms: histogram.p50Us / 1000,
    p90Ms: histogram.p90Us / 1000,
    p99Ms: histogram.p99Us / 1000,
    p999Ms: histogram.p999Us / 1000,
    maxMs: histogram.maxUs / 1000,
    buckets: Array.from({ length: buckets.length / 3 }, (_, i) => [
      buckets[3 * i]! / 1000,
      buckets[3 * i + 1]! / 1000,
      buckets[3 * i + 2]!,
    ]),
  };
}

function audioRate(rates: Float64Array): LoadResult['audioRate'] {
  if (rates.length === 0) return { mean: 0, min: 0, median: 0, max: 0, worst: 0 };
  const sorted = rates.slice().sort();
  const min = sorted[0]!;
  const max = sorted.at(-1)!;
  return {
    mean: rates.reduce((sum, rate) => sum + rate, 0) / rates.length,
    min,
    median: sorted[sorted.length >> 1]!,
    max,
    worst: Math.abs(min - 1) > Math.abs(max - 1) ? min : max,
  };
}

function perStreamSecond(userUs: number, kernelUs: number, streamSeconds: number): CpuPerStreamSecond {
  const share = (us: number): number => (streamSeconds > 0 ? us / streamSeconds : 0);
  return { userUs: share(userUs), kernelUs: share(kernelUs), totalUs: share(userUs + kernelUs) };
}

function problemsOf(
  raw: NativeLoadResult,
  { streams: asked, mode, verify, drainMs }: NativeLoadOptions,
): string[] {
  const failed = asked - raw.opened;
  const problems: string[] = [];
  if (failed > 0) problems.push(`${failed} of ${asked} streams were not opened: ${raw.firstError}`);
  if (raw.closedEarly > 0) problems.push(`${raw.closedEarly} streams were closed early: ${raw.firstError}`);
  if (raw.protocolErrors > 0)
    problems.push(`${raw.protocolErrors} streams broke the protocol: ${raw.firstError}`);
  if (raw.badMessages > 0) problems.push(`${raw.badMessages} messages were not JSON with an event`);
  if (raw.badPayloads > 0) problems.push(`${raw.badPayloads} payloads were not of the encoding`);
  if (raw.opened > 0 && raw.mediaMessages === 0) problems.push('no audio came back');
  if (verify && raw.bytesWrong > 0) problems.push(`${raw.bytesWrong} bytes came back changed`);
  if (verify && raw.framesMissing > 0) problems.push(`${raw.framesMissing} frames went missing`);
  if (verify && raw.framesRepeated > 0)
    problems.push(`${raw.framesRepeated} frames came twice or out of order`);
  if (mode !== 'listen' && verify && raw.framesUnreturned > 0) {
    problems.push(
      `${raw.framesUnreturned} frames had not come back ${drainMs / 1000} s after the last was sent`,
    );
  }
  return problems;
}

function warningsOf(raw: NativeLoadResult): string[] {
  const warnings: string[] = [];
  const lateMs = raw.sendLateness.p99Us / 1000;
  if (lateMs > LATE_MS) {
    warnings.push(
      `the generator itself sent ${lateMs.toFixed(1)} ms late at p99: it or the machine is short of processor time`,
    );
  }
  if (raw.framesNotSent > 0)
    warnings.push(`${raw.framesNotSent} frames not sent: the application reads too slowly`);
  return warnings;
}

export function resultFrom(
  url: string,
  options: NativeLoadOptions,
  raw: NativeLoadResult,
  { startedAt, timeline }: Pick<LoadResult, 'startedAt' | 'timeline'>,
): LoadResult {
  const seconds = raw.windowUs / 1e6;
  const streamSeconds = raw.opened * seconds;
  const { serverBefore: before, serverAfter: after } = raw;
  const hears = options.mode === 'echo' || (options.mode === 'bridge' && options.verify);
  const warnings = warningsOf(raw);
  if (options.serverPid > 0 && !after)
    warnings.push(`process ${options.serverPid} could not be read: no server figures`);
  return {
    url,
    startedAt,
    encoding: options.encoding,
    replyEncoding: options.replyEncoding,
    mode: options.mode,
    ptimeMs: options.ptimeMs,
    seconds,
    streams: {
      asked: options.streams,
      opened: raw.opened,
      connectFailed: raw.connectFailed,
      upgradeRefused: raw.upgradeRefused,
      timedOut: raw.timedOut,
      closedEarly: raw.closedEarly,
      protocolErrors: raw.protocolErrors,
    },
    sent: { frames: raw.framesSent, framesNotSent: raw.framesNotSent, wireBytes: raw.wireBytesSent },
    received: {
      messages: raw.mediaMessages,
      payloadBytes: raw.payloadBytes,
      wireBytes: raw.wireBytesReceived,
      audioMs: raw.audioMs,
    },
    audioRate: audioRate(raw.audioRates),
    underruns: {
      count: raw.underruns,
      totalMs: raw.underrunUs / 1000,
      streams: raw.streamsWithUnderrun,
      length: distribution(raw.underrunLength),
    },
    ...(hears && { latency: distribution(raw.latency) }),
    deadlineError: distribution(raw.deadlineError),
    control: {
      marks: raw.marks,
      marksReturned: raw.marksReturned,
      marksRefused: raw.marksRefused,
      clears: raw.clears,
      other: raw.otherMessages,
    },
    bad: { messages: raw.badMessages, payloads: raw.badPayloads },
    ...(options.verify && {
      verify: {
        bytesRight: raw.bytesRight,
        bytesWrong: raw.bytesWrong,
        framesMissing: raw.framesMissing,
        framesRepeated: raw.framesRepeated,
      },
    }),
    framesUnreturned: raw.framesUnreturned,
    ...(before &&
      after && {
        server: {
          cpu: perStreamSecond(after.userUs - before.userUs, after.kernelUs - before.kernelUs, streamSeconds),
          rssBytesBefore: before.rssBytes,
          rssBytesAfter: after.rssBytes,
        },
      }),
    generator: {
      cpu: perStreamSecond(raw.generatorUserUs, raw.generatorKernelUs, streamSeconds),
      sendLateness: distribution(raw.sendLateness),
    },
    timeline,
    problems: problemsOf(raw, options),
    warnings,
  };
}
