/** How alike two sounds are. */

export interface Likeness {
  /** How much later the heard sound is, in samples. */
  lag: number;
  /** Over the whole, -1 to 1. */
  correlation: number;
  /** Least correlation of any 200 ms in which the reference is not quiet. */
  worst: number;
  /** Those 200 ms pieces, and the ones of them that are less alike than asked for. */
  windows: { count: number; unlike: number };
  /** Loudness of the heard sound over that of the reference. */
  gain: number;
}

const WINDOW_MS = 200;
/** Pieces quieter than this (rms, -40 dBFS) are left out: their likeness depends on the codec more than on the call. */
const QUIET_RMS = 300;
/** The coarse search tries every lag with a quarter of the samples: each is the sum of four. */
const COARSE = 4;
/** The search looks at this much of the sound, which is enough to tell. */
const SEARCH_MS = 4000;

/**
 * Compares `heard` with `reference` where it is most alike, at most `lagMsMax` later. Speech codecs change the wave.
 * The correlation tells whether it is the same sound at the same time, and the pieces tell whether any is missing.
 */
export function likeness(
  reference: Int16Array,
  heard: Int16Array,
  sampleRate: number,
  options: { lagMsMax: number; alike: number },
): Likeness {
  const lag = bestLag(reference, heard, sampleRate, Math.round((options.lagMsMax * sampleRate) / 1000));
  const length = Math.min(reference.length, heard.length - lag);
  const whole = correlate(reference, heard, 0, lag, length);
  const windowSamples = Math.round((WINDOW_MS * sampleRate) / 1000);
  let worst = 1;
  let count = 0;
  let unlike = 0;
  // A missing piece has the lowest likeness, also after the end of what was heard.
  for (let at = 0; at + windowSamples <= reference.length; at += windowSamples) {
    const there = Math.max(0, Math.min(windowSamples, heard.length - lag - at));
    const piece = correlate(reference, heard, at, at + lag, windowSamples, there);
    if (Math.sqrt(piece.referenceEnergy / windowSamples) < QUIET_RMS) continue;
    count++;
    worst = Math.min(worst, piece.correlation);
    if (piece.correlation < options.alike) unlike++;
  }
  return {
    lag,
    correlation: whole.correlation,
    worst,
    windows: { count, unlike },
    gain: Math.sqrt(whole.heardEnergy / Math.max(1, whole.referenceEnergy)),
  };
}

function bestLag(reference: Int16Array, heard: Int16Array, sampleRate: number, lagMax: number): number {
  const samples = Math.round((SEARCH_MS * sampleRate) / 1000);
  const few = thin(reference.subarray(0, samples));
  // A grid of every fourth lag is too coarse: two samples beside the best, a hiss is like nothing.
  const many = Array.from({ length: COARSE }, (_, phase) => thin(heard.subarray(phase, samples + lagMax)));
  let coarse = 0;
  let best = Number.NEGATIVE_INFINITY;
  for (let lag = 0; lag <= lagMax; lag++) {
    const at = Math.floor(lag / COARSE);
    const there = many[lag % COARSE]!;
    const { correlation } = correlate(few, there, 0, at, Math.min(few.length, there.length - at));
    if (correlation > best) [best, coarse] = [correlation, lag];
  }
  best = Number.NEGATIVE_INFINITY;
  let lag = coarse;
  for (let fine = Math.max(0, coarse - COARSE); fine <= Math.min(lagMax, coarse + COARSE); fine++) {
    const length = Math.min(samples, reference.length, heard.length - fine);
    const { correlation } = correlate(reference, heard, 0, fine, length);
    if (correlation > best) [best, lag] = [correlation, fine];
  }
  return lag;
}

function thin(pcm: Int16Array): Float64Array {
  return Float64Array.from({ length: Math.floor(pcm.length / COARSE) }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < COARSE; k++) sum += pcm[i * COARSE + k]!;
    return sum;
  });
}

interface Samples {
  readonly [index: number]: number;
}

/** `there`: how many of the heard samples there are; the others are silence. */
function correlate(a: Samples, b: Samples, atA: number, atB: number, length: number, there = length) {
  let ab = 0;
  let referenceEnergy = 0;
  let heardEnergy = 0;
  for (let i = 0; i < length; i++) {
    const x = a[atA + i]!;
    const y = i < there ? b[atB + i]! : 0;
    ab += x * y;
    referenceEnergy += x * x;
    heardEnergy += y * y;
  }
  const energy = Math.sqrt(referenceEnergy * heardEnergy);
  return { correlation: energy === 0 ? 0 : ab / energy, referenceEnergy, heardEnergy };
}

/** How much of a sound is one steady sine of `hz`, 0 to 1: a jump in its phase or a hole takes from it. */
export function purity(pcm: Int16Array, sampleRate: number, hz: number): number {
  let sine = 0;
  let cosine = 0;
  let energy = 0;
  for (let i = 0; i < pcm.length; i++) {
    const angle = (2 * Math.PI * hz * i) / sampleRate;
    sine += pcm[i]! * Math.sin(angle);
    cosine += pcm[i]! * Math.cos(angle);
    energy += pcm[i]! * pcm[i]!;
  }
  return energy === 0 ? 0 : (2 * (sine * sine + cosine * cosine)) / (pcm.length * energy);
}

/** Index of the first byte that differs, -1 where `heard` is a beginning of `expected`. */
export function firstDifference(expected: Uint8Array, heard: Uint8Array): number {
  const length = Math.min(expected.length, heard.length);
  if (Buffer.compare(expected.subarray(0, length), heard.subarray(0, length)) === 0)
    return heard.length > expected.length ? expected.length : -1;
  let at = 0;
  while (expected[at] === heard[at]) at++;
  return at;
}
