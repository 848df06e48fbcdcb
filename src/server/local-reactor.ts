/** A reactor with its sockets, plugins and drain, and how a server speaks to one: in its own thread or in another. */
import { systemClock } from '../clock.js';
import type { Logger } from '../log/log.js';
import { native } from '../native/addon.js';
import type { UWebSockets } from '../native/uws.js';
import type { Credentials, ResolvedOptions } from '../options/options.js';
import { loadPluginsAnew } from '../plugin/loader.js';
import type { Plugin } from '../plugin/plugin.js';
import { tellDraining, tellPlugins } from '../plugin/tell.js';
import { Reactor } from '../reactor/reactor.js';
import type { ReactorSnapshot } from '../reactor/snapshot.js';
import { expectedCodecs } from '../stream/pooled-codecs.js';
import { outboundOf, type RequestedFormat, StreamExpectations } from '../telnyx/expectations.js';
import type { WebhookEvent } from '../telnyx/webhooks.js';
import { drain } from './drain.js';
import { Listener } from './listener.js';
import { LoadMeter } from './load-meter.js';
import { type LoadSample, OverloadGate, SAMPLE_MS } from './overload.js';
import type { SharedState } from './shared-state.js';
import type { WebhookJudge } from './webhook-route.js';

/**
 * What a server asks of its reactors. A reactor in a thread of its own gets them as messages, made of these names and
 * their arguments (reactor-thread.ts). Arguments and results are plain data.
 */
export interface ReactorCommands {
  /** The reactor's figures, with up to `streamsMax` streams one by one. */
  snapshot(streamsMax: number): ReactorSnapshot;
  /** Takes no new streams; resolves when its last one has closed. It goes on refusing connections. */
  drain(): Promise<void>;
  /** Closes the calls that the drain still waits for. */
  closeNow(): void;
  /** Lets go of everything, and tells its last figures; only when no more connections are dealt to it. */
  close(): Promise<ReactorSnapshot>;
  /** Another reactor has a new stream of this call: one here is replaced. */
  replace(callControlId: string): void;
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
  webhook: WebhookJudge | undefined;
  /** This reactor is overloaded from now on, or no longer: connections are to be dealt elsewhere or here. */
  onOverload(): void;
}

/** A reactor in the thread that makes it. */
export class LocalReactor implements ReactorCommands {
  readonly reactor: Reactor;
  readonly listener: Listener;
  /** The codecs' workers are ready, as far as the configuration says that they will be wanted. */
  readonly warmed: Promise<void>;
  readonly #setup: ReactorHandleSetup;
  readonly #plugins: Plugin[];
  /** The server's expectations, as far as this reactor has been told of them. */
  readonly #expectations = new StreamExpectations({ clock: systemClock });
  readonly #stopGathering: (() => void) | undefined;
  readonly #gate: OverloadGate;
  readonly #meter: LoadMeter;
  readonly #stopSampling: () => void;
  #closeNow = (): void => {};
  #last: ReactorSnapshot | undefined;

  /** `plugins`: all that hold this list see when other ones take their place in it. */
  constructor(setup: ReactorHandleSetup, plugins: Plugin[]) {
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
      onConnections: change => counts.connections(change),
      onStreams: change => counts.streams(change),
    });
    this.listener = new Listener({
      options,
      plugins,
      reactor: this.reactor,
      log,
      admits: () => state.admits(),
      hasRoom: () => !options.overload.refuse || this.#gate.admits(counts.connectionCount),
      webhook: setup.webhook,
    });
    this.#gate = new OverloadGate(options.overload);
    this.#meter = new LoadMeter(systemClock, this.reactor.path.gathering);
    this.#stopSampling = systemClock.every(SAMPLE_MS, () =>
      this.#judgeLoad(this.#meter.sample(counts.connectionCount)),
    );
    this.warmed = this.reactor.warmPool(expectedCodecs(options, plugins));
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

  snapshot(streamsMax: number): ReactorSnapshot {
    return this.#last ?? this.reactor.snapshot(this.#setup.index, streamsMax);
  }

  async drain(): Promise<void> {
    const { options, log } = this.#setup;
    const deadline = new Date(Date.now() + options.drainTimeoutMs);
    tellDraining(this.#plugins, deadline, log, () => this.reactor.count('handlerFailures'));
    const draining = drain(this.reactor, systemClock, options.drainTimeoutMs);
    this.#closeNow = draining.closeNow;
    await draining.done;
  }

  closeNow(): void {
    this.#closeNow();
  }

  async close(): Promise<ReactorSnapshot> {
    // Connections that were dealt before this was asked arrive in this turn of the loop.
    await new Promise(resolve => setImmediate(resolve));
    this.#stopGathering?.();
    this.#stopSampling();
    this.#meter.close();
    await this.listener.peersGone();
    this.listener.close();
    this.#last = this.reactor.snapshot(this.#setup.index, 0);
    await this.reactor.close();
    return this.#last;
  }

  replace(callControlId: string): void {
    this.reactor.replace(callControlId);
  }

  expect(callControlId: string, requested: RequestedFormat | undefined): void {
    if (requested) this.#expectations.set(callControlId, requested);
    else this.#expectations.forget(callControlId);
  }

  tell(event: WebhookEvent): void {
    tellPlugins(this.#plugins, event, this.#setup.log, () => this.reactor.count('webhookFailures'));
  }

  reload(credentials: Credentials, isNewTls: boolean): UWebSockets.AppDescriptor {
    this.listener.reload(credentials, isNewTls);
    return this.listener.descriptor();
  }

  async reloadPlugins(): Promise<void> {
    const plugins = await loadPluginsAnew(this.#setup.options.plugins, this.#plugins);
    this.#plugins.splice(0, this.#plugins.length, ...plugins);
  }
}
