/** A lane is a reactor and what it needs around it. A server has one in its own thread, or several in threads of their own. */
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
import { outboundOf, StreamExpectations, type StreamWishes } from '../telnyx/expectations.js';
import type { WebhookEvent } from '../telnyx/webhooks.js';
import { drain } from './drain.js';
import { Listener } from './listener.js';
import type { SharedState } from './shared-state.js';
import type { WebhookJudge } from './webhook-route.js';

/**
 * What a server asks of its lanes. A lane in a thread of its own is asked the same by messages (thread-lane.ts), which are
 * made of these names and their arguments: all of them, and all results, are plain data.
 */
export interface LaneVerbs {
  /** With up to `streamsMax` streams one by one. */
  snapshot(streamsMax: number): ReactorSnapshot;
  /** Takes no new streams; resolves when its last one has closed. It goes on refusing connections. */
  drain(): Promise<void>;
  /** Closes what the drain still waits for. */
  hurry(): void;
  /** Lets go of everything, and tells its last figures; only when no more connections are dealt to it. */
  close(): Promise<ReactorSnapshot>;
  /** Another lane has a new stream of this call: one here is replaced. */
  replace(callControlId: string): void;
  /** What was asked of Telnyx for this call's stream; undefined when the call is over. */
  expect(callControlId: string, wishes: StreamWishes | undefined): void;
  /** Tells the plugins of this lane. */
  tell(event: WebhookEvent): void;
  /** New connections need these; returns where they are to be dealt from now on. Running ones go on. */
  reload(credentials: Credentials, isNewTls: boolean): UWebSockets.AppDescriptor;
  /** Loads the plugins from what their files say now, for new connections. Running ones keep what they have. */
  reloadPlugins(): Promise<void>;
}

/** The same for whoever does not care in which thread the lane runs. */
export type Lane = {
  [Verb in keyof LaneVerbs]: (
    ...args: Parameters<LaneVerbs[Verb]>
  ) => ReturnType<LaneVerbs[Verb]> | Promise<Awaited<ReturnType<LaneVerbs[Verb]>>>;
};

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
export class LocalLane implements LaneVerbs {
  readonly reactor: Reactor;
  readonly listener: Listener;
  /** The codecs' workers are ready, as far as the configuration says that they will be wanted. */
  readonly warmed: Promise<void>;
  readonly #setup: LaneSetup;
  readonly #plugins: Plugin[];
  /** The server's, as far as this lane has been told. */
  readonly #expectations = new StreamExpectations({ clock: systemClock });
  readonly #stopGathering: (() => void) | undefined;
  #hurry = (): void => {};
  #last: ReactorSnapshot | undefined;

  /** `plugins`: all that hold this list see when other ones take their place in it. */
  constructor(setup: LaneSetup, plugins: Plugin[]) {
    this.#setup = setup;
    this.#plugins = plugins;
    const { options, state, log } = setup;
    const counts = state.lane(setup.index);
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
      webhook: setup.webhook,
    });
    this.warmed = this.reactor.warmPool(expectedCodecs(options, plugins));
    if (options.gatherMs > 0) {
      this.#stopGathering = native.gather(this.reactor.path.gathering, options.gatherMs);
    }
  }

  snapshot(streamsMax: number): ReactorSnapshot {
    return this.#last ?? this.reactor.snapshot(this.#setup.index, streamsMax);
  }

  async drain(): Promise<void> {
    const { options, log } = this.#setup;
    const deadline = new Date(Date.now() + options.drainTimeoutMs);
    tellDraining(this.#plugins, deadline, log, () => this.reactor.count('handlerFailures'));
    const draining = drain(this.reactor, systemClock, options.drainTimeoutMs);
    this.#hurry = draining.hurry;
    await draining.done;
  }

  hurry(): void {
    this.#hurry();
  }

  async close(): Promise<ReactorSnapshot> {
    // Connections that were dealt before this was asked arrive in this turn of the loop.
    await new Promise(resolve => setImmediate(resolve));
    this.#stopGathering?.();
    this.listener.close();
    this.#last = this.reactor.snapshot(this.#setup.index, 0);
    await this.reactor.close();
    return this.#last;
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

  reload(credentials: Credentials, isNewTls: boolean): UWebSockets.AppDescriptor {
    this.listener.reload(credentials, isNewTls);
    return this.listener.descriptor();
  }

  async reloadPlugins(): Promise<void> {
    const plugins = await loadPluginsAnew(this.#setup.options.plugins, this.#plugins);
    this.#plugins.splice(0, this.#plugins.length, ...plugins);
  }
}
