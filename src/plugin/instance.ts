/** One plugin in one thread, with its name, its options and, while it runs, its context. */
import type { Clock } from '../clock.js';
import { SidetoneError, shown } from '../errors.js';
import type { OutboundOptions } from '../formats.js';
import { createLog, type Logger } from '../log/log.js';
import type { WebhookEvent } from '../telnyx/webhooks.js';
import type { Conference, ConferenceOptions } from './conference.js';
import { checkInstalled } from './hearing.js';
import type { PluginHost } from './host.js';
import { PluginRegistry } from './metrics.js';
import type {
  AcceptResult,
  AudioOptions,
  Plugin,
  PluginContext,
  SetupContext,
  StreamHandler,
} from './plugin.js';
import type { Stream, StreamRequest } from './stream.js';

/** What a connection needs of its plugin. */
export interface StreamPlugin {
  readonly name: string;
  readonly audio?: AudioOptions | undefined;
  readonly outbound?: OutboundOptions | undefined;
  readonly liveLatencyMaxMs?: number | undefined;
  /** Each line has the plugin's name. */
  readonly log: Logger;
  onStart(stream: Stream): unknown;
  /** Undefined unless its handlers run in threads of its own. */
  readonly host?: PluginHost | undefined;
  /** A connection has come that this code is to carry, … */
  opened(): void;
  /** … and has gone. */
  closed(): void;
  /** What the handler's onStop returned: it is waited for. */
  stopped(result: unknown): void;
}

/** What an entry of the option `plugins` makes of a definition. */
export interface InstanceSettings {
  /** Default: the definition's own. */
  name?: string | undefined;
  path?: string | undefined;
  /** After the schema. */
  options?: unknown;
  /** Where the definition was loaded from; undefined where it was given as one. */
  file?: string | undefined;
  /** What the entry names, and its options before the schema: another thread loads it by these. */
  module?: string | object | undefined;
  given?: object | undefined;
}

/** The thread that an instance runs in. */
export interface PluginThread {
  log: Logger;
  metrics: PluginRegistry;
  clock: Clock;
  /** Undefined in the main thread of a server with several reactors. */
  reactor: number | undefined;
  setupTimeoutMs: number;
  /** Absent where the thread carries no streams. */
  conference?: ((name: string, options?: ConferenceOptions) => Conference) | undefined;
  /** Gives a plugin that runs in threads of its own what has them. Without it, all plugins run in this thread. */
  isolate?: ((plugin: PluginInstance, thread: PluginThread) => PluginHost | undefined) | undefined;
}

/** How long a teardown may take. The process guard waits 10 s, and onStop may have taken some of it. */
const TEARDOWN_MS_MAX = 4000;

export class PluginInstance implements StreamPlugin {
  readonly name: string;
  readonly path: string | undefined;
  readonly audio: AudioOptions | undefined;
  readonly outbound: OutboundOptions | undefined;
  readonly liveLatencyMaxMs: number | undefined;
  readonly options: unknown;
  readonly file: string | undefined;
  readonly module: string | object | undefined;
  readonly given: object | undefined;
  #host: PluginHost | undefined;
  #thread: PluginThread | undefined;
  #context: PluginContext | undefined;
  #stop = new AbortController();
  /** Connections, and onStops that have not finished. */
  #uses = 0;
  #onIdle: () => void = () => {};
  #ended: Promise<void> | undefined;

  constructor(
    readonly plugin: Plugin,
    { name, path, options, file, module, given }: InstanceSettings = {},
  ) {
    this.name = name ?? plugin.name;
    this.path = path ?? plugin.path;
    this.audio = plugin.audio;
    this.outbound = plugin.outbound;
    this.liveLatencyMaxMs = plugin.liveLatencyMaxMs;
    this.options = options;
    this.file = file;
    this.module = module;
    this.given = given;
  }

  /**
   * Gives it its context and runs its setup. May be called again after end().
   * @throws SidetoneError SIDETONE_SETUP_FAILED
   */
  async start(thread: PluginThread): Promise<void> {
    checkInstalled(this.audio);
    this.open(thread);
    this.#host = thread.isolate?.(this, thread);
    if (this.#host) {
      await this.#host.start();
      return;
    }
    const { setup } = this.plugin;
    if (!setup) return;
    const { clock, setupTimeoutMs } = thread;
    try {
      const running = setup.call(this.plugin, this.#context as SetupContext);
      const state: unknown = await within(running, clock, setupTimeoutMs, () => {
        const problem = `it has not finished after ${setupTimeoutMs} ms`;
        throw new Error(`${problem}: mend it, or raise setupTimeoutMs`);
      });
      (this.#context as { state: unknown }).state = state;
    } catch (cause) {
      this.#stop.abort();
      this.#context = undefined;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SidetoneError('SIDETONE_SETUP_FAILED', `plugin ${this.name}: setup failed: ${why}`, {
        cause,
      });
    }
  }

  /** Gives it its context without running its setup. */
  open(thread: PluginThread): void {
    this.#stop = new AbortController();
    this.#ended = undefined;
    this.#thread = thread;
    const log = thread.log.child({ plugin: this.name });
    this.#context = {
      name: this.name,
      options: this.options,
      log,
      metrics: thread.metrics.of(this.name, log),
      signal: this.#stop.signal,
      reactor: thread.reactor,
      conference: thread.conference ?? noConference,
      state: undefined,
    };
  }

  get context(): PluginContext {
    if (!this.#context) throw new Error(`plugin ${this.name} is used before its setup`);
    return this.#context;
  }

  get log(): Logger {
    return this.context.log;
  }

  /** Whether a connection or an onStop needs it. */
  get busy(): boolean {
    return this.#uses > 0;
  }

  get host(): PluginHost | undefined {
    return this.#host;
  }

  get judges(): boolean {
    return this.plugin.accept !== undefined;
  }

  get hearsWebhooks(): boolean {
    return this.plugin.onWebhook !== undefined;
  }

  accept(request: StreamRequest): boolean | AcceptResult | Promise<boolean | AcceptResult> {
    return this.#host ? this.#host.accept(request) : this.plugin.accept!(request, this.context);
  }

  // biome-ignore lint/suspicious/noConfusingVoidType: as the plugin's own
  onStart(stream: Stream): StreamHandler | undefined | void {
    return this.plugin.onStart(stream, this.context);
  }

  onWebhook(event: WebhookEvent): unknown {
    if (this.#host && this.hearsWebhooks) return this.#host.onWebhook(event);
    return this.plugin.onWebhook?.(event, this.context);
  }

  onDraining(deadline: Date): unknown {
    if (this.#host && this.plugin.onDraining) return this.#host.onDraining(deadline);
    return this.plugin.onDraining?.(deadline, this.context);
  }

  opened(): void {
    this.#uses++;
  }

  closed(): void {
    if (--this.#uses === 0) this.#onIdle();
  }

  stopped(result: unknown): void {
    if (!(result instanceof Promise)) return;
    this.opened();
    const done = (): void => this.closed();
    result.then(done, done);
  }

  /**
   * Waits until nothing needs it any more, for at most `idleMs`, then aborts its signal and calls its teardown. Once: a
   * second call waits for the first one, with its own bound. Rejects with what the teardown throws, or where it takes too long.
   */
  async end(idleMs: number): Promise<void> {
    const { clock } = this.#thread ?? {};
    if (!clock || !this.#context) return;
    if (this.busy) {
      const idle = new Promise<void>(resolve => {
        const before = this.#onIdle;
        this.#onIdle = () => {
          before();
          resolve();
        };
      });
      await within(idle, clock, idleMs, () => undefined);
    }
    // Whoever is second does not hear of its failure.
    if (this.#ended) return this.#ended.catch(() => {});
    this.#ended = this.#teardown(clock);
    return this.#ended;
  }

  async #teardown(clock: Clock): Promise<void> {
    this.#stop.abort();
    if (this.#host) {
      await this.#host.end();
      return;
    }
    await within(this.plugin.teardown?.(this.context), clock, TEARDOWN_MS_MAX, () => {
      throw new Error(`teardown has not finished after ${TEARDOWN_MS_MAX} ms`);
    });
  }
}

/** What `promise` gives, or what `late` gives or throws after `ms`; without a bound where they are Infinity. */
async function within<T>(promise: T | PromiseLike<T>, clock: Clock, ms: number, late: () => T): Promise<T> {
  if (ms === Number.POSITIVE_INFINITY) return promise;
  let cancel = (): void => {};
  const bound = new Promise<T>((resolve, reject) => {
    cancel = clock.after(ms, () => {
      try {
        resolve(late());
      } catch (error) {
        reject(error);
      }
    });
  });
  try {
    return await Promise.race([promise, bound]);
  } finally {
    cancel();
  }
}

function noConference(name: string): never {
  const problem = 'this thread carries no streams: open it in onStart';
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `conference name: ${shown(name)}: ${problem}`);
}

/** A definition as an instance of itself, without options, setup or log: for what runs connections without a server. */
export function bareInstance(
  plugin: Plugin,
  clock: Clock,
  log = createLog('silent'),
  conference?: PluginThread['conference'],
): PluginInstance {
  const instance = new PluginInstance(plugin);
  instance.open({
    log,
    metrics: new PluginRegistry(),
    clock,
    reactor: 0,
    setupTimeoutMs: Number.POSITIVE_INFINITY,
    conference,
  });
  return instance;
}
