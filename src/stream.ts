/**
 * One call's stream, as its handler sees it and as its connection drives it.
 *
 *   inbound    Connection ─▶ engine.receive ─▶ deliver() ─▶ handler.onAudio(frame)
 *   outbound   handler ─▶ play() ─▶ engine.play ─▶ queue … reactor's tick ─▶ ws.send, then sent() ─▶ marks
 */
import { type CallInfo, callInfo } from './call-info.js';
import type { StreamFigures } from './call-log.js';
import type { Format } from './engine.js';
import { SidetoneError } from './errors.js';
import { queueFull } from './feed.js';
import { InboundFrame } from './frame.js';
import { HANDLER_SLOW_MS, HandlerCalls, type HandlerMethod } from './handler-calls.js';
import type { MarkResult, Playback, PlaybackEntry } from './ledger.js';
import { INFO, NEEDS_ROOM, NOTHING, POOL_LOSS, POOL_PAYLOAD } from './native.js';
import { checkedRate, type PlayableAudio, type PlayOptions, toIterator } from './playable.js';
import { PlayedTap } from './played.js';
import { Player, type PlayerOwner } from './player.js';
import type { OutboundMode, StopReason, StreamHandler } from './plugin.js';
import { inPool, PooledCodecs } from './pooled.js';
import type { Reactor } from './reactor.js';
import { checkMarkName } from './telnyx/commands.js';
import type { StartFrame, Track } from './telnyx/frames.js';

/** How the stream's connection sends text and ends. */
export interface StreamLink {
  sendText(text: string): void;
  /** So much waits to be read by the peer that what is sent now would be dropped. */
  readonly backlogged: boolean;
  end(reason: StopReason): void;
}

export interface StreamSetup {
  reactor: Reactor;
  link: StreamLink;
  slot: number;
  start: StartFrame;
  inbound: Format;
  outbound: Format;
  mode: OutboundMode;
  handlerRate: number;
  tracks: readonly Track[];
  query: URLSearchParams;
}

const TRACK_NAMES: readonly Track[] = ['inbound', 'outbound'];

export class Stream implements PlayerOwner {
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
  readonly #reactor: Reactor;
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
  /** What stands behind the `?` of the stream_url. */
  readonly query: URLSearchParams;
  /** What comes in. */
  readonly inbound: Format;
  /** What goes out, in RTP mode. */
  readonly outbound: Format;
  /** How audio goes out: `rtp` payloads, or `mp3` files. */
  readonly mode: OutboundMode;
  /** @internal On the reactor's clock. */
  readonly startedMs: number;

  /** @internal Made by a connection at `start`. */
  constructor(setup: StreamSetup) {
    const { start } = setup;
    this.id = start.stream_id;
    this.start = start.start;
    this.query = setup.query;
    this.inbound = setup.inbound;
    this.outbound = setup.outbound;
    this.mode = setup.mode;
    this.sampleRate = setup.handlerRate;
    this.startedMs = setup.reactor.clock.now();
    this.#reactor = setup.reactor;
    this.#link = setup.link;
    this.#calls = new HandlerCalls(setup.reactor, this);
    this.#slot = setup.slot;
    const { native } = setup.reactor.engine;
    for (const track of setup.tracks) {
      const number = TRACK_NAMES.indexOf(track);
      const frame = new InboundFrame(track, setup.handlerRate, native.frameSamplesUsual(setup.slot, number));
      native.setFrameBuffer(setup.slot, number, frame.memory);
      if (number === 0) this.#frame = frame;
      else this.#outboundFrame = frame;
    }
    if (inPool(setup.inbound.encoding) || inPool(setup.outbound.encoding)) {
      this.#pooled = new PooledCodecs({
        ...setup,
        tracks: setup.tracks.map(track => TRACK_NAMES.indexOf(track)),
        hear: (track, samples) => {
          setup.reactor.nowMs = setup.reactor.clock.now();
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
        codec: { l16ByteOrder: setup.reactor.options.l16ByteOrder },
        deliver: frame => this.tell('onPlayed', frame),
      });
    }
    this.#isDirect = setup.mode !== 'mp3' && !this.#pooled;
    this.#player = new Player({ ...setup, pooled: this.#pooled }, this);
  }

  /** The call's identifiers and parameters. */
  get call(): CallInfo {
    this.#call ??= callInfo(this.start);
    return this.#call;
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
  figures(): StreamFigures {
    const { heardMs: playedMs, interruptions } = this.#player;
    const durationMs = this.#reactor.clock.now() - this.startedMs;
    return { counters: this.#player.counters(), playedMs, interruptions, durationMs };
  }

  /**
   * Plays audio into the call, behind what is queued.
   *
   * PCM is copied before this returns. Sources are read as there is room, about two seconds ahead. Playing the frame
   * that is being heard, inside its callback, is the live path: it allocates nothing and returns the stream's one live
   * playback, which stands for everything played so; where the queue is full, the frame is dropped and `onError` told.
   *
   * In MP3 mode PCM becomes files, one a second at most, of what was played by then; each is some 50 to 150 ms longer
   * than its audio, so that whole utterances sound better than many pieces.
   *
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for a wrong type or rate; SIDETONE_QUEUE_FULL when the queue has no
   *   room for all of it (nothing is queued then); SIDETONE_STREAM_CLOSED after the stream's end
   */
  play(audio: PlayableAudio, options?: PlayOptions): Playback {
    this.#mustBeOpen('play');
    const hearing = this.#hearing;
    const isHeard = hearing !== undefined && (audio === hearing || audio === hearing.samples);
    // While live audio goes out nothing is being fed: the player need not be asked.
    if (isHeard && (this.#live !== undefined || !this.#player.isFeeding)) {
      if (options !== undefined) checkedRate(options, this.sampleRate);
      return this.#playLive(hearing);
    }
    const sampleRate = options === undefined ? this.sampleRate : checkedRate(options, this.sampleRate);
    if (audio instanceof Int16Array) return this.#player.playPcm(audio, sampleRate);
    if (audio instanceof InboundFrame) return this.#player.playPcm(audio.samples, audio.sampleRate);
    return this.#player.playSource(toIterator(audio), sampleRate);
  }

  /**
   * MP3 mode: plays a file into the call, behind what is queued. `bytes` are copied before this returns.
   *
   * @param bytes an MP3 file of at most 8 MB and 596 s; one that waits behind others counts for `queueMaxMs`
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is not MP3, and in RTP mode; SIDETONE_QUEUE_FULL;
   *   SIDETONE_STREAM_CLOSED
   */
  playFile(bytes: Uint8Array): Playback {
    this.#mustBeOpen('playFile');
    return this.#player.playFile(bytes);
  }

  /**
   * Sets a mark behind everything played so far. Resolves when Telnyx returns it: `played` tells whether its audio was
   * heard or a clear sent it back. `onMark(name)` is called too when it was heard.
   */
  mark(name = `mark-${this.#reactor.nextMarkNumber()}`): Promise<MarkResult> {
    this.#mustBeOpen('mark');
    checkMarkName(name);
    return this.#player.mark(name);
  }

  /**
   * Stops what is playing and drops what is queued, here and at Telnyx. Unfinished playbacks settle as interrupted.
   * `playedMs` is how much of them was heard, `discardedMs` how much was not.
   */
  clear(): Promise<{ playedMs: number; discardedMs: number }> {
    this.#mustBeOpen('clear');
    this.#played?.cleared(this.#reactor.clock.now());
    this.#live = undefined;
    return Promise.resolve(this.#player.clear());
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
      if (!handler?.onAudio) this.#reactor.engine.native.deafen(this.#slot);
    }
    this.#player.followAll(this.#played !== undefined);
    if (this.#stopReason !== undefined) this.#tellStop(this.#stopReason); // onStart closed its own stream
  }

  /**
   * @internal Hears the frame that the engine has delivered, and those behind it. `outcome` is what receive() or
   * next() returned at the reactor's `nowMs`.
   */
  deliver(outcome: number): void {
    const { engine, nowMs } = this.#reactor;
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
    const { native } = this.#reactor.engine;
    const frame = (track === 0 ? this.#frame : this.#outboundFrame)!;
    frame.makeRoom(native.frameSamplesMax(this.#slot, track));
    native.setFrameBuffer(this.#slot, track, frame.memory);
  }

  #hear(track: number, samples: number): void {
    const { nowMs } = this.#reactor;
    const frame = (track === 0 ? this.#frame : this.#outboundFrame)!;
    const { info } = this.#reactor.engine;
    frame.show(samples, info[INFO.timestampMs]!, info[INFO.concealed] === 1);
    if (this.#played) {
      if (track === 0 || !this.#frame) {
        this.#played.anchor(nowMs, frame.timestampMs, (samples * 1000) / frame.sampleRate);
      }
      this.#played.heard(nowMs);
    }
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
    this.#reactor.stamp();
    const heldMs = info[INFO.nowMs]! - nowMs;
    if (heldMs >= HANDLER_SLOW_MS) this.#calls.held('onAudio', heldMs);
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
      const { engine } = this.#reactor;
      const now = this.#reactor.clock.now();
      engine.at(now).position(this.#slot);
      this.#played.placed(now + engine.info[INFO.aheadMs]!);
    }
    this.#player.afterSend();
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

  /** @internal The end, whatever the reason: settles everything and lets the handler know, once. */
  finish(reason: StopReason): void {
    if (this.#closed) return;
    this.#player.finish();
    const played = this.#played;
    this.#played = undefined;
    this.#closed = true;
    played?.close(this.#reactor.clock.now());
    this.#pooled?.close();
    this.#stopReason = reason;
    this.#tellStop(reason);
  }

  #tellStop(reason: StopReason): void {
    this.tell('onStop', reason);
    this.#calls.attach(undefined);
    this.#handler = undefined;
    this.#onAudio = undefined;
  }

  #playLive(frame: InboundFrame): Playback {
    // Not its truth: that would be looked up in the playback, which nothing else here touches.
    if (this.#live === undefined) {
      this.#live = this.#player.openLive();
      this.#liveFull = false;
    }
    const reactor = this.#reactor;
    if (!this.#isDirect) {
      try {
        this.#player.enqueueLive(frame.samples, frame.sampleRate, reactor.nowMs);
      } catch (error) {
        this.#liveDropped(frame, error);
      }
      return this.#live;
    }
    const due = reactor.playHeard(this.#slot, frame);
    if (due > 0) reactor.flush(due);
    else if (due < 0) this.#liveDropped(frame);
    return this.#live;
  }

  /** Live audio that comes faster than it is played is the peer's doing: the handler is told once, the call goes on. */
  #liveDropped(frame: InboundFrame, error?: unknown): void {
    this.#reactor.count('liveDropped');
    if (this.#liveFull) return;
    this.#liveFull = true;
    const lengthMs = (frame.samples.length * 1000) / frame.sampleRate;
    const { queueMaxMs } = this.#reactor.options;
    this.tell('onError', error ?? queueFull(lengthMs, this.queuedMs, queueMaxMs));
  }

  #mustBeOpen(what: string): void {
    if (this.#closed) {
      throw new SidetoneError(
        'SIDETONE_STREAM_CLOSED',
        `${what}: stream ${this.id} has ended; check stream.closed`,
      );
    }
  }
}
