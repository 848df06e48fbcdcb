import type { AudioFrame } from '../plugin/stream.js';
import type { Track } from '../telnyx/frames.js';

/** The stream, which knows what came in. */
export interface PayloadSource {
  /** The payload of `frame` while it is being heard; empty where there is none. */
  payloadOf(frame: InboundFrame): Uint8Array;
}

/**
 * The one frame object of a track, shown to the handler again and again with new contents: hearing allocates nothing.
 * The memory belongs to this stream alone, so what a handler does to a frame it kept reaches no other call.
 */
export class InboundFrame implements AudioFrame {
  // What every frame touches stands first, and so does it in memory.
  #length: number; // of `samples`, which need not be looked at for it
  concealed = false;
  timestampMs = 0;
  speech = 0;
  samples: Int16Array;
  readonly sampleRate: number;
  readonly track: Track;
  #memory: Int16Array;
  #views: Map<number, Int16Array> | undefined; // made when a second length comes
  readonly #source: PayloadSource;

  /** @param room in samples: for 20 ms, what nearly every frame is; makeRoom() where a longer one comes */
  constructor(track: Track, sampleRate: number, room: number, source: PayloadSource) {
    this.track = track;
    this.sampleRate = sampleRate;
    this.#memory = new Int16Array(room);
    this.samples = this.#memory;
    this.#length = room;
    this.#source = source;
  }

  get payload(): Uint8Array {
    return this.#source.payloadOf(this);
  }

  /** @internal Where the engine writes. */
  get memory(): Int16Array {
    return this.#memory;
  }

  /** @internal From the next frame on there are as many samples of memory. */
  makeRoom(samples: number): void {
    this.#memory = new Int16Array(samples);
    this.#views = undefined;
    this.#length = -1;
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
    this.#views ??= new Map([[this.#memory.length, this.#memory]]);
    let view = this.#views.get(samples);
    if (view === undefined) {
      view = this.#memory.subarray(0, samples);
      if (this.#views.size < 8) this.#views.set(samples, view);
    }
    return view;
  }
}
