/** Whether two callers heard each other: each piece of what one has said stands in what the other has heard. */
import { createDecoder, createEncoder, resample } from '../codecs/create.js';
import type { CallResult } from '../simulator/result.js';
import { renderHeard } from '../simulator/speech.js';
import { likeness } from './compare.js';
import type { Evidence } from './evidence.js';
import type { PlannedCall } from './plan.js';
import type { Verdict } from './verdict.js';

const PIECE_MS = 500;
/** Pieces quieter than this (rms, -36 dBFS) say nothing. */
const QUIET_RMS = 500;
/** How much later, or by another beginning of the call earlier, a piece may be heard. */
const EARLY_MS = 600;
const LATE_MS = 1000;
/**
 * The least likeness of a piece that counts as heard: it was coded twice, and mended where something was lost. A piece
 * of other speech is at most 0.45 like it.
 */
const ALIKE = { narrow: 0.85, wide: 0.8, pooled: 0.55 };
/** Until both have joined, nothing need be heard. */
const BEGIN_MS = 1500;
/** Around a hold: the way of the key, and the line that has to fill. */
const HOLD_EDGE_MS = 500;
/** Share of the pieces that may differ, where nothing was lost. */
const UNLIKE_SHARE = 0.1;
/** Pieces that a loss or a stall spoils. */
const STALL_MS = 60;

export function judgeBridge(
  call: PlannedCall,
  result: CallResult,
  { partner, stallMs }: Evidence,
  verdict: Verdict,
): void {
  if (!partner) {
    verdict.problems.push('there was nobody to talk to');
    return;
  }
  const { sampleRate } = call.said;
  const said = resample(partner.planned.said.samples, partner.planned.said.sampleRate, sampleRate);
  const format = { encoding: result.outboundEncoding, sampleRate: result.outboundSampleRate };
  const whole = renderHeard(result.heard, format, { createDecoder, createEncoder, resample });
  const heard = resample(whole.samples, whole.sampleRate, sampleRate);
  const alike = alikeOf(call, partner.planned);
  const at = (ms: number): number => Math.round((ms * sampleRate) / 1000);
  let pieces = 0;
  let right = 0;
  for (let ms = BEGIN_MS; at(ms + PIECE_MS) <= said.length; ms += PIECE_MS) {
    if (isHeld(call, ms)) continue;
    const piece = said.subarray(at(ms), at(ms + PIECE_MS));
    if (rms(piece) < QUIET_RMS) continue;
    pieces++;
    const from = Math.max(0, at(ms - EARLY_MS));
    const among = heard.subarray(from, at(ms + PIECE_MS + LATE_MS));
    const { correlation } = likeness(piece, among, sampleRate, { lagMsMax: EARLY_MS + LATE_MS, alike });
    if (correlation >= alike) right++;
  }
  // A lost message is mended, which changes its piece; a stall may leave one out.
  const lost = partner.result.frames.lost;
  const spoilt = Math.ceil(UNLIKE_SHARE * pieces) + Math.ceil(lost / 2) + Math.ceil(stallMs / STALL_MS);
  const least = Math.max(1, pieces - spoilt);
  verdict.how = `${right} of ${pieces} pieces of the other party (at least ${least})`;
  if (right < least)
    verdict.problems.push(`only ${right} of ${pieces} pieces of what the other said were heard`);
  if (call.hold) judgeHold(call, result, verdict);
}

/** Who is on hold is not heard, and hears music in place of the other. */
function judgeHold({ hold }: PlannedCall, result: CallResult, { problems }: Verdict): void {
  const { by, fromMs, toMs } = hold!;
  const [begin, end] = [fromMs + HOLD_EDGE_MS, toMs];
  const heardMs = result.heard.reduce((sum, { atMs, durationMs, clearedAfterMs = durationMs }) => {
    return sum + Math.max(0, Math.min(end, atMs + clearedAfterMs) - Math.max(begin, atMs));
  }, 0);
  const most = end - begin;
  if (by === 'partner' && heardMs > 0.1 * most) {
    problems.push(`${heardMs.toFixed(0)} ms were heard of who had put it on hold`);
  }
  if (by === 'it' && heardMs < 0.8 * most) {
    problems.push(`only ${heardMs.toFixed(0)} of ${most} ms of music were heard on hold`);
  }
}

function isHeld({ hold }: PlannedCall, ms: number): boolean {
  return hold !== undefined && ms + PIECE_MS > hold.fromMs - HOLD_EDGE_MS && ms < hold.toMs + HOLD_EDGE_MS;
}

/** What the poorer of the two codecs leaves. */
function alikeOf(...calls: PlannedCall[]): number {
  const encodings = calls.map(({ encoding }) => encoding);
  if (encodings.some(encoding => encoding === 'OPUS' || encoding === 'AMR-WB')) return ALIKE.pooled;
  return encodings.includes('G722') ? ALIKE.wide : ALIKE.narrow;
}

function rms(pcm: Int16Array): number {
  let sum = 0;
  for (const sample of pcm) sum += sample * sample;
  return Math.sqrt(sum / pcm.length);
}
