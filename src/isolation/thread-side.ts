/** A plugin's thread, for the streams whose handlers it runs: how they reach the reactor, and wait for an answer of it. */
import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../clock.js';
import { SidetoneError } from '../errors.js';
import type { Logger } from '../log/log.js';
import type { ReactorOptions } from '../options/options.js';
import { apiAccess } from '../options/options.js';
import type { SpeechMemory } from '../playback/speech.js';
import { CallControl, CommandSender } from '../telnyx/call-control.js';
import { Outlet } from './outlet.js';
import { ANSWERS, COMMAND, SHARED, SHARED_BYTES, TEXT_BYTES } from './records.js';
import type { Ring } from './ring.js';

/** How long a reactor may take to read or to answer before this thread goes on without it. */
const WAIT_MS_MAX = 10_000;

export interface ThreadSideSetup {
  clock: Clock;
  log: Logger;
  options: ReactorOptions;
  commands: Ring;
  attachments: MessagePort;
  shared: SharedArrayBuffer;
  /** Has the reactor look at the ring now. */
  wake(): void;
}

export class ThreadSide implements SpeechMemory {
  readonly clock: Clock;
  readonly log: Logger;
  readonly options: ReactorOptions;
  readonly out: Outlet;
  readonly sender: CommandSender;
  readonly #setup: ThreadSideSetup;
  readonly #words: Int32Array;
  readonly #answer: Float64Array;
  readonly #text: Uint8Array;
  #asked = 0;
  #reservedBytes = 0;

  constructor(setup: ThreadSideSetup) {
    this.#setup = setup;
    this.clock = setup.clock;
    this.log = setup.log;
    this.options = setup.options;
    this.out = new Outlet(setup.commands, setup.attachments, write => this.#whenRead(write));
    const { clock, log, options } = setup;
    this.sender = new CommandSender({ clock, log, api: () => apiAccess(options) });
    this.#words = new Int32Array(setup.shared, 0, SHARED.answer * 2);
    this.#answer = new Float64Array(setup.shared, SHARED.answer * 8, ANSWERS);
    this.#text = new Uint8Array(setup.shared, SHARED_BYTES, TEXT_BYTES);
  }

  /** Says which stream's handler is being called; 0: none. */
  calls(handle: number): void {
    Atomics.store(this.#words, SHARED.current, handle);
  }

  beat(): void {
    Atomics.add(this.#words, SHARED.beats, 1);
  }

  /** Nothing is left to be read: the reactor has to send a message when there is. */
  sleep(sleeps: boolean): void {
    Atomics.store(this.#words, SHARED.sleeps, sleeps ? 1 : 0);
  }

  callControl(stream: { id: string; callControlId: string; runsTexml: boolean }): CallControl {
    const { callControlId, id: streamId } = stream;
    return new CallControl(
      this.sender,
      { callControlId, streamId, runsTexml: () => stream.runsTexml },
      this.log,
    );
  }

  /**
   * Asks the reactor, which has carried out by then what was written before, and waits for its answer. Undefined where there is
   * none in time.
   */
  ask(what: number, handle: number, id = 0): Float64Array | undefined {
    const number = ++this.#asked;
    this.out.send(COMMAND.ask, handle, { id, flags: what, a: number });
    this.#setup.wake();
    const untilMs = this.clock.now() + WAIT_MS_MAX;
    for (;;) {
      const answered = Atomics.load(this.#words, SHARED.answers);
      if (answered === number) return this.#answer;
      const restMs = untilMs - this.clock.now();
      if (restMs <= 0) return undefined;
      Atomics.wait(this.#words, SHARED.answers, answered, restMs);
    }
  }

  /** The same where the answer is JSON: an empty object where the stream is gone or there is none in time. */
  askJson(what: number, handle: number): unknown {
    const bytes = this.ask(what, handle)?.[0] ?? 0;
    return bytes === 0 ? {} : JSON.parse(Buffer.from(this.#text.slice(0, bytes)).toString('utf8'));
  }

  /** @throws SidetoneError SIDETONE_QUEUE_FULL */
  samples(type: number, handle: number, samples: Int16Array, id: number, bound: number, rate: number): void {
    if (!this.out.sendSamples(type, handle, samples, id, bound, rate)) {
      this.#samplesLater(type, handle, samples, id, bound, rate);
    }
  }

  #samplesLater(...record: Parameters<Outlet['sendSamples']>): void {
    this.#whenRead(() => this.out.sendSamples(...record));
  }

  /** A piece of a source. */
  chunk(handle: number, id: number, chunk: Int16Array | Uint8Array): void {
    if (chunk instanceof Int16Array) this.samples(COMMAND.chunk, handle, chunk, id, 0, 0);
    else if (!this.out.sendBytes(COMMAND.chunk, handle, chunk, id)) {
      this.#whenRead(() => this.out.sendBytes(COMMAND.chunk, handle, chunk, id));
    }
  }

  reserve(bytes: number): boolean {
    if (this.#reservedBytes + bytes > this.options.queueBytesMax) return false;
    this.#reservedBytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#reservedBytes -= bytes;
  }

  /** The ring is full: the reactor reads it many times a second. */
  #whenRead(write: () => boolean): void {
    const untilMs = this.clock.now() + WAIT_MS_MAX;
    while (!write()) {
      if (this.clock.now() > untilMs) {
        const problem = `a reactor has not read for ${WAIT_MS_MAX} ms what its plugin's thread wrote`;
        throw new SidetoneError('SIDETONE_QUEUE_FULL', `${problem}: see what holds the reactor`);
      }
      this.#setup.wake();
      this.out.ring.waitForReader(20);
    }
  }
}
