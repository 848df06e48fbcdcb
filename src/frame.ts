import type { AudioFrame } from './plugin.js';
import type { Track } from './telnyx/frames.js';

/**
 * The one frame object of a track, shown to the handler again and again with new contents: hearing allocates nothing.
 * The memory belongs to this stream alone, so what a handler does to a frame it kept reaches no other call.
 */
export class InboundFrame implements AudioFrame {
  readonly memory: Int16Array;
  samples: Int16Array;
  timestampMs = 0;
  concealed = false;
  readonly #views = new Map<number, Int16Array>();

  constructor(
    readonly track: Track,
    readonly sampleRate: number,
    samplesMax: number,
  ) {
    this.memory = new Int16Array(samplesMax);
    this.samples = this.memory.subarray(0, 0);
  }

  /** @internal The engine has written `samples` samples into the memory. */
  show(samples: number, timestampMs: number, concealed: boolean): void {
    if (this.samples.length !== samples) this.samples = this.#view(samples);
    this.timestampMs = timestampMs;
    this.concealed = concealed;
  }

  copy(): Int16Array {
    return this.samples.slice();
  }

  // A call's frames have one length, or few: odd resampling ratios alternate between two.
  #view(samples: number): Int16Array {
    let view = this.#views.get(samples);
    if (view === undefined) {
      view = this.memory.subarray(0, samples);
      if (this.#views.size < 8) this.#views.set(samples, view);
    }
    return view;
  }
}
