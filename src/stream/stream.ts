/**
 * One call's stream, as its handler sees it and as its connection drives it.
 *
 *   inbound    Connection ─▶ engine.receive ─▶ deliver() ─▶ handler.onAudio(frame)
 *   outbound   handler ─▶ play() ─▶ engine.play ─▶ queue … reactor's tick ─▶ ws.send, then sent() ─▶ marks
 */

import type { Encoding, Format, OutboundMode } from '../formats.js';
import { type CallFigures, callFields } from '../log/call-log.js';
import type { Logger } from '../log/log.js';
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
import { encodedAudio } from '../playback/encoded.js';
import type { PlaybackEntry } from '../playback/ledger.js';
import { queueFull } from '../playback/output.js';
import { checkedFade, checkedIdle, checkedRate, toIterator } from '../playback/playable.js';
import { Player, type PlayerOwner } from '../playback/player.js';
import { SpeechPlayback } from '../playback/speech.js';
import type { StopReason, StreamHandler } from '../plugin/plugin.js';
import type {
  CallInfo,
  ClearOptions,
  MarkResult,
  PlayableAudio,
  Playback,
  PlayOptions,
  Resumption,
  Speech,
  SpeechOptions,
  Stream,
  StreamRequest,
} from '../plugin/stream.js';
import type { CallControl } from '../telnyx/call-control.js';
import { checkMarkName } from '../telnyx/commands.js';
import type { StartFrame, Track } from '../telnyx/frames.js';
import { callInfo } from './call-info.js';
import { InboundFrame, type PayloadSource } from './frame.js';
import { HANDLER_SLOW_MS, HandlerCalls, type HandlerMethod } from './handler-calls.js';
import { PlayedTap } from './played-tap.js';
import { inPool, PooledCodecs } from './pooled-codecs.js';
import { StreamSenses } from './senses.js';
import type { StreamOwner, StreamSetup } from './setup.js';

const TRACK_NAMES: readonly Track[] = ['inbound', 'outbound'];
const NO_BYTES = new Uint8Array(0);

export class CallStream implements Stream, MediaStream, PlayerOwner, PayloadSource {
  // What every frame touches stands first, and so does it in memory: two cache lines rather than five.
  #onAudio: StreamHandler['onAudio'];
  #frame: InboundFrame | undefined; // of the inbound track
  #hearing: InboundFrame | undefined; // the frame whose callback is running
  #live: PlaybackEntry | undefined;
  #played: PlayedTap | undefined;
  readonly #slot: number;
  #closed = false;
  /** Live audio goes to the engine as it is. */
  readonly #isDirect: boolean;
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
  #stopReason: StopReason | undefined;
  #call: CallInfo | undefined; // made when somebody asks

  /** Telnyx's stream_id. */
  readonly id: string;
  /** The start frame as it came. */
  readonly start: StartFrame['start'];
  /** The query of the stream_url. */
  readonly query: URLSearchParams;
  /** The format of inbound audio. */
  readonly inbound: Format;
  /** The format of outbound audio in RTP mode. */
  readonly outbound: Format;
  /** How audio goes out: `rtp` payloads, or `mp3` files. */
  readonly mode: OutboundMode;
  /** @internal On the reactor's clock. */
  readonly startedMs: number;
  /** @internal */
  readonly plugin: string;
  readonly #livePieces: boolean;
  /** The HTTP upgrade that asked for it. */
  readonly request: StreamRequest;
  /** What the plugin's accept() gave for it. */
  context: unknown;
  readonly #owner: StreamOwner;
  #log: Logger | undefined; // made when somebody asks
  readonly #senses: StreamSenses | undefined; // only where the plugin wants to know
  #callControl: CallControl | undefined; // made when somebody asks
  #resumed: Resumption | undefined;
  #unheardMs = 0; // at its end
  /** @internal A TeXML document is known to run on the call. */
  runsTexml = false;

  /** @internal Made by a connection at `start`. */
  constructor(setup: StreamSetup) {
    const { start } = setup;
    this.id = start.stream_id;
    this.start = start.start;
    this.query = setup.request.query;
    this.inbound = setup.inbound;
    this.outbound = setup.outbound;
    this.mode = setup.mode;
    this.sampleRate = setup.handlerRate;
    this.startedMs = setup.host.clock.now();
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
    this.plugin = setup.plugin.name;
    this.#livePieces = setup.livePieces;
    this.request = setup.request;
    this.context = setup.context;
    this.#owner = setup.plugin;
    this.#log = undefined;
    const senses = setup.voice !== undefined || setup.inbandKeys;
    this.#senses = senses
      ? new StreamSenses(setup.host.path, setup, (method, ...values) => this.tell(method, ...values))
      : undefined;
  }

  /** The call's identifiers and parameters. */
  get call(): CallInfo {
    this.#call ??= callInfo(this.start);
    return this.#call;
  }

  /** The server's log, for lines about this call. */
  get log(): Logger {
    this.#log ??= this.#owner.log.child(callFields(this));
    return this.#log;
  }

  get callControl(): CallControl {
    this.#callControl ??= this.#host.callControl(this);
    return this.#callControl;
  }

  get resumed(): Resumption | undefined {
    return this.#resumed;
  }

  /** @internal */
  get callControlId(): string {
    return this.start.call_control_id;
  }

  /** Audio that was played and not yet heard in the call, in ms: what waits here and what Telnyx still has. */
  get queuedMs(): number {
    if (this.#closed) return 0;
    return this.#player.queuedMs;
  }

  /** Counters of this stream. */
  get stats(): Record<string, number> {
    return this.#closed ? {} : this.#player.counters();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @internal How it went: at its end too, until the reactor has let go of its slot. */
  figures(): CallFigures {
    const { heardMs: playedMs, interruptions } = this.#player;
    const lengthMs = this.#host.clock.now() - this.startedMs;
    return { counters: this.#player.counters(), playedMs, interruptions, lengthMs };
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

  /** How late `audio` may be of which the handler does not say it. */
  #usualBound(audio: PlayableAudio, sampleRate: number): number {
    if (audio instanceof InboundFrame) return STREAMS_BOUND;
    const hearing = this.#hearing;
    if (!this.#livePieces || hearing === undefined || !(audio instanceof Int16Array)) return NOT_LIVE;
    // A resampler gives a sample more now and then.
    const longest = (hearing.samples.length / hearing.sampleRate) * sampleRate + 1;
    return audio.length <= longest ? STREAMS_BOUND : NOT_LIVE;
  }

  playFile(bytes: Uint8Array): Playback {
    const playback = this.#player.playFile(bytes);
    if (this.#closed) this.#host.count('playsAfterEnd');
    return playback;
  }

  playEncoded(encoding: Encoding, audio: Uint8Array | string): Playback {
    const { bytes, ms } = encodedAudio(encoding, audio, this);
    if (!this.#closed) return this.#player.playEncoded(bytes, ms);
    this.#host.count('playsAfterEnd');
    return this.#player.over();
  }

  speak(options: SpeechOptions = {}): Speech {
    const speech = new SpeechPlayback(options, this, this.#player, this.#host);
    if (this.#closed) this.#host.count('playsAfterEnd');
    return speech;
  }

  pause(): void {
    if (!this.#closed) this.#player.pause();
  }

  resume(): void {
    if (!this.#closed) this.#player.resume();
  }

  get paused(): boolean {
    return !this.#closed && this.#player.paused;
  }

  mark(name = `mark-${this.#host.nextMarkNumber()}`): Promise<MarkResult> {
    checkMarkName(name);
    if (this.#closed) {
      this.#host.count('playsAfterEnd');
      return Promise.resolve({ name, played: false });
    }
    return this.#player.mark(name);
  }

  clear(options?: ClearOptions): Promise<{ playedMs: number; discardedMs: number }> {
    const fadeMs = checkedFade(options);
    if (this.#closed) {
      this.#host.count('playsAfterEnd');
      return Promise.resolve({ playedMs: 0, discardedMs: 0 });
    }
    this.#played?.cleared(this.#host.clock.now());
    this.#live = undefined;
    return Promise.resolve(this.#player.clear(fadeMs));
  }

  /** Ends the stream: closes its WebSocket; the call itself goes on. */
  close(): void {
    if (!this.#closed) this.#link.end('closed');
  }

  // --- driven by the connection and the reactor ---

  /** @internal */
  get slot(): number {
    return this.#slot;
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
    if (this.#stopReason !== undefined) this.tellStop(this.#stopReason); // onStart closed its own stream
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
    if (info[INFO.senses] !== 0) this.#senses?.tell(frame);
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

  /** @internal A mark came back from Telnyx. */
  markReturned(name: string): void {
    if (this.#player.markReturned(name)) this.tell('onMark', name);
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

  /** @internal The peer has read what it was sent. */
  drained(): void {
    this.#player.drained();
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

  /** @internal Takes on the handler of the stream that it continues. */
  continueFrom(before: CallStream, gapMs: number): void {
    const reason = before.#stopReason === 'idle_timeout' ? 'idle_timeout' : 'disconnected';
    this.#resumed = { streamId: before.id, reason, gapMs, unheardMs: before.#unheardMs };
    this.runsTexml = before.runsTexml;
    // Where another thread has the WebSocket, what accept() gave stayed there.
    this.context ??= before.context;
    const handler = before.#handler;
    before.#handler = undefined;
    before.#calls.attach(undefined);
    this.attach(handler);
    this.tell('onResume', this);
  }

  /** @internal Whether the handler has the method and would be told. */
  handles(method: HandlerMethod): boolean {
    return this.#calls.handles(method);
  }

  /**
   * @internal The end, whatever the reason: settles everything and lets the handler know, once. Where the handler `stays`
   * for a stream that may come back, it is let know later.
   */
  finish(reason: StopReason, stays = false): void {
    if (this.#closed) return;
    if (stays) this.#unheardMs = this.queuedMs;
    this.#player.finish();
    const played = this.#played;
    this.#played = undefined;
    this.#closed = true;
    played?.close(this.#host.clock.now());
    this.#pooled?.close();
    this.#stopReason = reason;
    if (stays) this.#calls.narrow('onCall', 'onStop');
    else this.tellStop(reason);
  }

  /** @internal Events of the call may still come; nothing else does. */
  tellStop(reason: StopReason): void {
    this.#owner.stopped(this.#calls.tell('onStop', [reason]));
    this.#calls.narrow('onCall');
    this.#handler = undefined;
    this.#onAudio = undefined;
  }

  #playLive(frame: InboundFrame, liveLatencyMaxMs?: number): Playback {
    // Compared with undefined, because a truth test would read the playback, which nothing else here touches.
    if (this.#live === undefined) {
      this.#live = this.#player.openLive();
      this.#liveFull = false;
    }
    const { path } = this.#host;
    if (!this.#isDirect || liveLatencyMaxMs !== undefined) {
      try {
        const bound = liveLatencyMaxMs ?? STREAMS_BOUND;
        this.#player.enqueueLive(frame.samples, frame.sampleRate, path.nowMs, bound);
      } catch (error) {
        this.#liveDropped(frame, error);
      }
      return this.#live;
    }
    const due = path.playHeard(this.#slot, frame);
    if (due > 0) path.flush(due);
    else if (due < 0) this.#liveDropped(frame);
    return this.#live;
  }

  /** Live audio that comes faster than it is played is the peer's doing: the handler is told once, the call goes on. */
  #liveDropped(frame: InboundFrame, error?: unknown): void {
    this.#host.count('liveDropped');
    if (this.#liveFull) return;
    this.#liveFull = true;
    const lengthMs = (frame.samples.length * 1000) / frame.sampleRate;
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
