/** What a handler may touch of its stream, and the frames and playbacks that it gets. */
import type { Format, OutboundMode } from '../formats.js';
import type { CallControl } from '../telnyx/call-control.js';
import type { StartFrame, Track } from '../telnyx/frames.js';

/** One frame of PCM, mono, at the rate the plugin asked for. In order, with losses concealed. */
export interface AudioFrame {
  /** Valid during the callback only: the same memory holds the next frame. `copy()` keeps it. */
  readonly samples: Int16Array;
  /** In Hz. */
  readonly sampleRate: number;
  readonly track: Track;
  /** Where the frame's first sample stands on its stream's time axis, in ms since the first audio of the stream. */
  readonly timestampMs: number;
  /** Made up for audio that was lost. */
  readonly concealed: boolean;
  /** The samples in memory of their own. */
  copy(): Int16Array;
}

/**
 * Audio that the handler played, as the caller heard it: in order, after the codec, and only what a clear did not cut
 * off. Its `timestampMs` lies on the axis of the caller's frames, below 0 for what was heard before the first of them.
 */
export type PlayedFrame = Omit<AudioFrame, 'track' | 'concealed'>;

/** What `await playback` gives. */
export interface PlaybackResult {
  /** How much of it was heard in the call, in ms of what was played: what was shortened counts in full. */
  playedMs: number;
  /** Whether `clear()`, or the end of the stream, cut it off. */
  interrupted: boolean;
}

export interface MarkResult {
  name: string;
  /** Whether the audio before it was heard: false after a clear, or when the stream ended first. */
  played: boolean;
}

/**
 * What `stream.play()` returns. Awaiting it tells how much was heard; not awaiting it costs nothing, because the mark
 * that confirms the end is only sent when somebody waits for it.
 */
export interface Playback extends PromiseLike<PlaybackResult> {
  /** How much of it has been heard so far, in ms. */
  readonly playedMs: number;
  /** All of it was heard, or it was cut off. */
  readonly finished: boolean;
}

/** Anything `play()` takes: PCM, a frame, or a source of PCM. */
export type PlayableAudio =
  | Int16Array
  | AudioFrame
  | AsyncIterable<Int16Array>
  | Iterable<Int16Array>
  | ReadableStream<Int16Array>;

export interface PlayOptions {
  /** Rate of the samples, in Hz. Default: the rate at which the handler hears. */
  sampleRate?: number;
  /**
   * This audio is live, and shortened where it is later than this, in ms: 100 to 60000, or 0 for as late as it comes.
   * Default: frames have their plugin's or the server's bound; anything else is not live and is heard whole.
   */
  liveLatencyMaxMs?: number;
}

/** Who is calling; absent fields were not in the start frame. */
export interface CallInfo {
  readonly callControlId: string;
  readonly callSessionId?: string | undefined;
  readonly userId: string;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly tags: readonly string[];
  /** As Call Control passed it: base64. */
  readonly clientState?: string | undefined;
  readonly customParameters: Readonly<Record<string, string>>;
}

/** The stream that this one continues. */
export interface Resumption {
  /** The id of the stream that was dropped. */
  readonly streamId: string;
  /** Why it ended. */
  readonly reason: 'disconnected' | 'idle_timeout';
  /** From its end until this stream's start, in ms. */
  readonly gapMs: number;
  /**
   * How much of what was played had not been heard at its end, in ms: it is not played any more. Each of its playbacks
   * tells `playedMs`, from which its audio can be played again.
   */
  readonly unheardMs: number;
}

/** One call's stream, as its handler sees it. */
export interface Stream {
  /** Telnyx's stream_id. */
  readonly id: string;
  /** The call's identifiers and parameters. */
  readonly call: CallInfo;
  /** The start frame as it came. */
  readonly start: StartFrame['start'];
  /** What stands behind the `?` of the stream_url. */
  readonly query: URLSearchParams;
  /** What comes in. */
  readonly inbound: Format;
  /** What goes out, in RTP mode. */
  readonly outbound: Format;
  /** How audio goes out: `rtp` payloads, or `mp3` files. */
  readonly mode: OutboundMode;
  /** Rate at which the handler hears and, by default, plays, in Hz. */
  readonly sampleRate: number;
  /** Audio that was played and not yet heard in the call, in ms: what waits here and what Telnyx still has. */
  readonly queuedMs: number;
  /** Counters of this stream. */
  readonly stats: Record<string, number>;
  /** The stream has ended. */
  readonly closed: boolean;
  /** Commands to the call over Telnyx's REST API: `hangup`, `transfer`, `sendDtmf` … */
  readonly callControl: CallControl;
  /** What it continues: where Telnyx has opened another WebSocket for a dropped stream, and the handler has `onResume`. */
  readonly resumed: Resumption | undefined;

  /**
   * Plays audio into the call, behind what is queued.
   *
   * PCM is copied before this returns. Sources are read as there is room, about two seconds ahead. Playing the frame
   * that is being heard, inside its callback, is the live path: it allocates nothing and returns the stream's one live
   * playback, which stands for everything played so; where the queue is full, the frame is dropped and `onError` told.
   *
   * Frames are live audio, here and on another stream: what of them is later than `liveLatencyMaxMs` is shortened until
   * it is in time again. Other audio is so where `options.liveLatencyMaxMs` or the plugin says that it is live.
   *
   * In MP3 mode PCM becomes files, one a second at most, of what was played by then; each is some 50 to 150 ms longer
   * than its audio, so that whole utterances sound better than many pieces.
   *
   * After the stream's end nothing is played: the playback that comes back is over (`playedMs: 0, interrupted: true`),
   * a source is told to stop unread, and `playsAfterEnd` counts it.
   *
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for a wrong type or rate, after the stream's end too; SIDETONE_QUEUE_FULL
   *   when the queue has no room for all of it (nothing is queued then)
   */
  play(audio: PlayableAudio, options?: PlayOptions): Playback;

  /**
   * MP3 mode: plays a file into the call, behind what is queued. `bytes` are copied before this returns. After the
   * stream's end the playback is over, as that of `play()`.
   *
   * @param bytes an MP3 file of at most 8 MB and 596 s; one that waits behind others counts for `queueMaxMs`
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is not MP3, and in RTP mode; SIDETONE_QUEUE_FULL
   */
  playFile(bytes: Uint8Array): Playback;

  /**
   * Sets a mark behind everything played so far. Resolves when Telnyx returns it: `played` tells whether its audio was
   * heard or a clear sent it back. `onMark(name)` is called too when it was heard. After the stream's end `played` is
   * false, and `playsAfterEnd` counts it.
   *
   * @param name 1 to 512 characters; made up where it is left out
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for a wrong name, after the stream's end too; SIDETONE_QUEUE_FULL when
   *   1,000 marks are under way
   */
  mark(name?: string): Promise<MarkResult>;

  /**
   * Stops what is playing and drops what is queued, here and at Telnyx. Unfinished playbacks settle as interrupted.
   * `playedMs` is how much of them was heard, `discardedMs` how much was not: both 0 after the stream's end, which has
   * settled every playback; `playsAfterEnd` counts the call.
   */
  clear(): Promise<{ playedMs: number; discardedMs: number }>;

  /** Ends the stream: closes its WebSocket; the call itself goes on. */
  close(): void;
}
