/** The only loader of the addon, and its typed face. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { SidetoneError } from './errors.js';
import type { NativeLoad } from './load/native.js';

/** Outcomes of `receive`, `receiveParsed` and `next` that are not a number of samples. */
export const NOTHING = 0;
export const NOT_RECOGNISED = -1;
export const BAD_BASE64 = -2;
export const FOREIGN_STREAM = -3;
export const POOL_PAYLOAD = -10;
export const POOL_LOSS = -11;
/** The next frame is longer than the frame buffer: setFrameBuffer() with a longer one and call next() or deliverPcm() again. */
export const NEEDS_ROOM = -12;

/** Where in the engine's `info` view each figure lies; written by the call named behind it. */
export const INFO = {
  timestampMs: 0, // receive, next, deliverPcm
  track: 1,
  concealed: 2,
  more: 3,
  payloadOffset: 4,
  payloadBytes: 5,
  lostFrames: 6,
  tickHasMore: 7, // tick
  gapCount: 8,
  encodeCount: 9,
  accepted: 10, // position
  sent: 11,
  played: 12,
  aheadMs: 13,
  queuedMs: 14,
  scheduled: 15, // receive, next, play, tick, enqueuePacket: deadlines that wait for a tick
  nowMs: 16, // the caller, before every call in which time plays a part: see Engine.at()
  skippedFrom: 17, // takeSkipped
  skippedTo: 18,
  skips: 19, // play, playHeard, tick: grows whenever a stream has something for takeSkipped
} as const;

/** What `gather` reads, written by the reactor. */
export const GATHER = {
  messages: 0, // how many have come
  answeredMs: 1, // when a frame was last answered while it was heard
} as const;

export interface NativeOutbound {
  /** Index into ENCODINGS' native numbering: PCMU 0, PCMA 1, G722 2, OPUS 3, AMR-WB 4, L16 5. */
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
export interface NativeEngine {
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
  /**
   * Returns how many messages are due now and lie in the send slab; -1 where the queue was full. `liveLatencyMaxMs`
   * is how late it may be, 0 for as late as it likes, or NOT_LIVE or STREAMS_BOUND (live.ts).
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
  clear(stream: number): void;
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

export interface NativeAddon extends NativeLoad {
  AmrWbDecoder: new (form: 'auto' | 'bandwidth-efficient' | 'octet-aligned') => NativeAmrWbDecoder;
  AmrWbEncoder: new (
    form: 'bandwidth-efficient' | 'octet-aligned',
    mode: number,
    dtx: boolean,
  ) => NativeAmrWbEncoder;
  Resampler: new (fromHz: number, toHz: number) => NativeResampler;
  Concealer: new (sampleRate: number) => NativeConcealer;
  L16OrderFinder: new (sampleRate: number) => NativeL16OrderFinder;
  G722Encoder: new () => { encode(pcm: Int16Array): Uint8Array };
  G722Decoder: new () => { decode(payload: Uint8Array): Int16Array };
  /**
   * All of a sound as late live audio is shortened, with speech at `speed` (1 to 2). `places` holds pairs of a place in
   * the original and the place in `samples` that it has become, rising.
   */
  shorten(pcm: Int16Array, sampleRate: number, speed: number): { samples: Int16Array; places: Uint32Array };
  /** By name of the kernel: 'scalar' first, the one that this machine uses last. */
  kernels: { ulaw: Record<string, LawKernel>; alaw: Record<string, LawKernel> };
  /** CLOCK_MONOTONIC or what the system has in its place, in ms. */
  monotonicMs(): number;
  /** A function that writes monotonicMs() to `view[at]`. */
  createStamper(view: Float64Array, at: number): () => void;
  /**
   * Makes this thread's event loop look at its sockets once in `waitMs`, as long as `view` (laid out as GATHER) says that
   * it is worth it and that nobody would notice. Returns what ends it.
   */
  gather(view: Float64Array, waitMs: number): () => void;
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

function load(): NativeAddon {
  // Another build of the addon, such as one with sanitizers, takes its place where SIDETONE_ADDON names it.
  const built = fileURLToPath(new URL('../../build/Release/sidetone.node', import.meta.url));
  const path = process.env.SIDETONE_ADDON || built;
  if (!existsSync(path)) {
    throw new SidetoneError(
      'SIDETONE_CODEC_UNAVAILABLE',
      `the native addon is not built (looked for ${path}); run: npm run build:native`,
    );
  }
  return createRequire(import.meta.url)(path) as NativeAddon;
}

export const native: NativeAddon = load();
