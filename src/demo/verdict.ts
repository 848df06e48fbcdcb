/** The verdict on one call, and the comparisons that decide it. */

import type { Encoding } from '../formats.js';
import type { Pcm } from '../simulator/speech.js';
import { type Likeness, likeness } from './compare.js';
import type { PlannedCall } from './plan.js';
import type { Exact } from './sounds.js';

export interface Verdict {
  problems: string[];
  /** What was compared, in a few words, each figure with its bound. */
  how: string;
  /** Silence within what was heard, and how much of it would do; undefined where the call was not judged. */
  gaps: { count: number; totalMs: number; allowedMs: number } | undefined;
  /** Echo: from a message's first sample being sent to its arrival, in ms. */
  delaysMs: number[];
}

/**
 * The least correlation that is accepted, over the whole and for each 200 ms of speech. It was measured on the two
 * phrases, cut at seven places (whole, worst 200 ms). Coded once: G722 0.999, 0.946; OPUS 0.960, 0.693; AMR-WB 0.947,
 * 0.449. Coded twice: G722 0.998, 0.940; OPUS 0.864, 0.555; AMR-WB 0.854, 0.331.
 */
interface Alike {
  whole: number;
  piece: number;
}
type Lossy = Exclude<Encoding, Exact>;
/** Coded once: by the server, for the caller. */
export const ONCE: Record<Lossy, Alike> = {
  G722: { whole: 0.99, piece: 0.88 },
  OPUS: { whole: 0.93, piece: 0.5 },
  'AMR-WB': { whole: 0.91, piece: 0.25 },
};
/** Coded twice: an echo. */
export const TWICE: Record<Lossy, Alike> = {
  G722: { whole: 0.98, piece: 0.85 },
  OPUS: { whole: 0.83, piece: 0.35 },
  'AMR-WB': { whole: 0.8, piece: 0.15 },
};

export function byteForByte(wrongMs: number | undefined, verdict: Verdict): void {
  verdict.how = 'byte for byte';
  if (wrongMs === undefined) return;
  verdict.problems.push(`is not what it should be from ${wrongMs.toFixed(0)} ms on`);
}

export function compareSounds(
  expected: Pcm,
  heard: Int16Array,
  verdict: Verdict,
  wanted: Alike & { unlikeMax: number; lagMsMax: number },
): void {
  const { samples, sampleRate } = expected;
  const found: Likeness = likeness(samples, heard, sampleRate, {
    lagMsMax: wanted.lagMsMax,
    alike: wanted.piece,
  });
  const fewer = wanted.unlikeMax > 0 ? `, but for ${wanted.unlikeMax} pieces` : '';
  verdict.how =
    `correlation ${found.correlation.toFixed(3)} (at least ${wanted.whole.toFixed(2)}), ` +
    `worst 200 ms ${found.worst.toFixed(2)} (at least ${wanted.piece}${fewer})`;
  const { count, unlike } = found.windows;
  if (found.correlation < wanted.whole)
    verdict.problems.push(`correlation ${found.correlation.toFixed(3)}, ${wanted.whole} is wanted`);
  if (unlike > wanted.unlikeMax)
    verdict.problems.push(`${unlike} of ${count} pieces of 200 ms are not what they should be`);
  if (found.gain < 0.7 || found.gain > 1.4) verdict.problems.push(`loudness times ${found.gain.toFixed(2)}`);
}

export function expectWithin(
  { problems }: Verdict,
  what: string,
  value: number,
  { min, max }: { min: number; max: number },
  samplesOf?: PlannedCall,
): void {
  const valueMs = samplesOf ? (value * 1000) / samplesOf.said.sampleRate : value;
  if (valueMs >= min && valueMs <= max) return;
  problems.push(`${what}: ${valueMs.toFixed(0)} ms, not ${min.toFixed(0)} to ${max.toFixed(0)}`);
}
