/** A lane in a thread of its own, as the main thread sees it. The thread's side is lane-thread.ts. */
import { Worker } from 'node:worker_threads';
import { SidetoneError } from '../errors.js';
import type { UWebSockets } from '../native/uws.js';
import type { ResolvedOptions } from '../options/options.js';
import type { ReactorSnapshot } from '../reactor/snapshot.js';
import type { Lane, LaneSetup, LaneVerbs } from './lane.js';
import type { WebhookHeaders } from './webhook-route.js';

/** What goes to a lane's thread when it is made. */
export interface LaneThreadData {
  index: number;
  options: ResolvedOptions;
  state: SharedArrayBuffer;
}

type Verb = keyof LaneVerbs;
type Result<V extends Verb> = Awaited<ReturnType<LaneVerbs[V]>>;

export type ToLane =
  | { [V in Verb]: { verb: V; id: number; args: Parameters<LaneVerbs[V]> } }[Verb]
  | { verb: 'webhookReply'; id: number; status: number; body: string };

export type FromLane =
  | { kind: 'ready'; door: UWebSockets.AppDescriptor }
  | { kind: 'failed'; code: string; message: string }
  | { kind: 'result'; id: number; result: unknown }
  | { kind: 'refused'; id: number; code: string | undefined; message: string }
  /** A plugin wants the thread to end, which it does when it has been closed. */
  | { kind: 'ending'; code: number }
  | { kind: 'call'; callControlId: string }
  | { kind: 'webhook'; id: number; headers: WebhookHeaders; body: Uint8Array };

/** How a lane's thread ended. */
export interface LaneEnd {
  code: number;
  /** What Node.js says about it, where it does. */
  error: Error | undefined;
}

interface Question {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/**
 * What a lane's thread has for short-lived objects: three times a semi-space, as the first line of cli/main.ts gives the main
 * thread. A call makes next to no garbage, and V8 would spread what there is over 16 MB and more: 2 KB a stream at 5,000 of them.
 */
const YOUNG_GENERATION_MB = 6;

/** Every question is rejected when the thread ends before it has answered. */
export class ThreadLane implements Lane {
  /** Resolves when the thread has ended, whatever ended it. */
  readonly ended: Promise<LaneEnd>;
  readonly #worker: Worker;
  readonly #questions = new Map<number, Question>();
  #hasEnded = false;
  #error: Error | undefined;
  #wantedCode: number | undefined;
  #nextId = 0;

  /** `onEnding`: a plugin in the thread has called process.exit(). */
  private constructor(worker: Worker, setup: LaneSetup, onEnding: () => void) {
    this.#worker = worker;
    worker.on('message', (message: FromLane) => {
      if (message.kind === 'call') setup.onCall(message.callControlId);
      if (message.kind === 'result') this.#question(message.id)?.resolve(message.result);
      if (message.kind === 'refused') this.#question(message.id)?.reject(laneError(message));
      if (message.kind === 'webhook') void this.#judge(setup, message);
      if (message.kind === 'ending') {
        this.#wantedCode = message.code;
        onEnding();
      }
    });
    worker.on('error', error => {
      this.#error = error;
    });
    this.ended = new Promise(resolve => {
      worker.once('exit', code => {
        this.#hasEnded = true;
        const over = this.#over();
        for (const { reject } of this.#questions.values()) reject(over);
        this.#questions.clear();
        resolve({ code: this.#wantedCode ?? code, error: this.#error });
      });
    });
  }

  /**
   * Starts the thread; resolves with the lane and its door: what the listening app needs to deal connections to it.
   * @throws SidetoneError as createServer, for a plugin that does not load in the thread
   */
  static async start(
    setup: LaneSetup,
    onEnding: () => void,
  ): Promise<{ lane: ThreadLane; door: UWebSockets.AppDescriptor }> {
    const data: LaneThreadData = { index: setup.index, options: setup.options, state: setup.state.memory };
    const worker = new Worker(new URL('./lane-thread.js', import.meta.url), {
      workerData: data,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const lane = new ThreadLane(worker, setup, onEnding);
    const door = await new Promise<UWebSockets.AppDescriptor>((resolve, reject) => {
      worker.on('message', (message: FromLane) => {
        if (message.kind === 'ready') resolve(message.door);
        if (message.kind === 'failed') reject(laneError(message));
      });
      void lane.ended.then(({ error }) => reject(error ?? lane.#over()));
    });
    return { lane, door };
  }

  snapshot(streamsMax: number): Promise<ReactorSnapshot> {
    return this.#ask('snapshot', streamsMax);
  }

  drain(): Promise<void> {
    return this.#ask('drain');
  }

  hurry(): void {
    this.#tell('hurry');
  }

  /** Resolves when the thread has ended. */
  async close(): Promise<ReactorSnapshot> {
    const last = await this.#ask('close');
    await this.ended;
    return last;
  }

  replace(callControlId: string): void {
    this.#tell('replace', callControlId);
  }

  expect(...args: Parameters<LaneVerbs['expect']>): void {
    this.#tell('expect', ...args);
  }

  tell(...args: Parameters<LaneVerbs['tell']>): void {
    this.#tell('tell', ...args);
  }

  reload(...args: Parameters<LaneVerbs['reload']>): Promise<UWebSockets.AppDescriptor> {
    return this.#ask('reload', ...args);
  }

  reloadPlugins(): Promise<void> {
    return this.#ask('reloadPlugins');
  }

  /** Ends the thread whatever its JavaScript does. What it does outside of JavaScript is waited for. */
  terminate(): void {
    void this.#worker.terminate();
  }

  #ask<V extends Verb>(verb: V, ...args: Parameters<LaneVerbs[V]>): Promise<Result<V>> {
    if (this.#hasEnded) return Promise.reject(this.#over());
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#questions.set(id, { resolve: resolve as (result: unknown) => void, reject });
      this.#post({ verb, id, args } as ToLane);
    });
  }

  /** What goes wrong with it, the thread itself logs. */
  #tell<V extends Verb>(verb: V, ...args: Parameters<LaneVerbs[V]>): void {
    this.#ask(verb, ...args).catch(() => {});
  }

  #question(id: number): Question | undefined {
    const question = this.#questions.get(id);
    this.#questions.delete(id);
    return question;
  }

  async #judge(
    setup: LaneSetup,
    { id, headers, body }: Extract<FromLane, { kind: 'webhook' }>,
  ): Promise<void> {
    // The thread sends these only where there is a judge.
    const reply = await setup.webhook!(headers, body);
    this.#post({ verb: 'webhookReply', id, status: reply.status, body: reply.body });
  }

  #post(message: ToLane): void {
    this.#worker.postMessage(message);
  }

  #over(): SidetoneError {
    return new SidetoneError(
      'SIDETONE_SERVER_CLOSED',
      'reactor: its thread has ended, and took its calls with it',
    );
  }
}

function laneError({ code, message }: { code: string | undefined; message: string }): Error {
  return code === undefined ? new Error(message) : new SidetoneError(code as never, message);
}
