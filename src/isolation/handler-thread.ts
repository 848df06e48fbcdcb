/** One thread of a plugin, as its reactor sees it. The thread's side is thread-streams.ts. */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { Clock } from '../clock.js';
import type { ReactorCounter } from '../counters.js';
import { SidetoneError } from '../errors.js';
import type { PluginThread } from '../plugin/instance.js';
import type { AudioFrame } from '../plugin/stream.js';
import type { IsolatedStream, StreamThread } from './isolated-stream.js';
import { attached, Outlet } from './outlet.js';
import { COMMAND, EVENT, FRAME, SHARED, SHARED_BYTES, SPEECH_SCALE, TEXT_BYTES } from './records.js';
import { RemoteRooms } from './remote-rooms.js';
import { HEAD, Ring } from './ring.js';
import type { FromThread, PluginThreadData, Questions, ToThread } from './thread-messages.js';

/** For a second of 100 streams at 8 kHz: 4 MB. A thread that is blocked for longer loses frames. */
const EVENT_CELLS = 4096;
/** What handlers play between two looks of the reactor. Longer audio goes beside it. */
const COMMAND_CELLS = 2048;
/** Frames leave this share of the ring to what must not be lost. */
const SPARE = 1 / 8;
/** A thread that has not read for so long, in ms, gets no more frames until it reads: they would only come late. */
const BLOCKED_MS = 1000;
/** And after so long, in ms, live audio that has broken off is made to fade out. */
const CONCEAL_MS = 60;
/** What is written when the ring is full waits here: marks, playbacks and events of calls, not audio. */
const WAITING_MAX = 100_000;
/** Streams that are over whose handlers may still be told of their calls. */
const DEPARTED_MAX = 1000;

export interface HandlerThreadSetup {
  clock: Clock;
  /** The module that the thread runs. */
  main: URL;
  /** Memory for its JavaScript, in MB. */
  heapMb: number | undefined;
  data: Omit<PluginThreadData, 'events' | 'commands' | 'shared' | 'attachments'>;
  count(counter: ReactorCounter, times?: number): void;
  /** Something was written to it, or is wanted of it: take() and look() are to be called soon, again and again. */
  onWork(): void;
  nextHandle(): number;
  /** The reactor's own `context.conference`. */
  conference: PluginThread['conference'];
}

/** How a thread ended. */
export interface ThreadEnd {
  code: number;
  error: Error | undefined;
}

type Waiting = { resolve(value: unknown): void; reject(error: Error): void };

export class HandlerThread implements StreamThread {
  readonly number: number;
  readonly out: Outlet;
  readonly attachments: MessagePort;
  /** Resolves when it has ended, whatever ended it. */
  readonly ended: Promise<ThreadEnd>;
  /** When what it wrote was taken last. */
  nowMs = 0;
  /** Its setup has run. */
  isReady = false;
  /** Its event loop does not turn. */
  isStuck = false;
  readonly #setup: HandlerThreadSetup;
  readonly #worker: Worker;
  readonly #events = new Ring(EVENT_CELLS);
  readonly #commands = new Ring(COMMAND_CELLS);
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #text: Uint8Array;
  readonly #streams = new Map<number, IsolatedStream>();
  readonly #departed = new Map<number, IsolatedStream>();
  readonly #questions = new Map<number, Waiting>();
  readonly #rooms: RemoteRooms;
  #nextQuestion = 0;
  #unwritten: (() => boolean)[] = [];
  #readPlace = -1;
  #readSinceMs = 0; // when it had read as far as now
  #isConcealed = false;
  #isBlocked = false;
  #hasEnded = false;
  #error: Error | undefined;

  constructor(setup: HandlerThreadSetup) {
    this.#setup = setup;
    this.number = setup.data.thread;
    const shared = new SharedArrayBuffer(SHARED_BYTES + TEXT_BYTES);
    this.#words = new Int32Array(shared, 0, SHARED.answer * 2);
    this.#doubles = new Float64Array(shared, 0, SHARED_BYTES / 8);
    this.#text = new Uint8Array(shared, SHARED_BYTES, TEXT_BYTES);
    const { port1, port2 } = new MessageChannel();
    this.attachments = port1;
    this.out = new Outlet(this.#events, port1, write => this.#writeLater(write));
    this.#rooms = new RemoteRooms(setup.conference, {
      out: this.out,
      attachments: port1,
      streamOf: handle => this.#streams.get(handle)?.stream,
      answer: (number, a) => this.answer(number, a),
      answerText: (number, text) => this.answerText(number, text),
      wrote: setup.onWork,
    });
    const data: PluginThreadData = {
      ...setup.data,
      events: this.#events.memory,
      commands: this.#commands.memory,
      shared,
      attachments: port2,
    };
    const { main, heapMb } = setup;
    const resourceLimits = heapMb === undefined ? {} : { maxOldGenerationSizeMb: heapMb };
    this.#worker = new Worker(main, { workerData: data, transferList: [port2], resourceLimits });
    this.#worker.on('error', error => {
      this.#error = error;
    });
    this.ended = new Promise(resolve => {
      this.#worker.once('exit', code => {
        this.#hasEnded = true;
        this.#rooms.end();
        port1.close();
        const over = this.#over();
        for (const { reject } of this.#questions.values()) reject(over);
        this.#questions.clear();
        resolve({ code, error: this.#error });
      });
    });
  }

  /** Resolves when it has set the plugin up. @throws what the plugin's module or its setup throws */
  started(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.on('message', (message: FromThread) => {
        if (message === 0) this.take();
        else if (message.kind === 'ready') {
          this.isReady = true;
          resolve();
        } else if (message.kind === 'failed') reject(threadError(message));
        else if (message.kind === 'stray') this.count('strayErrors');
        else if (message.kind === 'answer') this.#question(message.number)?.resolve(message.value);
        else this.#question(message.number)?.reject(threadError(message));
      });
      void this.ended.then(({ error }) => reject(error ?? this.#over()));
    });
  }

  count(counter: ReactorCounter, times = 1): void {
    this.#setup.count(counter, times);
  }

  nextHandle(): number {
    return this.#setup.nextHandle();
  }

  get streams(): readonly IsolatedStream[] {
    return [...this.#streams.values()];
  }

  /** Streams whose handlers are here. */
  get load(): number {
    return this.#streams.size;
  }

  /** Another number while its event loop turns. */
  get beats(): number {
    return Atomics.load(this.#words, SHARED.beats);
  }

  /** The stream whose handler is being called. */
  get current(): IsolatedStream | undefined {
    return this.#streams.get(Atomics.load(this.#words, SHARED.current));
  }

  add(stream: IsolatedStream): void {
    this.#streams.set(stream.handle, stream);
    this.#setup.onWork();
  }

  /** Its stream is over; only what its handler's onCall does may still come. */
  delete(stream: IsolatedStream): void {
    const { handle } = stream;
    if (!this.#streams.delete(handle)) return;
    this.#departed.set(handle, stream);
    if (this.#departed.size > DEPARTED_MAX)
      this.#departed.delete(this.#departed.keys().next().value as number);
  }

  /** Gives it a frame of `of`; where it cannot take it, the frame is counted, and the next one tells. */
  frame(of: IsolatedStream, frame: AudioFrame): void {
    const { samples, payload, timestampMs, speech } = frame;
    const track = frame.track === 'outbound' ? 1 : 0;
    const events = this.#events;
    const cell =
      this.#isBlocked || this.#unwritten.length > 0
        ? -1
        : events.begin(samples.byteLength + payload.length, SPARE);
    if (cell < 0) {
      of.lost[track]!++;
      this.count('threadFramesLost');
      return;
    }
    const { words, doubles } = events;
    const at = events.head(cell);
    words[at + HEAD.type] = EVENT.frame;
    words[at + HEAD.handle] = of.handle;
    words[at + HEAD.id] = speech * SPEECH_SCALE;
    words[at + HEAD.flags] = (track === 1 ? FRAME.outbound : 0) | (frame.concealed ? FRAME.concealed : 0);
    words[at + HEAD.samples] = samples.length;
    words[at + HEAD.bytes] = payload.length;
    words[at + HEAD.extra] = of.lost[track]!;
    of.lost[track] = 0;
    const figures = events.figures(cell);
    doubles[figures] = timestampMs;
    doubles[figures + 2] = Number.NaN;
    if (of.wantsQueue) {
      doubles[figures + 1] = this.#setup.clock.now();
      doubles[figures + 2] = of.stream.queuedMs;
      doubles[figures + 3] = of.player?.takenMs ?? 0;
    }
    events.putSamples(cell, samples);
    if (payload.length > 0) events.putBytes(cell, payload, samples.byteLength);
    events.commit();
  }

  /** Carries out what it has written. */
  take(): void {
    const commands = this.#commands;
    const nowMs = this.#setup.clock.now();
    this.nowMs = nowMs;
    for (let cell = commands.take(); cell >= 0; cell = commands.take()) {
      const handle = commands.words[commands.head(cell) + HEAD.handle]!;
      const stream = this.#streams.get(handle) ?? this.#departed.get(handle);
      if (stream) stream.take(commands, cell);
      else if (handle === 0) this.#rooms.take(commands, cell);
      else this.#takeOrphan(commands, cell);
      commands.release();
    }
    while (this.#unwritten.length > 0 && this.#unwritten[0]!()) this.#unwritten.shift();
    if (!this.#events.empty && Atomics.compareExchange(this.#words, SHARED.sleeps, 1, 0) === 1) this.#post(0);
    this.#watchReading(nowMs);
  }

  /** Looks after its streams: called many times a second. */
  look(): void {
    for (const stream of this.#streams.values()) stream.look();
    this.#rooms.look();
  }

  /** Whether there may be something to be taken. */
  get isWorking(): boolean {
    return (
      this.#streams.size > 0 ||
      this.#rooms.isWorking ||
      this.#unwritten.length > 0 ||
      !this.#events.empty ||
      !this.#commands.empty
    );
  }

  /** Notices how long it has left unread what was written to it. */
  #watchReading(nowMs: number): void {
    const place = this.#events.readPlace;
    if (this.#events.empty || place !== this.#readPlace) {
      this.#readPlace = place;
      this.#readSinceMs = nowMs;
      this.#isConcealed = false;
      this.#isBlocked = false;
      return;
    }
    const blockedMs = nowMs - this.#readSinceMs;
    this.#isBlocked = blockedMs > BLOCKED_MS;
    if (blockedMs < CONCEAL_MS || this.#isConcealed) return;
    this.#isConcealed = true;
    this.count('threadBlocks');
    let madeUpMs = 0;
    for (const stream of this.#streams.values()) {
      madeUpMs += stream.player?.conceal(nowMs - blockedMs - CONCEAL_MS) ?? 0;
    }
    if (madeUpMs > 0) this.count('threadFramesConcealed', Math.round(madeUpMs / 20));
  }

  /** Answers the question that it waits with. */
  answer(number: number, a: number, b = 0): void {
    this.#doubles[SHARED.answer] = a;
    this.#doubles[SHARED.answer + 1] = b;
    Atomics.store(this.#words, SHARED.answers, number);
    Atomics.notify(this.#words, SHARED.answers);
  }

  answerText(number: number, text: string): void {
    const bytes = Buffer.from(text, 'utf8');
    const fits = bytes.length <= TEXT_BYTES ? bytes : Buffer.from('{}');
    this.#text.set(fits);
    this.answer(number, fits.length);
  }

  ask<Name extends keyof Questions>(
    ask: Name,
    value: Parameters<Questions[Name]>[0],
  ): Promise<ReturnType<Questions[Name]>> {
    if (this.#hasEnded) return Promise.reject(this.#over());
    return new Promise((resolve, reject) => {
      const number = this.#nextQuestion++;
      this.#questions.set(number, { resolve: resolve as (value: unknown) => void, reject });
      this.#post({ ask, number, value } as ToThread);
    });
  }

  /** Ends it whatever its JavaScript does. */
  terminate(): void {
    void this.#worker.terminate();
  }

  #question(number: number): Waiting | undefined {
    const question = this.#questions.get(number);
    this.#questions.delete(number);
    return question;
  }

  #post(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  #writeLater(write: () => boolean): void {
    if (this.#hasEnded || this.#unwritten.length >= WAITING_MAX) return;
    this.#unwritten.push(write);
  }

  /** A command of a stream that is forgotten. */
  #takeOrphan(commands: Ring, cell: number): void {
    const at = commands.head(cell);
    if (commands.words[at + HEAD.extra] === 1) attached(this.attachments);
    const isAsking = commands.words[at + HEAD.type] === COMMAND.ask;
    if (isAsking) this.answer(commands.doubles[commands.figures(cell)]!, 0);
  }

  #over(): SidetoneError {
    const problem = "a plugin's thread has ended, and took its handlers with it";
    return new SidetoneError('SIDETONE_HANDLER_FAILED', problem);
  }
}

function threadError({ code, message }: { code: string | undefined; message: string }): Error {
  return code === undefined ? new Error(message) : new SidetoneError(code as never, message);
}
