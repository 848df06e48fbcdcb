/** Recorded speech of Debian's packages, cut into utterances whose words are known to the frame. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseWav } from '../../src/audio/wav.js';
import { rms } from '../../test/helpers/speech.js';

export const RATE = 8000;
/** Labels are set a frame of 10 ms. */
export const LABEL_SAMPLES = 80;

/** The voices, each a folder of its package: see docs/vad.md. */
export const VOICES = [
  { name: 'en', folder: 'en_US_f_Allison' },
  { name: 'es', folder: 'es_MX_f_Allison' },
  { name: 'fr', folder: 'fr_CA_f_June' },
  { name: 'ru', folder: 'ru_RU_f_IvrvoiceRU' },
  { name: 'it m', folder: 'it_IT_m_Carlo' },
  { name: 'it f', folder: 'it_IT_f_Menardi' },
] as const;

export interface Utterance {
  voice: string;
  file: string;
  /** From its first word to its last. */
  samples: Int16Array;
  /** By frame of LABEL_SAMPLES: 1 for speech, pauses shorter than PAUSE_MS among it. */
  labels: Uint8Array;
  /** RMS of its speech. */
  level: number;
}

const BELOW_LOUD_DB = -32;
const PAUSE_MS = 200;
const SPEECH_MS = 40;

/** Every recording of the voices below `sounds`; those without a folder are left out. */
export function* recordings(sounds: string): Generator<{ voice: string; file: string; samples: Int16Array }> {
  for (const { name, folder } of VOICES) {
    const at = join(sounds, folder);
    if (!existsSync(at)) continue;
    const files = readdirSync(at, { recursive: true, encoding: 'utf8' }).filter(
      file => file.endsWith('.wav') && !/silence|beep|tone/.test(file),
    );
    for (const file of files.sort()) {
      const { sampleRate, channels } = parseWav(readFileSync(join(at, file)), file);
      if (sampleRate === RATE) yield { voice: name, file, samples: channels[0]! };
    }
  }
}

/**
 * The words of a studio recording, found by loudness: what is less than 32 dB below its loud parts. Undefined where the
 * recording is no speech, or has noise of its own.
 */
export function utterance(voice: string, file: string, samples: Int16Array): Utterance | undefined {
  const frames = Math.floor(samples.length / LABEL_SAMPLES);
  const levels = Array.from({ length: frames }, (_, i) =>
    rms(samples.subarray(i * LABEL_SAMPLES, (i + 1) * LABEL_SAMPLES)),
  );
  const sorted = [...levels].sort((a, b) => a - b);
  const loud = sorted[Math.floor(frames * 0.9)] ?? 0;
  if (loud < 300) return undefined;
  const least = loud * 10 ** (BELOW_LOUD_DB / 20);
  const labels = Uint8Array.from(levels, level => (level > least ? 1 : 0));
  fill(labels, 0, PAUSE_MS / 10);
  fill(labels, 1, SPEECH_MS / 10);
  const first = labels.indexOf(1);
  const last = labels.lastIndexOf(1);
  if (first < 0 || last - first < 20) return undefined;
  const words = samples.subarray(first * LABEL_SAMPLES, (last + 1) * LABEL_SAMPLES);
  const within = labels.subarray(first, last + 1);
  const loudest = Float64Array.from(levels.slice(first, last + 1)).filter((_, i) => within[i] === 1);
  const level = Math.sqrt(loudest.reduce((sum, each) => sum + each * each, 0) / loudest.length);
  return { voice, file, samples: words, labels: within, level };
}

/** Turns runs of `value` that are shorter than `frames`, and not at an end, into the other value. */
function fill(labels: Uint8Array, value: 0 | 1, frames: number): void {
  let from = 0;
  for (let i = 1; i <= labels.length; i++) {
    if (i < labels.length && labels[i] === labels[from]) continue;
    const isEnd = value === 0 && (from === 0 || i === labels.length);
    if (labels[from] === value && i - from < frames && !isEnd) labels.fill(1 - value, from, i);
    from = i;
  }
}
