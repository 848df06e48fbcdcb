/** The backgrounds of this thread: each stands in memory once for each rate, however many streams have it. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseWav } from '../audio/wav.js';
import { SidetoneError, shown } from '../errors.js';
import { SAMPLE_RATES } from '../formats.js';
import { native } from '../native/addon.js';
import type { NativeSound } from '../native/mixing.js';

/** Longest background. */
const MINUTES_MAX = 10;

/** Whoever has it keeps it in memory. */
export interface Sound {
  readonly native: NativeSound;
  /** By which other threads get it: see numberOf(). */
  number?: number;
}

export interface SoundForm {
  /** Of `Int16Array`s, in Hz. */
  sampleRate: number;
  /** In Hz. */
  toRate: number;
  loops: boolean;
}

const ofPcm = new WeakMap<Int16Array, Map<string, Sound>>();
const ofFiles = new Map<string, WeakRef<Sound>>();
const noises = new Map<number, Sound>();

function fail(problem: string): never {
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
}

/**
 * The sound of samples, or of a WAV file, which is read when no stream of this thread has it.
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT
 */
export function soundOf(audio: unknown, form: SoundForm): Sound {
  if (audio instanceof Int16Array) return soundOfPcm(audio, form);
  if (typeof audio === 'string' || audio instanceof URL) return soundOfFile(audio, form);
  return fail(
    `background audio: ${shown(audio)}: pass an Int16Array of mono PCM, or the path or file URL of a WAV file`,
  );
}

function soundOfPcm(pcm: Int16Array, form: SoundForm): Sound {
  const key = `${form.sampleRate} ${form.toRate} ${form.loops}`;
  const made = ofPcm.get(pcm) ?? new Map<string, Sound>();
  const sound = made.get(key) ?? makeSound(pcm, form, 'background audio');
  ofPcm.set(pcm, made.set(key, sound));
  return sound;
}

function soundOfFile(file: string | URL, form: SoundForm): Sound {
  const path = pathOf(file);
  const key = `${form.toRate} ${form.loops} ${path}`;
  const known = ofFiles.get(key)?.deref();
  if (known) return known;
  for (const [other, held] of ofFiles) if (!held.deref()) ofFiles.delete(other);
  const what = `background file: ${path}`;
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${what}: cannot be read: ${why}`, { cause });
  }
  const { channels, sampleRate } = parseWav(bytes, what);
  const sound = makeSound(channels[0]!, { ...form, sampleRate }, what);
  ofFiles.set(key, new WeakRef(sound));
  return sound;
}

function pathOf(file: string | URL): string {
  if (typeof file === 'string') return file;
  if (file.protocol === 'file:') return fileURLToPath(file);
  return fail(`background audio: ${file.protocol} URL: pass a file URL, or the samples themselves`);
}

function makeSound(pcm: Int16Array, { sampleRate, toRate, loops }: SoundForm, what: string): Sound {
  if (!SAMPLE_RATES.includes(sampleRate as (typeof SAMPLE_RATES)[number])) {
    fail(`${what}: its rate is ${shown(sampleRate)}: use one of ${SAMPLE_RATES.join(', ')} Hz`);
  }
  if (pcm.length === 0) fail(`${what}: holds no sound: give another`);
  if (pcm.length > sampleRate * 60 * MINUTES_MAX) {
    fail(`${what}: ${Math.round(pcm.length / sampleRate)} s long: give ${MINUTES_MAX} minutes at most`);
  }
  return { native: native.makeSound(pcm, sampleRate, toRate, loops) };
}

/** A number by which another thread gets it, as long as this one has it. */
export function numberOf(sound: Sound): number {
  sound.number ??= native.numberSound(sound.native);
  return sound.number;
}

/** Undefined where nobody has it any more. */
export function soundNumbered(number: number): Sound | undefined {
  const sound = native.numberedSound(number);
  return sound && { native: sound, number };
}

/** Noise of a quiet room at `native.comfortNoiseDbfs`. */
export function comfortNoise(rate: number): Sound {
  const sound = noises.get(rate) ?? { native: native.comfortNoise(rate) };
  noises.set(rate, sound);
  return sound;
}
