/** What a call's messages sound like, and what they should have been. */

import { joinPcm } from '../audio/pcm.js';
import { createDecoder, createEncoder } from '../codecs/create.js';
import type { Encoding } from '../formats.js';
import type { HeardSegment } from '../simulator/playback.js';
import type { CallResult } from '../simulator/result.js';
import { firstDifference } from './compare.js';
import type { PlannedCall } from './plan.js';

/** An utterance of the server as the caller heard it. */
export interface Utterance {
  startMs: number;
  endMs: number;
  /** Less than from start to end where there were gaps. */
  heardMs: number;
  /** A clear cut it off. */
  cut: boolean;
  segments: HeardSegment[];
}

/** Encodings in which every sample is coded for itself: decoding and encoding again changes nothing. */
export type Exact = 'PCMU' | 'PCMA' | 'L16';

/** What was heard between two clears, or two silences longer than `silenceMs`. */
export function utterances(result: CallResult, silenceMs: number): Utterance[] {
  const found: Utterance[] = [];
  for (const segment of result.heard) {
    let last = found.at(-1);
    if (!last || last.cut || segment.atMs - last.endMs > silenceMs) {
      last = { startMs: segment.atMs, endMs: 0, heardMs: 0, cut: false, segments: [] };
      found.push(last);
    }
    const heardMs = segment.clearedAfterMs ?? segment.durationMs;
    last.endMs = segment.atMs + heardMs;
    last.segments.push(segment);
    last.heardMs += heardMs;
    last.cut = segment.clearedAfterMs !== undefined && last.endMs < result.durationMs - 1;
  }
  return found;
}

/** Everything the caller sent: its words, then silence to the end of the call. */
export function framesOf(call: PlannedCall, result: CallResult): Uint8Array[] {
  const { inbound, idle } = call.options;
  const count = Math.ceil(result.durationMs / 20);
  return Array.from({ length: count }, (_, i) => inbound![i] ?? idle!);
}

/** One sound without the silence between the messages. */
export function decoded(payloads: readonly Uint8Array[], result: CallResult): Int16Array {
  const decoder = createDecoder(result.outboundEncoding, { sampleRate: result.outboundSampleRate });
  const pcm = joinPcm(payloads.map(payload => decoder.decode(payload)));
  decoder.close();
  return pcm;
}

/** Payloads of 20 ms. */
export function encoded(pcm: Int16Array, result: CallResult): Uint8Array[] {
  const encoder = createEncoder(result.outboundEncoding, { sampleRate: result.outboundSampleRate });
  const { frameSamples } = encoder;
  const payloads: Uint8Array[] = [];
  for (let at = 0; at < pcm.length; at += frameSamples) {
    const frame = new Int16Array(frameSamples);
    frame.set(pcm.subarray(at, at + frameSamples));
    payloads.push(encoder.encode(frame));
  }
  encoder.close();
  return payloads;
}

export function isExact(encoding: Encoding): encoding is Exact {
  return encoding === 'PCMU' || encoding === 'PCMA' || encoding === 'L16';
}

/** All silence between the first sound and the last, but for what is shorter than a millisecond. */
export function silences({ heard }: CallResult): { totalMs: number; count: number } {
  let totalMs = 0;
  let count = 0;
  for (const [i, { atMs }] of heard.entries()) {
    const before = heard[i - 1];
    const silentMs = before ? atMs - before.atMs - (before.clearedAfterMs ?? before.durationMs) : 0;
    if (silentMs < 1) continue;
    totalMs += silentMs;
    count++;
  }
  return { totalMs, count };
}

/** Where `heard` stops being the beginning of `expected`, in ms of what was heard; undefined where it does not. */
export function differenceMs(
  expected: readonly Uint8Array[],
  heard: readonly Uint8Array[],
  result: CallResult,
): number | undefined {
  const at = firstDifference(Buffer.concat(expected), Buffer.concat(heard));
  if (at < 0) return undefined;
  const segment = segmentAt(heard, at);
  return result.heard.find(({ payload }) => payload === heard[segment])?.atMs;
}

/** Which of the payloads holds the byte `at`. */
function segmentAt(payloads: readonly Uint8Array[], at: number): number {
  let end = 0;
  return payloads.findIndex(payload => {
    end += payload.length;
    return at < end;
  });
}
