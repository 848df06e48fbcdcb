/** What a reactor and a plugin's thread write to each other: see HEAD for the words of a record. */
import type { Format, OutboundMode } from '../formats.js';
import type { Beginning } from '../playback/mixing.js';
import type { ConferenceOptions } from '../plugin/conference.js';
import type { AudioOptions } from '../plugin/plugin.js';
import type { Resumption } from '../plugin/stream.js';
import type { StartFrame } from '../telnyx/frames.js';

/** From the reactor to the thread. `handle` is the number of the stream, `id` that of a playback. */
export const EVENT = {
  /** Attached: StreamFacts. */
  start: 1,
  /**
   * A frame: samples, then `bytes` of payload. Flags: FRAME. `id`: speech, in SPEECH_SCALE. `extra`: frames before it that were
   * lost. Doubles: timestampMs; the reactor's time; queuedMs then, or NaN; of what was played, how much had been taken, in ms.
   */
  frame: 2,
  /** What the caller has heard: samples, and the first double is `timestampMs`. */
  played: 3,
  /** Attached: Told. */
  tell: 4,
  /** Its handler goes on with another stream, whose handle is `id`. Attached: StreamFacts. */
  resume: 5,
  /** Attached: the reason. */
  stop: 6,
  /** The stream has ended; what its handler is told of it may come later. */
  closed: 7,
  /** A playback is over: playedMs; flags: 1 where it was interrupted. */
  settled: 8,
  /** A playback has failed. Attached: PlainError. */
  failed: 9,
  /** Flags: 1 where the audio before the mark was heard. */
  marked: 10,
  /** playedMs, discardedMs. */
  cleared: 11,
  /** playedMs. */
  progress: 12,
  /** More of a source is wanted, … */
  pull: 13,
  /** … or nothing of it any more. */
  stopSource: 14,
  // Of the thread's conferences: `handle` is 0.
  /** The seat `id` is empty: there was no room for it, or its stream has ended. */
  left: 15,
  /** Of the recording `id`, from the sample of the first double on. Attached: samples. */
  tape: 16,
  /** The recording `id` is over, and has as many samples as the first double says. */
  tapeEnd: 17,
} as const;

/** From the thread to the reactor. */
export const COMMAND = {
  /** onStart has returned. Flags: bits of METHODS, and HANDLER_FAILED. */
  started: 1,
  /** Samples, or attached where they are too many. Flags: the bound of live audio. `bytes`: the rate. */
  play: 2,
  /** The same of a frame that is being heard: `id` names the one live playback. */
  playLive: 3,
  /** Attached: the file. */
  playFile: 4,
  /** Attached: the encoding and the bytes. */
  playEncoded: 5,
  /** Rate, bound, idleMaxMs; flags: 1 where it gives bytes. */
  source: 6,
  /** What a source gives: samples, or `bytes` bytes. */
  chunk: 7,
  sourceEnd: 8,
  /** Attached: PlainError. */
  sourceFailed: 9,
  /** Somebody awaits the playback. */
  watch: 10,
  /** everyMs. */
  progress: 11,
  /** Attached: the name. */
  mark: 12,
  /** fadeMs. */
  clear: 13,
  pause: 14,
  resume: 15,
  close: 16,
  /** A method of the handler failed. Attached: { where, error }. */
  failed: 17,
  /** One held the thread for the first double, in ms. Attached: its name. */
  stalled: 18,
  /** onStop is over. */
  stopped: 19,
  /** Something was played after the stream's end. */
  playAfterEnd: 20,
  /** The thread waits for an answer: `flags` is one of ASK. */
  ask: 21,
  /** `queuedMs` shall come with each frame. */
  wantQueue: 22,
  /** A background begins: what became of it is asked for. Attached: RemoteBeginning. */
  background: 23,
  /** Of the background `id`: the factor, and how long the change takes, in ms. */
  layerGain: 24,
  /** Of the background `id`: how long its end takes, in ms. */
  stopLayer: 25,
  /** Of what is played: as layerGain. */
  speechGain: 26,
  // Of conferences: `handle` is 0, and the thread has given `id`.
  /** A conference is wanted. Attached: RemoteRoom. */
  openRoom: 27,
  closeRoom: 28,
  /** A seat for a stream. Flags: SEAT; the room; the stream's handle. What became of it is asked for. */
  join: 29,
  /** Flags: SEAT. */
  seat: 30,
  leave: 31,
  /** A recording. The room; its rate. What became of it is asked for. */
  record: 32,
  endRecord: 33,
} as const;

export const SPEECH_SCALE = 1e9;
export const FRAME = { outbound: 1, concealed: 2 } as const;
export const SEAT = { muted: 1, onHold: 2 } as const;

/** What a thread asks and waits for. */
export const ASK = {
  queued: 1,
  playback: 2,
  cancel: 3,
  stats: 4,
  mixed: 5,
  roomSize: 6,
  roomOutcome: 7,
} as const;

/** The methods of a handler that a reactor calls, by bit. */
export const METHODS = [
  'onAudio',
  'onDtmf',
  'onPlayed',
  'onMark',
  'onError',
  'onCall',
  'onResume',
  'onStop',
  'onSpeech',
  'onSilence',
] as const;
export type Method = (typeof METHODS)[number];

/** What one of a handler's methods is told. */
export interface Told {
  method: Method;
  values: unknown[];
}

/** A background begins. Its sound was made in the thread, and has a number in the process. */
export type RemoteBeginning = Omit<Beginning, 'sound'> & { sound: number };

/** What became of it, as JSON. */
export interface MixOutcome {
  error?: PlainError;
}

/** A conference, by its name; an empty one is a bridge's. */
export interface RemoteRoom {
  name: string;
  options: ConferenceOptions;
}

/** What became of a seat or a recording, as JSON. */
export interface RoomOutcome {
  error?: PlainError;
  /** Its stream is over. */
  left?: boolean;
}

/** A stream that starts, for the thread that gets its handler. */
export interface StreamFacts {
  id: string;
  start: StartFrame['start'];
  request: { path: string; query: string; headers: Readonly<Record<string, string>>; remoteAddress: string };
  inbound: Format;
  outbound: Format;
  mode: OutboundMode;
  sampleRate: number;
  audio: AudioOptions;
  resumed: Resumption | undefined;
  runsTexml: boolean;
  /** What accept() gave in this thread for it: a number of contexts. */
  context: number | undefined;
}

/** Words that both threads read at any time. */
export const SHARED = {
  /** Grows while the thread's event loop turns. */
  beats: 0,
  /** 1: the thread waits for a message, because it has read all. */
  sleeps: 1,
  /** The stream whose handler is being called; 0: none. */
  current: 2,
  /** The number of the question that was answered last. */
  answers: 3,
  /** The numbers of an answer begin here, in doubles: ANSWERS of them. */
  answer: 4,
} as const;
export const ANSWERS = 4;
/** Where the text of an answer begins, in bytes, and how long it may be. */
export const SHARED_BYTES = (SHARED.answer + ANSWERS) * 8;
export const TEXT_BYTES = 8192;

/** An error as it goes from one thread to another. */
export interface PlainError {
  name: string;
  message: string;
  stack: string | undefined;
  code: string | undefined;
  cause: PlainError | undefined;
}
