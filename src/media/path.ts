/**
 * Both directions of media of one thread's streams.
 *
 *   inbound    message ─▶ receive() ─▶ engine ─▶ stream.deliver() ─▶ handler
 *   outbound   handler ─▶ play(), playHeard() ─▶ engine ─▶ queue … tick() ─▶ flush() ─▶ WebSocket
 *
 * The time of the call that is under way stands in `nowMs`: an argument that is handed from function to function would
 * be allocated wherever V8 does not inline.
 */
import type { Clock } from '../clock.js';
import { GATHER, INFO, NOT_RECOGNISED, NOTHING, SEND, STREAMS_BOUND } from '../native/addon.js';
import type { AudioFrame } from '../plugin/stream.js';
import type { MediaFrame } from '../telnyx/frames.js';
import { Engine, type EngineOptions } from './engine.js';
import { Ticker } from './ticker.js';

/** What the path needs of a WebSocket of uWebSockets.js: tests bring their own. */
export interface Socket {
  /** Returns 1 sent, 0 buffered (do not send again), 2 dropped. */
  send(message: string | Uint8Array, isBinary?: boolean, compress?: boolean): number;
  end(code?: number, reason?: string): void;
  getBufferedAmount(): number;
}

/** What the path needs of a stream. */
export interface MediaStream {
  readonly closed: boolean;
  /** Hears what receive() or next() returned at `nowMs`, and what lies ready behind it. */
  deliver(outcome: number): void;
  /** Messages of this stream were sent that follow() asked for. */
  afterSend(): void;
  /** The engine has PCM for the encoder in the pool. */
  encode(): void;
  /** The neural detector tells of speech: `flags` are bits of SENSES. */
  voiceChanged(track: number, flags: number, startMs: number, endMs: number, durationMs: number): void;
}

/** What the path needs of a stream's connection. */
export interface MediaLink {
  /** Sends one message out of the send slab; `followed` where the stream wants to know. */
  sendMedia(message: Uint8Array, followed: boolean): void;
  /** The WebSocket refused a message, because too much waits to be read by the peer. */
  notSent(): void;
}

export class MediaPath {
  readonly engine: Engine;
  /** The engine's figures: see INFO. */
  readonly info: Float64Array;
  /** Writes the time to `info[INFO.nowMs]`. */
  readonly stamp: () => void;
  /** The values that steer the event loop's gathering: see GATHER. */
  readonly gathering = new Float64Array(Object.keys(GATHER).length);
  /** When the message came, or the tick, that is being worked on. */
  nowMs = 0;
  readonly #clock: Clock;
  readonly #sends: Int32Array;
  readonly #ticker: Ticker;
  // By the engine's number of the stream:
  readonly #streamAt: (MediaStream | undefined)[] = [];
  readonly #socketAt: (Socket | undefined)[] = [];
  readonly #linkAt: (MediaLink | undefined)[] = [];
  #sending = false;
  #isHearing = false; // a frame that has just come

  constructor(clock: Clock, options: EngineOptions) {
    this.#clock = clock;
    this.engine = new Engine(options);
    const { info, sends } = this.engine;
    this.info = info;
    this.#sends = sends;
    this.stamp =
      clock.stamper?.(info, INFO.nowMs) ??
      (() => {
        info[INFO.nowMs] = clock.now();
      });
    this.#ticker = new Ticker(clock, () => this.tick());
  }

  /** Media of the engine's stream `slot` go to and come from these; without `socket` they are sent by the link. */
  open(slot: number, stream: MediaStream, link: MediaLink, socket: Socket | undefined): void {
    this.#streamAt[slot] = stream;
    this.#socketAt[slot] = socket;
    this.#linkAt[slot] = link;
  }

  /** The stream has ended, here and in the engine. */
  close(slot: number): void {
    this.engine.native.close(slot);
    this.#streamAt[slot] = undefined;
    this.#socketAt[slot] = undefined;
    this.#linkAt[slot] = undefined;
  }

  /** What the neural detector has found, of the stream that has this slot. */
  voiceChanged(
    slot: number,
    track: number,
    flags: number,
    startMs: number,
    endMs: number,
    durationMs: number,
  ): void {
    const stream = this.#streamAt[slot];
    if (!stream || stream.closed) return;
    this.nowMs = this.#clock.now();
    stream.voiceChanged(track, flags, startMs, endMs, durationMs);
  }

  /** Ends everything; no call may follow. */
  destroy(): void {
    this.#ticker.stop();
    this.engine.native.destroy();
  }

  /** A text message of an open stream. False: it is no plain media frame, and its connection must judge it. */
  receive(slot: number, message: ArrayBuffer): boolean {
    const { native } = this.engine;
    this.stamp();
    this.nowMs = this.info[INFO.nowMs]!;
    const outcome = native.receive(slot, message);
    if (outcome === NOT_RECOGNISED) return false;
    this.gathering[GATHER.messages]!++;
    this.wake();
    if (outcome !== NOTHING) {
      this.#isHearing = true;
      this.#streamAt[slot]!.deliver(outcome);
      this.#isHearing = false;
    }
    if (this.#ticker.isDue(this.nowMs)) this.tick();
    return true;
  }

  /**
   * A media frame that receive() did not recognise, at `nowMs`. Returns what the stream is to deliver, BAD_BASE64 or
   * FOREIGN_STREAM.
   */
  receiveParsed(slot: number, frame: MediaFrame): number {
    const { track, chunk, timestamp, payload } = frame.media;
    return this.engine
      .at(this.nowMs)
      .receiveParsed(
        slot,
        track === 'outbound' ? 1 : 0,
        Number(frame.sequence_number),
        Number(chunk),
        Number(timestamp),
        Buffer.from(frame.stream_id, 'utf8'),
        Buffer.from(payload, 'utf8'),
      );
  }

  /**
   * Queues PCM for a stream. Returns how many messages are due now, to be sent by flush(): none while sends are under
   * way; -1 where the queue was full. `liveLatencyMaxMs`: see NativeEngine.play().
   */
  play(
    slot: number,
    samples: Int16Array,
    sampleRate: number,
    nowMs: number,
    liveLatencyMaxMs: number,
  ): number {
    const due = this.engine.at(nowMs).play(slot, samples, sampleRate, !this.#sending, liveLatencyMaxMs);
    this.wake();
    return due;
  }

  /** The same of the frame that the stream's handler is hearing. */
  playHeard(slot: number, frame: AudioFrame): number {
    if (this.#sending) return this.play(slot, frame.samples, frame.sampleRate, this.nowMs, STREAMS_BOUND);
    const due = this.engine.at(this.nowMs).playHeard(slot);
    this.wake();
    return due;
  }

  /** Queues bytes in the outbound encoding as they are. Returns as play() does. */
  playEncoded(slot: number, bytes: Uint8Array, nowMs: number): number {
    const due = this.engine.at(nowMs).playEncoded(slot, bytes, !this.#sending);
    this.wake();
    return due;
  }

  /** A stream that was paused goes on. Returns as play() does. */
  resume(slot: number, nowMs: number): number {
    const due = this.engine.at(nowMs).resume(slot, !this.#sending);
    this.wake();
    return due;
  }

  /** What of a stream is due. Returns as play() does. */
  sendNow(slot: number, nowMs: number): number {
    if (this.#sending) return 0;
    const due = this.engine.at(nowMs).sendNow(slot);
    this.wake();
    return due;
  }

  /** The engine may have a new deadline. */
  wake(): void {
    if (this.info[INFO.scheduled] !== 0) this.#ticker.start();
  }

  /** Sends the first `count` messages of the send slab. */
  flush(count: number): void {
    const sends = this.#sends;
    let followed = false;
    if (this.#isHearing) this.gathering[GATHER.answeredMs] = this.nowMs;
    this.#sending = true;
    for (let i = 0; i < count; i++) {
      const at = i * SEND.fields;
      const slot = sends[at + SEND.stream]!;
      const message = this.engine.message(i, sends[at + SEND.bytes]!);
      const isFollowed = sends[at + SEND.followed] === 1;
      const socket = isFollowed ? undefined : this.#socketAt[slot];
      followed ||= isFollowed;
      if (socket === undefined) this.#linkAt[slot]?.sendMedia(message, isFollowed);
      else if (socket.send(message, false, false) === 2) this.#linkAt[slot]!.notSent();
    }
    if (followed) this.#follow(count);
    this.#sending = false;
  }

  /** Marks go behind all of a stream's messages, and sources are read for what the sending made room for. */
  #follow(count: number): void {
    const sends = this.#sends;
    let last = -1;
    for (let at = 0; at < count * SEND.fields; at += SEND.fields) {
      const slot = sends[at + SEND.stream]!;
      if (sends[at + SEND.followed] === 1 && slot !== last) this.#streamAt[slot]?.afterSend();
      last = slot;
    }
  }

  /** Sends what is due, gives up gaps whose wait is over, feeds the encoders in the pool. */
  tick(): void {
    const { engine, info } = this;
    const { gaps, encodes } = engine;
    let more = true;
    while (more) {
      this.nowMs = this.#clock.now();
      this.flush(engine.at(this.nowMs).tick());
      more = info[INFO.tickHasMore] === 1;
      const gapCount = info[INFO.gapCount]!;
      const encodeCount = info[INFO.encodeCount]!;
      for (let i = 0; i < gapCount; i++) {
        const slot = gaps[i]! >> 1;
        const stream = this.#streamAt[slot];
        if (stream && !stream.closed) stream.deliver(engine.at(this.nowMs).next(slot, gaps[i]! & 1));
      }
      for (let i = 0; i < encodeCount; i++) this.#streamAt[encodes[i]!]?.encode();
    }
    this.#ticker.ticked(this.nowMs, info[INFO.scheduled]! > 0);
  }
}
