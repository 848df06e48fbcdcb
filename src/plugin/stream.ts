/** What a handler may touch of its stream, and the frames and playbacks that it gets. */
import type { Encoding, Format, OutboundMode } from '../formats.js';
import type { Logger } from '../log/log.js';
import type { CallControl } from '../telnyx/call-control.js';
import type { StartFrame, Track } from '../telnyx/frames.js';
import type { Background, BackgroundOptions, ComfortNoiseOptions } from './background.js';

/** One frame of PCM, mono, at the rate the plugin asked for. In order, with losses concealed. */
export interface AudioFrame {
  /** Valid during the callback only: the same memory holds the next frame. `copy()` keeps it. */
  readonly samples: Int16Array;
  /** In Hz. */
  readonly sampleRate: number;
  /** Which leg it was heard on: the caller is `inbound`. */
  readonly track: Track;
  /** Where the frame's first sample stands on its stream's time axis, in ms since the first audio of the stream. */
  readonly timestampMs: number;
  /** Made up for audio that was lost. */
  readonly concealed: boolean;
  /** That it is speech, 0 to 1. Always 0 where the plugin did not ask for `audio: { vad }`. */
  readonly speech: number;
  /**
   * The frame's bytes as they came, in the stream's inbound encoding: nothing is encoded for it, and a frame of which it is
   * not read costs nothing. Empty for a concealed frame, and after the callback. Valid during the callback only, as
   * `samples` are. Of a packet that is heard as several frames, the first has all of it (OPUS, AMR-WB) or each its part.
   */
  readonly payload: Uint8Array;
  /** The samples in memory of their own. */
  copy(): Int16Array;
}

/**
 * Audio that the handler played, as the caller heard it: in order, after the codec, and only what a clear did not cut
 * off. Its `timestampMs` lies on the axis of the caller's frames, below 0 for what was heard before the first of them.
 */
export type PlayedFrame = Omit<AudioFrame, 'track' | 'concealed' | 'speech' | 'payload'>;

/** What `await playback` gives. */
export interface PlaybackResult {
  /** How much of it was heard in the call, in ms of what was played: what was shortened counts in full. */
  playedMs: number;
  /** Whether `clear()`, or the end of the stream, cut it off. */
  interrupted: boolean;
}

/** What became of a mark. */
export interface MarkResult {
  /** As it was sent. */
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
  /**
   * Has `listener` called with `playedMs` when it has grown, and a last time when the playback is over. Costs nothing where it is
   * not asked for.
   * @param everyMs how often, in ms: 20 to 60,000. Default 100
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is no function or no such time
   */
  onProgress(listener: (playedMs: number) => void, everyMs?: number): this;
}

/** How a speech is written: `stream.speak()`. */
export interface SpeechOptions {
  /** Rate of the samples, in Hz. Default: the rate at which the handler hears. */
  sampleRate?: number;
  /** It is written in the stream's outbound encoding and goes out as it is: PCMU, PCMA, G722 or L16. Default: it is PCM. */
  encoding?: Encoding;
  /** As in PlayOptions. */
  idleMs?: number;
}

/**
 * A playback that is written as its audio comes: what `stream.speak()` returns. It is in its turn among what is played: what is
 * played after it waits until it has ended.
 */
export interface Speech extends Playback {
  /**
   * Says more, which is copied. Nothing happens where it has been cut off.
   * @param audio PCM, or base64 of PCM of 16 bits, little-endian; with `encoding` its bytes, or base64 of them
   * @returns false where more than 5 s wait to be read: `await speech.ready` before the next
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is no such audio; SIDETONE_STREAM_CLOSED after end();
   *   SIDETONE_QUEUE_FULL where more than ten minutes wait, or more than `queueBytesMax` allows
   */
  write(audio: Int16Array | Uint8Array | string): boolean;
  /** Resolves when less than 5 s wait to be read, and when it has been cut off. */
  readonly ready: Promise<void>;
  /** Nothing more comes. Awaiting it then tells how much was heard. Safe to call again. */
  end(): this;
  /**
   * Stops this speech alone, at once: what was played after it goes on. `playedMs` is how much was heard of it, `discardedMs` how
   * much was not. In MP3 mode everything that is queued is cleared. Safe to call again.
   */
  cancel(): { playedMs: number; discardedMs: number };
}

/** Anything `play()` takes: PCM, a frame, or a source of PCM. */
export type PlayableAudio =
  | Int16Array
  | AudioFrame
  | AsyncIterable<Int16Array>
  | Iterable<Int16Array>
  | ReadableStream<Int16Array>;

/** How audio is played. */
export interface PlayOptions {
  /** Rate of the samples, in Hz. Default: the rate at which the handler hears. */
  sampleRate?: number;
  /**
   * This audio is live, and shortened where it is later than this, in ms: 100 to 60000, or 0 for as late as it comes.
   * Default: frames have their plugin's or the server's bound; anything else is not live and is heard whole.
   */
  liveLatencyMaxMs?: number;
  /**
   * When a source has given nothing for so long, in ms, and something else waits behind it, `onError` is told
   * (`SIDETONE_SOURCE_IDLE`): 500 to 3,600,000. Default 10,000.
   */
  idleMs?: number;
}

/** How `stream.clear()` ends what is being heard. */
export interface ClearOptions {
  /** What is being heard fades out in this time, in ms: 0 to 1000. Default 0: it is cut. */
  fadeMs?: number;
}

/** Who is calling; absent fields were not in the start frame. */
export interface CallInfo {
  /** Names the call in commands and webhooks. */
  readonly callControlId: string;
  /** Telnyx's id of the session; legs that are bridged share one. */
  readonly callSessionId?: string | undefined;
  /** Telnyx's id of the account's user. */
  readonly userId: string;
  /** Number or SIP address of the caller. */
  readonly from?: string | undefined;
  /** Number or SIP address that was called. */
  readonly to?: string | undefined;
  /** As they were given to Call Control. */
  readonly tags: readonly string[];
  /** As Call Control passed it: base64. */
  readonly clientState?: string | undefined;
  /** As the request that started the stream had them. */
  readonly customParameters: Readonly<Record<string, string>>;
}

/** An HTTP upgrade that asks for a stream. */
export interface StreamRequest {
  /** Path without the query. */
  readonly path: string;
  /** Of the stream_url. */
  readonly query: URLSearchParams;
  /** Header names in lower case; without the auth token. */
  readonly headers: Readonly<Record<string, string>>;
  /** Address of the peer: that of the proxy where there is one. */
  readonly remoteAddress: string;
}

/** The stream that this one continues. */
export interface Resumption {
  /** The id of the stream that was dropped. */
  readonly streamId: string;
  /** Why it ended; `thread_lost`: the same stream goes on, and its handler was lost with its plugin's thread. */
  readonly reason: 'disconnected' | 'idle_timeout' | 'thread_lost';
  /** From its end until this stream's start, in ms; 0 where it is the same stream. */
  readonly gapMs: number;
  /**
   * How much of what was played had not been heard at its end, in ms: it is not played any more. Each of its playbacks
   * tells `playedMs`, from which its audio can be played again.
   */
  readonly unheardMs: number;
}

/** One call's stream, as its handler sees it. `Context` is what the plugin's `accept()` gave for it. */
export interface Stream<Context = unknown> {
  /** Telnyx's stream_id. */
  readonly id: string;
  /** The call's identifiers and parameters. */
  readonly call: CallInfo;
  /** The start frame as it came. */
  readonly start: StartFrame['start'];
  /** What stands behind the `?` of the stream_url. */
  readonly query: URLSearchParams;
  /** The HTTP upgrade that asked for the stream. */
  readonly request: StreamRequest;
  /** `context` of what the plugin's `accept()` returned; undefined where it returned none. */
  readonly context: Context;
  /**
   * The server's log, at its level, for lines about this call: each has the fields `stream`, `call` and `plugin`. It may be
   * used after the stream's end. Tokens, phone numbers and `client_state` are cut out of the fields that are named so.
   */
  readonly log: Logger;
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
  /**
   * What it continues: where Telnyx has opened another WebSocket for a dropped stream, and the handler has `onResume`; or where
   * the stream's last handler was lost with its plugin's thread, and `onStart` is called again.
   */
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
   * Plays audio that is in the stream's outbound encoding already, behind what is queued: it goes out as it is. It is paced,
   * cleared, paused and accounted for as what `play()` plays. What is shorter than 20 ms at the end of all is filled up with
   * silence. After the stream's end the playback is over, as that of `play()`.
   *
   * @param encoding the outbound encoding of the stream, `stream.outbound.encoding`: PCMU, PCMA, G722 or L16. OPUS and AMR-WB
   *   cannot be cut at a sample: play their PCM
   * @param audio its bytes, which are copied before this returns, or base64 of them. G722, PCMU and PCMA: any length; L16:
   *   two bytes a sample, in the byte order of the stream
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for another encoding, for bytes that are none of it, and in MP3 mode;
   *   SIDETONE_QUEUE_FULL when the queue has no room for all of it
   */
  playEncoded(encoding: Encoding, audio: Uint8Array | string): Playback;

  /**
   * Audio that is written as it comes, such as a synthesiser's or a model's. Bursts and answers longer than the queue are held
   * here, up to ten minutes and within `queueBytesMax`. After the stream's end it is over.
   *
   * ```ts
   * const speech = stream.speak({ sampleRate: 24000 });
   * service.onDelta(base64 => speech.write(base64));
   * service.onDone(() => speech.end());
   * const { playedMs, interrupted } = await speech;
   * ```
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for wrong options; SIDETONE_QUEUE_FULL when 1,000 sources wait already
   */
  speak(options?: SpeechOptions): Speech;

  /**
   * Sound that goes out beside what is played, without end: an office, music. It is quieter while something is played, and what
   * is played has no part in it: `clear()`, `pause()` and the ledger leave it as it is. Up to eight sound at once.
   *
   * @param audio mono PCM, or the path or file URL of a WAV file, of ten minutes at most. Streams that have the same array or
   *   file share one copy of it in each thread, made when it is first used: change an array no more
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for wrong audio or options, and in MP3 mode; SIDETONE_QUEUE_FULL for a ninth
   */
  background(audio: Int16Array | string | URL, options?: BackgroundOptions): Background;

  /**
   * Noise of a quiet room that goes out beside what is played, as a background, so that the line does not sound dead.
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for wrong options, and in MP3 mode; SIDETONE_QUEUE_FULL for a ninth background
   */
  comfortNoise(options?: ComfortNoiseOptions): Background;

  /**
   * How loud what is played goes out, in dB of its own level: -60 to 20. Default 0. A change holds from what has not been sent yet
   * on. Setting it throws SIDETONE_BAD_ARGUMENT for another value, and in MP3 mode.
   */
  gainDb: number;

  /**
   * Stops what is playing, and keeps what the caller has not heard of it for `resume()`, to the sample. Playbacks and marks
   * go on with it: none of them settles. What is played meanwhile waits behind it; `queuedMs` counts all of it. Of live
   * audio, what Telnyx had and the caller had not heard is left out, and counts as not heard.
   *
   * A second pause, and one after the stream's end, does nothing.
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT in MP3 mode
   */
  pause(): void;

  /** Goes on where `pause()` stopped. Does nothing where the stream is not paused. */
  resume(): void;

  /** Whether the stream is paused: after `pause()`, and before `resume()`, `clear()` or its end. */
  readonly paused: boolean;

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
   * settled every playback; `playsAfterEnd` counts the call. It ends a pause.
   *
   * `fadeMs` (0 to 1000, default 0): what is being heard fades out in this time rather than being cut with a click. It
   * counts as heard: it is in `playedMs`. Live audio and MP3 files are cut at once.
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for a wrong `fadeMs`
   */
  clear(options?: ClearOptions): Promise<{ playedMs: number; discardedMs: number }>;

  /** Ends the stream: closes its WebSocket; the call itself goes on. */
  close(): void;
}
