import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { type MonoAudio, readMono } from '../audio/wav.js';
import { resample } from '../codecs/create.js';
import { SidetoneError } from '../errors.js';
import { CODECS, SAMPLE_RATES } from '../formats.js';
import { definePlugin } from '../plugin/define.js';
import type { Plugin } from '../plugin/plugin.js';

/** What the plugin `speak` says. */
export interface SpeakOptions {
  /** A WAV file: 16 bit, at one of SAMPLE_RATES; of stereo the left channel is played. Default: a built-in phrase. */
  file?: string;
  /** Silence before the file is played again, in ms. Default 500. */
  pauseMs?: number;
}

const PAUSE_MS_MAX = 3_600_000;
const PHRASE = fileURLToPath(new URL('../../../assets/speech.wav', import.meta.url));

/**
 * Plays a file again and again; a key that the caller presses cuts it off and begins anew. The queue takes what it has
 * room for, about two seconds ahead of what the caller hears. The file is read once and resampled once a rate; all
 * calls play the same memory.
 *
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT where the file cannot be read or used
 */
export function speak(options: SpeakOptions = {}): Plugin {
  const { file, pauseMs = 500 } = options;
  const atRate = new Map<number, Int16Array>();
  // A wrong file is an error at the start and not at the first call.
  let original = file === undefined ? undefined : read(file);

  const phrase = (sampleRate: number): Int16Array => {
    let pcm = atRate.get(sampleRate);
    if (!pcm) {
      original ??= read(PHRASE);
      pcm = resample(original.samples, original.sampleRate, sampleRate);
      atRate.set(sampleRate, pcm);
    }
    return pcm;
  };

  return definePlugin({
    name: 'speak',
    onStart(stream) {
      const { encoding, sampleRate: announced } = stream.outbound;
      const sampleRate = CODECS[encoding].sampleRate(announced);
      const spoken = phrase(sampleRate);
      const pause = new Int16Array(Math.round((sampleRate * pauseMs) / 1000));
      const begin = () => stream.play(again(spoken, pause), { sampleRate });
      begin();
      return {
        async onDtmf() {
          await stream.clear();
          begin();
        },
      };
    },
  });
}

function* again(spoken: Int16Array, pause: Int16Array): Generator<Int16Array> {
  for (;;) {
    yield spoken;
    yield pause;
  }
}

function read(file: string): MonoAudio {
  const { samples, sampleRate } = readMono(file, `speak file: ${file}`);
  if (samples.length === 0) {
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `speak file: ${file}: holds no sound: give another`);
  }
  if (!SAMPLE_RATES.includes(sampleRate as (typeof SAMPLE_RATES)[number])) {
    throw new SidetoneError(
      'SIDETONE_BAD_ARGUMENT',
      `speak file: ${file}: its rate is ${sampleRate} Hz: resample it to one of ${SAMPLE_RATES.join(', ')} Hz`,
    );
  }
  return { samples, sampleRate };
}

/** The server chooses the file. A stream_url cannot. */
export default definePlugin({
  name: 'speak',
  options: v.strictObject({
    file: v.optional(v.pipe(v.string(), v.nonEmpty())),
    pauseMs: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(PAUSE_MS_MAX))),
  }),
  setup: ({ options: { file = process.env.SIDETONE_SPEAK_FILE, pauseMs } }) =>
    speak({ ...(file && { file }), ...(pauseMs !== undefined && { pauseMs }) }),
  onStart: (stream, context) => context.state.onStart(stream, context),
});
