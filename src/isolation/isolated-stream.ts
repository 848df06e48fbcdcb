/**
 * A stream whose handler runs in a thread of its plugin: what the handler would be told goes to the thread, and what it plays
 * there is played here.
 *
 *   inbound    engine ─▶ stream ─▶ the handler made here ─▶ ring ─▶ thread
 *   outbound   thread ─▶ ring ─▶ take() ─▶ stream.play() … paced as ever
 */
import type { MessagePort } from 'node:worker_threads';
import type { ReactorCounter } from '../counters.js';
import type { Encoding } from '../formats.js';
import { NOT_LIVE } from '../native/addon.js';
import type { PlaybackEntry } from '../playback/ledger.js';
import type { AudioOptions, StopReason, StreamHandler } from '../plugin/plugin.js';
import type { AudioFrame, Playback, PlayedFrame, Resumption } from '../plugin/stream.js';
import type { CallStream } from '../stream/stream.js';
import { ContextTicket } from './context-ticket.js';
import { LiveTail } from './live-tail.js';
import { attached, type Outlet } from './outlet.js';
import { fromPlain, toPlain } from './plain-error.js';
import {
  ASK,
  COMMAND,
  EVENT,
  METHODS,
  type Method,
  type PlainError,
  type RemoteBeginning,
  type StreamFacts,
  type Told,
} from './records.js';
import { RemoteMixing } from './remote-mixing.js';
import { RemotePlaybacks } from './remote-playbacks.js';
import { RemoteSource } from './remote-source.js';
import { HEAD, type Ring } from './ring.js';

/** What a stream needs of the thread that has its handler. */
export interface StreamThread {
  readonly out: Outlet;
  readonly attachments: MessagePort;
  /** When what it wrote was taken last. */
  readonly nowMs: number;
  add(stream: IsolatedStream): void;
  /** Its stream is over. */
  delete(stream: IsolatedStream): void;
  /** Gives it a frame of `stream`, or counts it. */
  frame(stream: IsolatedStream, frame: AudioFrame): void;
  count(counter: ReactorCounter): void;
  nextHandle(): number;
  /** Answers the question that it waits with. */
  answer(number: number, a: number, b?: number): void;
  answerText(number: number, text: string): void;
}

export class IsolatedStream {
  readonly stream: CallStream;
  readonly handle: number;
  readonly audio: AudioOptions;
  /** Its handlers so far were lost with their threads. */
  moves = 0;
  /** Frames that the thread could not be given, by track; the next one tells. */
  readonly lost = [0, 0];
  /** `queuedMs` goes with each frame. */
  wantsQueue = false;
  /** Of what was played, how much has been taken, in ms. */
  takenMs = 0;
  #thread: StreamThread | undefined;
  #bits = 0;
  #toldClosed = false;
  #tail: LiveTail | undefined;
  #mixing: RemoteMixing | undefined;
  readonly #playbacks = new RemotePlaybacks({
    settled: (id, playedMs, interrupted) =>
      this.#thread?.out.send(EVENT.settled, this.handle, { id, flags: interrupted ? 1 : 0, a: playedMs }),
    failed: (id, error) => this.#thread?.out.attach(EVENT.failed, this.handle, toPlain(error), { id }),
  });
  readonly #sources = new Map<number, RemoteSource>();
  #onStopped: (() => void) | undefined;

  readonly #carryAnew: (stream: CallStream, audio: AudioOptions) => void;

  /** `carryAnew`: where a stream comes back whose handler has been lost meanwhile. */
  constructor(
    stream: CallStream,
    handle: number,
    audio: AudioOptions,
    carryAnew: (stream: CallStream, audio: AudioOptions) => void,
  ) {
    this.stream = stream;
    this.handle = handle;
    this.audio = audio;
    this.#carryAnew = carryAnew;
  }

  get thread(): StreamThread | undefined {
    return this.#thread;
  }

  /** Its handler is made in `thread`. */
  start(thread: StreamThread, context: number | undefined, resumed?: Resumption): void {
    this.#thread = thread;
    thread.add(this);
    thread.out.attach(EVENT.start, this.handle, this.#facts(context, resumed));
  }

  /** Until a thread has said which methods its handler has, it is told all. */
  attachAll(): void {
    const listens = this.audio.vad !== undefined && this.audio.vad !== false;
    const bits = METHODS.reduce(
      (sum, name, i) => (!listens && (name === 'onSpeech' || name === 'onSilence') ? sum : sum | (1 << i)),
      0,
    );
    this.stream.attach(this.#handler(bits & ~(1 << METHODS.indexOf('onResume'))));
  }

  #facts(context: number | undefined, resumed: Resumption | undefined): StreamFacts {
    const { stream } = this;
    const { path, query, headers, remoteAddress } = stream.request;
    return {
      id: stream.id,
      start: stream.start,
      request: { path, query: String(query), headers: { ...headers }, remoteAddress },
      inbound: stream.inbound,
      outbound: stream.outbound,
      mode: stream.mode,
      sampleRate: stream.sampleRate,
      audio: this.audio,
      resumed: resumed ?? stream.resumed,
      runsTexml: stream.runsTexml,
      context,
    };
  }

  // --- to the thread ---

  /** What the reactor tells its handler goes to the thread. */
  #handler(bits: number): StreamHandler {
    const handler: Partial<Record<Method, (...values: never[]) => unknown>> = {};
    const has = (method: Method): boolean => (bits & (1 << METHODS.indexOf(method))) !== 0;
    for (const method of METHODS) {
      if (!has(method)) continue;
      handler[method] = (...values: unknown[]) => this.#tell({ method, values });
    }
    if (has('onAudio')) handler.onAudio = (frame: AudioFrame) => this.#thread?.frame(this, frame);
    if (has('onPlayed')) {
      handler.onPlayed = ({ samples, timestampMs }: PlayedFrame) => {
        this.#thread?.out.sendSamples(EVENT.played, this.handle, samples, 0, 0, 0, timestampMs);
      };
    }
    if (has('onError')) {
      handler.onError = (error: Error) => this.#tell({ method: 'onError', values: [toPlain(error)] });
    }
    if (has('onResume')) handler.onResume = (next: CallStream) => this.#resume(next);
    handler.onStop = (reason: StopReason) => this.#stop(reason);
    return handler as StreamHandler;
  }

  #tell(told: Told): void {
    this.#thread?.out.attach(EVENT.tell, this.handle, told);
  }

  #stop(reason: StopReason): Promise<void> | undefined {
    const thread = this.#thread;
    if (!thread) return undefined;
    this.#toldClosed = true;
    thread.out.attach(EVENT.stop, this.handle, reason);
    return new Promise(resolve => {
      this.#onStopped = resolve;
    });
  }

  /** Its handler goes on in `stream`, which begins here. */
  #resume(stream: CallStream): void {
    const thread = this.#thread;
    if (!thread) {
      this.#carryAnew(stream, this.audio);
      return;
    }
    this.#toldClosed = true;
    const next = new IsolatedStream(stream, thread.nextHandle(), this.audio, this.#carryAnew);
    next.#thread = thread;
    next.#bits = this.#bits;
    thread.add(next);
    const { context } = stream;
    const isHere = context instanceof ContextTicket && context.thread === thread;
    const facts = next.#facts(isHere ? context.context : undefined, undefined);
    thread.out.attach(EVENT.resume, this.handle, facts, { id: next.handle });
    stream.attach(next.#handler(this.#bits));
    this.#gone();
  }

  // --- from time to time ---

  /** Tells the thread of what is over. */
  look(): void {
    this.#playbacks.look();
    if (!this.stream.closed || this.#toldClosed) return;
    // A handler may wait for its stream to come back, or there is none.
    this.#toldClosed = true;
    const isAll = this.#bits === 0;
    this.#thread?.out.send(EVENT.closed, this.handle, { flags: isAll ? 1 : 0 });
    if (isAll) this.#gone();
  }

  /** The thread is blocked: live audio that broke off is made to fade out. Returns how many ms were made up. */
  conceal(sinceMs: number): number {
    if (!this.#tail?.isSince(sinceMs) || this.stream.closed) return 0;
    const madeUp = this.#tail.goOn();
    if (!madeUp) return 0;
    this.stream.playLivePiece(madeUp.samples, madeUp.rate, madeUp.bound);
    return (madeUp.samples.length * 1000) / madeUp.rate;
  }

  /** Its thread is gone, and with it its handler. */
  lose(): void {
    this.#thread = undefined;
    this.#bits = 0;
    this.wantsQueue = false;
    this.takenMs = 0;
    this.#playbacks.clear();
    this.#sources.clear();
    this.#mixing?.end();
    this.#mixing = undefined;
    this.#onStopped?.();
    this.#onStopped = undefined;
  }

  #gone(): void {
    this.#thread?.delete(this);
  }

  // --- from the thread ---

  /** Carries out a command, whose record stays on the ring until this returns. */
  take(ring: Ring, cell: number): void {
    const { words } = ring;
    const at = ring.head(cell);
    const type = words[at + HEAD.type]!;
    // What comes with every frame allocates nothing: hence whole numbers, and no closure here.
    const id = words[at + HEAD.id]!;
    const bound = words[at + HEAD.flags]!;
    const samples = words[at + HEAD.samples]!;
    const rate = words[at + HEAD.bytes]!;
    if (type === COMMAND.playLive) this.#playLive(id, ring.samples(cell, samples), rate, bound);
    else if (type === COMMAND.play) {
      this.#play(id, samples > 0 ? ring.samples(cell, samples) : undefined, rate, bound);
    } else if (type === COMMAND.chunk) {
      const isPcm = samples > 0;
      const chunk = isPcm
        ? ring.samples(cell, samples).slice()
        : ring.copyBytes(cell, words[at + HEAD.bytes]!);
      this.#sources.get(id)?.push(chunk);
    } else this.#takeRare(ring, cell, at);
  }

  #takeRare(ring: Ring, cell: number, at: number): void {
    const { words, doubles } = ring;
    const id = words[at + HEAD.id]!;
    const flags = words[at + HEAD.flags]!;
    const a = doubles[ring.figures(cell)]!;
    const b = doubles[ring.figures(cell) + 1]!;
    const { stream } = this;
    switch (words[at + HEAD.type]) {
      case COMMAND.source:
        this.#source(id, flags === 1, a, b, doubles[ring.figures(cell) + 2]!);
        break;
      case COMMAND.sourceEnd:
        this.#sources.get(id)?.end();
        this.#sources.delete(id);
        break;
      case COMMAND.sourceFailed: {
        const error = fromPlain(this.#attached<PlainError>());
        this.#sources.get(id)?.fail(error);
        this.#sources.delete(id);
        break;
      }
      case COMMAND.playFile: {
        const bytes = this.#attached<Uint8Array>();
        this.#add(id, () => stream.playFile(bytes));
        break;
      }
      case COMMAND.playEncoded: {
        const { encoding, bytes } = this.#attached<{ encoding: Encoding; bytes: Uint8Array }>();
        this.#add(id, () => stream.playEncoded(encoding, bytes));
        break;
      }
      case COMMAND.watch:
        this.#playbacks.watch(id);
        break;
      case COMMAND.progress:
        this.#playbacks.get(id)?.onProgress(playedMs => this.#send(EVENT.progress, id, playedMs), a);
        break;
      case COMMAND.mark:
        this.#mark(id, this.#attached<string>());
        break;
      case COMMAND.clear:
        void stream.clear({ fadeMs: a }).then(({ playedMs, discardedMs }) => {
          this.#thread?.out.send(EVENT.cleared, this.handle, { id, a: playedMs, b: discardedMs });
        });
        break;
      case COMMAND.pause:
        stream.pause();
        break;
      case COMMAND.resume:
        stream.resume();
        break;
      case COMMAND.close:
        stream.close();
        break;
      case COMMAND.wantQueue:
        this.wantsQueue = true;
        break;
      case COMMAND.playAfterEnd:
        this.#thread?.count('playsAfterEnd');
        break;
      case COMMAND.started:
        this.#started(flags);
        break;
      case COMMAND.failed: {
        const { where, error } = this.#attached<{ where: string; error: PlainError }>();
        stream.handlerFailed(where, fromPlain(error));
        break;
      }
      case COMMAND.stalled:
        stream.log.warn(
          { where: this.#attached<string>(), heldMs: a },
          "a plugin's handler held its own thread",
        );
        break;
      case COMMAND.stopped:
        this.#onStopped?.();
        this.#onStopped = undefined;
        this.look();
        this.#gone();
        break;
      case COMMAND.background:
        this.#mixes.begin(this.#attached<RemoteBeginning>());
        break;
      case COMMAND.layerGain:
        this.#mixes.setLayerGain(id, a, b);
        break;
      case COMMAND.stopLayer:
        this.#mixes.stopLayer(id, a);
        break;
      case COMMAND.speechGain:
        this.#mixes.setSpeechGain(a, b);
        break;
      case COMMAND.ask:
        this.#answer(flags, id, a);
        break;
    }
  }

  get #mixes(): RemoteMixing {
    this.#mixing ??= new RemoteMixing(this.stream.mixing);
    return this.#mixing;
  }

  #attached<T>(): T {
    return attached<T>(this.#thread!.attachments);
  }

  /** The handler is there, with these methods. */
  #started(bits: number): void {
    this.#bits = bits;
    if (this.stream.closed) return;
    this.stream.attach(bits === 0 ? undefined : this.#handler(bits));
  }

  #playLive(id: number, samples: Int16Array, rate: number, bound: number): void {
    const { stream } = this;
    if (stream.closed) {
      this.#playPcm(id, samples, rate, bound);
      return;
    }
    this.#tail ??= new LiveTail();
    this.#tail.played(samples, rate, bound, this.#thread!);
    const playback = stream.playLivePiece(samples, rate, bound);
    this.#playbacks.set(id, playback);
  }

  #play(id: number, samples: Int16Array | undefined, rate: number, bound: number): void {
    const pcm = samples ?? this.#attached<Int16Array>();
    this.takenMs += (pcm.length * 1000) / rate;
    if (bound !== NOT_LIVE) {
      this.#tail ??= new LiveTail();
      this.#tail.played(pcm, rate, bound, this.#thread!);
    }
    this.#playPcm(id, pcm, rate, bound);
  }

  #playPcm(id: number, samples: Int16Array, rate: number, bound: number): void {
    this.#add(id, () => this.stream.playPcm(samples, rate, bound));
  }

  /** Plays what the thread has checked: where there is no room for it any more, the handler is told. */
  #add(id: number, play: () => Playback): void {
    try {
      this.#playbacks.set(id, play());
    } catch (error) {
      this.#playbacks.settle(id, 0, true);
      this.stream.report(error);
    }
  }

  #source(id: number, isEncoded: boolean, rate: number, bound: number, idleMaxMs: number): void {
    const source = new RemoteSource(
      {
        pull: () => this.#send(EVENT.pull, id, 0),
        stop: () => {
          this.#sources.delete(id);
          this.#send(EVENT.stopSource, id, 0);
        },
      },
      rate,
    );
    this.#sources.set(id, source);
    const options = { sampleRate: rate, liveLatencyMaxMs: bound, isEncoded, idleMaxMs };
    this.#add(id, () => this.stream.playSource(source, options));
  }

  #mark(id: number, name: string): void {
    const told = (played: boolean): void =>
      this.#thread?.out.send(EVENT.marked, this.handle, { id, flags: played ? 1 : 0 });
    try {
      this.stream.mark(name).then(({ played }) => told(played));
    } catch (error) {
      told(false);
      this.stream.report(error);
    }
  }

  #answer(what: number, id: number, number: number): void {
    const { stream } = this;
    const thread = this.#thread;
    if (what === ASK.queued) thread?.answer(number, stream.queuedMs);
    else if (what === ASK.stats) thread?.answerText(number, JSON.stringify(stream.stats));
    else if (what === ASK.mixed) thread?.answerText(number, JSON.stringify(this.#mixing?.outcome ?? {}));
    else if (what === ASK.playback) {
      const { playedMs, finished } = this.#playbacks.heard(id);
      thread?.answer(number, playedMs, finished ? 1 : 0);
    } else {
      const playback = this.#playbacks.get(id) as PlaybackEntry | undefined;
      const { playedMs, discardedMs } = playback
        ? stream.cancel(playback)
        : { ...this.#playbacks.heard(id), discardedMs: 0 };
      thread?.answer(number, playedMs, discardedMs);
    }
  }

  #send(type: number, id: number, a: number): void {
    this.#thread?.out.send(type, this.handle, { id, a });
  }
}
