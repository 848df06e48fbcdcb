/** A plugin that runs in threads of its own: deals streams to them, and replaces those that hang or end. */
import type { Clock } from '../clock.js';
import type { ReactorCounter } from '../counters.js';
import type { Logger } from '../log/log.js';
import type { PluginHost } from '../plugin/host.js';
import type { PluginThread } from '../plugin/instance.js';
import type { ThreadSettings } from '../plugin/isolation.js';
import { type MetricFamily, sumFamilies } from '../plugin/metrics.js';
import type { AcceptResult, AudioOptions } from '../plugin/plugin.js';
import type { Resumption, Stream, StreamRequest } from '../plugin/stream.js';
import type { CallStream } from '../stream/stream.js';
import type { WebhookEvent } from '../telnyx/webhooks.js';
import { ContextTicket } from './context-ticket.js';
import { HandlerThread, type HandlerThreadSetup, type ThreadEnd } from './handler-thread.js';
import { IsolatedStream } from './isolated-stream.js';
import type { PlainRequest } from './thread-messages.js';

export interface IsolatedPluginSetup {
  clock: Clock;
  log: Logger;
  isolation: ThreadSettings;
  main: URL;
  data: Omit<HandlerThreadSetup['data'], 'thread'>;
  /** It has accept(), which gave each stream what it has as its context. */
  judges: boolean;
  /** The reactor's own `context.conference`. */
  conference: PluginThread['conference'];
  count(counter: ReactorCounter, times?: number): void;
  /** Tells when a thread is stuck and when it turns again, and looks a few times a second. */
  watch(
    clock: Clock,
    watched: { beats(): number; onChange(isStuck: boolean): void; onLook(): void },
  ): () => void;
  lookMs: number;
}

/** What threads write is taken this often: what is heard and what is played is later by less than twice this. */
const TAKE_MS = 4;
/** Each this many times it is looked what is over. */
const TAKES_A_LOOK = 25;
/** So many times in a row without work, and no timer is needed. */
const IDLE_TAKES_MAX = 100;
/** As a reactor's thread: see ReactorKeeper. */
const RESTART_MS = 100;
const RESTART_MS_MAX = 30_000;
const LIVED_MS = 60_000;
/** How long a thread may take to tell its metrics. */
const FAMILIES_MS_MAX = 500;
/** The plugin's own bound on its teardown is shorter. */
const END_MS_MAX = 6000;
const MOVES_MAX = 1;

/** A stream that waits for a thread. */
interface Pending {
  isolated: IsolatedStream;
  resumed: Resumption | undefined;
}

export class IsolatedPlugin implements PluginHost {
  readonly #setup: IsolatedPluginSetup;
  readonly #threads = new Set<HandlerThread>();
  readonly #stopWatching = new Map<HandlerThread, () => void>();
  readonly #cancelRestarts = new Set<() => void>();
  readonly #families = new Map<number, MetricFamily[]>();
  #pending: Pending[] = [];
  /** Upgrades that wait for a thread to judge them. */
  readonly #awaiting: { resolve(thread: HandlerThread): void; reject(error: Error): void }[] = [];
  #nextHandle = 1;
  #quickEnds = 0;
  #stopTaking: (() => void) | undefined;
  #takes = 0;
  #idleTakes = 0;
  #isEnding = false;

  constructor(setup: IsolatedPluginSetup) {
    this.#setup = setup;
  }

  async start(): Promise<void> {
    this.#isEnding = false;
    const numbers = Array.from({ length: this.#setup.isolation.threads }, (_, i) => i);
    const outcomes = await Promise.allSettled(numbers.map(number => this.#startThread(number)));
    const failed = outcomes.find(outcome => outcome.status === 'rejected');
    if (!failed) return;
    await this.end().catch(() => {});
    throw failed.reason;
  }

  async #startThread(number: number): Promise<void> {
    const { clock, main, data, count, watch } = this.#setup;
    const startedMs = clock.now();
    const thread = new HandlerThread({
      clock,
      main,
      data: { ...data, thread: number },
      heapMb: this.#setup.isolation.heapMb,
      count,
      onWork: () => this.#work(),
      nextHandle: () => this.#nextHandle++,
      conference: this.#setup.conference,
    });
    this.#threads.add(thread);
    void thread.ended.then(end => this.#ended(thread, end, clock.now() - startedMs));
    await thread.started();
    let still = 0;
    let beats = thread.beats;
    const looksMax = Math.ceil(this.#setup.isolation.hangMs / this.#setup.lookMs);
    const stop = watch(clock, {
      beats: () => thread.beats,
      onChange: isStuck => this.#tellStuck(thread, isStuck),
      onLook: () => {
        still = thread.beats === beats ? still + 1 : 0;
        beats = thread.beats;
        if (still === looksMax) this.#replaceHung(thread);
      },
    });
    this.#stopWatching.set(thread, stop);
    this.#dealPending();
  }

  // --- streams ---

  carry(stream: Stream, audio: AudioOptions): void {
    const call = stream as CallStream;
    const isolated = new IsolatedStream(call, this.#nextHandle++, audio, (next, options) =>
      this.carry(next, options),
    );
    isolated.attachAll();
    this.#deal({ isolated, resumed: undefined });
  }

  #deal(pending: Pending): void {
    const { isolated, resumed } = pending;
    const { context } = isolated.stream;
    const ticket = context instanceof ContextTicket ? context : undefined;
    const judge = [...this.#threads].find(thread => thread === ticket?.thread);
    if (judge?.isReady && isolated.moves === 0) {
      isolated.start(judge, ticket?.context, resumed);
      return;
    }
    const thread = this.#leastLoaded();
    if (!thread) this.#pending.push(pending);
    else if (!this.#setup.judges) isolated.start(thread, undefined, resumed);
    else void this.#acceptAgain(thread, pending);
  }

  /** What accept() gave was lost with a thread. */
  async #acceptAgain(thread: HandlerThread, { isolated, resumed }: Pending): Promise<void> {
    const { stream } = isolated;
    try {
      const judgement = await thread.ask('accept', plain(stream.request));
      if (stream.closed) return;
      if (judgement === false) stream.bypass(true);
      else isolated.start(thread, judgement.context, resumed);
    } catch (error) {
      stream.handlerFailed('accept', error);
      stream.bypass(true);
    }
  }

  #leastLoaded(): HandlerThread | undefined {
    let least: HandlerThread | undefined;
    for (const thread of this.#threads) {
      if (thread.isReady && (!least || thread.load < least.load)) least = thread;
    }
    return least;
  }

  /** The thread that is ready next. */
  #nextThread(): Promise<HandlerThread> {
    return new Promise((resolve, reject) => this.#awaiting.push({ resolve, reject }));
  }

  #dealPending(): void {
    const thread = this.#leastLoaded();
    if (thread) for (const { resolve } of this.#awaiting.splice(0)) resolve(thread);
    const waiting = this.#pending;
    this.#pending = [];
    for (const pending of waiting) if (!pending.isolated.stream.closed) this.#deal(pending);
  }

  /** From now on what the threads write is taken, for as long as there is something to do. */
  #work(): void {
    this.#idleTakes = 0;
    this.#stopTaking ??= this.#setup.clock.every(TAKE_MS, () => this.#take());
  }

  #take(): void {
    let isWorking = false;
    const isLooking = ++this.#takes % TAKES_A_LOOK === 0;
    for (const thread of this.#threads) {
      thread.take();
      if (isLooking) thread.look();
      isWorking ||= thread.isWorking;
    }
    this.#idleTakes = isWorking ? 0 : this.#idleTakes + 1;
    if (this.#idleTakes < IDLE_TAKES_MAX) return;
    this.#stopTaking?.();
    this.#stopTaking = undefined;
  }

  // --- threads that hang or end ---

  #tellStuck(thread: HandlerThread, isStuck: boolean): void {
    const { log } = this.#setup;
    const facts = { thread: thread.number, streams: thread.load, stream: thread.current?.stream.id };
    thread.isStuck = isStuck;
    if (isStuck) log.error(facts, "a plugin's thread is stuck: its own calls hear nothing of it");
    else log.warn(facts, "a plugin's thread turns again");
  }

  #replaceHung(thread: HandlerThread): void {
    const { log, isolation } = this.#setup;
    const facts = { thread: thread.number, hangMs: isolation.hangMs, stream: thread.current?.stream.id };
    log.error(facts, "a plugin's thread hangs: it is ended, and another takes its place");
    thread.terminate();
  }

  #ended(thread: HandlerThread, { code, error }: ThreadEnd, livedMs: number): void {
    const { log, count } = this.#setup;
    this.#stopWatching.get(thread)?.();
    this.#stopWatching.delete(thread);
    this.#threads.delete(thread);
    const wasReady = thread.isReady;
    thread.isReady = false;
    // Its last words: what it played before it ended.
    const culprit = thread.current;
    const streams = thread.streams;
    if (this.#isEnding || !wasReady) {
      for (const stream of streams) stream.lose();
      return;
    }
    count('threadsLost');
    const facts = { thread: thread.number, code, streams: streams.length, ...(error && { err: error }) };
    log.error(facts, "a plugin's thread ended: another takes its place");
    for (const stream of streams) this.#lose(stream, stream === culprit);
    this.#quickEnds = livedMs < LIVED_MS ? this.#quickEnds + 1 : 0;
    this.#restart(thread.number);
  }

  /** A call whose handler is gone with its thread goes on with another handler, or ends. */
  #lose(isolated: IsolatedStream, isCulprit: boolean): void {
    const { isolation, count } = this.#setup;
    const { stream } = isolated;
    const unheardMs = stream.queuedMs;
    isolated.lose();
    if (stream.closed) return;
    if (isolation.lostCalls === 'end' || isCulprit || isolated.moves >= MOVES_MAX) {
      count('threadCallsEnded');
      stream.bypass(true);
      return;
    }
    count('threadCallsMoved');
    isolated.moves++;
    void stream.clear();
    isolated.attachAll();
    const resumed = { streamId: stream.id, reason: 'thread_lost' as const, gapMs: 0, unheardMs };
    this.#deal({ isolated, resumed });
  }

  #restart(number: number): void {
    const { clock, log } = this.#setup;
    const waitMs = Math.min(RESTART_MS_MAX, RESTART_MS * 2 ** Math.min(this.#quickEnds - 1, 16));
    const cancel = clock.after(Math.max(0, waitMs), async () => {
      this.#cancelRestarts.delete(cancel);
      try {
        await this.#startThread(number);
        log.info({ thread: number }, "a plugin's thread runs in the place of one that ended");
      } catch (error) {
        if (this.#isEnding) return;
        log.error({ thread: number, err: error }, "a plugin's thread could not be started");
        this.#quickEnds++;
        if (!this.#leastLoaded()) this.#endPending();
        this.#restart(number);
      }
    });
    this.#cancelRestarts.add(cancel);
  }

  /** No thread can take them. */
  #endPending(): void {
    for (const { reject } of this.#awaiting.splice(0)) reject(new Error("none of the plugin's threads runs"));
    const waiting = this.#pending;
    this.#pending = [];
    for (const { isolated } of waiting) {
      if (isolated.stream.closed) continue;
      this.#setup.count('threadCallsEnded');
      isolated.stream.bypass(true);
    }
  }

  // --- what is no stream's ---

  async accept(request: StreamRequest): Promise<boolean | AcceptResult> {
    const thread = this.#leastLoaded() ?? (await this.#nextThread());
    const judgement = await thread.ask('accept', plain(request));
    if (judgement === false) return false;
    return { ...judgement, context: new ContextTicket(thread, judgement.context) };
  }

  /** Told in the thread that has the call's stream, or else in the first. */
  async onWebhook(event: WebhookEvent): Promise<void> {
    const isOf = ({ stream }: IsolatedStream): boolean => stream.callControlId === event.callControlId;
    const ready = [...this.#threads].filter(({ isReady }) => isReady);
    const thread = ready.find(({ streams }) => streams.some(isOf)) ?? ready[0];
    await thread?.ask('webhook', event);
  }

  async onDraining(deadline: Date): Promise<void> {
    const ready = [...this.#threads].filter(({ isReady }) => isReady);
    await Promise.all(ready.map(thread => thread.ask('draining', deadline.getTime())));
  }

  async families(): Promise<MetricFamily[]> {
    const turning = [...this.#threads].filter(({ isReady, isStuck }) => isReady && !isStuck);
    await Promise.all(
      turning.map(async thread => {
        const families = await this.#within(thread.ask('families', undefined), FAMILIES_MS_MAX);
        if (families) this.#families.set(thread.number, families);
      }),
    );
    return sumFamilies([...this.#families.values()]);
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    for (const cancel of this.#cancelRestarts) cancel();
    this.#cancelRestarts.clear();
    this.#endPending();
    const outcomes = await Promise.allSettled([...this.#threads].map(thread => this.#endThread(thread)));
    this.#stopTaking?.();
    this.#stopTaking = undefined;
    const failed = outcomes.find(outcome => outcome.status === 'rejected');
    if (failed) throw failed.reason;
  }

  async #endThread(thread: HandlerThread): Promise<void> {
    const ended =
      thread.isReady && !thread.isStuck
        ? thread.ask('end', undefined).then(() => true)
        : Promise.resolve(true);
    try {
      const hasEnded = await this.#within(ended, END_MS_MAX);
      if (!hasEnded) throw new Error(`thread ${thread.number} has not ended after ${END_MS_MAX} ms`);
    } finally {
      thread.terminate();
      await thread.ended;
    }
  }

  /** What `promise` gives; undefined where it takes longer than `ms`, or the thread has ended. */
  #within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const cancel = this.#setup.clock.after(ms, () => resolve(undefined));
      promise.then(
        value => {
          cancel();
          resolve(value);
        },
        error => {
          cancel();
          reject(error);
        },
      );
    });
  }
}

function plain({ path, query, headers, remoteAddress }: StreamRequest): PlainRequest {
  return { path, query: String(query), headers: { ...headers }, remoteAddress };
}
