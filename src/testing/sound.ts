/** What the caller of a test's call says. */
import { readMono, type WavAudio } from '../audio/wav.js';
import { SidetoneError, shown } from '../errors.js';
import type { Pcm } from '../simulator/speech.js';

/**
 * Something to say: samples with their rate, a WAV file's audio (its first channel), the path of a WAV file, or that
 * many ms of silence.
 */
export type TestSound = Pcm | WavAudio | string | number;

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is no sound */
export function pcmOf(sound: TestSound): Pcm {
  const given = typeof sound === 'string' ? readMono(sound) : sound;
  if (typeof given === 'number') {
    if (given >= 0 && given <= 3_600_000) {
      return { samples: new Int16Array(Math.round(given * 8)), sampleRate: 8000 };
    }
  } else if (given && 'channels' in given && given.channels[0]) {
    return { samples: given.channels[0], sampleRate: given.sampleRate };
  } else if (given && 'samples' in given && given.samples instanceof Int16Array) {
    return given;
  }
  const remedy =
    'give { samples: Int16Array, sampleRate }, the audio or path of a WAV file, or ms of silence';
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `say: ${shown(given)}: ${remedy}`);
}
