/** The load generator's part of the addon, as it crosses the boundary. */
import type { Encoding } from '../formats.js';

export interface NativeLoadOptions {
  address: string;
  port: number;
  upgradeRequest: string;
  connectedMessage: string;
  encoding: Encoding;
  clockRate: number;
  replyEncoding: Encoding;
  replySampleRate: number;
  mode: 'echo' | 'bridge' | 'listen';
  verify: boolean;
  streams: number;
  connectsPerSecond: number;
  ptimeMs: number;
  warmupMs: number;
  measureMs: number;
  connectTimeoutMs: number;
  drainMs: number;
  playoutMs: number;
  utteranceGapMs: number;
  serverPid: number;
  frames: Uint8Array[];
}

export interface NativeHistogram {
  count: number;
  minUs: number;
  maxUs: number;
  meanUs: number;
  p50Us: number;
  p90Us: number;
  p99Us: number;
  p999Us: number;
  /** Lowest value, width and count of each bucket that holds any, one behind another. */
  buckets: Float64Array;
}

export interface NativeProcessUse {
  userUs: number;
  kernelUs: number;
  rssBytes: number;
}

export interface NativeLoadResult {
  failure: string;
  firstError: string;
  windowUs: number;
  framesSent: number;
  framesNotSent: number;
  wireBytesSent: number;
  wireBytesReceived: number;
  mediaMessages: number;
  payloadBytes: number;
  audioMs: number;
  underruns: number;
  underrunUs: number;
  streamsWithUnderrun: number;
  opened: number;
  connectFailed: number;
  upgradeRefused: number;
  timedOut: number;
  closedEarly: number;
  protocolErrors: number;
  marks: number;
  marksReturned: number;
  marksRefused: number;
  clears: number;
  otherMessages: number;
  badMessages: number;
  badPayloads: number;
  framesUnreturned: number;
  bytesRight: number;
  bytesWrong: number;
  framesMissing: number;
  framesRepeated: number;
  generatorUserUs: number;
  generatorKernelUs: number;
  latency: NativeHistogram;
  sendLateness: NativeHistogram;
  deadlineError: NativeHistogram;
  underrunLength: NativeHistogram;
  audioRates: Float64Array;
  serverBefore?: NativeProcessUse;
  serverAfter?: NativeProcessUse;
}

export interface LoadProgress {
  phase: 'connecting' | 'warming-up' | 'measuring' | 'draining' | 'closing' | 'done';
  opened: number;
  failed: number;
  framesSent: number;
  mediaMessages: number;
}

export interface NativeLoad {
  /** Starts a run on a thread of its own; `done` is called once. */
  runLoad(
    options: NativeLoadOptions,
    done: (result: NativeLoadResult) => void,
  ): { progress(): LoadProgress; stop(): void };
}
