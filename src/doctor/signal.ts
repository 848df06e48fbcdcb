/** Measurements on sound: what tells speech from bytes that were read in the wrong way. */

/** Samples a block: all measurements that say "block" take 20 ms or so. */
export interface Blocks {
  /** Root mean square of each, full scale 1. */
  rms: Float64Array;
  /**
   * How many dB a linear predictor of eighth order takes off each block; speech gives 5 to 25, noise and bytes in
   * disorder about 0. NaN for digital silence.
   */
  gainDb: Float64Array;
}

const ORDER = 8;

export function measureBlocks(pcm: Int16Array, blockSamples: number): Blocks {
  const count = Math.floor(pcm.length / blockSamples);
  const rms = new Float64Array(count);
  const gainDb = new Float64Array(count);
  const lags = new Float64Array(ORDER + 1);
  for (let block = 0; block < count; block++) {
    const samples = pcm.subarray(block * blockSamples, (block + 1) * blockSamples);
    let sum = 0;
    for (const sample of samples) sum += sample;
    const mean = sum / samples.length;
    for (let lag = 0; lag <= ORDER; lag++) {
      let product = 0;
      for (let i = lag; i < samples.length; i++) product += (samples[i]! - mean) * (samples[i - lag]! - mean);
      lags[lag] = product;
    }
    rms[block] = Math.sqrt(lags[0]! / samples.length) / 32768;
    gainDb[block] = predictionGainDb(lags);
  }
  return { rms, gainDb };
}

/** Levinson and Durbin's recursion, on the energy alone. */
function predictionGainDb(lags: Float64Array): number {
  const energy = lags[0]!;
  if (energy <= 0) return Number.NaN;
  // A touch of white noise keeps pure tones from giving an infinite gain.
  let error = energy * 1.000_01;
  const coefficients = new Float64Array(ORDER + 1);
  const previous = new Float64Array(ORDER + 1);
  for (let order = 1; order <= ORDER; order++) {
    let reflection = lags[order]!;
    for (let i = 1; i < order; i++) reflection -= coefficients[i]! * lags[order - i]!;
    reflection /= error;
    previous.set(coefficients);
    coefficients[order] = reflection;
    for (let i = 1; i < order; i++) coefficients[i] = previous[i]! - reflection * previous[order - i]!;
    error *= 1 - reflection * reflection;
    if (error <= 0) return 60;
  }
  return 10 * Math.log10(energy / error);
}

/** The value below which `fraction` of them lie; NaN for none. */
export function quantile(values: ArrayLike<number>, fraction: number): number {
  const sorted = Float64Array.from(values).sort();
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))]!;
}
