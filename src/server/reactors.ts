/** All reactors of a server behind one listening socket: one in this thread, or several in threads of their own. */
import { type Clock, systemClock } from '../clock.js';
import type { Credentials, ResolvedOptions } from '../options/options.js';
import type { PluginSet } from '../plugin/plugin-set.js';
import type { ReactorHealth, ReactorSnapshot } from '../reactor/snapshot.js';
import { Acceptor } from './acceptor.js';
import { LocalReactor, type ReactorHandle } from './local-reactor.js';
import { checkNotForced, ReactorKeeper } from './reactor-keeper.js';
import type { ReactorThreadSetup } from './reactor-thread.js';
import type { SharedState } from './shared-state.js';

export interface ReactorsSetup {
  options: ResolvedOptions;
  /** Those of this thread; set up by now. */
  plugins: PluginSet;
  state: SharedState;
  reactorSetup(index: number): ReactorThreadSetup;
  /** A reactor has started: it must be told what the others know. */
  onReactor(reactor: ReactorHandle): void;
}

/** A stuck thread may be ended by force this long after the deadline of the drain, or after close() was called again. */
const FORCE_MS = 1000;

export class Reactors {
  readonly #setup: ReactorsSetup;
  readonly #clock: Clock = systemClock;
  readonly #acceptor: Acceptor;
  #local: LocalReactor | undefined;
  #keepers: ReactorKeeper[] = [];
  #isClosingNow = false;
  #cancelForce = (): void => {};

  constructor(setup: ReactorsSetup) {
    this.#setup = setup;
    this.#acceptor = new Acceptor(setup.options);
  }

  /**
   * Makes the reactors and listens; resolves with the port.
   * @throws SidetoneError SIDETONE_PORT_IN_USE; with several reactors as createServer, for a plugin that does not load
   */
  async listen(): Promise<number> {
    const { host, port } = this.#setup.options;
    try {
      await this.#start();
      this.deal();
      const listensOn = await this.#acceptor.listen(host, port);
      this.#setup.state.port = listensOn;
      return listensOn;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { options, plugins, reactorSetup, onReactor } = this.#setup;
    if (options.reactors === 1) {
      this.#local = new LocalReactor(reactorSetup(0), plugins);
      onReactor(this.#local);
      await this.#local.warmed;
      return;
    }
    this.#keepers = Array.from(
      { length: options.reactors },
      (_, index) =>
        new ReactorKeeper({
          reactor: reactorSetup(index),
          clock: this.#clock,
          onDescriptors: () => this.deal(),
          onRestart: onReactor,
        }),
    );
    // When one does not start, the others are closed, so all of them must have finished starting first.
    const started = await Promise.allSettled(this.#keepers.map(keeper => keeper.start()));
    for (const outcome of started) {
      if (outcome.status === 'rejected') throw outcome.reason;
      onReactor(outcome.value);
    }
  }

  /** Deals connections to the reactors that take them: where some are overloaded, to the others. */
  deal(): void {
    if (this.#local) {
      this.#acceptor.deal([this.#local.listener.descriptor()]);
      return;
    }
    const taking = this.#keepers.filter(({ descriptor }) => descriptor !== undefined);
    const withRoom = taking.filter(({ health }) => !health.overloaded);
    // Where all are overloaded, they say so to each connection.
    const dealt = withRoom.length > 0 ? withRoom : taking;
    this.#acceptor.deal(dealt.flatMap(({ descriptor }) => descriptor ?? []));
  }

  get(index: number): ReactorHandle | undefined {
    return this.#local ?? this.#keepers[index]?.reactor;
  }

  /** The reactors that are running. */
  get all(): ReactorHandle[] {
    return this.#local ? [this.#local] : this.#keepers.flatMap(({ reactor }) => reactor ?? []);
  }

  /** A single reactor runs in this thread: whoever can ask finds it well. */
  get health(): ReactorHealth[] {
    if (this.#local) {
      const { overloaded, busy } = this.#setup.state.reactor(0);
      return [{ reactor: 0, health: 'well', restarts: 0, overloaded, busy }];
    }
    return this.#keepers.map(keeper => keeper.health);
  }

  async snapshot(streamsMax: number): Promise<ReactorSnapshot[]> {
    if (this.#local) return [await this.#local.snapshot(streamsMax)];
    return Promise.all(this.#keepers.map(keeper => keeper.snapshot(streamsMax)));
  }

  /** Another process that shares the port gets all connections from now on. */
  stopListening(): Promise<void> {
    return this.#acceptor.stopListening();
  }

  /** Resolves when the last stream has ended: in time, whatever the reactors' threads do in JavaScript. */
  async drain(): Promise<void> {
    if (!this.#isClosingNow) this.#forceIn(this.#setup.options.drainTimeoutMs + FORCE_MS);
    await Promise.all((this.#local ? [this.#local] : this.#keepers).map(reactor => reactor.drain()));
  }

  closeNow(): void {
    for (const reactor of this.all) reactor.closeNow();
    // Once: a signal that is repeated must not put it off.
    if (!this.#isClosingNow) this.#forceIn(FORCE_MS);
    this.#isClosingNow = true;
  }

  /** @throws SidetoneError SIDETONE_SERVER_CLOSED, when all is closed, where a reactor had to be ended by force */
  async close(): Promise<void> {
    this.#acceptor.close();
    await Promise.all((this.#local ? [this.#local] : this.#keepers).map(reactor => reactor.close()));
    this.#cancelForce();
    checkNotForced(this.#keepers);
  }

  /**
   * New connections need these.
   * @throws what a reactor says that cannot take them
   */
  async reload(credentials: Credentials, isNewTls: boolean): Promise<void> {
    this.#acceptor.reload(credentials, isNewTls);
    if (this.#local) {
      this.#local.reload(credentials, isNewTls);
      this.deal();
      return;
    }
    await Promise.all(this.#keepers.map(keeper => keeper.reload(credentials, isNewTls)));
  }

  /**
   * Loads the plugins of every other thread anew. A thread that is stuck does it when its event loop turns again, and
   * one that starts has the new ones.
   * @throws what a reactor says that cannot load them
   */
  async reloadPlugins(): Promise<void> {
    await Promise.all(this.#keepers.map(keeper => keeper.reloadPlugins()));
  }

  #forceIn(ms: number): void {
    this.#cancelForce();
    this.#cancelForce = this.#clock.after(ms, () => {
      for (const keeper of this.#keepers) keeper.force();
    });
  }
}
