/** Has a codec work before there is a stream for it. */
import type { DecoderSink, EncoderSink, PoolDecoder, PoolEncoder } from './streams.js';

/** A second: what is measured rests on 45 of them (costs.ts, serve.ts). */
const FRAMES = 50;

/**
 * Encodes and decodes a second of audio. Resolves when all of it has come back; a frame that fails has come back too.
 * The streams are closed then.
 */
export function warmUp(
  openEncoder: (sink: EncoderSink) => PoolEncoder,
  openDecoder: (sink: DecoderSink) => PoolDecoder,
): Promise<void> {
  let done = (): void => {};
  const result = new Promise<void>(resolve => {
    done = resolve;
  });
  let waiting = FRAMES;
  const answered = (frames: number): void => {
    waiting -= frames;
    if (waiting > 0) return;
    encoder.close();
    decoder.close();
    done();
  };
  const decoder = openDecoder({ onPcm: () => answered(1), onError: () => {} });
  let encoder: PoolEncoder;
  try {
    encoder = openEncoder({
      onPacket: packet => {
        if (!decoder.decode(packet)) answered(1);
      },
      onError: (_error, frames) => answered(frames),
    });
  } catch (error) {
    decoder.close();
    throw error;
  }
  const { sampleRate, frameSamples } = encoder;
  const audio = voiceLike(sampleRate, FRAMES * frameSamples);
  for (let i = 0; i < FRAMES; i++) {
    if (!encoder.encode(audio.subarray(i * frameSamples, (i + 1) * frameSamples))) answered(1);
  }
  return result;
}

/** Syllables of harmonics with some noise: silence and a pure tone cost an encoder less than speech does. */
function voiceLike(sampleRate: number, samples: number): Int16Array {
  let random = 1;
  return Int16Array.from({ length: samples }, (_, i) => {
    const seconds = i / sampleRate;
    const pitch = 130 + 25 * Math.sin(2 * Math.PI * 1.3 * seconds);
    let sum = 0;
    for (let harmonic = 1; harmonic <= 20; harmonic++) {
      sum += Math.sin(2 * Math.PI * harmonic * pitch * seconds) / harmonic;
    }
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) | 0;
    const loudness = Math.max(0.05, Math.sin(2 * Math.PI * 2 * seconds));
    return loudness * (4000 * sum + 800 * (random / 2 ** 31));
  });
}
