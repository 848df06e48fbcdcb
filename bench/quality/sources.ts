/** Speech to measure with. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseWav } from '../../src/audio/wav.js';
import { resample } from '../../src/codecs/create.js';

export const SOURCE_RATE = 16_000;

export interface Source {
  name: string;
  samples: Int16Array;
}

const TEXT =
  'The quick brown fox jumps over the lazy dog. Please hold the line while I connect you to the next free agent. ' +
  'Your order number is four seven nine one. She sells sea shells by the sea shore, and the weather in Vienna will ' +
  'stay fine until Thursday evening. Thank you for calling, and have a pleasant day.';

/** Recorded prompts of Debian's asterisk-core-sounds-en-wav, 8 kHz. */
export const PROMPTS = '/usr/share/asterisk/sounds/en_US_f_Allison';
const RECORDED = ['demo-instruct', 'demo-congrats', 'basic-pbx-ivr-main'];
const RECORDED_SECONDS = 25;

/** Sound of a file at 16 kHz, as loud as the others: its loudest sample at -3 dBFS. */
function prepared(bytes: Uint8Array, name: string): Int16Array {
  const { sampleRate, channels } = parseWav(bytes, name);
  const pcm = resample(channels[0]!, sampleRate, SOURCE_RATE);
  const peak = pcm.reduce((max, sample) => Math.max(max, Math.abs(sample)), 1);
  return pcm.map(sample => Math.round((sample * 23_000) / peak));
}

/** The package's own phrase, and, where Debian's packages are installed, longer and recorded speech. */
export function speechSources(): { sources: Source[]; notes: string[] } {
  const notes: string[] = [];
  const own = fileURLToPath(new URL('../../../assets/speech.wav', import.meta.url));
  const sources: Source[] = [
    { name: 'assets/speech.wav', samples: prepared(readFileSync(own), 'assets/speech.wav') },
  ];
  const espeak = spawnSync('espeak-ng', ['-v', 'en-us', '-s', '165', '--stdout', TEXT], {
    maxBuffer: 1 << 26,
  });
  if (espeak.status === 0) {
    // espeak-ng cannot know the length when it writes the header to a pipe; the reader takes what is there.
    sources.push({ name: 'espeak-ng, four sentences', samples: prepared(espeak.stdout, 'espeak-ng') });
  } else {
    notes.push('espeak-ng is not installed: without its longer speech');
  }
  const prompts = RECORDED.map(name => `${PROMPTS}/${name}.wav`).filter(file => existsSync(file));
  if (prompts.length > 0) {
    const parts = prompts.map(file => prepared(readFileSync(file), file));
    const whole = Int16Array.from(parts.flatMap(part => [...part]));
    sources.push({ name: 'recorded prompts', samples: whole.subarray(0, RECORDED_SECONDS * SOURCE_RATE) });
  } else {
    notes.push('asterisk-core-sounds-en-wav is not installed: without recorded speech');
  }
  return { sources, notes };
}

/** All of them one after the other, 300 ms apart. */
export function joined(sources: readonly Source[]): Int16Array {
  const pause = new Int16Array(0.3 * SOURCE_RATE);
  const parts = sources.flatMap(source => [pause, source.samples]);
  const whole = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
