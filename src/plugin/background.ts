/** What goes out beside what a handler plays. */

/** How a background is heard: `stream.background()`. */
export interface BackgroundOptions {
  /** How loud it is, in dB of its own level: -60 to 20. Default 0. */
  gainDb?: number;
  /** How much quieter it is while something is played, in dB: -60 to 0. Default -12; 0: not at all. */
  duckDb?: number;
  /** Whether it begins anew at its end, without a gap. Default true; false: it is heard once. */
  loop?: boolean;
  /** Rate of the samples, in Hz. Default: the rate at which the handler hears. A file has its own. */
  sampleRate?: number;
  /** In this time it rises from nothing, in ms: 0 to 10,000. Default 200. */
  fadeMs?: number;
}

/** How comfort noise is heard: `stream.comfortNoise()`. */
export interface ComfortNoiseOptions {
  /** Its level (RMS), in dB of full scale: -90 to -20. Default -60. */
  levelDbfs?: number;
  /** As in BackgroundOptions. Default 0: it stays as it is. */
  duckDb?: number;
  /** As in BackgroundOptions. */
  fadeMs?: number;
}

/** A background, or comfort noise, that goes out. It ends with its stream. */
export interface Background {
  /** `stop()` was called, or the stream has ended. */
  readonly stopped: boolean;
  /**
   * Changes how loud it is, from what has not been sent yet on. Does nothing where it is over.
   * @param gainDb as in BackgroundOptions. Of comfort noise it counts from its `levelDbfs`
   * @param options `rampMs`: how long the change takes, in ms: 0 to 10,000. Default 200
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT
   */
  gain(gainDb: number, options?: { rampMs?: number }): void;
  /**
   * Ends it. Safe to call again.
   * @param options `fadeMs`: how long its end takes, in ms: 0 to 10,000. Default 200
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT
   */
  stop(options?: { fadeMs?: number }): void;
}
