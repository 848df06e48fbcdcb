/** A server: its lanes, its listening socket, its life from listen() to the last call's end. */
import { EventEmitter } from 'node:events';
import { type Admin, createAdmin } from './admin/admin.js';
import { systemClock } from './clock.js';
import { streamsByDescriptors } from './descriptors.js';
import { SidetoneError } from './errors.js';
import { type Lane, type LaneSetup, LocalLane, ThreadLane } from './lane.js';
import { Acceptor } from './listener.js';
import { createLog, type Logger } from './log.js';
import { type ResolvedOptions, resolveOptions, type ServerOptions } from './options.js';
import type { Plugin } from './plugin.js';
import { loadPlugins } from './plugin-loader.js';
import { SharedState } from './shared-state.js';
import type { ReactorSnapshot } from './snapshot.js';
import { StreamExpectations } from './telnyx/expectations.js';
import { checkTlsFiles } from './tls-files.js';
import { Webhooks, type WebhooksSetup } from './webhooks.js';

export class Server extends EventEmitter {
  readonly options: ResolvedOptions;
  readonly log: Logger;
  /** What streams were asked of Telnyx by this process: pass it to `startStreaming`, and they are carried as asked. */
  readonly expectations = new StreamExpectations({
    clock: systemClock,
    onChange: (callControlId, wishes) => {
      for (const lane of this.#lanes) lane.expect(callControlId, wishes);
    },
  });
  readonly #plugins: readonly Plugin[];
  readonly #streamsMax: number;
  readonly #state: SharedState;
  readonly #webhooks: Webhooks | undefined;
  #lanes: Lane[] = [];
  #stopListening: () => void = () => {};
  #admin: Admin | undefined;
  #port = 0;
  #listening = false;
  #closed: Promise<void> | undefined;

  /** @internal Use createServer. */
  constructor(options: ResolvedOptions, log: Logger, plugins: readonly Plugin[]) {
    super();
    this.options = options;
    this.log = log;
    this.#plugins = plugins;
    this.#streamsMax = Math.min(options.streamsMax, streamsByDescriptors());
    this.#state = new SharedState(this.#streamsMax);
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
    return this.#port !== 0 && this.#state.admits();
  }

  get draining(): boolean {
    return this.#state.draining;
  }

  /** What each reactor tells of itself, with up to `streamsMax` streams of it one by one. */
  async snapshot(streamsMax = Number.POSITIVE_INFINITY): Promise<ReactorSnapshot[]> {
    const snapshots = await Promise.all(this.#lanes.map(lane => lane.snapshot(streamsMax)));
    const [first] = snapshots;
    if (!first || !this.#webhooks) return snapshots;
    const counters = { ...first.counters };
    for (const [name, value] of Object.entries(this.#webhooks.counters())) {
      counters[name] = (counters[name] ?? 0) + value;
    }
    return [{ ...first, counters }, ...snapshots.slice(1)];
  }

  /**
   * Listens on `options.adminPort` and `options.port`; neither stays open when the other cannot be had.
   * @throws SidetoneError SIDETONE_PORT_IN_USE; SIDETONE_BAD_OPTION for an address that is not this machine's;
   *   SIDETONE_SERVER_LISTENING and SIDETONE_SERVER_CLOSED when it is too late; with several reactors also what
   *   createServer throws
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
    const { admin, adminHost, adminPort } = this.options;
    try {
      if (admin) this.#admin = await createAdmin(this, { host: adminHost, port: adminPort });
      await (this.options.reactors === 1 ? this.#listenHere() : this.#listenInThreads());
    } catch (error) {
      await this.#closeAdmin();
      this.#listening = false;
      throw error;
    }
    if (this.#streamsMax < this.options.streamsMax) {
      const problem = 'the file descriptors allow fewer streams than streamsMax: raise `ulimit -n`';
      this.log.warn({ streams: this.#streamsMax, streamsMax: this.options.streamsMax }, problem);
    }
    return this;
  }

  async #listenHere(): Promise<void> {
    const lane = new LocalLane(this.#laneSetup(0), this.#plugins);
    this.#setLanes([lane]);
    await lane.warmed;
    this.#port = await lane.listener.listen(this.options.host, this.options.port);
    this.#stopListening = () => lane.listener.stopListening();
  }

  async #listenInThreads(): Promise<void> {
    const started = await Promise.all(
      Array.from({ length: this.options.reactors }, (_, index) =>
        ThreadLane.start(this.#laneSetup(index), code => this.#laneExited(index, code)),
      ),
    );
    this.#setLanes(started.map(({ lane }) => lane));
    const acceptor = new Acceptor(this.options);
    const descriptors = started.map(({ descriptor }) => descriptor);
    try {
      this.#port = await acceptor.listen(descriptors, this.options.host, this.options.port);
    } catch (error) {
      await Promise.all(this.#lanes.map(lane => lane.close()));
      throw error;
    }
    this.#stopListening = () => acceptor.close();
  }

  /**
   * Takes no new streams, waits for running ones to end by themselves for up to `drainTimeoutMs`, then closes the rest
   * with 1001. A second call closes them at once.
   */
  close(): Promise<void> {
    if (this.#closed) for (const lane of this.#lanes) lane.hurry();
    else this.#closed = this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    this.#state.drain();
    await Promise.all(this.#lanes.map(lane => lane.drain()));
    this.#stopListening();
    await Promise.all(this.#lanes.map(lane => lane.close()));
    // Last: until now it has answered that the server is draining.
    await this.#closeAdmin();
    this.emit('close');
  }

  async #closeAdmin(): Promise<void> {
    await this.#admin?.close();
    this.#admin = undefined;
  }

  #laneSetup(index: number): LaneSetup {
    return {
      index,
      options: this.options,
      state: this.#state,
      log: this.log,
      onCall: callControlId => {
        this.#webhooks?.started(callControlId, index);
        this.#lanes.forEach((lane, other) => {
          if (other !== index) lane.replace(callControlId);
        });
      },
      webhook: this.#webhooks && ((headers, body) => this.#webhooks!.judge(headers, body)),
    };
  }

  #setLanes(lanes: Lane[]): void {
    this.#lanes = lanes;
    for (const [callControlId, wishes] of this.expectations.entries()) {
      for (const lane of lanes) lane.expect(callControlId, wishes);
    }
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
      plugins: this.#plugins,
      expectations,
      clock: systemClock,
      log,
      admits: () => this.ready,
      laneOf: place => this.#lanes[this.#lanes.length === 1 ? 0 : (place ?? -1)],
    };
    return new Webhooks(setup, options.webhooks.publicKey);
  }

  #laneExited(index: number, code: number): void {
    // Before the server listens, listen() itself says what failed.
    if (this.#state.draining || this.#port === 0) return;
    // A reactor's thread takes its calls with it; the supervisor of the process decides what then.
    this.log.fatal({ reactor: index, code }, 'a reactor ended');
    this.emit(
      'error',
      new SidetoneError('SIDETONE_SERVER_CLOSED', `reactor ${index} ended with code ${code}`),
    );
  }
}

/**
 * Makes a server; `listen()` starts it.
 * @throws SidetoneError SIDETONE_BAD_OPTION, SIDETONE_PLUGIN_NOT_FOUND, SIDETONE_PLUGIN_INVALID
 */
export async function createServer(options: ServerOptions = {}): Promise<Server> {
  const resolved = resolveOptions(options);
  if (resolved.tls) checkTlsFiles(resolved.tls);
  if (resolved.plugins.length === 0) resolved.plugins = ['echo'];
  const byName = resolved.plugins.every(plugin => typeof plugin === 'string');
  if (resolved.reactors > 1 && !byName) {
    throw new SidetoneError(
      'SIDETONE_BAD_OPTION',
      'plugins: a definition cannot go to the threads of several reactors: give its file or package name instead',
    );
  }
  const plugins = await loadPlugins(resolved.plugins);
  const names = plugins.map(plugin => plugin.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new SidetoneError(
      'SIDETONE_BAD_OPTION',
      `plugins: ${twice}: given twice; give each plugin its own name`,
    );
  }
  return new Server(resolved, createLog(resolved.logLevel), plugins);
}
