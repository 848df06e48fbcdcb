/**
 * One reactor with its sockets, wherever it runs. A server has one lane in its own thread, or several in threads of
 * their own behind one listening socket whose connections are dealt out evenly.
 */
import { Worker } from 'node:worker_threads';
import { systemClock } from './clock.js';
import { drain } from './drain.js';
import { SidetoneError } from './errors.js';
import { Listener } from './listener.js';
import type { Logger } from './log.js';
import { native } from './native.js';
import type { ResolvedOptions } from './options.js';
import { tellPlugins } from './plugin/tell.js';
import type { Plugin } from './plugin.js';
import { expectedCodecs } from './pooled.js';
import { Reactor } from './reactor.js';
import type { SharedState } from './shared-state.js';
import type { ReactorSnapshot } from './snapshot.js';
import { outboundOf, StreamExpectations, type StreamWishes } from './telnyx/expectations.js';
import type { WebhookEvent } from './telnyx/webhooks.js';
import type { UWebSockets } from './uws.js';
import type { WebhookHeaders, WebhookJudge } from './webhook-route.js';

export interface Lane {
  /** With up to `streamsMax` streams one by one. Of a lane that has ended: what it told last. */
  snapshot(streamsMax: number): Promise<ReactorSnapshot>;
  /** Takes no new streams; resolves when its last one has closed. It goes on refusing connections. */
  drain(): Promise<void>;
  /** Lets go of everything; only when no more connections are dealt to it, for those would have no loop to go to. */
  close(): Promise<void>;
  hurry(): void;
  /** Another lane has a new stream of this call: one here is replaced. */
  replace(callControlId: string): void;
  /** What was asked of Telnyx for this call's stream; undefined when the call is over. */
  expect(callControlId: string, wishes: StreamWishes | undefined): void;
  /** Tells the plugins of this lane. */
  tell(event: WebhookEvent): void;
}

export interface LaneSetup {
  index: number;
  options: ResolvedOptions;
  state: SharedState;
  log: Logger;
  /** A stream of this call has started here. */
  onCall(callControlId: string): void;
  webhook: WebhookJudge | undefined;
}

/** A lane in the thread that makes it. */
export class LocalLane implements Lane {
  readonly reactor: Reactor;
  readonly listener: Listener;
  /** The codecs' workers are ready, as far as the configuration says that they will be wanted. */
  readonly warmed: Promise<void>;
  readonly #setup: LaneSetup;
  readonly #plugins: readonly Plugin[];
  /** The server's, as far as this lane has been told. */
  readonly #expectations = new StreamExpectations({ clock: systemClock });
  readonly #stopGathering: (() => void) | undefined;
  #hurry = (): void => {};
  #last: ReactorSnapshot | undefined;

  constructor(setup: LaneSetup, plugins: readonly Plugin[]) {
    this.#setup = setup;
    this.#plugins = plugins;
    const { options, state, log } = setup;
    this.reactor = new Reactor({
      clock: systemClock,
      log,
      options,
      expectedOutbound: callControlId => outboundOf(this.#expectations.get(callControlId)),
      onCall: setup.onCall,
      onConnections: change => state.connections(change),
      onStreams: change => state.streams(change),
    });
    this.listener = new Listener({
      options,
      plugins,
      reactor: this.reactor,
      log,
      admits: () => state.admits(),
      webhook: setup.webhook,
    });
    this.warmed = this.reactor.warmPool(expectedCodecs(options, plugins));
    if (options.gatherMs > 0) {
      this.#stopGathering = native.gather(this.reactor.path.gathering, options.gatherMs);
    }
  }

  async snapshot(streamsMax: number): Promise<ReactorSnapshot> {
    return this.#last ?? this.reactor.snapshot(this.#setup.index, streamsMax);
  }

  async drain(): Promise<void> {
    const draining = drain(this.reactor, systemClock, this.#setup.options.drainTimeoutMs);
    this.#hurry = draining.hurry;
    await draining.done;
  }

  async close(): Promise<void> {
    this.#stopGathering?.();
    this.listener.close();
    this.#last = this.reactor.snapshot(this.#setup.index, 0);
    await this.reactor.close();
  }

  hurry(): void {
    this.#hurry();
  }

  replace(callControlId: string): void {
    this.reactor.replace(callControlId);
  }

  expect(callControlId: string, wishes: StreamWishes | undefined): void {
    if (wishes) this.#expectations.set(callControlId, wishes);
    else this.#expectations.forget(callControlId);
  }

  tell(event: WebhookEvent): void {
    tellPlugins(this.#plugins, event, this.#setup.log, () => this.reactor.count('webhookFailures'));
  }
}

/** What goes to a lane's thread when it is made. */
export interface LaneThreadData {
  index: number;
  options: ResolvedOptions;
  state: SharedArrayBuffer;
}

export type ToLane =
  | { kind: 'snapshot'; id: number; streamsMax: number }
  | { kind: 'drain' }
  | { kind: 'close' }
  | { kind: 'hurry' }
  | { kind: 'replace'; callControlId: string }
  | { kind: 'expect'; callControlId: string; wishes: StreamWishes | undefined }
  | { kind: 'event'; event: WebhookEvent }
  | { kind: 'webhookReply'; id: number; status: number; body: string };

export type FromLane =
  | { kind: 'ready'; descriptor: UWebSockets.AppDescriptor }
  | { kind: 'failed'; code: string; message: string }
  | { kind: 'snapshot'; id: number; snapshot: ReactorSnapshot }
  | { kind: 'drained' }
  | { kind: 'last'; snapshot: ReactorSnapshot }
  | { kind: 'call'; callControlId: string }
  | { kind: 'webhook'; id: number; headers: WebhookHeaders; body: Uint8Array };

/**
 * What a lane's thread has for short-lived objects: three times a semi-space, as the first line of cli/main.ts gives the main
 * thread. A call makes next to no garbage, and V8 would spread what there is over 16 MB and more: 2 KB a stream at 5,000 of them.
 */
const YOUNG_GENERATION_MB = 6;

/** A lane in a thread of its own (lane-thread.ts). */
export class ThreadLane implements Lane {
  readonly #worker: Worker;
  readonly #asked = new Map<number, (snapshot: ReactorSnapshot) => void>();
  readonly #exited: Promise<void>;
  #drained = (): void => {};
  #last: ReactorSnapshot | undefined;
  #nextId = 0;

  private constructor(worker: Worker, setup: LaneSetup, onExit: (code: number) => void) {
    this.#worker = worker;
    worker.on('message', (message: FromLane) => {
      if (message.kind === 'call') setup.onCall(message.callControlId);
      if (message.kind === 'snapshot') {
        this.#asked.get(message.id)?.(message.snapshot);
        this.#asked.delete(message.id);
      }
      if (message.kind === 'drained') this.#drained();
      if (message.kind === 'last') this.#ended(message.snapshot);
      if (message.kind === 'webhook') void this.#judge(setup, message);
    });
    this.#exited = new Promise(resolve => {
      worker.once('exit', code => {
        onExit(code);
        resolve();
      });
    });
  }

  /**
   * Starts the thread; resolves with the lane and what the listening app needs to deal connections to it.
   * @throws SidetoneError as createServer, for a plugin that does not load in the thread
   */
  static async start(
    setup: LaneSetup,
    onExit: (code: number) => void,
  ): Promise<{ lane: ThreadLane; descriptor: UWebSockets.AppDescriptor }> {
    const data: LaneThreadData = { index: setup.index, options: setup.options, state: setup.state.memory };
    const worker = new Worker(new URL('./lane-thread.js', import.meta.url), {
      workerData: data,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    const lane = new ThreadLane(worker, setup, onExit);
    const descriptor = await new Promise<UWebSockets.AppDescriptor>((resolve, reject) => {
      worker.once('error', reject);
      worker.on('message', (message: FromLane) => {
        if (message.kind === 'ready') resolve(message.descriptor);
        if (message.kind === 'failed') reject(new SidetoneError(message.code as never, message.message));
      });
    });
    return { lane, descriptor };
  }

  snapshot(streamsMax: number): Promise<ReactorSnapshot> {
    if (this.#last) return Promise.resolve(this.#last);
    return new Promise(resolve => {
      const id = this.#nextId++;
      this.#asked.set(id, resolve);
      this.#post({ kind: 'snapshot', id, streamsMax });
    });
  }

  #ended(last: ReactorSnapshot): void {
    this.#last = last;
    for (const answer of this.#asked.values()) answer(last);
    this.#asked.clear();
  }

  drain(): Promise<void> {
    const drained = new Promise<void>(resolve => {
      this.#drained = resolve;
    });
    this.#post({ kind: 'drain' });
    // A thread that has ended is drained.
    return Promise.race([drained, this.#exited]);
  }

  close(): Promise<void> {
    this.#post({ kind: 'close' });
    return this.#exited;
  }

  hurry(): void {
    this.#post({ kind: 'hurry' });
  }

  replace(callControlId: string): void {
    this.#post({ kind: 'replace', callControlId });
  }

  expect(callControlId: string, wishes: StreamWishes | undefined): void {
    this.#post({ kind: 'expect', callControlId, wishes });
  }

  tell(event: WebhookEvent): void {
    this.#post({ kind: 'event', event });
  }

  async #judge(
    setup: LaneSetup,
    { id, headers, body }: Extract<FromLane, { kind: 'webhook' }>,
  ): Promise<void> {
    // The thread sends these only where there is a judge.
    const reply = await setup.webhook!(headers, body);
    this.#post({ kind: 'webhookReply', id, status: reply.status, body: reply.body });
  }

  #post(message: ToLane): void {
    this.#worker.postMessage(message);
  }
}
