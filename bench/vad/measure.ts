/** A detector held against what was really said. */
import type { NativeHeard, NativeVoice } from '../../src/native/addon.js';
import { native } from '../../src/native/addon.js';
import { Random } from '../../src/simulator/random.js';
import type { Noise } from './noises.js';
import { LABEL_SAMPLES, RATE, type Utterance } from './speech.js';

const FRAME_SAMPLES = 160;
/** Full scale of a sine is 0 dBFS here, as in meters: RMS 0.707. */
const dbToRms = (db: number): number => 32768 * Math.SQRT1_2 * 10 ** (db / 20);

export interface Scene {
  samples: Int16Array;
  /** By frame of LABEL_SAMPLES. */
  labels: Uint8Array;
  /** Where each utterance begins and ends, in ms. */
  said: { fromMs: number; toMs: number }[];
  /** Something is played all the time. */
  playing: boolean;
}

export interface Mix {
  /** Loudness of speech, dBFS; each utterance lies within 4 dB of it. */
  speechDb: number;
  noise: Noise | undefined;
  /** RMS of the noise as a whole, dBFS. */
  noiseDb: number;
  /** The noise is an echo of what is played. */
  playing?: boolean;
}

/** Utterances with 1.5 to 4 s of silence between them, and a noise over all of it. */
export function scene(utterances: readonly Utterance[], seconds: number, mix: Mix, seed: number): Scene {
  const random = new Random(seed);
  const length = seconds * RATE;
  const labels = new Uint8Array(length / LABEL_SAMPLES);
  const mixed = new Float32Array(length);
  const said: Scene['said'] = [];
  for (let frame = 300; utterances.length > 0; ) {
    const one = utterances[random.below(utterances.length)]!;
    if (frame + one.labels.length + 100 > labels.length) break;
    const gain = dbToRms(mix.speechDb + random.float() * 8 - 4) / one.level;
    labels.set(one.labels, frame);
    one.samples.forEach((sample, i) => {
      mixed[frame * LABEL_SAMPLES + i] = sample * gain;
    });
    said.push({ fromMs: frame * 10, toMs: (frame + one.labels.length) * 10 });
    frame += one.labels.length + 150 + random.below(250);
  }
  if (mix.noise) {
    const noise = mix.noise(length, random.fork('noise'));
    let power = 0;
    for (const sample of noise) power += sample * sample;
    const gain = dbToRms(mix.noiseDb) / Math.sqrt(power / length);
    noise.forEach((sample, i) => {
      mixed[i] = mixed[i]! + sample * gain;
    });
  }
  const samples = Int16Array.from(mixed, sample => Math.max(-32768, Math.min(32767, Math.round(sample))));
  return { samples, labels, said, playing: mix.playing === true };
}

export interface Score {
  /** Part of the speech that was not found, frame by frame. */
  missed: number;
  /** Part of the silence taken for speech, but for what the hangover and its edges explain. */
  falseFrames: number;
  /** Begins of speech where nobody spoke, an hour of silence. */
  falseBeginsHour: number;
  /** Utterances that no event told of. */
  lostUtterances: number;
  utterances: number;
  /** From the first sound of an utterance to its event, in ms. */
  onsetMs: { median: number; p95: number };
  /** `startMs` less where the utterance began, and `endMs` less where it ended, medians. */
  startOffMs: number;
  endOffMs: number;
}

const quantile = (values: number[], q: number): number =>
  values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN;

type Detector = (scene: Scene) => NativeHeard[];

export const engine =
  (voice: NativeVoice): Detector =>
  ({ samples, playing }) =>
    new native.Listener(RATE, { voice }).hear(samples, FRAME_SAMPLES, false, playing).events;

/** Frames near an edge of speech are nobody's fault. */
const EDGE_FRAMES = 4;

export function score(detector: Detector, scenes: readonly Scene[], hangoverMs: number): Score {
  let [speech, missed, silence, wrong, falseBegins, lost, utterances] = [0, 0, 0, 0, 0, 0, 0];
  const onsets: number[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  for (const one of scenes) {
    const { labels, said } = one;
    const events = detector(one);
    const found = new Uint8Array(labels.length);
    let fromMs = -1;
    for (const event of [
      ...events,
      { kind: 'ended', atMs: 0, endMs: labels.length * 10, durationMs: 0 } as const,
    ]) {
      if (event.kind === 'began') fromMs = event.startMs;
      else if (event.kind === 'ended' && fromMs >= 0) {
        found.fill(1, Math.round(fromMs / 10), Math.round(event.endMs / 10));
        fromMs = -1;
      }
    }
    // What lies between two parts of speech that the hangover joins is silence that it is asked to bridge.
    const near = new Uint8Array(labels.length);
    labels.forEach((label, i) => {
      if (label === 1) near.fill(1, Math.max(0, i - EDGE_FRAMES), i + EDGE_FRAMES + hangoverMs / 10);
    });
    labels.forEach((label, i) => {
      if (label === 1) {
        speech++;
        if (found[i] === 0) missed++;
      } else if (near[i] === 0) {
        silence++;
        if (found[i] === 1) wrong++;
      }
    });
    const began = events.filter(event => event.kind === 'began');
    for (const { startMs, atMs } of began) {
      const from = Math.round(startMs / 10);
      const to = Math.round(atMs / 10);
      if (!near.subarray(from, Math.max(from + 1, to)).includes(1)) falseBegins++;
    }
    const ended = events.filter(event => event.kind === 'ended');
    for (const { fromMs: begin, toMs } of said) {
      utterances++;
      const told = began.find(({ atMs }) => atMs > begin && atMs <= toMs + 100);
      const running = found[Math.floor(begin / 10) - 5] === 1;
      if (told === undefined && !running) lost++;
      if (told === undefined || running) continue;
      onsets.push(told.atMs - begin);
      starts.push(told.startMs - begin);
      const end = ended.find(({ endMs }) => endMs > toMs - 250);
      if (end) ends.push(end.endMs - toMs);
    }
  }
  return {
    missed: missed / speech,
    falseFrames: wrong / silence,
    falseBeginsHour: falseBegins / (silence / 360_000),
    lostUtterances: lost,
    utterances,
    onsetMs: { median: quantile(onsets, 0.5), p95: quantile(onsets, 0.95) },
    startOffMs: quantile(starts, 0.5),
    endOffMs: quantile(ends, 0.5),
  };
}

/** Keys that are found where nobody pressed one. */
export function talkOff(sounds: Iterable<{ file: string; samples: Int16Array }>): {
  hours: number;
  keys: string[];
} {
  const listener = new native.Listener(RATE, { keys: true });
  const keys: string[] = [];
  let samples = 0;
  for (const sound of sounds) {
    samples += sound.samples.length;
    for (const event of listener.hear(sound.samples, FRAME_SAMPLES).events) {
      if (event.kind === 'key') keys.push(`${event.key} in ${sound.file}`);
    }
  }
  return { hours: samples / RATE / 3600, keys };
}
