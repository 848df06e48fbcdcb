/** What the caller of a simulated call has heard, as sound. */
import { resample } from '../codecs/create.js';
import type { HeardSegment } from '../simulator/playback.js';
import type { CallResult } from '../simulator/result.js';
import type { Pcm } from '../simulator/speech.js';

/** Audio that the caller heard in one piece, without silence of the network in it. */
export interface HeardPart {
  /** When its first sample was heard, in ms since `start`. */
  atMs: number;
  /** How long it was heard, in ms. */
  durationMs: number;
  /** 16 bit, mono, at the rate of the `HeardAudio`. */
  samples: Int16Array;
  /** Whether a `clear` or the end of the call cut it off. */
  interrupted: boolean;
}

/** All that the caller has heard so far. */
export interface HeardAudio {
  /** 16 bit, mono: from `start` to the end of what was heard, with silence where nothing was played. */
  samples: Int16Array;
  /** In Hz. */
  sampleRate: number;
  /** In order. Audio that goes on without a gap is one part, however many messages brought it. */
  parts: HeardPart[];
}

/** Sums of the durations of messages may differ from their times by less than this. */
const EPSILON_MS = 0.01;

const endOf = ({ atMs, durationMs, clearedAfterMs }: HeardSegment): number =>
  atMs + (clearedAfterMs ?? durationMs);

/**
 * @param whole the sound of `result`
 * @param isPlaying audio is being heard, so that the end of the last part is no interruption
 */
export function heardAudio(
  result: CallResult,
  whole: Pcm,
  isPlaying: boolean,
  sampleRate?: number,
): HeardAudio {
  const rate = sampleRate ?? whole.sampleRate;
  const samples = rate === whole.sampleRate ? whole.samples : resample(whole.samples, whole.sampleRate, rate);
  const at = (ms: number): number => Math.round((ms * rate) / 1000);
  const runs: HeardSegment[][] = [];
  for (const segment of result.heard) {
    const run = runs.at(-1);
    const before = run?.at(-1);
    const goesOn =
      before?.clearedAfterMs === undefined &&
      !before?.clearedBehind &&
      Math.abs(segment.atMs - endOf(before ?? segment)) < EPSILON_MS;
    if (run && goesOn) run.push(segment);
    else runs.push([segment]);
  }
  const parts = runs.map((run, i) => {
    const { atMs } = run[0]!;
    const last = run.at(-1)!;
    const isOpen = isPlaying && i === runs.length - 1;
    return {
      atMs,
      durationMs: endOf(last) - atMs,
      samples: samples.subarray(at(atMs), at(endOf(last))),
      interrupted: last.clearedBehind === true || (last.clearedAfterMs !== undefined && !isOpen),
    };
  });
  return { samples, sampleRate: rate, parts };
}
