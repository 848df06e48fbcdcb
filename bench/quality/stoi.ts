/**
 * Objective intelligibility of processed speech beside the clean speech, both aligned and of one length:
 *
 * - STOI: C. H. Taal, R. C. Hendriks, R. Heusdens, J. Jensen, "An Algorithm for Intelligibility Prediction of
 *   Time-Frequency Weighted Noisy Speech", IEEE Transactions on Audio, Speech, and Language Processing 19(7), 2011.
 * - ESTOI: J. Jensen, C. H. Taal, "An Algorithm for Predicting the Intelligibility of Speech Masked by Modulated Noise
 *   Maskers", IEEE/ACM Transactions on Audio, Speech, and Language Processing 24(11), 2016.
 *
 * Both lie between 0 and 1 (ESTOI may fall a little below 0); 1 is the clean speech itself.
 */
import { convertRate, hann, powerFrames } from './fft.js';

const RATE = 10_000;
const FRAME = 256;
const HOP = 128;
const FFT = 512;
const BANDS = 15;
const LOWEST_CENTRE_HZ = 150;
/** Frames that are compared at a time: 384 ms. */
const SEGMENT = 30;
/** Frames of the clean speech this far below its loudest are silence and left out, in both signals. */
const DYNAMIC_RANGE_DB = 40;
/** Lowest signal-to-distortion ratio of a time-frequency unit: what is worse counts as this. */
const CLIP_DB = -15;

const window = hann(FRAME);

/** Bins of each third-octave band, [from, to). */
const bands = Array.from({ length: BANDS }, (_, band) => {
  const centre = LOWEST_CENTRE_HZ * 2 ** (band / 3);
  const bin = (hz: number): number => Math.round((hz * FFT) / RATE);
  return [bin(centre * 2 ** (-1 / 6)), bin(centre * 2 ** (1 / 6))] as const;
});

export interface Intelligibility {
  stoi: number;
  estoi: number;
}

/** @throws RangeError where the clean speech has less than 384 ms that is not silence */
export function intelligibility(clean: Int16Array, heard: Int16Array, sampleRate: number): Intelligibility {
  const length = Math.min(clean.length, heard.length);
  const [x, y] = withoutSilence(
    convertRate(clean.subarray(0, length), sampleRate, RATE),
    convertRate(heard.subarray(0, length), sampleRate, RATE),
  );
  return compared(rowsOf(powerFrames(x, window, HOP, FFT)), rowsOf(powerFrames(y, window, HOP, FFT)));
}

function compared(cleanRows: Float64Array[], heardRows: Float64Array[]): Intelligibility {
  const segments = cleanRows[0]!.length - SEGMENT + 1;
  if (segments < 1) throw new RangeError('intelligibility: less than 384 ms of speech');
  let stoi = 0;
  let estoi = 0;
  for (let at = 0; at < segments; at++) {
    const segment = (rows: Float64Array[]): Float64Array[] => rows.map(row => row.subarray(at, at + SEGMENT));
    stoi += segmentStoi(segment(cleanRows), segment(heardRows));
    estoi += segmentEstoi(segment(cleanRows), segment(heardRows));
  }
  return { stoi: stoi / segments, estoi: estoi / segments };
}

/**
 * The same of speech that was shortened: each frame of what was heard is compared with the clean speech at `placeOf` it.
 * Places count samples at `sampleRate`. This is the speech ideally shortened, as its bands show it.
 */
export function intelligibilityShortened(
  clean: Int16Array,
  heard: Int16Array,
  sampleRate: number,
  placeOf: (sample: number) => number,
): Intelligibility {
  const x = convertRate(clean, sampleRate, RATE);
  const y = convertRate(heard, sampleRate, RATE);
  const cleanFrames: Float64Array[] = [];
  const heardFrames = powerFrames(y, window, HOP, FFT).filter((_, frame) => {
    const centre = ((frame * HOP + FRAME / 2) * sampleRate) / RATE;
    const at = Math.round((placeOf(centre) * RATE) / sampleRate) - FRAME / 2;
    if (at < 0 || at + FRAME > x.length) return false;
    cleanFrames.push(powerFrames(x.subarray(at, at + FRAME), window, HOP, FFT)[0]!);
    return true;
  });
  const energies = cleanFrames.map(power => 10 * Math.log10(power.reduce((a, b) => a + b, 1e-12)));
  const floor = energies.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY) - DYNAMIC_RANGE_DB;
  const speaks = (_: Float64Array, frame: number): boolean => energies[frame]! > floor;
  return compared(rowsOf(cleanFrames.filter(speaks)), rowsOf(heardFrames.filter(speaks)));
}

/** Magnitude of each band over time. */
function rowsOf(frames: Float64Array[]): Float64Array[] {
  return bands.map(([from, to]) =>
    Float64Array.from(frames, power => {
      let sum = 0;
      for (let k = from; k < to; k++) sum += power[k]!;
      return Math.sqrt(sum);
    }),
  );
}

/** Frames in which the clean speech speaks, overlapped and added again. */
function withoutSilence(clean: Float64Array, heard: Float64Array): [Float64Array, Float64Array] {
  const levels: number[] = [];
  for (let at = 0; at + FRAME <= clean.length; at += HOP) {
    let sum = 0;
    for (let i = 0; i < FRAME; i++) sum += (clean[at + i]! * window[i]!) ** 2;
    levels.push(10 * Math.log10(sum + 1e-12));
  }
  const floor =
    levels.reduce((max, level) => Math.max(max, level), Number.NEGATIVE_INFINITY) - DYNAMIC_RANGE_DB;
  const kept = levels.flatMap((level, frame) => (level > floor ? [frame] : []));
  return [clean, heard].map(signal => {
    const out = new Float64Array(kept.length === 0 ? 0 : (kept.length - 1) * HOP + FRAME);
    kept.forEach((frame, k) => {
      for (let i = 0; i < FRAME; i++) {
        out[k * HOP + i] = out[k * HOP + i]! + signal[frame * HOP + i]! * window[i]!;
      }
    });
    return out;
  }) as [Float64Array, Float64Array];
}

function segmentStoi(clean: Float64Array[], heard: Float64Array[]): number {
  const clip = 1 + 10 ** (-CLIP_DB / 20);
  const clipped = new Float64Array(SEGMENT);
  let sum = 0;
  for (let band = 0; band < BANDS; band++) {
    const x = clean[band]!;
    const y = heard[band]!;
    const scale = norm(x) / (norm(y) + Number.MIN_VALUE);
    for (let i = 0; i < SEGMENT; i++) clipped[i] = Math.min(y[i]! * scale, clip * x[i]!);
    sum += dot(normalised(x), normalised(clipped));
  }
  return sum / BANDS;
}

/** Rows (bands over time) are normalised first, then columns (the spectrum of each frame). */
function segmentEstoi(clean: Float64Array[], heard: Float64Array[]): number {
  const columns = (rows: Float64Array[]): Float64Array[] => {
    const flat = rows.map(normalised);
    return Array.from({ length: SEGMENT }, (_, frame) => {
      const column = new Float64Array(BANDS);
      for (let band = 0; band < BANDS; band++) column[band] = flat[band]![frame]!;
      return normalised(column);
    });
  };
  const x = columns(clean);
  const y = columns(heard);
  let sum = 0;
  for (let frame = 0; frame < SEGMENT; frame++) sum += dot(x[frame]!, y[frame]!);
  return sum / SEGMENT;
}

/** Without its mean, of length 1; zeros stay zeros. */
function normalised(values: Float64Array): Float64Array {
  const centred = new Float64Array(values.length);
  let mean = 0;
  for (let i = 0; i < values.length; i++) mean += values[i]! / values.length;
  for (let i = 0; i < values.length; i++) centred[i] = values[i]! - mean;
  const length = norm(centred);
  if (length < 1e-9) return centred.fill(0);
  for (let i = 0; i < values.length; i++) centred[i] = centred[i]! / length;
  return centred;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function norm(values: Float64Array): number {
  return Math.sqrt(dot(values, values));
}
