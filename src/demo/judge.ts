/** Whether a caller heard what it should have heard, by comparing sound. */

import { joinPcm } from '../audio/pcm.js';
import { resample } from '../codecs/create.js';
import { SidetoneError } from '../errors.js';
import { CODECS, type Encoding } from '../formats.js';
import type { CallResult } from '../simulator/result.js';
import type { Pcm } from '../simulator/speech.js';
import { purity } from './compare.js';
import type { Evidence } from './evidence.js';
import { judgeBridge } from './judge-bridge.js';
import type { PlannedCall } from './plan.js';
import {
  decoded,
  differenceMs,
  encoded,
  framesOf,
  isExact,
  silences,
  type Utterance,
  utterances,
} from './sounds.js';
import { byteForByte, compareSounds, expectWithin, ONCE, TWICE, type Verdict } from './verdict.js';

/**
 * The least share of a heard sound that must be the tone. Measured at 300 to 3000 Hz, in steps of 7: AMR-WB 0.930 at
 * the worst (2666 Hz) and 0.995 in the median, OPUS 0.995, the others over 0.999.
 */
export const TONE_PURITY: Record<Encoding, number> = {
  PCMU: 0.995,
  PCMA: 0.995,
  G722: 0.995,
  OPUS: 0.98,
  'AMR-WB': 0.9,
  L16: 0.995,
};

/** A live echo has nothing queued ahead: what comes late is heard late. The pool's codecs take longer. */
export const LIVE_GAPS_MS = 60;
export const POOL_GAPS_MS = 40;
/** A frame that was overtaken, or lost, makes those behind it wait for up to reorderWaitMs. */
export const TROUBLE_GAPS_MS = 120;
/** Between the ringing tone and the other party, and what a lost message or a hold costs before the line has more to spare. */
export const BRIDGE_GAPS_MS = 500;
/** What is left of reorderWaitMs when a frame was overtaken by as many as the plan allows. */
const OVERTAKEN_SPARE_MS = 20;
/** A server that is this far ahead is not heard when it, or this machine, stands still. */
const LEAD_MS = 150;
const QUEUED_GAPS_MS = 5;
/** Timers of Node.js drop the fractions of the delay and of the present time. So a key may come this much too early. */
const TIMER_EARLY_MS = 2;
/** From a key, or a voice, to silence: the way there and back, and the time to tell a voice from a click. */
const KEY_TO_SILENCE_MS = 60;
const VOICE_TO_SILENCE_MS = 500;
/**
 * From the end of the caller's phrase to the answer: a pause of 600 ms, less the 440 ms at the phrase's end in which
 * its last word fades and there is silence. Measured: 197 to 260 ms.
 */
const ANSWER_MS = { min: 160, max: 1200 };
/** How far the server's count of what was heard may be from what the caller heard: the network's jitter. */
const LEDGER_MS = 20;
const PAUSE_MS = 500;
/** The caller says a whole phrase between two answers. */
const BETWEEN_ANSWERS_MS = 200;
/** From the start of a stream to the first sound of a server that speaks at once; the pool's workers may have to start. */
const FIRST_MS = 100;
const FIRST_POOLED_MS = 1500;

export function judge(call: PlannedCall, result: CallResult, evidence: Evidence): Verdict {
  const verdict: Verdict = { problems: [], how: '', gaps: undefined, delaysMs: [] };
  try {
    carried(call, result, evidence, verdict);
    JUDGES[call.kind](call, result, evidence, verdict);
  } catch (error) {
    if (!(error instanceof SidetoneError)) throw error;
    verdict.problems.push(error.message);
  }
  return verdict;
}

type Judge = (call: PlannedCall, result: CallResult, evidence: Evidence, verdict: Verdict) => void;

const JUDGES: Record<PlannedCall['kind'], Judge> = {
  echo: judgeEcho,
  speak: judgeSpeak,
  tone: judgeTone,
  record: judgeRecord,
  'recorded echo': judgeRecord,
  agent: judgeAgent,
  bridge: judgeBridge,
};

/** The call itself: connected to its end, nothing that the specification forbids, no gaps in what was heard. */
function carried(call: PlannedCall, result: CallResult, { stallMs }: Evidence, verdict: Verdict): void {
  const { problems } = verdict;
  if (result.ended !== 'by the caller') {
    problems.push(`ended ${result.ended}: ${result.failure ?? `code ${result.closeCode}`}`);
  }
  const error = result.errors[0];
  if (error) problems.push(`${result.errorsSent} protocol errors, first ${error.code} ${error.detail}`);
  problems.push(...result.warnings);
  const allowed = gapsMsMax(call, stallMs);
  // An agent, and the other party of a bridge, have a reason to be silent. In any other call a long silence is a gap too.
  const maySilent = call.kind === 'agent' || call.kind === 'bridge';
  const { totalMs, count } = maySilent ? result.underruns : silences(result);
  verdict.gaps = { count, totalMs, allowedMs: allowed };
  if (totalMs > allowed) {
    problems.push(`${count} gaps, ${totalMs.toFixed(0)} ms in all; ${allowed.toFixed(0)} ms would do`);
  }
}

/**
 * How much silence there may be inside what is heard. The server shares the machine with the callers. What stops
 * their process stops the server as well, so each process on the way counts once.
 */
function gapsMsMax({ kind, encoding, trouble }: PlannedCall, stallMs: number): number {
  const pooled = CODECS[encoding].runsIn === 'pool';
  const heldMs = (pooled ? 3 : 2) * stallMs;
  if (kind === 'bridge') return BRIDGE_GAPS_MS + (pooled ? 2 * POOL_GAPS_MS : 0) + 2 * heldMs;
  if (kind !== 'echo' && kind !== 'recorded echo') {
    // Where an utterance begins, nothing is ahead yet: a packet that the pool brings late is heard.
    const beginMs = pooled ? Math.min(heldMs, POOL_GAPS_MS) : 0;
    return QUEUED_GAPS_MS + beginMs + Math.max(0, heldMs - LEAD_MS);
  }
  return LIVE_GAPS_MS + (pooled ? POOL_GAPS_MS : 0) + (trouble ? TROUBLE_GAPS_MS : 0) + heldMs;
}

// ── Echo ──

function judgeEcho(call: PlannedCall, result: CallResult, evidence: Evidence, verdict: Verdict): void {
  verdict.delaysMs = echoDelays(result);
  const frames = framesOf(call, result);
  const payloads = result.heard.map(segment => segment.payload);
  const heardMs = result.heard.reduce((sum, segment) => sum + segment.durationMs, 0);
  const spokenMs = (call.said.samples.length * 1000) / call.said.sampleRate;
  // A frame that was overtaken and then held up by this machine comes after reorderWaitMs, so it counts as lost.
  const { stallMs } = evidence;
  const tooLate = call.options.shuffle && stallMs > OVERTAKEN_SPARE_MS ? Math.ceil(stallMs / 20) : 0;
  const lost = result.frames.lost + tooLate;
  if (heardMs < spokenMs - (lost + 1) * 20) {
    verdict.problems.push(`only ${heardMs.toFixed(0)} of ${spokenMs.toFixed(0)} ms came back`);
  }
  if (result.frames.lost === 0) {
    // The other codecs decode and encode the audio again, which has exactly one right result.
    const expected = isExact(call.encoding) ? frames : encoded(decoded(frames, result), result);
    const wrong = differenceMs(expected, payloads, result);
    if (wrong === undefined || tooLate === 0) {
      byteForByte(wrong, verdict);
      return;
    }
  }
  if (isExact(call.encoding)) {
    compareFrames(frames, Buffer.concat(payloads), lost, verdict);
    verdict.how += `, ${result.frames.lost} were lost`;
    verdict.how += tooLate > 0 ? `, up to ${tooLate} held too long` : '';
    return;
  }
  // A lost frame spoils its piece of 200 ms and, at the end of one, also the next. Frames lost before the first one
  // leave no gap, so what was heard may be early.
  const early = joinPcm([new Int16Array(call.said.sampleRate / 10), decoded(payloads, result)]);
  const { whole, piece } = TWICE[call.encoding];
  const wanted = { whole: whole - 0.15, piece, unlikeMax: 2 * lost, lagMsMax: 250 };
  compareSounds(call.said, early, verdict, wanted);
}

/**
 * Every frame that was not lost comes back whole. Only the neighbours of a lost frame may differ, because they are
 * blended into its replacement.
 */
function compareFrames(frames: Uint8Array[], heard: Uint8Array, lost: number, verdict: Verdict): void {
  const frameBytes = frames[0]!.length;
  const count = Math.floor(heard.length / frameBytes);
  let whole = 0;
  // Frames lost before the first that came leave no gap.
  for (let shift = 0; shift <= Math.min(lost, 5); shift++) {
    let same = 0;
    for (let i = 0; i < count && i + shift < frames.length; i++) {
      const frame = heard.subarray(i * frameBytes, (i + 1) * frameBytes);
      if (Buffer.compare(frames[i + shift]!, frame) === 0) same++;
    }
    whole = Math.max(whole, same);
  }
  verdict.how = `${whole} of ${count} frames whole (at least ${Math.max(0, count - 2 * lost)})`;
  if (count - whole > 2 * lost) verdict.problems.push(`${count - whole} frames are not what was said`);
}

/** From the sending of each message's first sample to the message's arrival. */
function echoDelays(result: CallResult): number[] {
  let positionMs = 0;
  return result.heard.map(({ arrivedMs, durationMs }) => {
    const delayMs = arrivedMs - Math.floor(positionMs / 20) * 20;
    positionMs += durationMs;
    return delayMs;
  });
}

// ── Speech that the server plays ──

function judgeSpeak(call: PlannedCall, result: CallResult, evidence: Evidence, verdict: Verdict): void {
  const expected = repeated(evidence.phrases.speech, call.said.sampleRate, result.durationMs);
  const parts = utterances(result, Number.POSITIVE_INFINITY);
  if (parts.length !== (call.interruptAtMs === undefined ? 1 : 2)) {
    verdict.problems.push(`${parts.length} utterances were heard`);
    return;
  }
  for (const part of parts) compareSpeech(expected, part, part === parts[0], result, verdict);
  lasted(result, parts[0]!.startMs, parts.at(-1)!.endMs, evidence, verdict);
  if (call.interruptAtMs === undefined) return;
  expectWithin(verdict, 'from the key to silence', parts[0]!.endMs - call.interruptAtMs, {
    min: -TIMER_EARLY_MS,
    // The key may be held up on its way out, and the clear on its way back.
    max: KEY_TO_SILENCE_MS + 2 * evidence.stallMs,
  });
}

/** From the beginning of the call to its end, but for the time that a message is under way. */
function lasted(
  { durationMs, encoding }: CallResult,
  fromMs: number,
  toMs: number,
  { stallMs }: Evidence,
  verdict: Verdict,
): void {
  const firstMs = CODECS[encoding].runsIn === 'pool' ? FIRST_POOLED_MS : FIRST_MS;
  expectWithin(verdict, 'the first sound after', fromMs, { min: 0, max: firstMs + stallMs });
  expectWithin(verdict, 'the last sound before the end', durationMs - toMs, { min: -1, max: 50 + stallMs });
}

function judgeAgent(call: PlannedCall, result: CallResult, evidence: Evidence, verdict: Verdict): void {
  const { answer } = evidence.phrases;
  const { sampleRate } = call.said;
  const pcm = resample(answer.samples, answer.sampleRate, sampleRate);
  const answerMs = (pcm.length * 1000) / sampleRate;
  // The last message may be filled up with silence to the 20 ms that it must have.
  const expected = { samples: joinPcm([pcm, new Int16Array(sampleRate / 50)]), sampleRate };
  const parts = utterances(result, BETWEEN_ANSWERS_MS + 2 * evidence.stallMs);
  const pauses = call.pausesAtMs!;
  if (parts.length !== pauses.length || evidence.told.length !== pauses.length) {
    verdict.problems.push(`${parts.length} answers were heard, ${evidence.told.length} told of`);
    return;
  }
  for (const [i, part] of parts.entries()) {
    const told = evidence.told[i]!;
    const interrupted = i < parts.length - 1;
    expectWithin(verdict, 'from the pause to the answer', part.startMs - pauses[i]!, {
      min: ANSWER_MS.min,
      max: ANSWER_MS.max + evidence.stallMs,
    });
    compareSpeech(expected, part, i === 0, result, verdict);
    const heardMs = Math.min(part.heardMs, answerMs);
    expectWithin(verdict, 'told as heard, less what was heard', told.playedMs - heardMs, {
      min: -LEDGER_MS - evidence.stallMs,
      max: LEDGER_MS + evidence.stallMs,
    });
    if (told.msg !== (interrupted ? 'interrupted' : 'answered'))
      verdict.problems.push(`answer ${i + 1} was ${told.msg}`);
    if (part.heardMs < answerMs - 1 !== interrupted)
      verdict.problems.push(
        `${part.heardMs.toFixed(0)} of ${answerMs.toFixed(0)} ms of answer ${i + 1} were heard`,
      );
    if (interrupted) {
      const voiceMs = part.endMs - call.interruptAtMs!;
      const max = VOICE_TO_SILENCE_MS + evidence.stallMs;
      expectWithin(verdict, 'from the voice to silence', voiceMs, { min: 0, max });
    }
  }
}

/** The file again and again with its pause, as long as a call. */
function repeated({ samples, sampleRate }: Pcm, toHz: number, durationMs: number): Pcm {
  const phrase = resample(samples, sampleRate, toHz);
  const once = joinPcm([phrase, new Int16Array((toHz * PAUSE_MS) / 1000)]);
  const times = Math.ceil((durationMs * toHz) / 1000 / once.length);
  return { samples: joinPcm(new Array<Int16Array>(times).fill(once)), sampleRate: toHz };
}

/**
 * Compares an utterance with the beginning of what it should be. For a later utterance the state of the codec is not
 * known.
 */
function compareSpeech(
  expected: Pcm,
  part: Utterance,
  isFirst: boolean,
  result: CallResult,
  verdict: Verdict,
): void {
  const { encoding } = result;
  const payloads = part.segments.map(segment => segment.payload);
  if (isExact(encoding) || isFirst) {
    byteForByte(differenceMs(encoded(expected.samples, result), payloads, result), verdict);
    return;
  }
  const { sampleRate } = expected;
  const heard = decoded(payloads, result).subarray(0, Math.floor((part.heardMs * sampleRate) / 1000));
  // The codec's delay removes the end of a part that was cut off.
  const certainly = Math.max(0, heard.length - Math.round(0.03 * sampleRate));
  const wanted = { samples: expected.samples.subarray(0, certainly), sampleRate };
  compareSounds(wanted, heard, verdict, { ...ONCE[encoding], unlikeMax: 0, lagMsMax: 30 });
}

function judgeTone(call: PlannedCall, result: CallResult, evidence: Evidence, verdict: Verdict): void {
  const { sampleRate } = call.said;
  const pcm = decoded(
    result.heard.map(segment => segment.payload),
    result,
  );
  const [whole] = utterances(result, Number.POSITIVE_INFINITY);
  if (!whole) {
    verdict.problems.push('nothing was heard');
    return;
  }
  lasted(result, whole.startMs, whole.endMs, evidence, verdict);
  const pure = purity(pcm, sampleRate, call.hz!);
  const bound = (TONE_PURITY[result.encoding] * 100).toFixed(1);
  verdict.how = `one sine: ${(pure * 100).toFixed(1)} % (at least ${bound} %)`;
  if (pure < TONE_PURITY[result.encoding])
    verdict.problems.push(`only ${(pure * 100).toFixed(1)} % of it is the tone`);
  let energy = 0;
  for (const sample of pcm) energy += sample * sample;
  const dbfs = 10 * Math.log10((2 * energy) / pcm.length / 32767 ** 2);
  if (Math.abs(dbfs + 12) > 1.5) verdict.problems.push(`its level is ${dbfs.toFixed(1)} dBFS, not -12`);
}

// ── Recordings ──

function judgeRecord(call: PlannedCall, result: CallResult, evidence: Evidence, verdict: Verdict): void {
  const { recording } = evidence;
  if (recording?.length !== 2) {
    verdict.problems.push('there is no recording');
    return;
  }
  const [left, right] = recording as [Int16Array, Int16Array];
  const said = decoded(framesOf(call, result).slice(0, call.options.inbound!.length), result);
  const wrong = said.findIndex((sample, i) => sample !== left[i]);
  if (wrong >= 0) verdict.problems.push(`left differs from what was said after ${ms(wrong, call)} ms`);
  if (call.kind === 'record') {
    verdict.how = 'recording: sample for sample';
    if (right.some(sample => sample !== 0)) verdict.problems.push('right is not silent');
    if (result.heard.length > 0) verdict.problems.push('the caller heard something');
    return;
  }
  judgeEcho(call, result, evidence, verdict);
  verdict.how += '; recording: sample for sample';
  const heard = decoded(
    result.heard.map(segment => segment.payload),
    result,
  );
  const { same, inserted, first } = contains(right, heard);
  if (same < said.length)
    verdict.problems.push(`right differs from what was heard after ${ms(same, call)} ms`);
  const lateMax = 20 + gapsMsMax(call, evidence.stallMs);
  expectWithin(verdict, 'the echo in the recording', first, { min: 19, max: lateMax }, call);
  expectWithin(verdict, 'silence inserted on the right', inserted, { min: 0, max: lateMax }, call);
}

/** How far `heard` stands in `recorded` in its order, with nothing but silence in between. */
function contains(
  recorded: Int16Array,
  heard: Int16Array,
): { same: number; inserted: number; first: number } {
  let same = 0;
  let inserted = 0;
  let at = recorded.findIndex(sample => sample !== 0);
  const begins = Math.max(
    0,
    heard.findIndex(sample => sample !== 0),
  );
  const first = at - begins;
  for (at -= begins; at < recorded.length && same < heard.length; at++) {
    if (recorded[at] === heard[same]) same++;
    else if (recorded[at] === 0) inserted++;
    else break;
  }
  return { same, inserted, first };
}

function ms(samples: number, call: PlannedCall): string {
  return ((samples * 1000) / call.said.sampleRate).toFixed(0);
}
