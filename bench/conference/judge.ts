/** Whether a participant of a conference hears every other one, and not itself: each says a tone of its own. */
import type { Pcm } from '../../src/index.js';
import { toneLevel } from '../../test/helpers/tones.js';

const FIRST_HZ = 300;
/** So far apart that 200 ms tell them apart, and no two tones' sum or difference is another's. */
const STEP_HZ = 70;
const LOUDNESS = 1500;
const PIECE_MS = 200;
/** Of a tone's level: a codec changes some of it. */
const HEARD = 0.5;
const UNHEARD = 0.15;
/** What is judged begins when everybody has joined, and ends before the first one leaves. */
const BEGIN_MS = 2000;
const END_PIECES = 5;
/** Share of the pieces that must be right: a machine that is busy holds a thread now and then. */
const RIGHT_MIN = 0.98;

const hzOf = (participant: number): number => FIRST_HZ + STEP_HZ * participant;

/** What a participant says. */
export function voiceOf(participant: number, seconds: number): Pcm {
  const sampleRate = 8000;
  const step = (2 * Math.PI * hzOf(participant)) / sampleRate;
  const samples = Int16Array.from({ length: seconds * sampleRate }, (_, i) => LOUDNESS * Math.sin(step * i));
  return { samples, sampleRate };
}

export function judgeConference(
  { samples, sampleRate }: Pcm,
  listener: number,
  participants: number,
): { right: number; problems: string[] } {
  const piece = (sampleRate * PIECE_MS) / 1000;
  let pieces = 0;
  let right = 0;
  const missed = new Map<number, number>();
  for (let at = (sampleRate * BEGIN_MS) / 1000; at + END_PIECES * piece <= samples.length; at += piece) {
    const heard = samples.subarray(at, at + piece);
    pieces++;
    let isRight = true;
    for (let speaker = 0; speaker < participants; speaker++) {
      const level = toneLevel(heard, sampleRate, hzOf(speaker)) / LOUDNESS;
      if (speaker === listener ? level <= UNHEARD : level >= HEARD) continue;
      isRight = false;
      missed.set(speaker, (missed.get(speaker) ?? 0) + 1);
    }
    if (isRight) right++;
  }
  const share = pieces === 0 ? 0 : right / pieces;
  if (share >= RIGHT_MIN) return { right: share, problems: [] };
  const worst = [...missed].sort((a, b) => b[1] - a[1]).slice(0, 3);
  const named = worst.map(([speaker, times]) =>
    speaker === listener ? `itself in ${times}` : `not ${speaker} in ${times}`,
  );
  return { right: share, problems: [`hears ${named.join(', ')} of ${pieces} pieces`] };
}
