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

const VOICE_RATE = 16000;
const VOICE_PITCH_HZ = 140;
const HARMONICS = 12;
/** A sound that begins at once would click. */
const EDGE_SAMPLES = VOICE_RATE / 100;

/**
 * A sound that the engine's voice activity takes for speech, the same every time: to be said by the caller of a test. 200 ms
 * are a cough, two seconds are a sentence.
 * @param durationMs 20 to 600,000
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT
 */
export function voice(durationMs: number): Pcm {
  if (!(durationMs >= 20 && durationMs <= 600_000)) {
    const problem = `voice: ${shown(durationMs)}: give ms from 20 to 600000`;
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
  }
  const samples = new Int16Array(Math.round((durationMs * VOICE_RATE) / 1000));
  let phase = 0;
  for (let i = 0; i < samples.length; i++) {
    const seconds = i / VOICE_RATE;
    phase += (2 * Math.PI * (VOICE_PITCH_HZ + 30 * Math.sin(2 * Math.PI * 0.7 * seconds))) / VOICE_RATE;
    const edge = Math.min(1, i / EDGE_SAMPLES, (samples.length - i) / EDGE_SAMPLES);
    const loud = edge * (0.8 + 0.2 * Math.sin(2 * Math.PI * 4 * seconds));
    let sample = 0;
    for (let harmonic = 1; harmonic <= HARMONICS; harmonic++) {
      sample += (5000 * Math.sin(phase * harmonic)) / harmonic;
    }
    samples[i] = Math.round(loud * sample);
  }
  return { samples, sampleRate: VOICE_RATE };
}
