/** Calls joined to calls: what a plugin may do with a conference and with those who are in it. */
import type { Stream } from './stream.js';

/** How a conference is made. What is said where it is first opened, in whatever thread, holds until it is empty. */
export interface ConferenceOptions {
  /** Streams that may be in it, of all threads: 2 to 1000. Default 32. */
  participantsMax?: number;
  /**
   * Highest rate at which it mixes, in Hz: 8000, 16000, 24000 or 48000. Default 16000. It mixes at the lowest rate that
   * loses nothing which two of its participants have in common.
   */
  sampleRateMax?: number;
}

/** How a stream joins. */
export interface JoinOptions {
  /** It hears the others, who do not hear it. Default false. */
  muted?: boolean;
  /** It hears nobody, and nobody hears it. Default false. */
  onHold?: boolean;
}

/** What is heard on hold. */
export interface HoldOptions {
  /** PCM that is played again and again until `unhold()`. It is not copied. Default: nothing. */
  music?: Int16Array;
  /** Of the music, in Hz. Default: the rate at which the stream's handler hears. */
  sampleRate?: number;
}

/** A stream in a conference. Its methods do nothing once it has left. */
export interface Participant {
  /** Who it is. */
  readonly stream: Stream;
  /** The others do not hear it, on hold or not. */
  readonly muted: boolean;
  /** It hears nobody, and nobody hears it. */
  readonly onHold: boolean;
  /** It is no longer in the conference: it has left, its stream has ended, or there was no room for it. */
  readonly left: boolean;
  /** From now on the others do not hear it. Its audio is not decoded either, where no handler wants it. */
  mute(): void;
  /** They hear it again. */
  unmute(): void;
  /**
   * From now on it hears nobody, and nobody hears it. A second hold changes the music.
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is no music, or no rate
   */
  hold(options?: HoldOptions): void;
  /** It is back; the music stops at once. */
  unhold(): void;
  /** Takes it out of the conference; its stream goes on. */
  leave(): void;
}

/** A recording of everything that is said in a conference, on one channel. */
export interface ConferenceRecording {
  /** Whether it is over: after `close()`, and when the last participant of all threads has left. */
  readonly closed: boolean;
  /**
   * Ends it. Resolves when the file is complete.
   * @throws what the disk says, where it failed
   */
  close(): Promise<void>;
}

/** How a conference is recorded. */
export interface ConferenceRecordingOptions {
  /** Rate of the recording, in Hz: 8000, 16000, 24000 or 48000. Default 16000. */
  sampleRate?: number;
}

/** Takes a piece of a recording, which begins `atSample` samples after its begin. Silence may be left out. */
export type RecordingWriter = (samples: Int16Array, atSample: number) => void;

/**
 * Streams that hear each other: each hears the sum of all others. What is in it is live audio, as late as the stream's
 * `liveLatencyMaxMs` allows.
 *
 * A joined stream's handler goes on hearing its own caller (`onAudio`), and what it plays goes before the conference:
 * while the caller hears it, the conference is left out for this caller, and not kept for later.
 */
export interface Conference {
  /** Unique in the server: the same name is the same conference, in every thread and plugin. Empty for a bridge. */
  readonly name: string;
  /** Its streams in this thread, in the order of their joining. */
  readonly participants: readonly Participant[];
  /** How many participants it has in all threads; 0 while this thread has none. */
  readonly size: number;
  /**
   * Takes a stream in. A stream is in one conference at a time, and one that ends leaves by itself.
   *
   * With several reactors the memory of a conference that is new to this thread takes a moment: the stream is a participant
   * from the beginning, and heard soon. Where it turns out then that the conference is full, `onError` tells the handler.
   * @throws SidetoneError SIDETONE_CONFERENCE_FULL; SIDETONE_BAD_ARGUMENT for a stream that is in a conference already, in MP3
   *   mode, or heard without its inbound track
   */
  join(stream: Stream, options?: JoinOptions): Participant;
  /** Calls `listener` for each stream that joins in this thread. Returns a function that ends it. */
  onJoin(listener: (participant: Participant) => void): () => void;
  /** Calls `listener` for each that has left in this thread, whatever the reason. Returns a function that ends it. */
  onLeave(listener: (participant: Participant) => void): () => void;
  /**
   * Calls `listener` with `size` when it has changed, whatever thread the stream is of: up to 100 ms later. Returns a
   * function that ends it.
   */
  onSize(listener: (size: number) => void): () => void;
  /**
   * Records the sum of all participants, of all threads, from when this thread has the first one.
   * @param target path of a WAV file, or a function that takes the samples
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT where the file cannot be written, for a wrong rate, or while another
   *   recording runs in this thread
   */
  record(target: string | RecordingWriter, options?: ConferenceRecordingOptions): ConferenceRecording;
  /** All streams of this thread leave. */
  close(): void;
}
