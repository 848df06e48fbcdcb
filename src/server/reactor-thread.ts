/** A reactor in a thread of its own, as the main thread sees it. The thread's side is reactor-thread-main.ts. */
import { Worker } from 'node:worker_threads';
import type { RoomMemory, RoomRegistry, RoomShape } from '../conference/registry.js';
import { SidetoneError } from '../errors.js';
import type { UWebSockets } from '../native/uws.js';
import type { ResolvedOptions } from '../options/options.js';
import type { ReactorSnapshot } from '../reactor/snapshot.js';
import type { ReactorCommands, ReactorHandle, ReactorHandleSetup } from './local-reactor.js';
import type { Adoption } from './relay.js';
import type { WebhookHeaders } from './webhook-route.js';

/** What goes to a reactor's thread when it is made. */
export interface ReactorThreadData {
  index: number;
  options: ResolvedOptions;
  state: SharedArrayBuffer;
}

/** What the main thread has for it besides. */
export interface ReactorThreadSetup extends ReactorHandleSetup {
  rooms: RoomRegistry;
}

type Command = keyof ReactorCommands;
type Result<V extends Command> = Awaited<ReturnType<ReactorCommands[V]>>;

export type ToReactor =
  | { [V in Command]: { command: V; id: number; args: Parameters<ReactorCommands[V]> } }[Command]
  | { command: 'webhookReply'; id: number; status: number; body: string }
  | { command: 'roomOpened'; id: number; room: RoomMemory };

export type FromReactor =
  | { kind: 'ready'; descriptor: UWebSockets.AppDescriptor }
  | { kind: 'failed'; code: string; message: string }
  | { kind: 'result'; id: number; result: unknown }
  | { kind: 'refused'; id: number; code: string | undefined; message: string }
  /** A plugin wants the thread to end, which it does when it has been closed. */
  | { kind: 'ending'; code: number }
  /** It has become overloaded, or is no longer: its part of the shared state says which. */
  | { kind: 'overload' }
  /** Somebody here opens a conference, and is answered with `roomOpened`; or nobody is in it any more. */
  | { kind: 'openRoom'; id: number; name: string; shape: RoomShape }
  | { kind: 'closeRoom'; name: string }
  | { kind: 'call'; callControlId: string }
  | { kind: 'home'; callControlId: string; isHome: boolean }
  | { kind: 'handOver'; home: number; adoption: Adoption }
  | { kind: 'webhook'; id: number; headers: WebhookHeaders; body: Uint8Array };

/** How a reactor's thread ended. */
export interface ReactorEnd {
  code: number;
  /** What Node.js says about it, where it does. */
  error: Error | undefined;
}

interface Question {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/**
 * Memory of a reactor's thread for short-lived objects: three semi-spaces, as the first line of cli/main.ts gives the
 * main thread. A call makes nearly no garbage, and V8 would spread it over 16 MB and more: 2 KB a stream at 5,000
 * streams.
 */
const YOUNG_GENERATION_MB = 6;

/** Every question is rejected when the thread ends before it has answered. */
export class ReactorThread implements ReactorHandle {
  /** Resolves when the thread has ended, whatever ended it. */
  readonly ended: Promise<ReactorEnd>;
  readonly #worker: Worker;
  readonly #questions = new Map<number, Question>();
  #hasEnded = false;
  #error: Error | undefined;
  #wantedCode: number | undefined;
  #nextId = 0;

  /** `onEnding`: a plugin in the thread has called process.exit(). */
  private constructor(worker: Worker, setup: ReactorThreadSetup, onEnding: () => void) {
    this.#worker = worker;
    const { rooms } = setup;
    worker.on('message', (message: FromReactor) => {
      if (message.kind === 'overload') setup.onOverload();
      if (message.kind === 'call') setup.onCall(message.callControlId);
      if (message.kind === 'home') setup.onHome(message.callControlId, message.isHome);
      if (message.kind === 'handOver') setup.handOver(message.home, message.adoption);
      if (message.kind === 'result') this.#question(message.id)?.resolve(message.result);
      if (message.kind === 'refused') this.#question(message.id)?.reject(threadError(message));
      if (message.kind === 'webhook') void this.#judge(setup, message);
      if (message.kind === 'openRoom') {
        const room = rooms.open(message.name, message.shape, setup.index);
        this.#post({ command: 'roomOpened', id: message.id, room });
      }
      if (message.kind === 'closeRoom') rooms.close(message.name, setup.index);
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
        rooms.ended(setup.index);
        const over = this.#over();
        for (const { reject } of this.#questions.values()) reject(over);
        this.#questions.clear();
        resolve({ code: this.#wantedCode ?? code, error: this.#error });
      });
    });
  }

  /**
   * Starts the thread; resolves with the reactor and its descriptor: what the listening app needs to deal connections to it.
   * @throws SidetoneError as createServer, for a plugin that does not load in the thread
   */
  static async start(
    setup: ReactorThreadSetup,
    onEnding: () => void,
  ): Promise<{ reactor: ReactorThread; descriptor: UWebSockets.AppDescriptor }> {
    const data: ReactorThreadData = { index: setup.index, options: setup.options, state: setup.state.memory };
    const worker = new Worker(new URL('./reactor-thread-main.js', import.meta.url), {
      workerData: data,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const reactor = new ReactorThread(worker, setup, onEnding);
    const descriptor = await new Promise<UWebSockets.AppDescriptor>((resolve, reject) => {
      worker.on('message', (message: FromReactor) => {
        if (message.kind === 'ready') resolve(message.descriptor);
        if (message.kind === 'failed') reject(threadError(message));
      });
      void reactor.ended.then(({ error }) => reject(error ?? reactor.#over()));
    });
    return { reactor, descriptor };
  }

  snapshot(streamsMax: number): Promise<ReactorSnapshot> {
    return this.#ask('snapshot', streamsMax);
  }

  drain(): Promise<void> {
    return this.#ask('drain');
  }

  closeNow(): void {
    this.#tell('closeNow');
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

  home(...args: Parameters<ReactorCommands['home']>): void {
    this.#tell('home', ...args);
  }

  adopt(adoption: Adoption): void {
    this.#tell('adopt', adoption);
  }

  expect(...args: Parameters<ReactorCommands['expect']>): void {
    this.#tell('expect', ...args);
  }

  tell(...args: Parameters<ReactorCommands['tell']>): void {
    this.#tell('tell', ...args);
  }

  reload(...args: Parameters<ReactorCommands['reload']>): Promise<UWebSockets.AppDescriptor> {
    return this.#ask('reload', ...args);
  }

  reloadPlugins(): Promise<void> {
    return this.#ask('reloadPlugins');
  }

  /** Ends the thread whatever its JavaScript does. What it does outside of JavaScript is waited for. */
  terminate(): void {
    void this.#worker.terminate();
  }

  #ask<V extends Command>(command: V, ...args: Parameters<ReactorCommands[V]>): Promise<Result<V>> {
    if (this.#hasEnded) return Promise.reject(this.#over());
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#questions.set(id, { resolve: resolve as (result: unknown) => void, reject });
      this.#post({ command, id, args } as ToReactor);
    });
  }

  /** The thread itself logs what goes wrong with it. */
  #tell<V extends Command>(command: V, ...args: Parameters<ReactorCommands[V]>): void {
    this.#ask(command, ...args).catch(() => {});
  }

  #question(id: number): Question | undefined {
    const question = this.#questions.get(id);
    this.#questions.delete(id);
    return question;
  }

  async #judge(
    setup: ReactorHandleSetup,
    { id, headers, body }: Extract<FromReactor, { kind: 'webhook' }>,
  ): Promise<void> {
    // The thread sends these only where there is a judge.
    const reply = await setup.webhook!(headers, body);
    this.#post({ command: 'webhookReply', id, status: reply.status, body: reply.body });
  }

  #post(message: ToReactor): void {
    this.#worker.postMessage(message, message.command === 'adopt' ? [message.args[0].port] : []);
  }

  #over(): SidetoneError {
    return new SidetoneError(
      'SIDETONE_SERVER_CLOSED',
      'reactor: its thread has ended, and took its calls with it',
    );
  }
}

function threadError({ code, message }: { code: string | undefined; message: string }): Error {
  return code === undefined ? new Error(message) : new SidetoneError(code as never, message);
}
