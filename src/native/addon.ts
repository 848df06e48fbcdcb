/** The only loader of the addon, and its typed face. */
import { SidetoneError } from '../errors.js';
import type { Encoding } from '../formats.js';
import type { NativeLoad } from './load.js';
import { loadAddon } from './locate.js';
import type { NativeMixer, NativeSounds } from './mixing.js';
import type { NativeRoomMemory, NativeRooms } from './rooms.js';
import type { NativeUpstream } from './upstream.js';

export interface NativeOutbound {
  /** ENCODING_NUMBERS has it. */
  encoding: number;
  sampleRate: number;
  l16BigEndian: boolean;
  leadMs: number;
  chunkMs: number;
  queueMaxMs: number;
  /** Live audio that is later than this is caught up; 0: never. */
  liveLatencyMaxMs: number;
}

export interface NativeInbound {
  encoding: number;
  sampleRate: number;
  handlerRate: number;
  l16BigEndian: boolean;
  /** Found by listening, for both directions; l16BigEndian is not looked at. */
  l16OrderAuto: boolean;
  reorderWaitMs: number;
  gapFillMaxMs: number;
  /** False: silence stands in for what is lost. */
  conceals: boolean;
  /** How to look for speech; undefined: not at all. */
  voice: NativeVoice | undefined;
  /** Speech is found by the neural detector: see takeVoiceWindows(). */
  neural: boolean;
  /** Whether to look for the tones of keys. */
  keys: boolean;
  /** Frames leave on a steady clock; undefined: as they come. */
  playout: { delayMinMs: number; delayMaxMs: number } | undefined;
}

export interface NativeVoice {
  onsetMs: number;
  hangoverMs: number;
  threshold: number;
  levelMinDb: number;
  duringPlaybackDb: number;
}

/** What a Listener tells, at the end of the frame that ends at `atMs`. */
export type NativeHeard = { atMs: number } & (
  | { kind: 'began'; startMs: number }
  | { kind: 'ended'; endMs: number; durationMs: number }
  | { kind: 'key'; key: string }
);

/** What the neural detector needs of an engine. All arrays belong to the caller; `fields` has VOICE.fields numbers a window. */
export interface NativeVoices {
  /** Moves the windows that wait, up to VOICE.windowsMax of VOICE.samples samples at 8 kHz. Returns how many. */
  takeVoiceWindows(fields: Int32Array, ends: Float64Array, samples: Int16Array): number;
  /**
   * What the detector says of them, 0 to 1; NaN: nothing. Returns how many events were written, VOICE.eventFields numbers
   * each: stream, track, bits of SENSES, startMs, endMs, durationMs.
   */
  answerVoices(
    count: number,
    fields: Int32Array,
    ends: Float64Array,
    probabilities: Float32Array,
    events: Float64Array,
  ): number;
}

export interface NativeListener extends NativeVoices {
  /**
   * Hears what follows, cut into frames of `frameSamples`. `playing`: an echo of what is played may be in it. `speech` has one
   * probability a frame.
   */
  hear(
    pcm: Int16Array,
    frameSamples: number,
    concealed?: boolean,
    playing?: boolean,
  ): { speech: Float32Array; events: NativeHeard[] };
}

export interface NativeStreamConfig {
  streamId: string;
  startSequence: number;
  wantsInbound: boolean;
  wantsOutbound: boolean;
  inbound: NativeInbound;
  outbound: NativeOutbound;
}

export interface NativeEngineConfig {
  messageBytesMax: number;
  queueBytesMax: number;
  largestOutbound: NativeOutbound;
}

export interface NativeEngineBuffers {
  slab: Uint8Array;
  payload: Uint8Array;
  sends: Int32Array;
  gaps: Int32Array;
  encodes: Int32Array;
  info: Float64Array;
}

/** Tracks are numbered 0 inbound, 1 outbound. */
export interface NativeEngine extends NativeMixer, NativeRooms, NativeVoices {
  open(config: NativeStreamConfig): number;
  close(stream: number): void;
  /** Of a frame of 20 ms. */
  frameSamplesUsual(stream: number, track: number): number;
  /** Of the longest frame. */
  frameSamplesMax(stream: number, track: number): number;
  /** The caller keeps `samples` alive until the stream is closed or has another buffer. */
  setFrameBuffer(stream: number, track: number, samples: Int16Array): void;
  receive(stream: number, message: ArrayBuffer): number;
  receiveParsed(
    stream: number,
    track: number,
    sequence: number,
    chunk: number,
    timestamp: number,
    streamId: Uint8Array,
    payload: Uint8Array,
  ): number;
  next(stream: number, track: number): number;
  deliverPcm(stream: number, track: number, pcm: Int16Array, concealed: boolean): number;
  /** Nobody hears this stream: receive() and next() have nothing for it any more. */
  deafen(stream: number): void;
  /** No frames of this track come: speech that goes on has ended. Writes `senses` as deliverPcm() does. */
  hush(stream: number, track: number): void;
  /**
   * Returns how many messages are due now and lie in the send slab; -1 where the queue was full. `liveLatencyMaxMs`
   * is how late it may be, 0 for as late as it likes, or NOT_LIVE or STREAMS_BOUND.
   */
  play(
    stream: number,
    pcm: Int16Array,
    sampleRate: number,
    sendNow: boolean,
    liveLatencyMaxMs: number,
  ): number;
  /** The same of the frame that was delivered last, as it lies in its buffer now. */
  playHeard(stream: number): number;
  /** Plays bytes in the outbound encoding as they are: not for those of the pool. Returns as play() does. */
  playEncoded(stream: number, payload: Uint8Array, sendNow: boolean): number;
  /** Returns how many messages lie in the send slab. */
  tick(): number;
  /** Messages of this stream are marked in `sends`: every one … */
  follow(stream: number, every: boolean): void;
  /** … or those that leave less than this many samples queued. */
  followBelow(stream: number, samples: number): void;
  takePcm(stream: number, pcm: Int16Array): number;
  enqueuePacket(stream: number, packet: Uint8Array): number;
  packetsLost(stream: number, frames: number): void;
  /** When the stream's last message came that receive() or receiveParsed() took. */
  lastMediaMs(stream: number): number;
  noteSequence(stream: number, sequence: number): void;
  /** What would have been heard during the next `fadeMs` fades out: resume() sends it. */
  clear(stream: number, fadeMs: number): void;
  /** How many samples of what is being heard clear() would fade out. */
  fadeSamples(stream: number, fadeMs: number): number;
  /** What the far end has not played is queued again, and nothing is due until resume() or clear(). */
  pause(stream: number): void;
  /** What is queued goes on. Returns as play() does. */
  resume(stream: number, sendNow: boolean): number;
  /** What is due now lies in the slab. Returns as play() does. */
  sendNow(stream: number): number;
  /** Takes positions out of what is queued here, which begins at `info[INFO.head]`: those behind them move up. */
  remove(stream: number, from: number, to: number): void;
  /** Gives back the memory of what has been heard. */
  forget(stream: number): void;
  /** 1 with the place of the payload of the frame that was delivered last in `info`, or 0 where there is none. */
  heardPayload(stream: number): number;
  cutAt(stream: number, position: number): void;
  /** 1 with the next range of positions of live audio that was left out in `info`, or 0. */
  takeSkipped(stream: number): number;
  position(stream: number): void;
  streamCounters(stream: number, values: Float64Array): void;
  totals(values: Float64Array): void;
  lateness(): Float64Array;
  queueBytes(): number;
  destroy(): void;
}

export interface NativeAmrWbDecoder {
  /** Into `pcm`, which has room for 24 frames of 320 samples. Returns the samples, or minus the number of an error. */
  decode(payload: Uint8Array, pcm: Int16Array): number;
  /** One frame of 320 samples into `pcm`. */
  conceal(pcm: Int16Array): number;
  /** The mode that the peer last asked for, 0 to 8; 15 for none. */
  readonly modeRequest: number;
  close(): void;
}

export interface NativeAmrWbEncoder {
  /** 320 samples into `payload`, which has room for 62 bytes. Returns the bytes; 0 where the library gave none. */
  encode(pcm: Int16Array, payload: Uint8Array): number;
  close(): void;
}

/** One code a sample; both return the samples. */
export interface LawKernel {
  encode(pcm: Int16Array, out: Uint8Array): number;
  decode(payload: Uint8Array, out: Int16Array): number;
}

export interface NativeResampler {
  process(pcm: Int16Array): Int16Array;
  flush(): Int16Array;
  readonly delayMs: number;
}

export interface NativeConcealer {
  /** A good frame, in place. */
  receive(frame: Int16Array): void;
  /** The next `samples` made up. */
  conceal(samples: number): Int16Array;
}

export interface NativeL16OrderFinder {
  /** The stream's next payload; returns whether to read it, and what follows, big-endian. */
  isBigEndian(payload: Uint8Array): boolean;
  /** Whether the order stands for the rest of the stream. */
  readonly settled: boolean;
}

/** Numbers that both sides must agree on, by name; the addon has them (native/binding/layout.cpp). */
interface NativeLayout {
  info: Readonly<Record<InfoName, number>>;
  gather: Readonly<Record<'messages' | 'answeredMs' | 'sleptMs', number>>;
  outcomes: Readonly<
    Record<
      'nothing' | 'notRecognised' | 'badBase64' | 'foreignStream' | 'poolPayload' | 'poolLoss' | 'needsRoom',
      number
    >
  >;
  send: Readonly<Record<'stream' | 'bytes' | 'followed' | 'fields', number>>;
  sliceMs: Readonly<Record<'opus' | 'other', number>>;
  live: Readonly<Record<'notLive' | 'streamsBound', number>>;
  voice: Readonly<Record<'samples' | 'windowsMax' | 'fields' | 'fresh' | 'eventFields', number>>;
  senses: Readonly<Record<'began' | 'ended' | 'keys' | 'speech', number>>;
  encodings: Readonly<Record<Encoding, number>>;
}

/** Figures of the engine's `info` view, by the call that writes them. */
type InfoName =
  // receive, next, deliverPcm
  | 'timestampMs'
  | 'track'
  | 'concealed'
  | 'more'
  | 'payloadOffset'
  | 'payloadBytes'
  | 'lostFrames'
  // tick
  | 'tickHasMore'
  | 'gapCount'
  | 'encodeCount'
  // position
  | 'accepted'
  | 'sent'
  | 'played'
  | 'aheadMs'
  | 'queuedMs'
  | 'head'
  | 'unheardMs'
  // receive, next, play, tick, enqueuePacket: deadlines that wait for a tick
  | 'scheduled'
  // the caller, before every call in which time plays a part: see Engine.at()
  | 'nowMs'
  // takeSkipped
  | 'skippedFrom'
  | 'skippedTo'
  // play, playHeard, tick: grows whenever a stream has something for takeSkipped
  | 'skips'
  // receive, next, deliverPcm: what was heard in the frame, see SENSES; the rest is written where it is not 0
  | 'senses'
  | 'speech'
  | 'speechStartMs'
  | 'speechEndMs'
  | 'speechMs'
  | 'keys';

export interface NativeAddon extends NativeLoad, NativeRoomMemory, NativeSounds, NativeUpstream {
  layout: NativeLayout;
  AmrWbDecoder: new (form: 'auto' | 'bandwidth-efficient' | 'octet-aligned') => NativeAmrWbDecoder;
  AmrWbEncoder: new (
    form: 'bandwidth-efficient' | 'octet-aligned',
    mode: number,
    dtx: boolean,
  ) => NativeAmrWbEncoder;
  Resampler: new (fromHz: number, toHz: number) => NativeResampler;
  Concealer: new (sampleRate: number) => NativeConcealer;
  L16OrderFinder: new (sampleRate: number) => NativeL16OrderFinder;
  Listener: new (
    sampleRate: number,
    listens: { voice?: NativeVoice | undefined; neural?: boolean; keys?: boolean },
  ) => NativeListener;
  G722Encoder: new () => { encode(pcm: Int16Array): Uint8Array };
  G722Decoder: new () => { decode(payload: Uint8Array): Int16Array };
  /**
   * All of a sound as late live audio is shortened, with speech at `speed` (1 to 2). `places` holds pairs of a place in
   * the original and the place in `samples` that it has become, rising.
   */
  shorten(pcm: Int16Array, sampleRate: number, speed: number): { samples: Int16Array; places: Uint32Array };
  /** By name of the kernel: 'scalar' first, the one that this machine uses last. */
  kernels: { ulaw: Record<string, LawKernel>; alaw: Record<string, LawKernel> };
  /** The bytes of base64 text, or undefined for what is none. */
  decodeBase64(text: string): Uint8Array<ArrayBuffer> | undefined;
  /** CLOCK_MONOTONIC or what the system has in its place, in ms. */
  monotonicMs(): number;
  /** A function that writes monotonicMs() to `view[at]`. */
  createStamper(view: Float64Array, at: number): () => void;
  /**
   * Makes this thread's event loop look at its sockets only once in `waitMs`. It does so while `view` (laid out as
   * GATHER) tells that it saves work and that no handler answers at once. Returns a function that ends it.
   */
  gather(view: Float64Array, waitMs: number): () => void;
  /**
   * Closes the sockets of uWebSockets.js when this thread ends, whatever ends it; Node.js would abort the process otherwise.
   * `places` are indices into `words`. `ending` becomes 1 first, and up to 1.5 s are waited for `undealt` to become 1.
   * Call it once a thread, after uWebSockets.js was loaded; `words` must outlive the thread.
   */
  closeSocketsAtEnd(words: Int32Array, places: { ending: number; undealt: number; port: number }): void;
  /**
   * Connections of this thread at the local port `port` whose peers have not read all that was sent, or have not
   * answered the end of it. An idle connection is none of them (except on systems other than Linux).
   */
  unfinishedConnections(port: number): number;
  /**
   * From now on realloc() never returns the memory that it was given to the loaded library that exports the symbol
   * `exported`, in all threads. False where that cannot be done: on systems other than Linux with glibc.
   */
  moveReallocated(exported: string): boolean;
  /**
   * Watches the main thread from a native thread. When the word `beat` has not changed for `stuckMs`, it writes `lines.stuck`
   * to stdout, and `lines.turns` when the word changes again. SIGTERM, SIGINT or the word `draining` gives the process `drainMs`
   * to end. A second signal or `closingNow` ends this time at once.
   *
   * After it, a process whose main thread is stuck has 4 s more, any other 10 s. Then it is ended with code 1 and `lines.deadline`.
   * `"TIME"` in a line becomes the time in ms since 1970. Call it once, after SIGTERM and SIGINT were listened to.
   */
  watchProcess(
    words: Int32Array,
    places: { beat: number; draining: number; closingNow: number },
    times: { stuckMs: number; drainMs: number },
    lines: { stuck: string; turns: string; deadline: string },
  ): void;
  /**
   * One message to the service manager at `address`, which is the value of NOTIFY_SOCKET; never waits. Returns 0 or the
   * number of a system error.
   */
  notify(address: string, message: string): number;
  createEngine(config: NativeEngineConfig, buffers: NativeEngineBuffers): NativeEngine;
  engineBufferSizes(config: NativeEngineConfig): {
    sendSlots: number;
    slotBytes: number;
    payloadBytes: number;
    wakes: number;
    info: number;
  };
  /** Names of the counters, in the order in which streamCounters and totals fill them. */
  counterNames: string[];
}

/**
 * Stands in for an addon that does not load: types, checks and the simulator work without it, and whatever needs it
 * throws `problem`. The simulator's clock is all that it has.
 */
function standIn(problem: string, cause: unknown): NativeAddon {
  const none = {} as never;
  const layout: NativeLayout = {
    info: none,
    gather: none,
    outcomes: none,
    send: none,
    sliceMs: none,
    live: none,
    voice: none,
    senses: none,
    encodings: none,
  };
  const has: Partial<NativeAddon> = {
    layout,
    monotonicMs: () => performance.now(),
    createStamper: (view, at) => () => {
      view[at] = performance.now();
    },
  };
  return new Proxy(has as NativeAddon, {
    get(known, name) {
      if (typeof name === 'symbol' || name in known) return Reflect.get(known, name);
      throw new SidetoneError('SIDETONE_CODEC_UNAVAILABLE', problem, { cause });
    },
  });
}

function load(): NativeAddon {
  const outcome = loadAddon();
  return 'addon' in outcome ? (outcome.addon as NativeAddon) : standIn(outcome.problem, outcome.cause);
}

export const native: NativeAddon = load();

const { layout } = native;

/** Where in the engine's `info` view each figure lies. */
// A copy: V8 keeps an object of so many properties that the addon makes as a hash table.
export const INFO = { ...layout.info };
/** What `gather` reads, written by the media path: how many messages have come, when a frame was last answered as it was heard. */
export const GATHER = layout.gather;
/** What the engine says of each message that is to be sent: SEND.fields numbers a message. */
export const SEND = layout.send;
/** Longest piece of PCM that the engine takes of a pool's decoder at once, in ms. */
export const SLICE_MS = layout.sliceMs;
/** In place of a bound of live audio: audio that waits its turn in full, such as speech from a synthesiser. */
export const NOT_LIVE = layout.live.notLive;
/** In place of a bound of live audio: the stream's own, which is its plugin's or the server's. */
export const STREAMS_BOUND = layout.live.streamsBound;
/** The bits of `info[INFO.senses]`: speech began or ended, keys were pressed, there is a probability of speech. */
export const SENSES = layout.senses;
/** Sizes of the neural detector's windows, and the bit in their third field that says that nothing came before. */
export const VOICE = layout.voice;
/** The addon's numbers of the encodings. */
export const ENCODING_NUMBERS = layout.encodings;

// Outcomes of `receive`, `receiveParsed` and `next` that are not a number of samples:
export const NOTHING = layout.outcomes.nothing;
export const NOT_RECOGNISED = layout.outcomes.notRecognised;
export const BAD_BASE64 = layout.outcomes.badBase64;
export const FOREIGN_STREAM = layout.outcomes.foreignStream;
export const POOL_PAYLOAD = layout.outcomes.poolPayload;
export const POOL_LOSS = layout.outcomes.poolLoss;
/** The next frame is longer than the frame buffer: setFrameBuffer() with a longer one and call next() or deliverPcm() again. */
export const NEEDS_ROOM = layout.outcomes.needsRoom;
