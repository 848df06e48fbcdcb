/** A server: its reactors, its listening socket, its life from listen() to the last call's end. */
import { EventEmitter } from 'node:events';
import { type Admin, createAdmin } from '../admin/admin.js';
import { systemClock } from '../clock.js';
import { localConference } from '../conference/conferences.js';
import { RoomRegistry } from '../conference/registry.js';
import { SidetoneError } from '../errors.js';
import { createLog, type Logger } from '../log/log.js';
import {
  type Credentials,
  type GivenCredentials,
  type ResolvedOptions,
  resolveCredentials,
  resolveOptions,
  type ServerOptions,
} from '../options/options.js';
import type { PluginInstance } from '../plugin/instance.js';
import { checkIsolatable } from '../plugin/isolation.js';
import { loadPlugins, loadPluginsAnew, pluginFolders } from '../plugin/loader.js';
import { PluginRegistry, sumFamilies } from '../plugin/metrics.js';
import { PluginSet } from '../plugin/plugin-set.js';
import { noneHasRoom, noneWell, type ReactorHealth, type ReactorSnapshot } from '../reactor/snapshot.js';
import { StreamExpectations } from '../telnyx/expectations.js';
import { checkChange, checkSetup, warnWithoutEncoder } from './check-setup.js';
import { streamsByDescriptors } from './descriptors.js';
import type { ReactorHandle } from './local-reactor.js';
import { isolateBy } from './plugin-threads.js';
import { PluginWatch } from './plugin-watch.js';
import { watchMainThread } from './process-guard.js';
import type { ReactorThreadSetup } from './reactor-thread.js';
import { Reactors } from './reactors.js';
import { SharedState } from './shared-state.js';
import { containStrays } from './strays.js';
import { checkTlsFiles } from './tls-files.js';
import { Webhooks, type WebhooksSetup } from './webhooks.js';

/** How long a connection that was accepted before the hand-over may take until its stream has started. */
const HAND_OVER_MS = 2000;

/** A media-stream server, made by `createServer()`. It takes streams from `listen()` to `close()`. */
export class Server extends EventEmitter {
  /** What it was made with, defaults filled in. */
  readonly options: ResolvedOptions;
  /** Its own log, at `options.logLevel`. */
  readonly log: Logger;
  /** What streams were asked of Telnyx by this process: pass it to `startStreaming`, and they are carried as asked. */
  readonly expectations = new StreamExpectations({
    clock: systemClock,
    onChange: (callControlId, requested) => {
      for (const reactor of this.#reactors?.all ?? []) reactor.expect(callControlId, requested);
    },
  });
  /** Those of this thread, which carry streams where there is one reactor. */
  readonly #plugins: PluginSet;
  readonly #streamsMax: number;
  readonly #state: SharedState;
  readonly #webhooks: Webhooks | undefined;
  #reactors: Reactors | undefined;
  #admin: Admin | undefined;
  #credentials: Credentials;
  #tlsDigest: string | undefined;
  #reloading: Promise<void> = Promise.resolve();
  /** Counted in this thread where no reactor runs in it. */
  #strayErrors = 0;
  #port = 0;
  #listening = false;
  #opening: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;
  #isHurried = false; // close() was called a second time
  #watch: PluginWatch | undefined;
  #endHandOver = (): void => {};
  readonly #rooms = new RoomRegistry(); // of all reactors

  /** @internal Use createServer. */
  constructor(options: ResolvedOptions, log: Logger, plugins: PluginInstance[]) {
    super();
    this.options = options;
    this.log = log;
    const isAlone = options.reactors === 1;
    this.#plugins = new PluginSet(plugins, {
      log,
      metrics: new PluginRegistry(),
      clock: systemClock,
      reactor: isAlone ? 0 : undefined,
      setupTimeoutMs: options.setupTimeoutMs,
      isolate: isolateBy(options, (counter, times) => this.#plugins.countThreads(counter, times)),
      conference: isAlone ? localConference(this.#rooms) : undefined,
      runs: plugin => isAlone || (options.webhooks !== undefined && plugin.hearsWebhooks),
    });
    this.#streamsMax = Math.min(options.streamsMax, streamsByDescriptors());
    this.#state = new SharedState(this.#streamsMax, options.reactors);
    const { authToken, tls, adminToken } = options;
    this.#credentials = { authToken, tls, adminToken };
    this.#webhooks = this.#makeWebhooks();
  }

  /** The port it listens on; 0 before `listen`. */
  get port(): number {
    return this.#port;
  }

  /** The admin port; 0 before `listen` or without one. */
  get adminPort(): number {
    return this.#admin?.port ?? 0;
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#state.connectionCount;
  }

  /** Streams that are running. */
  get streams(): number {
    return this.#state.streamCount;
  }

  /** Streams beyond which upgrades are refused: `options.streamsMax`, or fewer where there are not as many descriptors. */
  get streamsMax(): number {
    return this.#streamsMax;
  }

  /** Whether a new stream would be taken. */
  get ready(): boolean {
    const health = this.reactorHealth;
    return (
      this.#port !== 0 && !this.draining && this.#state.admits() && !noneWell(health) && !noneHasRoom(health)
    );
  }

  /**
   * For each reactor: whether it works, is stuck or has ended, and how often it was started anew. Empty before
   * `listen`.
   */
  get reactorHealth(): ReactorHealth[] {
    return this.#reactors?.health ?? [];
  }

  /** Whether `close()` was called: running streams go on, new ones are refused. */
  get draining(): boolean {
    return this.#closed !== undefined || this.#state.draining;
  }

  /** @internal What each reactor tells of itself, with up to `streamsMax` streams of it one by one. */
  async snapshot(streamsMax = Number.POSITIVE_INFINITY): Promise<ReactorSnapshot[]> {
    const snapshots = (await this.#reactors?.snapshot(streamsMax)) ?? [];
    const [first] = snapshots;
    if (!first) return snapshots;
    const counters = { ...first.counters };
    const ofThisThread = { ...this.#webhooks?.counters(), strayErrors: this.#strayErrors };
    for (const [name, value] of Object.entries(ofThisThread)) counters[name] = (counters[name] ?? 0) + value;
    // With one reactor it has told of this thread's plugins already.
    const others = this.options.reactors === 1 ? [] : await this.#plugins.families();
    const pluginMetrics = sumFamilies([first.pluginMetrics, others]);
    return [{ ...first, counters, pluginMetrics }, ...snapshots.slice(1)];
  }

  /**
   * Listens on `options.adminPort` and `options.port`; neither stays open when the other cannot be had.
   * @throws SidetoneError SIDETONE_PORT_IN_USE; SIDETONE_BAD_OPTION for an address that is not this machine's;
   *   SIDETONE_SERVER_LISTENING and SIDETONE_SERVER_CLOSED when it is too late; SIDETONE_SETUP_FAILED; with several reactors
   *   also what createServer throws
   */
  async listen(): Promise<this> {
    if (this.#closed) {
      throw new SidetoneError('SIDETONE_SERVER_CLOSED', 'listen: this server is closed: make another one');
    }
    if (this.#listening) {
      const problem = `listen: port ${this.options.port}: this server listens or is about to: make another for another port`;
      throw new SidetoneError('SIDETONE_SERVER_LISTENING', problem);
    }
    this.#listening = true;
    try {
      if (this.options.admin) await this.openAdmin();
      this.#opening = this.#openReactors();
      await this.#opening;
    } catch (error) {
      await this.closeAdmin();
      this.#listening = false;
      throw error;
    }
    if (this.options.watch) this.#watchPlugins();
    if (this.#streamsMax < this.options.streamsMax) {
      const problem = 'the file descriptors allow fewer streams than streamsMax: raise `ulimit -n`';
      this.log.warn({ streams: this.#streamsMax, streamsMax: this.options.streamsMax }, problem);
    }
    return this;
  }

  async #openReactors(): Promise<void> {
    if (this.options.tls) this.#tlsDigest = checkTlsFiles(this.options.tls);
    const reactors = new Reactors({
      options: this.options,
      plugins: this.#plugins,
      state: this.#state,
      reactorSetup: index => this.#reactorSetup(index),
      onReactor: reactor => this.#tellExpectations(reactor),
    });
    await this.#plugins.start();
    this.#reactors = reactors;
    try {
      this.#port = await reactors.listen();
    } catch (error) {
      this.#reactors = undefined;
      await this.#plugins.close();
      throw error;
    }
  }

  /**
   * Takes no new streams, waits for running ones to end by themselves for up to `drainTimeoutMs`, then closes the rest
   * with 1001. A second call closes them at once.
   * @throws SidetoneError SIDETONE_SERVER_CLOSED, when all is closed, where a reactor's thread was stuck and had to be ended
   *   by force
   */
  close(): Promise<void> {
    if (this.#closed) {
      this.#isHurried = true;
      this.#state.closeNow();
      this.#endHandOver();
      this.#reactors?.closeNow();
    } else this.#closed = this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    this.#watch?.close();
    if (!this.options.sharePort) this.#state.drain();
    // listen() tells what went wrong there.
    await this.#opening.catch(() => {});
    if (this.options.sharePort) await this.#handOver();
    this.#state.drain();
    try {
      const drained = this.#reactors?.drain();
      // close() was called again before the reactors knew of the drain.
      if (this.#isHurried) this.#reactors?.closeNow();
      await drained;
      await this.#reactors?.close();
    } finally {
      await this.#plugins.close();
      // Last: until now it has answered that the server is draining.
      await this.closeAdmin();
      this.emit('close');
    }
  }

  /** Leaves new connections to the other process, and takes those that were accepted already until they are streams. */
  async #handOver(): Promise<void> {
    await this.#reactors?.stopListening();
    const handOverMs = Math.min(HAND_OVER_MS, this.options.drainTimeoutMs);
    await new Promise<void>(resolve => {
      const cancel = systemClock.after(handOverMs, resolve);
      this.#endHandOver = () => {
        cancel();
        resolve();
      };
    });
  }

  /**
   * New connections need these tokens and see this certificate, whose files are read again; running calls go on. The admin
   * port keeps its token where the field `adminToken` is not given.
   * @throws SidetoneError SIDETONE_BAD_OPTION for what cannot be read or must not change while it runs: the server keeps
   *   what it has
   */
  reload(credentials: Pick<ServerOptions, 'authToken' | 'tls' | 'adminToken'>): Promise<void> {
    // Reloads run one after the other, so the last call decides.
    this.#reloading = this.#reloading.catch(() => {}).then(() => this.#reload(credentials));
    return this.#reloading;
  }

  /**
   * Loads the plugins that were given by file from what their folders hold now: `.ts`, `.js` and `.json` files, not installed
   * packages. New calls get the new code, whose `setup` has run by then; running ones keep the old, with its handlers and its
   * module's variables. Its `teardown` runs when the last of them is over.
   * @throws SidetoneError SIDETONE_PLUGIN_NOT_FOUND, SIDETONE_PLUGIN_INVALID, SIDETONE_SETUP_FAILED and SIDETONE_BAD_OPTION (two
   *   of one name, options that the schema refuses): the server keeps what it has
   */
  async reloadPlugins(): Promise<void> {
    const { plugins, pluginOptions } = this.options;
    const next = await loadPluginsAnew(plugins, pluginOptions, this.#plugins.running);
    checkIsolatable(next, this.options.isolation);
    // Where threads disagree about a file, each has logged why.
    await this.#reactors?.reloadPlugins();
    await this.#plugins.replace(next);
  }

  #watchPlugins(): void {
    this.#watch = new PluginWatch({
      folders: pluginFolders(this.#plugins.running),
      clock: systemClock,
      onChange: async () => {
        try {
          await this.reloadPlugins();
          const plugins = this.#plugins.running.map(({ name }) => name);
          this.log.info({ plugins }, 'plugins loaded anew');
        } catch (error) {
          const problem = 'plugins could not be loaded anew: new calls get the code of before';
          this.log.error({ err: error }, problem);
        }
      },
      onError: error => this.log.warn({ err: error }, "a plugin's folder cannot be watched any more"),
    });
  }

  async #reload(given: GivenCredentials): Promise<void> {
    const next: Credentials = { ...this.#credentials, ...resolveCredentials(given) };
    checkChange(this.#credentials, next);
    const digest = next.tls && checkTlsFiles(next.tls);
    await this.#reactors?.reload(next, digest !== this.#tlsDigest);
    this.#credentials = next;
    this.#admin?.setToken(next.adminToken);
    this.#tlsDigest = digest;
  }

  /**
   * For a process that lives for this server, as `sidetone serve` does; a server never does it by itself. Errors that
   * are thrown or rejected outside of every callback, in a plugin's own timers, sockets and promises, are logged and
   * counted (`strayErrors`) and no longer end the process. The main thread is watched too, and the log tells when it is
   * stuck. A process that has not ended soon after the drain's deadline is ended with code 1. The deadline counts from
   * SIGTERM, SIGINT or close(). Call it once, after listening to SIGTERM and SIGINT.
   */
  guardProcess(): void {
    const { options, log } = this;
    const count = (): void => {
      this.#strayErrors++;
    };
    containStrays({ plugins: this.#plugins.running, log, count });
    watchMainThread(this.#state, log, options.drainTimeoutMs);
  }

  /** @internal Opens the admin port: in a hand-over only when the old process has closed its own. Not after `close()`. */
  async openAdmin(): Promise<void> {
    if (this.#closed) return;
    const { adminHost, adminPort } = this.options;
    const { adminToken } = this.#credentials;
    this.#admin ??= await createAdmin(this, { host: adminHost, port: adminPort, token: adminToken });
    if (this.#admin.isOpen) {
      const problem =
        'the admin port is open to other machines without a token: give adminToken (--admin-token-file)';
      this.log.warn({ adminHost }, problem);
    }
  }

  /** @internal */
  async closeAdmin(): Promise<void> {
    await this.#admin?.close();
    this.#admin = undefined;
  }

  #reactorSetup(index: number): ReactorThreadSetup {
    return {
      index,
      options: this.options,
      state: this.#state,
      rooms: this.#rooms,
      log: this.log,
      onHome: (callControlId, isHome) => {
        for (let other = 0; other < this.options.reactors; other++) {
          if (other !== index) this.#reactors?.get(other)?.home(callControlId, index, isHome);
        }
      },
      handOver: (home, adoption) => {
        const reactor = this.#reactors?.get(home);
        if (reactor) reactor.adopt(adoption);
        else adoption.port.close();
      },
      onCall: callControlId => {
        this.#webhooks?.started(callControlId, index);
        for (let other = 0; other < this.options.reactors; other++) {
          if (other !== index) this.#reactors?.get(other)?.replace(callControlId);
        }
      },
      onOverload: () => this.#reactors?.deal(),
      webhook: this.#webhooks && ((headers, body) => this.#webhooks!.judge(headers, body)),
    };
  }

  #tellExpectations(reactor: ReactorHandle): void {
    for (const [callControlId, requested] of this.expectations.entries())
      reactor.expect(callControlId, requested);
  }

  #makeWebhooks(): Webhooks | undefined {
    const { options, log, expectations } = this;
    if (!options.webhooks) {
      if (!options.answer) return undefined;
      const problem = 'incoming calls are announced by webhooks: give webhooks.publicKey too';
      throw new SidetoneError('SIDETONE_BAD_OPTION', `answer: ${options.answer.streamUrl}: ${problem}`);
    }
    const setup: WebhooksSetup = {
      options,
      plugins: this.#plugins.running,
      expectations,
      clock: systemClock,
      log,
      admits: () => this.ready,
      reactorOf: place => this.#reactors?.get(place ?? -1),
    };
    return new Webhooks(setup, options.webhooks.publicKey);
  }
}

/**
 * Makes a server; `listen()` starts it.
 * @throws SidetoneError SIDETONE_BAD_OPTION, SIDETONE_PLUGIN_NOT_FOUND, SIDETONE_PLUGIN_INVALID
 */
export async function createServer(options: ServerOptions = {}): Promise<Server> {
  const resolved = resolveOptions(options);
  if (resolved.plugins.length === 0) resolved.plugins = ['echo'];
  checkSetup(resolved);
  const plugins = await loadPlugins(resolved.plugins, resolved.pluginOptions);
  checkIsolatable(plugins, resolved.isolation);
  const log = createLog(resolved.logLevel);
  if (resolved.outboundMode === 'mp3') warnWithoutEncoder(log);
  return new Server(resolved, log, plugins);
}
