/**
 * A stream whose handler runs in a thread of its plugin: what the handler would be told goes to the thread, and what it plays
 * there is played here.
 *
 *   inbound    engine ─▶ stream ─▶ the handler made here ─▶ ring ─▶ thread
 *   outbound   thread ─▶ ring ─▶ take() ─▶ stream.play() … paced as ever
 */
import type { ReactorCounter } from '../counters.js';
import type { AudioOptions, StopReason, StreamHandler } from '../plugin/plugin.js';
import type { AudioFrame, PlayedFrame, Resumption } from '../plugin/stream.js';
import type { CallStream } from '../stream/stream.js';
import { ContextTicket } from './context-ticket.js';
import { attached, headOf, type RecordHead } from './outlet.js';
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
import { type PlayerThread, RemotePlayer } from './remote-player.js';
import type { Ring } from './ring.js';

/** What a stream needs of the thread that has its handler. */
export interface StreamThread extends PlayerThread {
  add(stream: IsolatedStream): void;
  /** Its stream is over. */
  delete(stream: IsolatedStream): void;
  /** Gives it a frame of `stream`, or counts it. */
  frame(stream: IsolatedStream, frame: AudioFrame): void;
  count(counter: ReactorCounter): void;
  nextHandle(): number;
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
  #thread: StreamThread | undefined;
  #bits = 0;
  #toldClosed = false;
  #mixing: RemoteMixing | undefined;
  #player: RemotePlayer | undefined;
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

  /** What the thread plays; undefined while there is none. */
  get player(): RemotePlayer | undefined {
    return this.#player;
  }

  /** Its handler is made in `thread`. */
  start(thread: StreamThread, context: number | undefined, resumed?: Resumption): void {
    this.#carriedBy(thread);
    thread.out.attach(EVENT.start, this.handle, this.#facts(context, resumed));
  }

  #carriedBy(thread: StreamThread): void {
    this.#thread = thread;
    this.#player = new RemotePlayer(this.stream, this.handle, thread);
    thread.add(this);
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
    next.#carriedBy(thread);
    next.#bits = this.#bits;
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
    this.#player?.look();
    if (!this.stream.closed || this.#toldClosed) return;
    // A handler may wait for its stream to come back, or there is none.
    this.#toldClosed = true;
    const isAll = this.#bits === 0;
    this.#thread?.out.send(EVENT.closed, this.handle, { flags: isAll ? 1 : 0 });
    if (isAll) this.#gone();
  }

  /** Its thread is gone, and with it its handler. */
  lose(): void {
    this.#thread = undefined;
    this.#bits = 0;
    this.wantsQueue = false;
    this.#player = undefined;
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
    if (this.#player?.takeAudio(ring, cell)) return;
    const head = headOf(ring, cell);
    if (!this.#player?.take(head)) this.#takeOther(head);
  }

  #takeOther({ type, id, flags, a, b }: RecordHead): void {
    const { stream } = this;
    switch (type) {
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
        this.#answer(flags, a);
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

  #answer(what: number, number: number): void {
    const text = what === ASK.stats ? this.stream.stats : (this.#mixing?.outcome ?? {});
    this.#thread?.answerText(number, JSON.stringify(text));
  }
}
