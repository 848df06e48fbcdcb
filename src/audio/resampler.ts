import { native } from '../native/addon.js';

/**
 * Converts sound to another rate, piece by piece. The filter's delay is removed from the beginning, so the length
 * stays the same. Rates as in SAMPLE_RATES, in Hz.
 */
export class StreamResampler {
  readonly #resampler: InstanceType<typeof native.Resampler>;
  readonly #ratio: number;
  #skipSamples: number;
  #samplesIn = 0;
  #samplesOut = 0;

  constructor(fromHz: number, toHz: number) {
    this.#resampler = new native.Resampler(fromHz, toHz);
    this.#ratio = toHz / fromHz;
    this.#skipSamples = Math.round((this.#resampler.delayMs * toHz) / 1000);
  }

  /** The next piece; what comes back belongs to the caller. */
  process(pcm: Int16Array): Int16Array {
    this.#samplesIn += pcm.length;
    const resampled = this.#resampler.process(pcm);
    const skip = Math.min(this.#skipSamples, resampled.length);
    this.#skipSamples -= skip;
    this.#samplesOut += resampled.length - skip;
    return resampled.subarray(skip);
  }

  /** What is left after the last piece. */
  flush(): Int16Array {
    const tail = this.#resampler.flush();
    const wanted = Math.max(0, Math.round(this.#samplesIn * this.#ratio) - this.#samplesOut);
    return tail.subarray(this.#skipSamples, this.#skipSamples + wanted);
  }
}
