/** How often the byte order of L16 is found wrongly, on speech of many levels and on made sounds. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseWav } from '../../src/audio/wav.js';
import { resample } from '../../src/codecs/create.js';
import { native } from '../../src/native/addon.js';
import { Random } from '../../src/simulator/random.js';
import { PROMPTS, SOURCE_RATE, type Source } from './sources.js';

const RATES = [8000, 16000, 22050, 24000, 48000];
const LEVELS_DB = [0, -12, -24, -36, -48, -60];
const SECONDS = 1;
/** Starts tried in each sound, at each rate and level. */
const STARTS = 4;

export interface ByteOrderRow {
  material: string;
  streams: number;
  /** Streams whose first telling frame was read in the wrong order. */
  wrongAtFirst: number;
  /** Streams that ended in the wrong order though something was told. */
  wrongForGood: number;
  frames: number;
  framesWrong: number;
}

type Maker = (rate: number, random: Random) => Float64Array;

const seconds = (rate: number, at: (i: number) => number): Float64Array =>
  Float64Array.from({ length: rate * SECONDS }, (_, i) => at(i));
const uniform = (random: Random): number => 2 * random.float() - 1;

/** Peaks at 1. */
const MADE: Record<string, Maker> = {
  tones: (rate, random) => {
    const step = (2 * Math.PI * (50 + random.float() * (rate / 2 - 100))) / rate;
    return seconds(rate, i => Math.sin(step * i));
  },
  'pairs of tones (DTMF)': (rate, random) => {
    const low = [697, 770, 852, 941][random.below(4)]! / rate;
    const high = [1209, 1336, 1477, 1633][random.below(4)]! / rate;
    return seconds(rate, i => (Math.sin(2 * Math.PI * low * i) + Math.sin(2 * Math.PI * high * i)) / 2);
  },
  'tones on an offset': (rate, random) => {
    const step = (2 * Math.PI * (100 + random.float() * 3000)) / rate;
    const offset = uniform(random) / 2;
    return seconds(rate, i => offset + Math.sin(step * i) / 2);
  },
  'white noise, peaks at the level': (rate, random) => seconds(rate, () => uniform(random)),
  'dark noise': (rate, random) => {
    let state = 0;
    return seconds(rate, () => {
      state = 0.9 * state + 0.1 * uniform(random);
      return state * 2;
    });
  },
};

export function measureByteOrder(sources: readonly Source[]): ByteOrderRow[] {
  const random = new Random(3);
  const speech = [...sources, ...prompts()];
  const rows = [
    row('speech', levels =>
      speech.flatMap(({ samples }) => {
        const peak = samples.reduce((max, sample) => Math.max(max, Math.abs(sample)), 1);
        return RATES.flatMap(rate => {
          const whole = resample(samples, SOURCE_RATE, rate);
          return levels.flatMap(db =>
            Array.from({ length: STARTS }, () => {
              const from = random.below(Math.max(1, whole.length - rate * SECONDS));
              const gain = (32767 / peak) * 10 ** (db / 20);
              return { rate, pcm: whole.slice(from, from + rate * SECONDS).map(s => limited(s * gain)) };
            }),
          );
        });
      }),
    ),
  ];
  for (const [material, make] of Object.entries(MADE)) {
    rows.push(
      row(material, levels =>
        RATES.flatMap(rate =>
          levels.flatMap(db =>
            Array.from({ length: 20 }, () => {
              const gain = 32767 * 10 ** (db / 20);
              return { rate, pcm: Int16Array.from(make(rate, random), value => limited(value * gain)) };
            }),
          ),
        ),
      ),
    );
  }
  return rows;
}

const limited = (value: number): number => Math.max(-32768, Math.min(32767, Math.round(value)));

function prompts(): Source[] {
  if (!existsSync(PROMPTS)) return [];
  return readdirSync(PROMPTS)
    .filter(file => file.endsWith('.wav'))
    .slice(0, 100)
    .map(name => {
      const { sampleRate, channels } = parseWav(readFileSync(join(PROMPTS, name)), name);
      return { name, samples: resample(channels[0]!, sampleRate, SOURCE_RATE) };
    });
}

function row(
  material: string,
  make: (levelsDb: readonly number[]) => { rate: number; pcm: Int16Array }[],
): ByteOrderRow {
  const result = { material, streams: 0, wrongAtFirst: 0, wrongForGood: 0, frames: 0, framesWrong: 0 };
  for (const { rate, pcm } of make(LEVELS_DB)) {
    for (const bigEndian of [false, true]) {
      const bytes = Buffer.from(pcm.slice().buffer);
      if (bigEndian) bytes.swap16();
      const finder = new native.L16OrderFinder(rate);
      const frame = Math.round(rate / 50) * 2;
      let told = false;
      let last = false;
      for (let at = 0; at + frame <= bytes.length; at += frame) {
        const payload = bytes.subarray(at, at + frame);
        const wrong = finder.isBigEndian(payload) !== bigEndian;
        if (readsTheSame(payload)) continue;
        result.frames++;
        if (wrong) result.framesWrong++;
        if (!told && wrong) result.wrongAtFirst++;
        told = true;
        last = wrong;
      }
      result.streams++;
      if (last) result.wrongForGood++;
    }
  }
  return result;
}

/** Both orders read the same: silence, and samples of 0 and -1. */
function readsTheSame(payload: Buffer): boolean {
  for (let i = 0; i < payload.length; i += 2) if (payload[i] !== payload[i + 1]) return false;
  return true;
}
