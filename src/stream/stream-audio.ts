/**
 * What every frame of a stream touches: hearing it, and playing an answer to it.
 *
 *   inbound    Connection ─▶ engine.receive ─▶ deliver() ─▶ handler.onAudio(frame)
 *   outbound   handler ─▶ play() ─▶ engine.play ─▶ queue … reactor's tick ─▶ ws.send, then sent() ─▶ marks
 */

import type { OutboundMode } from '../formats.js';
import type { StreamHost, StreamLink } from '../media/host.js';
import type { MediaStream } from '../media/path.js';
import {
  INFO,
  NEEDS_ROOM,
  NOT_LIVE,
  NOTHING,
  POOL_LOSS,
  POOL_PAYLOAD,
  STREAMS_BOUND,
} from '../native/addon.js';
import type { PlaybackEntry } from '../playback/ledger.js';
import { queueFull } from '../playback/output.js';
import { checkedIdle, checkedRate, toIterator } from '../playback/playable.js';
import { Player, type PlayerOwner } from '../playback/player.js';
import type { StreamHandler } from '../plugin/plugin.js';
import type { PlayableAudio, Playback, PlayOptions } from '../plugin/stream.js';
import type { Track } from '../telnyx/frames.js';
import { InboundFrame, type PayloadSource } from './frame.js';
import { HANDLER_SLOW_MS, HandlerCalls, type HandlerMethod, type HandlerOwner } from './handler-calls.js';
import { PlayedTap } from './played-tap.js';
import { inPool, PooledCodecs } from './pooled-codecs.js';
import type { StreamSeat } from './seat.js';
import { StreamSenses } from './senses.js';
import type { StreamSetup } from './setup.js';

const TRACK_NAMES: readonly Track[] = ['inbound', 'outbound'];
const NO_BYTES = new Uint8Array(0);

/** The half of CallStream whose fields come first in memory, as those of a base class do. */
export abstract class StreamAudio implements MediaStream, PlayerOwner, PayloadSource, HandlerOwner {
  // What every frame touches stands first, and so does it in memory: two cache lines rather than five.
  #onAudio: StreamHandler['onAudio'];
  #frame: InboundFrame | undefined; // of the inbound track
  #hearing: InboundFrame | undefined; // the frame whose callback is running
  #live: PlaybackEntry | undefined;
  #played: PlayedTap | undefined;
  readonly #slot: number;
  #closed = false;
  /** Live audio goes to the engine as it is. */
  #isDirect: boolean;
  #handler: StreamHandler | undefined;
  readonly #host: StreamHost;
  /** Rate at which the handler hears and, by default, plays, in Hz. */
  readonly sampleRate: number;

  #outboundFrame: InboundFrame | undefined;
  readonly #pooled: PooledCodecs | undefined;
  readonly #player: Player;
  readonly #link: StreamLink;
  #liveFull = false; // some of it had to be dropped
  readonly #calls: HandlerCalls;
  readonly #livePieces: boolean;
  readonly #senses: StreamSenses | undefined; // only where the plugin wants to know
  #seat: StreamSeat | undefined; // in a conference

  abstract readonly id: string;
  /** @internal */
  abstract readonly callControlId: string;
  abstract readonly mode: OutboundMode;

  constructor(setup: StreamSetup) {
    this.sampleRate = setup.handlerRate;
    this.#host = setup.host;
    this.#link = setup.link;
    this.#calls = new HandlerCalls(setup.host, this);
    this.#slot = setup.slot;
    const { native } = setup.host.path.engine;
    for (const track of setup.tracks) {
      const number = TRACK_NAMES.indexOf(track);
      const frame = new InboundFrame(
        track,
        setup.handlerRate,
        native.frameSamplesUsual(setup.slot, number),
        this,
      );
      native.setFrameBuffer(setup.slot, number, frame.memory);
      if (number === 0) this.#frame = frame;
      else this.#outboundFrame = frame;
    }
    if (inPool(setup.inbound.encoding) || inPool(setup.outbound.encoding)) {
      this.#pooled = new PooledCodecs({
        ...setup,
        tracks: setup.tracks.map(track => TRACK_NAMES.indexOf(track)),
        hear: (track, samples) => {
          setup.host.path.nowMs = setup.host.clock.now();
          this.#hear(track, samples);
        },
        makeRoom: track => this.makeRoom(track),
        report: error => this.report(error),
      });
    }
    if (setup.mode !== 'mp3') {
      // A handler may play before it is known whether it has onPlayed: attach() decides.
      this.#played = new PlayedTap({
        outbound: setup.outbound,
        sampleRate: setup.handlerRate,
        codec: { l16ByteOrder: setup.host.options.l16ByteOrder },
        deliver: frame => this.tell('onPlayed', frame),
      });
    }
    this.#isDirect = setup.mode !== 'mp3' && !this.#pooled;
    const pooled = this.#pooled;
    this.#player = new Player({ ...setup, encode: pooled && (() => pooled.encode()) }, this);
    const senses = setup.voice !== undefined || setup.inbandKeys;
    this.#senses = senses
      ? new StreamSenses(setup, (method, ...values) => this.tell(method, ...values))
      : undefined;
    this.#livePieces = setup.livePieces;
    this.#seat = undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Audio that was played and not yet heard in the call, in ms: what waits here and what Telnyx still has. */
  get queuedMs(): number {
    return this.#closed ? 0 : this.#player.queuedMs;
  }

  /** @internal */
  get slot(): number {
    return this.#slot;
  }

  /** @internal */
  protected get host(): StreamHost {
    return this.#host;
  }

  /** @internal */
  protected get link(): StreamLink {
    return this.#link;
  }

  /** @internal */
  protected get player(): Player {
    return this.#player;
  }

  /** @internal */
  protected get calls(): HandlerCalls {
    return this.#calls;
  }

  play(audio: PlayableAudio, options?: PlayOptions): Playback {
    if (this.#closed) return this.#playAfterEnd(audio, options);
    const hearing = this.#hearing;
    const isHeard = hearing !== undefined && (audio === hearing || audio === hearing.samples);
    // While live audio goes out nothing is being fed: the player need not be asked.
    if (isHeard && (this.#live !== undefined || !this.#player.isFeeding)) {
      if (options === undefined) return this.#playLive(hearing);
      checkedRate(options, this.sampleRate);
      return this.#playLive(hearing, options.liveLatencyMaxMs);
    }
    const sampleRate = options === undefined ? this.sampleRate : checkedRate(options, this.sampleRate);
    const live = options?.liveLatencyMaxMs ?? this.#usualBound(audio, sampleRate);
    if (audio instanceof Int16Array) return this.#player.playPcm(audio, sampleRate, live);
    if (audio instanceof InboundFrame) return this.#player.playPcm(audio.samples, audio.sampleRate, live);
    const idleMaxMs = checkedIdle('play', options?.idleMs);
    return this.#player.playSource(toIterator(audio), { sampleRate, liveLatencyMaxMs: live, idleMaxMs });
  }

  /**
   * @internal Live audio of a handler in another thread: a part of the one live playback, as a frame is that is played while
   * it is heard.
   */
  playLivePiece(samples: Int16Array, sampleRate: number, liveLatencyMaxMs: number): PlaybackEntry {
    if (this.#live === undefined && this.#player.isFeeding) {
      return this.#player.playPcm(samples, sampleRate, liveLatencyMaxMs) as PlaybackEntry;
    }
    const live = this.#openLive();
    try {
      this.#player.enqueueLive(samples, sampleRate, this.#host.clock.now(), liveLatencyMaxMs);
    } catch (error) {
      this.#liveDropped((samples.length * 1000) / sampleRate, error);
    }
    return live;
  }

  /** How late `audio` may be of which the handler does not say it. */
  #usualBound(audio: PlayableAudio, sampleRate: number): number {
    if (audio instanceof InboundFrame) return STREAMS_BOUND;
    const hearing = this.#hearing;
    if (!this.#livePieces || hearing === undefined || !(audio instanceof Int16Array)) return NOT_LIVE;
    // A resampler gives a sample more now and then.
    const longest = (hearing.samples.length / hearing.sampleRate) * sampleRate + 1;
    return audio.length <= longest ? STREAMS_BOUND : NOT_LIVE;
  }

  /** @internal */
  attach(handler: StreamHandler | undefined): void {
    this.#calls.attach(handler);
    this.#handler = handler;
    this.#onAudio = handler?.onAudio;
    if (!handler?.onPlayed) {
      this.#played = undefined;
      const hears = handler?.onAudio !== undefined || this.#senses?.serves(handler) === true;
      if (!hears) this.#host.path.engine.native.deafen(this.#slot);
    }
    this.#player.followAll(this.#played !== undefined);
  }

  /**
   * @internal Hears the frame that the engine has delivered, and those behind it. `outcome` is what receive() or
   * next() returned at the reactor's `nowMs`.
   */
  deliver(outcome: number): void {
    const { engine, nowMs } = this.#host.path;
    for (;;) {
      const track = engine.info[INFO.track]!;
      const more = engine.info[INFO.more] === 1;
      if (outcome > NOTHING) this.#hear(track, outcome);
      else if (outcome === POOL_PAYLOAD) this.#pooled!.decode(track);
      else if (outcome === POOL_LOSS) this.#pooled!.conceal(track, engine.info[INFO.lostFrames]!);
      else if (outcome === NEEDS_ROOM) this.makeRoom(track);
      if (!more || this.#closed) return;
      outcome = engine.at(nowMs).next(this.#slot, track);
    }
  }

  /** @internal A frame longer than 20 ms is coming. */
  makeRoom(track: number): void {
    const { native } = this.#host.path.engine;
    const frame = (track === 0 ? this.#frame : this.#outboundFrame)!;
    frame.makeRoom(native.frameSamplesMax(this.#slot, track));
    native.setFrameBuffer(this.#slot, track, frame.memory);
  }

  #hear(track: number, samples: number): void {
    const { nowMs } = this.#host.path;
    const frame = (track === 0 ? this.#frame : this.#outboundFrame)!;
    const { info } = this.#host.path;
    frame.show(samples, info[INFO.timestampMs]!, info[INFO.concealed] === 1);
    if (this.#played) {
      if (track === 0 || !this.#frame) {
        this.#played.anchor(nowMs, frame.timestampMs, (samples * 1000) / frame.sampleRate);
      }
      this.#played.heard(nowMs);
    }
    if (info[INFO.senses] !== 0) this.#senses?.tell(track, frame);
    if (this.#onAudio === undefined) return;
    this.#hearing = frame;
    try {
      const result: unknown = this.#onAudio.call(this.#handler, frame);
      // Handlers of one line return what play() returned.
      if (result !== undefined && result !== this.#live) this.#calls.watch('onAudio', result);
    } catch (error) {
      this.#calls.failed('onAudio', error);
    } finally {
      this.#hearing = undefined;
    }
    this.#host.path.stamp();
    const heldMs = info[INFO.nowMs]! - nowMs;
    if (heldMs >= HANDLER_SLOW_MS) this.#calls.held('onAudio', heldMs);
  }

  /** @internal The neural detector tells of speech. */
  voiceChanged(track: number, flags: number, startMs: number, endMs: number, durationMs: number): void {
    this.#senses?.voiceChanged(track, flags, startMs, endMs, durationMs);
  }

  /** @internal Telnyx told of a key. */
  keyPressed(digit: string, at: Date): void {
    if (this.#senses) this.#senses.key(digit, at, 'event');
    else this.tell('onDtmf', digit, at);
  }

  /** @internal */
  payloadOf(frame: InboundFrame): Uint8Array {
    if (this.#hearing !== frame || frame.concealed) return NO_BYTES;
    return (
      this.#pooled?.payloadOf(TRACK_NAMES.indexOf(frame.track)) ??
      this.#host.path.engine.heardPayload(this.#slot) ??
      NO_BYTES
    );
  }

  /** @internal Calls one of the handler's other methods, whatever it does. */
  tell(method: HandlerMethod, ...values: unknown[]): void {
    this.#calls.tell(method, values);
  }

  /** @internal */
  handlerFailed(where: string, cause: unknown): void {
    this.#calls.failed(where, cause);
  }

  /** @internal The handler has failed: frames pass by it, or the stream ends. */
  bypass(ends: boolean): void {
    this.#onAudio = undefined;
    if (ends) this.#link.end('handler_failed');
  }

  /** @internal Whether the handler has the method and would be told. */
  handles(method: HandlerMethod): boolean {
    return this.#calls.handles(method);
  }

  /** @internal One media message of this stream was sent. */
  mediaSent(message: Uint8Array): void {
    this.#played?.sent(message);
  }

  /** @internal Messages of this stream were sent: marks and sources may go on. */
  afterSend(): void {
    if (this.#played) {
      const { engine } = this.#host.path;
      const now = this.#host.clock.now();
      engine.at(now).position(this.#slot);
      this.#played.placed(now + engine.info[INFO.aheadMs]!);
    }
    this.#player.afterSend();
  }

  /** @internal The far end drops what it has not played. */
  takenBack(): void {
    this.#played?.cleared(this.#host.clock.now());
  }

  /** @internal Something else is to be played, or somebody awaits `playback`. */
  endLive(playback?: PlaybackEntry): void {
    const live = this.#live;
    if (live === undefined || (playback !== undefined && playback !== live)) return;
    this.#live = undefined;
    this.#player.complete(live);
  }

  /** @internal */
  report(error: unknown): void {
    this.tell('onError', error);
  }

  /** @internal What is played from here on is no part of the live audio before it, which a clear ended. */
  protected dropLive(): void {
    this.#live = undefined;
  }

  /** @internal The engine has PCM for the encoder in the pool. */
  encode(): void {
    this.#pooled?.encode();
  }

  /** @internal Called a few times a second. */
  sweep(nowMs: number): void {
    this.#played?.heard(nowMs);
    this.#player.sweep(nowMs);
  }

  /** @internal The handler goes on in another stream. */
  protected giveHandler(): StreamHandler | undefined {
    const handler = this.#handler;
    this.#handler = undefined;
    this.#calls.attach(undefined);
    return handler;
  }

  /** @internal Frames pass by it from now on. */
  protected forgetHandler(): void {
    this.#handler = undefined;
    this.#onAudio = undefined;
  }

  /** @internal Its place in a conference. */
  protected get seat(): StreamSeat | undefined {
    return this.#seat;
  }

  /** @internal */
  protected set seat(seat: StreamSeat | undefined) {
    this.#seat = seat;
    // What is played live is a playback of its own then, frame by frame, because a room plays in between.
    this.#isDirect = seat === undefined && this.mode !== 'mp3' && !this.#pooled;
    if (seat) this.endLive();
  }

  /** @internal Whether the caller's own track is heard. */
  protected get hearsCaller(): boolean {
    return this.#frame !== undefined;
  }

  /** @internal Settles all that is being played and lets go of the codecs. */
  protected endAudio(): void {
    this.#seat?.ended();
    this.#player.finish();
    const played = this.#played;
    this.#played = undefined;
    this.#closed = true;
    played?.close(this.#host.clock.now());
    this.#pooled?.close();
    this.#senses?.close();
  }

  #playLive(frame: InboundFrame, liveLatencyMaxMs?: number): Playback {
    if (!this.#isDirect && this.#seat !== undefined) {
      const bound = liveLatencyMaxMs ?? STREAMS_BOUND;
      return this.#player.playPcm(frame.samples, frame.sampleRate, bound);
    }
    const live = this.#openLive();
    const { path } = this.#host;
    if (!this.#isDirect || liveLatencyMaxMs !== undefined) {
      try {
        const bound = liveLatencyMaxMs ?? STREAMS_BOUND;
        this.#player.enqueueLive(frame.samples, frame.sampleRate, path.nowMs, bound);
      } catch (error) {
        this.#liveDropped((frame.samples.length * 1000) / frame.sampleRate, error);
      }
      return live;
    }
    const due = path.playHeard(this.#slot, frame);
    if (due > 0) path.flush(due);
    else if (due < 0) this.#liveDropped((frame.samples.length * 1000) / frame.sampleRate);
    return live;
  }

  #openLive(): PlaybackEntry {
    // Compared with undefined, because a truth test would read the playback, which nothing else here touches.
    if (this.#live === undefined) {
      this.#live = this.#player.openLive();
      this.#liveFull = false;
    }
    return this.#live;
  }

  /** Live audio that comes faster than it is played is the peer's doing: the handler is told once, the call goes on. */
  #liveDropped(lengthMs: number, error?: unknown): void {
    this.#host.count('liveDropped');
    if (this.#liveFull) return;
    this.#liveFull = true;
    const { queueMaxMs } = this.#host.options;
    this.tell('onError', error ?? queueFull(lengthMs, this.queuedMs, queueMaxMs));
  }

  /** A timer of the plugin may come after the end at any time. What is wrong with the arguments is told all the same. */
  #playAfterEnd(audio: PlayableAudio, options: PlayOptions | undefined): Playback {
    if (options !== undefined) checkedRate(options, this.sampleRate);
    const isPcm = audio instanceof Int16Array || audio instanceof InboundFrame;
    const playback = this.#player.over(isPcm ? undefined : toIterator(audio));
    this.#host.count('playsAfterEnd');
    return playback;
  }
}
