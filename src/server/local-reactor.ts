/** A reactor with its sockets, plugins and drain, and how a server speaks to one: in its own thread or in another. */
import { MessageChannel } from 'node:worker_threads';
import { systemClock } from '../clock.js';
import type { Logger } from '../log/log.js';
import { native } from '../native/addon.js';
import type { UWebSockets } from '../native/uws.js';
import type { Credentials, ResolvedOptions } from '../options/options.js';
import { isNeural } from '../plugin/hearing.js';
import { loadPluginsAnew } from '../plugin/loader.js';
import { tellDraining, tellPlugins } from '../plugin/notify.js';
import { IDLE_MS_MIN, type PluginSet } from '../plugin/plugin-set.js';
import { Reactor } from '../reactor/reactor.js';
import type { ReactorSnapshot } from '../reactor/snapshot.js';
import { expectedCodecs } from '../stream/pooled-codecs.js';
import { outboundOf, type RequestedFormat, StreamExpectations } from '../telnyx/expectations.js';
import type { WebhookEvent } from '../telnyx/webhooks.js';
import { adopt } from './adopted.js';
import { drain } from './drain.js';
import { Listener } from './listener.js';
import { LoadMeter } from './load-meter.js';
import { type LoadSample, OverloadGate, SAMPLE_MS } from './overload.js';
import { type Adoption, Relay } from './relay.js';
import type { SharedState } from './shared-state.js';
import type { ConnectionSetup } from './stream-start.js';
import type { WebhookJudge } from './webhook-route.js';

/**
 * What a server asks of its reactors. A reactor in a thread of its own gets them as messages, made of these names and
 * their arguments (reactor-thread.ts). Arguments and results are plain data.
 */
export interface ReactorCommands {
  /** The reactor's figures, with up to `streamsMax` streams one by one. */
  snapshot(streamsMax: number): Promise<ReactorSnapshot>;
  /** Takes no new streams; resolves when its last one has closed. It goes on refusing connections. */
  drain(): Promise<void>;
  /** Closes the calls that the drain still waits for. */
  closeNow(): void;
  /** Lets go of everything, and tells its last figures; only when no more connections are dealt to it. */
  close(): Promise<ReactorSnapshot>;
  /** Another reactor has a new stream of this call: one here is replaced. */
  replace(callControlId: string): void;
  /** This call has a handler on `reactor` that would go on with another stream of it; or has none any more. */
  home(callControlId: string, reactor: number, isHome: boolean): void;
  /** A stream has come back to another reactor than this, where its handler waits. */
  adopt(adoption: Adoption): void;
  /** What was asked of Telnyx for this call's stream; undefined when the call is over. */
  expect(callControlId: string, requested: RequestedFormat | undefined): void;
  /** Tells the plugins of this reactor. */
  tell(event: WebhookEvent): void;
  /** New connections need these; returns where they are to be dealt from now on. Running ones go on. */
  reload(credentials: Credentials, isNewTls: boolean): UWebSockets.AppDescriptor;
  /** Loads the plugins from what their files say now, for new connections. Running ones keep what they have. */
  reloadPlugins(): Promise<void>;
}

/** The same for callers that need not know in which thread the reactor runs. */
export type ReactorHandle = {
  [Command in keyof ReactorCommands]: (
    ...args: Parameters<ReactorCommands[Command]>
  ) => ReturnType<ReactorCommands[Command]> | Promise<Awaited<ReturnType<ReactorCommands[Command]>>>;
};

export interface ReactorHandleSetup {
  index: number;
  options: ResolvedOptions;
  state: SharedState;
  log: Logger;
  /** A stream of this call has started here. */
  onCall(callControlId: string): void;
  /** This call has a handler here that would go on with another stream of it; or has none any more. */
  onHome(callControlId: string, isHome: boolean): void;
  /** Hands a connection over to the reactor `home`; its port goes along. */
  handOver(home: number, adoption: Adoption): void;
  webhook: WebhookJudge | undefined;
  /** This reactor is overloaded from now on, or no longer: connections are to be dealt elsewhere or here. */
  onOverload(): void;
}

/** Calls of other reactors that are known here, about 150 bytes each: as many as Webhooks knows. The oldest goes. */
const HOMES_MAX = 50_000;

/** A reactor in the thread that makes it. */
export class LocalReactor implements ReactorCommands {
  readonly reactor: Reactor;
  readonly listener: Listener;
  /** The codecs' workers are ready, as far as the configuration says that they will be wanted. */
  readonly warmed: Promise<unknown>;
  readonly #setup: ReactorHandleSetup;
  readonly #plugins: PluginSet;
  /** The server's expectations, as far as this reactor has been told of them. */
  readonly #expectations = new StreamExpectations({ clock: systemClock });
  /** The reactors that have other calls' handlers. A reactor that has ended leaves its own behind, so it is bounded. */
  readonly #homes = new Map<string, number>();
  readonly #stopGathering: (() => void) | undefined;
  readonly #gate: OverloadGate;
  readonly #meter: LoadMeter;
  readonly #stopSampling: () => void;
  #closeNow = (): void => {};
  #last: ReactorSnapshot | undefined;
  #deadlineMs = 0;

  /** `plugins` have been set up. */
  constructor(setup: ReactorHandleSetup, plugins: PluginSet) {
    this.#setup = setup;
    this.#plugins = plugins;
    const { options, state, log } = setup;
    const counts = state.reactor(setup.index);
    this.reactor = new Reactor({
      clock: systemClock,
      log,
      options,
      expectedOutbound: callControlId => outboundOf(this.#expectations.get(callControlId)),
      onCall: setup.onCall,
      onHome: setup.onHome,
      onConnections: change => counts.connections(change),
      onStreams: change => counts.streams(change),
    });
    this.listener = new Listener({
      options,
      plugins: plugins.running,
      reactor: this.reactor,
      log,
      admits: () => state.admits(),
      hasRoom: () => !options.overload.refuse || this.#gate.admits(counts.connectionCount),
      relay: (...call) => this.#relay(...call),
      webhook: setup.webhook,
    });
    this.#gate = new OverloadGate(options.overload);
    this.#meter = new LoadMeter(systemClock, this.reactor.path.gathering);
    this.#stopSampling = systemClock.every(SAMPLE_MS, () =>
      this.#judgeLoad(this.#meter.sample(counts.connectionCount)),
    );
    plugins.count = () => this.reactor.count('handlerFailures');
    plugins.countThreads = (counter, times) => this.reactor.count(counter, times);
    const hears = plugins.running.some(({ audio }) => isNeural(audio));
    this.warmed = Promise.all([
      this.reactor.warmPool(expectedCodecs(options, plugins.running)),
      hears && this.reactor.voices.warm(),
    ]);
    if (options.gatherMs > 0) {
      this.#stopGathering = native.gather(this.reactor.path.gathering, options.gatherMs);
    }
  }

  #judgeLoad(sample: LoadSample): void {
    const { index, options, state, log, onOverload } = this.#setup;
    const counts = state.reactor(index);
    this.#gate.sample(sample);
    counts.busy = this.#gate.busy;
    const isOverloaded = options.overload.refuse && this.#gate.overloaded;
    if (isOverloaded === counts.overloaded) return;
    counts.overloaded = isOverloaded;
    const facts = {
      reactor: index,
      connections: sample.connections,
      busyPercent: Math.round(100 * this.#gate.busy),
      lagMs: Math.round(sample.lagMs),
    };
    if (isOverloaded) log.warn(facts, 'a reactor is overloaded: it refuses new streams');
    else log.info(facts, 'a reactor takes new streams again');
    onOverload();
  }

  async snapshot(streamsMax: number): Promise<ReactorSnapshot> {
    return this.#last ?? this.#snapshot(streamsMax);
  }

  async #snapshot(streamsMax: number): Promise<ReactorSnapshot> {
    const snapshot = this.reactor.snapshot(this.#setup.index, streamsMax);
    return { ...snapshot, pluginMetrics: await this.#plugins.families() };
  }

  async drain(): Promise<void> {
    const { options, log } = this.#setup;
    this.#deadlineMs = systemClock.now() + options.drainTimeoutMs;
    const deadline = new Date(Date.now() + options.drainTimeoutMs);
    tellDraining(this.#plugins.all, deadline, log, () => this.reactor.count('handlerFailures'));
    const { departed, commands } = this.reactor;
    // No stream is let in any more, so none comes back.
    departed.drain();
    const late = options.drainHandover ? 'handed_over' : 'server_closed';
    const draining = drain(this.reactor, systemClock, options.drainTimeoutMs, late);
    const endCommands = systemClock.after(options.drainTimeoutMs, () => commands.close());
    this.#closeNow = () => {
      draining.closeNow();
      commands.close();
    };
    await draining.done;
    await commands.done();
    endCommands();
  }

  closeNow(): void {
    this.#deadlineMs = 0;
    this.#closeNow();
  }

  async close(): Promise<ReactorSnapshot> {
    // Connections that were dealt before this was asked arrive in this turn of the loop.
    await new Promise(resolve => setImmediate(resolve));
    this.#stopGathering?.();
    this.#stopSampling();
    this.#meter.close();
    await this.listener.peersGone(this.#setup.state.port);
    this.listener.close();
    // Whoever drains at leisure lets an onStop finish its upload.
    await this.#plugins.close(Math.max(IDLE_MS_MIN, this.#deadlineMs - systemClock.now()));
    this.#last = await this.#snapshot(0);
    await this.reactor.close();
    return this.#last;
  }

  replace(callControlId: string): void {
    this.reactor.replace(callControlId);
  }

  home(callControlId: string, reactor: number, isHome: boolean): void {
    if (!isHome && this.#homes.get(callControlId) !== reactor) return;
    this.#homes.delete(callControlId);
    if (!isHome) return;
    if (this.#homes.size >= HOMES_MAX) this.#homes.delete(this.#homes.keys().next().value as string);
    this.#homes.set(callControlId, reactor);
  }

  adopt(adoption: Adoption): void {
    const plugin = this.#plugins.running.find(({ name }) => name === adoption.plugin);
    // A reload has taken it away.
    if (!plugin) adoption.port.close();
    else adopt(this.reactor, plugin, adoption);
  }

  /** A stream of this call starts here. */
  #relay(
    callControlId: string,
    { plugin, request, accepted: { audio, outbound } }: ConnectionSetup,
  ): Relay | undefined {
    const home = this.#homes.get(callControlId);
    if (home === undefined) return undefined;
    const { port1, port2 } = new MessageChannel();
    const accepted = { ...(audio && { audio }), ...(outbound && { outbound }) };
    const { path, query, headers, remoteAddress } = request;
    const copied = { path, query: String(query), headers, remoteAddress };
    this.#setup.handOver(home, { port: port2, plugin: plugin.name, accepted, request: copied });
    return new Relay(port1);
  }

  expect(callControlId: string, requested: RequestedFormat | undefined): void {
    if (requested) this.#expectations.set(callControlId, requested);
    else this.#expectations.forget(callControlId);
  }

  tell(event: WebhookEvent): void {
    tellPlugins(this.#plugins.running, event, this.#setup.log, () => this.reactor.count('webhookFailures'));
    this.reactor.tellCall(event);
  }

  reload(credentials: Credentials, isNewTls: boolean): UWebSockets.AppDescriptor {
    this.listener.reload(credentials, isNewTls);
    return this.listener.descriptor();
  }

  async reloadPlugins(): Promise<void> {
    const { plugins, pluginOptions } = this.#setup.options;
    await this.#plugins.replace(await loadPluginsAnew(plugins, pluginOptions, this.#plugins.running));
  }
}
