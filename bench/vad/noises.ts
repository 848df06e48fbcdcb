/** What is heard where nobody speaks, at 8 kHz: made here, or music of Debian's asterisk-moh-opsound-wav. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseWav } from '../../src/audio/wav.js';
import type { Random } from '../../src/simulator/random.js';
import { rms } from '../../test/helpers/speech.js';
import { RATE } from './speech.js';

/** At least `samples` of it, at any loudness. */
export type Noise = (samples: number, random: Random) => Float32Array;

const gaussian = (random: Random): number => {
  let sum = 0;
  for (let i = 0; i < 6; i++) sum += random.float() - 0.5;
  return sum * 1.41;
};

export const white: Noise = (samples, random) =>
  Float32Array.from({ length: samples }, () => gaussian(random));

/** -3 dB an octave, as rooms have it: three filters of first order after Paul Kellet. */
export const pink: Noise = (samples, random) => {
  let [a, b, c] = [0, 0, 0];
  return Float32Array.from({ length: samples }, () => {
    const sample = gaussian(random);
    a = 0.99765 * a + sample * 0.099046;
    b = 0.963 * b + sample * 0.2965164;
    c = 0.57 * c + sample * 1.0526913;
    return a + b + c + sample * 0.1848;
  });
};

/** A car: rumble below 200 Hz with a hum of its motor. */
export const car: Noise = (samples, random) => {
  let [a, b] = [0, 0];
  return Float32Array.from({ length: samples }, (_, i) => {
    a += 0.06 * (gaussian(random) - a);
    b += 0.06 * (a - b);
    const wobble = 1 + 0.1 * Math.sin((2 * Math.PI * 0.3 * i) / RATE);
    return b * 8 + gaussian(random) * 0.15 + 0.2 * wobble * Math.sin((2 * Math.PI * 95 * i) / RATE);
  });
};

/** Breath into a microphone: noise of a mouth's shape that swells and ebbs, 0.3 to 1 s of every two. */
export const breath: Noise = (samples, random) => {
  const out = new Float32Array(samples);
  for (let at = RATE; at < samples; at += RATE * (1 + random.float() * 2)) {
    const length = Math.round(RATE * (0.3 + random.float() * 0.7));
    const hz = 500 + random.float() * 900;
    let [y1, y2, low] = [0, 0, 0];
    const radius = 0.93;
    for (let i = 0; i < length && at + i < samples; i++) {
      const sample = gaussian(random);
      const y = sample + 2 * radius * Math.cos((2 * Math.PI * hz) / RATE) * y1 - radius * radius * y2;
      [y2, y1] = [y1, y];
      low += 0.3 * (y - low);
      out[Math.floor(at) + i] = (low + sample * 0.5) * Math.sin((Math.PI * i) / length) ** 2;
    }
  }
  return out;
};

/** A keyboard beside the microphone: short knocks, two to each key. */
export const knocks: Noise = (samples, random) => {
  const out = new Float32Array(samples);
  for (let at = 0; at < samples; at += RATE * (0.09 + random.float() * 0.25)) {
    for (const shift of [0, Math.round(RATE * 0.06)]) {
      const strength = 0.4 + random.float();
      const hz = 900 + random.float() * 1800;
      for (let i = 0; i < 200; i++) {
        const place = Math.floor(at) + shift + i;
        if (place >= samples) break;
        const ring = Math.sin((2 * Math.PI * hz * i) / RATE) + gaussian(random);
        out[place] = out[place]! + strength * ring * Math.exp(-i / 30);
      }
    }
  }
  return out;
};

/** Pairs of frequencies with a rhythm, in seconds on and off. */
const pulsed =
  (pairs: readonly (readonly [number, number])[], on: number, off: number): Noise =>
  (samples, random) => {
    const out = new Float32Array(samples);
    for (let at = 0; at < samples; at += (on + off) * RATE) {
      const [low, high] = pairs[random.below(pairs.length)]!;
      for (let i = 0; i < on * RATE && at + i < samples; i++) {
        const t = (2 * Math.PI * i) / RATE;
        out[Math.floor(at) + i] = Math.sin(low * t) + (high > 0 ? Math.sin(high * t) : 0);
      }
    }
    return out;
  };

const ROWS = [697, 770, 852, 941];
const COLUMNS = [1209, 1336, 1477, 1633];

/** Keys: 120 ms of each, 80 ms between. */
export const keys: Noise = pulsed(
  ROWS.flatMap(row => COLUMNS.map(column => [row, column] as const)),
  0.12,
  0.08,
);
/** Ring-back tone of North America, and busy tone of Europe. */
export const ringBack: Noise = pulsed([[440, 480]], 2, 4);
export const busy: Noise = pulsed([[425, 0]], 0.48, 0.48);

/** So many voices at once: six as in a restaurant, one as an echo of what is played or a radio. */
export const babble =
  (voices: readonly Int16Array[], count: number): Noise =>
  (samples, random) => {
    const out = new Float32Array(samples);
    for (let voice = 0; voice < count; voice++) {
      for (let at = 0; at < samples; ) {
        const said = voices[random.below(voices.length)]!;
        const gain = 1 / Math.max(1, rms(said));
        for (let i = 0; i < said.length && at + i < samples; i++)
          out[at + i] = out[at + i]! + said[i]! * gain;
        at += said.length + random.below(RATE / 4);
      }
    }
    return out;
  };

/** Music on hold, from anywhere in the files of `folder`. Undefined where there are none. */
export function music(folder: string): Noise | undefined {
  if (!existsSync(folder)) return undefined;
  const pieces = readdirSync(folder)
    .filter(file => file.endsWith('.wav'))
    .sort()
    .map(file => parseWav(readFileSync(join(folder, file)), file).channels[0]!);
  if (pieces.length === 0) return undefined;
  return (samples, random) => {
    const out = new Float32Array(samples);
    for (let at = 0; at < samples; ) {
      const piece = pieces[random.below(pieces.length)]!;
      const length = Math.min(samples - at, 30 * RATE, piece.length);
      const from = random.below(piece.length - length + 1);
      for (let i = 0; i < length; i++) out[at + i] = piece[from + i]! / 32768;
      at += length;
    }
    return out;
  };
}
