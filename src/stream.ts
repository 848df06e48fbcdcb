/**
 * One call's stream, as its handler sees it and as its connection drives it.
 *
 *   inbound    Connection ─▶ engine.receive ─▶ deliver() ─▶ handler.onAudio(frame)
 *   outbound   handler ─▶ play() ─▶ engine.play ─▶ queue … reactor's tick ─▶ ws.send, then sent() ─▶ marks
 */
import { CODECS, SAMPLE_RATES } from './codec.js';
import type { Format } from './engine.js';
import { SidetoneError, shown } from './errors.js';
import { Feed, queueFull } from './feed.js';
import { InboundFrame } from './frame.js';
import { Ledger, type MarkResult, type Playback, type PlaybackEntry, type Positions } from './ledger.js';
import { INFO, NOTHING, POOL_LOSS, POOL_PAYLOAD } from './native.js';
import { PlayedTap } from './played.js';
import type { AudioFrame, StopReason, StreamHandler } from './plugin.js';
import { inPool, PooledCodecs } from './pooled.js';
import type { Reactor } from './reactor.js';
import type { StartFrame, Track } from './telnyx/frames.js';

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

/** How the stream's connection sends text and ends. */
export interface StreamLink {
  sendText(text: string): void;
  sendDue(count: number): void;
  end(reason: StopReason): void;
}

export interface StreamSetup {
  reactor: Reactor;
  link: StreamLink;
  slot: number;
  start: StartFrame;
  inbound: Format;
  outbound: Format;
  handlerRate: number;
  tracks: readonly Track[];
  query: URLSearchParams;
}

const TRACK_NAMES: readonly Track[] = ['inbound', 'outbound'];
const CLEAR_TEXT = '{"event":"clear"}';

/** A callback that held the thread for longer than the far end is kept ahead has been heard in other calls. */
const HANDLER_SLOW_MS = 200;
/** One that held it this long has failed. */
const HANDLER_STALL_MS = 1000;
/** Unfinished async callbacks of one handler: 20 s of audio whose work does not get done. */
const HANDLER_PENDING_MAX = 1000;

export class Stream {
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
  /** What goes out. */
  readonly outbound: Format;
  /** Rate at which the handler hears and, by default, plays, in Hz. */
  readonly sampleRate: number;

  /** @internal On the reactor's clock. */
  readonly startedMs: number;

  readonly #reactor: Reactor;
  readonly #link: StreamLink;
  readonly #slot: number;
  readonly #samplesPerMs: number;
  readonly #frames: (InboundFrame | undefined)[] = [undefined, undefined];
  readonly #ledger: Ledger;
  readonly #pooled: PooledCodecs | undefined;
  #handler: StreamHandler | undefined;
  #hearing: InboundFrame | undefined; // the frame whose callback is running
  #hearingMs = 0; // when it came: what is played live in the callback is played then
  #live: PlaybackEntry | undefined;
  #liveFull = false; // some of it had to be dropped
  #feed: Feed | undefined;
  #pending = 0; // async callbacks that have not finished
  #played: PlayedTap | undefined;
  #bypassed = false;
  #stopReason: StopReason | undefined;
  #closed = false;

  /** @internal Made by a connection at `start`. */
  constructor(setup: StreamSetup) {
    const { start } = setup;
    this.id = start.stream_id;
    this.start = start.start;
    this.call = {
      callControlId: start.start.call_control_id,
      callSessionId: start.start.call_session_id,
      userId: start.start.user_id,
      from: start.start.from,
      to: start.start.to,
      tags: start.start.tags ?? [],
      clientState: start.start.client_state,
      customParameters: start.start.custom_parameters ?? {},
    };
    this.query = setup.query;
    this.inbound = setup.inbound;
    this.outbound = setup.outbound;
    this.sampleRate = setup.handlerRate;
    this.startedMs = setup.reactor.clock.now();
    this.#reactor = setup.reactor;
    this.#link = setup.link;
    this.#slot = setup.slot;
    this.#samplesPerMs = CODECS[setup.outbound.encoding].sampleRate(setup.outbound.sampleRate) / 1000;
    const { native } = setup.reactor.engine;
    for (const track of setup.tracks) {
      const number = TRACK_NAMES.indexOf(track);
      const frame = new InboundFrame(track, setup.handlerRate, native.frameSamplesMax(setup.slot, number));
      native.setFrameBuffer(setup.slot, number, frame.memory);
      this.#frames[number] = frame;
    }
    if (inPool(setup.inbound.encoding) || inPool(setup.outbound.encoding)) {
      this.#pooled = new PooledCodecs({
        ...setup,
        tracks: setup.tracks.map(track => TRACK_NAMES.indexOf(track)),
        hear: (track, samples) => this.#hear(track, samples, setup.reactor.clock.now()),
        report: error => this.tell('onError', error),
      });
    }
    // A handler may play before it is known whether it has onPlayed: attach() decides.
    this.#played = new PlayedTap({
      outbound: setup.outbound,
      sampleRate: setup.handlerRate,
      codec: { l16ByteOrder: setup.reactor.options.l16ByteOrder },
      deliver: frame => this.tell('onPlayed', frame),
    });
    this.#ledger = new Ledger({
      positions: () => this.#positions(),
      sendMark: name => this.#link.sendText(JSON.stringify({ event: 'mark', mark: { name } })),
      cutAt: position => this.#reactor.engine.native.cutAt(this.#slot, position),
      endLive: playback => {
        if (playback === this.#live) this.#endLive();
      },
    });
  }

  /** Audio that was played and not yet heard in the call, in ms: what waits here and what Telnyx still has. */
  get queuedMs(): number {
    if (this.#closed) return 0;
    const { native, info } = this.#reactor.engine;
    native.position(this.#slot, this.#reactor.clock.now());
    return info[INFO.queuedMs]! + info[INFO.aheadMs]! + (this.#feed?.waitingMs ?? 0);
  }

  /** Counters of this stream. */
  get stats(): Record<string, number> {
    return this.#closed ? {} : this.#reactor.engine.counters(this.#slot);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Plays audio into the call, behind what is queued.
   *
   * PCM is copied before this returns. Sources are read as there is room, about two seconds ahead. Playing the frame
   * that is being heard, inside its callback, is the live path: it allocates nothing and returns the stream's one live
   * playback, which stands for everything played so; where the queue is full, the frame is dropped and `onError` told.
   *
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for a wrong type or rate; SIDETONE_QUEUE_FULL when the queue has no
   *   room for all of it (nothing is queued then); SIDETONE_STREAM_CLOSED after the stream's end
   */
  play(audio: PlayableAudio, options?: PlayOptions): Playback {
    this.#mustBeOpen('play');
    const sampleRate = options === undefined ? this.sampleRate : checkedRate(options, this.sampleRate);
    const hearing = this.#hearing;
    if (hearing !== undefined && (audio === hearing || audio === hearing.samples) && !this.#feed) {
      return this.#playLive(hearing);
    }
    if (audio instanceof Int16Array) return this.#playPcm(audio, sampleRate);
    if (audio instanceof InboundFrame) return this.#playPcm(audio.samples, audio.sampleRate);
    const source = toIterator(audio);
    const feed = this.#feeding();
    feed.mustHaveRoom();
    const playback = this.#ledger.open();
    feed.add(playback, source, sampleRate);
    return playback;
  }

  /**
   * Sets a mark behind everything played so far. Resolves when Telnyx returns it: `played` tells whether its audio was
   * heard or a clear sent it back. `onMark(name)` is called too when it was heard.
   */
  mark(name = `mark-${this.#reactor.nextMarkNumber()}`): Promise<MarkResult> {
    this.#mustBeOpen('mark');
    if (typeof name !== 'string' || name.length === 0 || name.length > 512) {
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `mark name: ${shown(name)}: give 1 to 512 characters`);
    }
    return this.#ledger.mark(name, this.#positions().accepted);
  }

  /**
   * Stops what is playing and drops what is queued, here and at Telnyx. Unfinished playbacks settle as interrupted.
   * `playedMs` is how much of them was heard, `discardedMs` how much was not.
   */
  clear(): Promise<{ playedMs: number; discardedMs: number }> {
    this.#mustBeOpen('clear');
    const now = this.#reactor.clock.now();
    const waitingMs = this.#feed?.drop() ?? 0;
    this.#feed = undefined;
    this.#played?.cleared(now);
    const positions = this.#positions();
    const playedMs = this.#ledger.clear(positions, true);
    this.#live = undefined;
    this.#reactor.engine.native.clear(this.#slot, now);
    this.#link.sendText(CLEAR_TEXT);
    const discardedMs = (positions.accepted - positions.played) / this.#samplesPerMs + waitingMs;
    return Promise.resolve({ playedMs, discardedMs });
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
    this.#handler = handler;
    if (!handler?.onPlayed) this.#played = undefined;
    if (this.#stopReason !== undefined) this.#tellStop(this.#stopReason); // onStart closed its own stream
  }

  /**
   * @internal Hears the frame that the engine has delivered, and those behind it. `outcome` is what receive() or
   * next() returned at `nowMs`.
   */
  deliver(outcome: number, nowMs: number): void {
    const { engine } = this.#reactor;
    this.#reactor.wake();
    for (;;) {
      const track = engine.info[INFO.track]!;
      const more = engine.info[INFO.more] === 1;
      if (outcome > NOTHING) this.#hear(track, outcome, nowMs);
      else if (outcome === POOL_PAYLOAD) this.#pooled!.decode(track);
      else if (outcome === POOL_LOSS) this.#pooled!.conceal(track, engine.info[INFO.lostFrames]!);
      if (!more || this.#closed) return;
      outcome = engine.native.next(this.#slot, track, nowMs);
    }
  }

  #hear(track: number, samples: number, nowMs: number): void {
    const frame = this.#frames[track]!;
    const { info } = this.#reactor.engine;
    frame.show(samples, info[INFO.timestampMs]!, info[INFO.concealed] === 1);
    if (this.#played) {
      if (track === 0 || !this.#frames[0]) {
        this.#played.anchor(nowMs, frame.timestampMs, (samples * 1000) / frame.sampleRate);
      }
      this.#played.heard(nowMs);
    }
    if (this.#handler === undefined || this.#bypassed) return;
    this.#hearing = frame;
    this.#hearingMs = nowMs;
    try {
      const result = this.#handler.onAudio?.(frame);
      if (result !== undefined) this.#watch('onAudio', result);
    } catch (error) {
      this.handlerFailed('onAudio', error);
    } finally {
      this.#hearing = undefined;
    }
    this.#timed('onAudio', nowMs);
  }

  /** @internal Calls one of the handler's other methods, whatever it does. */
  tell(method: 'onDtmf' | 'onMark' | 'onError' | 'onPlayed' | 'onStop', ...values: unknown[]): void {
    const handler = this.#handler as
      | Record<string, ((...values: unknown[]) => unknown) | undefined>
      | undefined;
    if (handler === undefined || (this.#bypassed && method !== 'onStop')) return;
    const beganMs = this.#reactor.clock.now();
    try {
      this.#watch(method, handler[method]?.(...values));
    } catch (error) {
      this.handlerFailed(method, error);
    }
    this.#timed(method, beganMs);
  }

  /** @internal */
  handlerFailed(where: string, cause: unknown): void {
    if (this.#bypassed && where !== 'onStop') return;
    this.#reactor.handlerFailed(this, where, cause);
    const bypass = this.#reactor.options.handlerErrors === 'bypass';
    if (where !== 'onError' && where !== 'onStop') {
      this.tell(
        'onError',
        new SidetoneError('SIDETONE_HANDLER_FAILED', `handler's ${where} failed`, { cause }),
      );
    }
    this.#bypassed = bypass;
    if (!bypass && where !== 'onStop') this.#link.end('handler_failed');
  }

  /** Only true promises: a playback is thenable too, and awaiting it would ask Telnyx for a mark. */
  #watch(where: string, result: unknown): void {
    if (!(result instanceof Promise)) return;
    if (++this.#pending === HANDLER_PENDING_MAX) {
      const problem = `${HANDLER_PENDING_MAX} calls of an async ${where} have not finished: do the work in one task behind a queue`;
      this.handlerFailed(where, new SidetoneError('SIDETONE_HANDLER_FAILED', problem));
    }
    result.then(
      () => {
        this.#pending--;
      },
      error => {
        this.#pending--;
        this.handlerFailed(where, error);
      },
    );
  }

  #timed(where: string, beganMs: number): void {
    const heldMs = this.#reactor.clock.now() - beganMs;
    if (heldMs < HANDLER_SLOW_MS) return;
    this.#reactor.handlerStalled(this, where, heldMs);
    if (heldMs < HANDLER_STALL_MS) return;
    const problem = `${where} held the thread, and with it every stream of it, for ${Math.round(heldMs)} ms: hand such work to a worker`;
    this.handlerFailed(where, new SidetoneError('SIDETONE_HANDLER_FAILED', problem));
  }

  /** @internal A mark came back from Telnyx. */
  markReturned(name: string): void {
    if (this.#ledger.returned(name)) this.tell('onMark', name);
  }

  /** @internal One media message of this stream was sent. */
  mediaSent(message: Uint8Array): void {
    this.#played?.sent(message);
  }

  /** @internal Messages of this stream were sent: marks and sources may go on. */
  afterSend(): void {
    if (this.#played) {
      const { native, info } = this.#reactor.engine;
      const now = this.#reactor.clock.now();
      native.position(this.#slot, now);
      this.#played.placed(now + info[INFO.aheadMs]!);
    }
    if (!this.#ledger.marksWaiting && !this.#feed) return;
    this.#ledger.sent(this.#positions().sent);
    this.#feed?.pump();
  }

  /** @internal The engine has PCM for the encoder in the pool. */
  encode(): void {
    this.#pooled?.encode();
  }

  /** @internal Called a few times a second. */
  sweep(nowMs: number): void {
    if (!this.#ledger.idle) this.#ledger.sweep(nowMs);
    this.#played?.heard(nowMs);
    this.#feed?.pump();
  }

  /** @internal The end, whatever the reason: settles everything and lets the handler know, once. */
  finish(reason: StopReason): void {
    if (this.#closed) return;
    this.#feed?.drop();
    this.#feed = undefined;
    this.#ledger.clear(this.#positions(), false);
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
    this.#handler = undefined;
  }

  // --- playing ---

  #playLive(frame: InboundFrame): Playback {
    if (!this.#live || this.#live.finished) {
      this.#live = this.#ledger.open();
      this.#live.start = this.#positions().accepted;
      this.#liveFull = false;
    }
    try {
      this.#enqueue(frame.samples, frame.sampleRate, this.#hearingMs);
    } catch (error) {
      // Live audio that comes faster than it is played is the peer's doing: the handler is told once, the call goes on.
      this.#reactor.count('liveDropped');
      const told = this.#liveFull;
      this.#liveFull = true;
      if (!told) this.tell('onError', error);
    }
    return this.#live;
  }

  #playPcm(samples: Int16Array, sampleRate: number): Playback {
    this.#endLive();
    const playback = this.#ledger.open();
    try {
      if (this.#feed) {
        this.#feed.addPcm(playback, samples, sampleRate);
        return playback;
      }
      this.enqueue(playback, samples, sampleRate);
    } catch (error) {
      this.#ledger.forget(playback);
      throw error;
    }
    this.#ledger.close(playback, this.#positions().accepted);
    return playback;
  }

  #endLive(): void {
    if (!this.#live) return;
    this.#ledger.close(this.#live, this.#positions().accepted);
    this.#live = undefined;
  }

  /** @internal Queues a piece of a playback. */
  enqueue(playback: PlaybackEntry, samples: Int16Array, sampleRate: number): void {
    if (playback.start === Number.POSITIVE_INFINITY) playback.start = this.#positions().accepted;
    this.#enqueue(samples, sampleRate, this.#reactor.clock.now());
  }

  #enqueue(samples: Int16Array, sampleRate: number, nowMs: number): void {
    const reactor = this.#reactor;
    const accepted = reactor.play(this.#slot, samples, sampleRate, nowMs);
    if (accepted < 0) {
      const ms = (samples.length * 1000) / sampleRate;
      throw queueFull(ms, this.queuedMs, reactor.options.queueMaxMs);
    }
    const due = reactor.engine.info[INFO.sendCount]!;
    if (due > 0) this.#link.sendDue(due);
    this.#pooled?.encode();
  }

  #feeding(): Feed {
    this.#endLive();
    this.#feed ??= new Feed({
      queueMaxMs: this.#reactor.options.queueMaxMs,
      // Read ahead of what Telnyx has, not of what has been heard.
      queuedMs: () => {
        const { accepted, sent } = this.#positions();
        return (accepted - sent) / this.#samplesPerMs;
      },
      enqueue: (playback, samples, rate) => this.enqueue(playback, samples, rate),
      close: playback => this.#ledger.close(playback, this.#positions().accepted),
      failed: error => {
        this.#reactor.count('sourceFailures');
        this.tell('onError', error);
      },
      idle: () => {
        this.#feed = undefined;
      },
    });
    return this.#feed;
  }

  #positions(): Positions {
    const { native, info } = this.#reactor.engine;
    native.position(this.#slot, this.#reactor.clock.now());
    return {
      accepted: info[INFO.accepted]!,
      sent: info[INFO.sent]!,
      played: info[INFO.played]!,
      samplesPerMs: this.#samplesPerMs,
    };
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

function checkedRate(options: PlayOptions, usual: number): number {
  if (typeof options !== 'object' || options === null) {
    const problem = `play options: ${shown(options)}: pass { sampleRate }`;
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
  }
  const { sampleRate = usual } = options;
  if (SAMPLE_RATES.includes(sampleRate as (typeof SAMPLE_RATES)[number])) return sampleRate;
  throw new SidetoneError(
    'SIDETONE_BAD_ARGUMENT',
    `play sampleRate: ${shown(sampleRate)}: use one of ${SAMPLE_RATES.join(', ')} Hz`,
  );
}

function toIterator(audio: unknown): AsyncIterator<Int16Array> | Iterator<Int16Array> {
  if (typeof audio === 'object' && audio !== null && !ArrayBuffer.isView(audio)) {
    const source = audio as Partial<AsyncIterable<Int16Array> & Iterable<Int16Array>>;
    if (typeof source[Symbol.asyncIterator] === 'function') return source[Symbol.asyncIterator]!();
    if (typeof source[Symbol.iterator] === 'function') return source[Symbol.iterator]!();
  }
  const kind = ArrayBuffer.isView(audio) ? (audio as object).constructor.name : typeof audio;
  throw new SidetoneError(
    'SIDETONE_BAD_ARGUMENT',
    `play audio: ${kind}: pass an Int16Array of mono PCM, a frame, or an (async) iterable or web stream of Int16Array`,
  );
}
