/** What a caller hears where nobody can speak: the service is slow, or lost. */

export interface Tone {
  samples: Int16Array;
  sampleRate: number;
}

const RATE = 8000;
const HZ = 425;
/** Soft: 24 dB below full scale. */
const PEAK = 32767 * 10 ** (-24 / 20);

/** `count` beeps of 200 ms with pauses as long. */
export function beeps(count: number): Tone {
  const beepSamples = RATE / 5;
  const samples = new Int16Array(beepSamples * (2 * count - 1));
  for (let beep = 0; beep < count; beep++) {
    for (let i = 0; i < beepSamples; i++) {
      // Without a click at either end.
      const level = Math.min(1, i / 80, (beepSamples - i) / 80);
      samples[2 * beep * beepSamples + i] = Math.round(
        level * PEAK * Math.sin((2 * Math.PI * HZ * i) / RATE),
      );
    }
  }
  return { samples, sampleRate: RATE };
}
