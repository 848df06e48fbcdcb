/** Distances of aligned sounds of one length and rate. Frames in which the clean speech is silent are left out. */
import { hann, powerFrames } from './fft.js';

/** Frames this far below the loudest are silence. */
const DYNAMIC_RANGE_DB = 40;
/** Distortion within a bin is counted down to this far below the frame's mean power. */
const FLOOR_DB = 50;

const level = (power: number): number => 10 * Math.log10(power + 1e-9);

/** Frames of 20 ms where `clean` speaks, by their first sample. */
function spoken(clean: Int16Array, frame: number): number[] {
  const levels: number[] = [];
  for (let at = 0; at + frame <= clean.length; at += frame) {
    let sum = 0;
    for (let i = 0; i < frame; i++) sum += clean[at + i]! ** 2;
    levels.push(level(sum));
  }
  const floor =
    levels.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY) - DYNAMIC_RANGE_DB;
  return levels.flatMap((value, i) => (value > floor ? [i * frame] : []));
}

/** Mean over frames of 20 ms of the signal-to-distortion ratio in dB, each limited to -10 to 35 dB as is usual. */
export function segmentalSnrDb(clean: Int16Array, heard: Int16Array, sampleRate: number): number {
  const length = Math.min(clean.length, heard.length);
  const frame = sampleRate / 50;
  const frames = spoken(clean.subarray(0, length), frame);
  let sum = 0;
  for (const at of frames) {
    let signal = 0;
    let distortion = 0;
    for (let i = at; i < at + frame; i++) {
      signal += clean[i]! ** 2;
      distortion += (clean[i]! - heard[i]!) ** 2;
    }
    sum += Math.min(35, Math.max(-10, 10 * Math.log10((signal + 1e-9) / (distortion + 1e-9))));
  }
  return sum / frames.length;
}

/**
 * Log-spectral distance in dB: root mean square difference of log spectra (32 ms, half overlapped) up to `topHz`,
 * averaged over frames.
 */
export function logSpectralDistanceDb(
  clean: Int16Array,
  heard: Int16Array,
  sampleRate: number,
  topHz: number,
): number {
  const length = Math.min(clean.length, heard.length);
  const window = hann((sampleRate * 32) / 1000);
  const n = 2 ** Math.ceil(Math.log2(window.length));
  const [x, y] = [clean, heard].map(pcm =>
    powerFrames(Float64Array.from(pcm.subarray(0, length)), window, window.length / 2, n),
  );
  const top = Math.floor((topHz * n) / sampleRate);
  const powers = x!.map(frame => frame.subarray(1, top).reduce((sum, power) => sum + power, 0) / (top - 1));
  const loudest = powers.reduce((max, power) => Math.max(max, power), 0);
  let sum = 0;
  let frames = 0;
  x!.forEach((frame, i) => {
    if (level(powers[i]!) < level(loudest) - DYNAMIC_RANGE_DB) return;
    const floor = powers[i]! * 10 ** (-FLOOR_DB / 10);
    let square = 0;
    for (let k = 1; k < top; k++) {
      square += (level(Math.max(floor, frame[k]!)) - level(Math.max(floor, y![i]![k]!))) ** 2;
    }
    sum += Math.sqrt(square / (top - 1));
    frames++;
  });
  return sum / frames;
}
