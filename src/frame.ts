import type { AudioFrame } from './plugin.js';
import type { Track } from './telnyx/frames.js';

/**
 * The one frame object of a track, shown to the handler again and again with new contents: hearing allocates nothing.
 * The memory belongs to this stream alone, so what a handler does to a frame it kept reaches no other call.
 */
export class InboundFrame implements AudioFrame {
  // What every frame touches stands first, and so does it in memory.
  #length: number; // of `samples`, which need not be looked at for it
  concealed = false;
  timestampMs = 0;
  samples: Int16Array;
  readonly sampleRate: number;
  readonly track: Track;
  readonly memory: Int16Array;
  #views: Map<number, Int16Array> | undefined; // made when a second length comes

  constructor(track: Track, sampleRate: number, samplesMax: number) {
    this.track = track;
    this.sampleRate = sampleRate;
    this.memory = new Int16Array(samplesMax);
    // 20 ms, what nearly every frame is.
    this.#length = Math.min(samplesMax, sampleRate / 50);
    this.samples = this.memory.subarray(0, this.#length);
  }

  /** @internal The engine has written `samples` samples into the memory. */
  show(samples: number, timestampMs: number, concealed: boolean): void {
    if (this.#length !== samples) {
      this.samples = this.#view(samples);
      this.#length = samples;
    }
    this.timestampMs = timestampMs;
    this.concealed = concealed;
  }

  copy(): Int16Array {
    return this.samples.slice();
  }

  // A call's frames have one length, or few: odd resampling ratios alternate between two.
  #view(samples: number): Int16Array {
    this.#views ??= new Map([[this.samples.length, this.samples]]);
    let view = this.#views.get(samples);
    if (view === undefined) {
      view = this.memory.subarray(0, samples);
      if (this.#views.size < 8) this.#views.set(samples, view);
    }
    return view;
  }
}
