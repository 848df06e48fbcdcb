/** All lanes of a server behind one listening socket: one in this thread, or several in threads of their own. */
import { type Clock, systemClock } from '../clock.js';
import type { Credentials, ResolvedOptions } from '../options/options.js';
import type { Plugin } from '../plugin/plugin.js';
import type { ReactorHealth, ReactorSnapshot } from '../reactor/snapshot.js';
import { Acceptor } from './acceptor.js';
import { type Lane, type LaneSetup, LocalLane } from './lane.js';
import { checkNotForced, LaneKeeper } from './lane-keeper.js';
import type { SharedState } from './shared-state.js';

export interface LanesSetup {
  options: ResolvedOptions;
  plugins: Plugin[];
  state: SharedState;
  laneSetup(index: number): LaneSetup;
  /** A lane has started, which must be told what the others know. */
  onLane(lane: Lane): void;
}

/** A stuck thread may be ended by force this long after the deadline of the drain, or after close() was called again. */
const FORCE_MS = 1000;

export class Lanes {
  readonly #setup: LanesSetup;
  readonly #clock: Clock = systemClock;
  readonly #acceptor: Acceptor;
  #local: LocalLane | undefined;
  #keepers: LaneKeeper[] = [];
  #isHurried = false;
  #cancelForce = (): void => {};

  constructor(setup: LanesSetup) {
    this.#setup = setup;
    this.#acceptor = new Acceptor(setup.options);
  }

  /**
   * Makes the lanes and listens; resolves with the port.
   * @throws SidetoneError SIDETONE_PORT_IN_USE; with several reactors as createServer, for a plugin that does not load
   */
  async listen(): Promise<number> {
    const { host, port } = this.#setup.options;
    try {
      await this.#start();
      this.#deal();
      const listensOn = await this.#acceptor.listen(host, port);
      this.#setup.state.port = listensOn;
      return listensOn;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { options, plugins, laneSetup, onLane } = this.#setup;
    if (options.reactors === 1) {
      this.#local = new LocalLane(laneSetup(0), plugins);
      onLane(this.#local);
      await this.#local.warmed;
      return;
    }
    this.#keepers = Array.from(
      { length: options.reactors },
      (_, index) =>
        new LaneKeeper({
          lane: laneSetup(index),
          clock: this.#clock,
          onDoors: () => this.#deal(),
          onRestart: onLane,
        }),
    );
    // Those that start are closed when another does not, so all must have come to their end first.
    const started = await Promise.allSettled(this.#keepers.map(keeper => keeper.start()));
    for (const outcome of started) {
      if (outcome.status === 'rejected') throw outcome.reason;
      onLane(outcome.value);
    }
  }

  #deal(): void {
    const doors = this.#local
      ? [this.#local.listener.descriptor()]
      : this.#keepers.map(keeper => keeper.door);
    this.#acceptor.deal(doors.filter(door => door !== undefined));
  }

  get(index: number): Lane | undefined {
    return this.#local ?? this.#keepers[index]?.lane;
  }

  /** Those that live. */
  get all(): Lane[] {
    return this.#local ? [this.#local] : this.#keepers.flatMap(({ lane }) => lane ?? []);
  }

  /** With one reactor nobody could ask about it if it were not well. */
  get health(): ReactorHealth[] {
    if (this.#local) return [{ reactor: 0, health: 'well', restarts: 0 }];
    return this.#keepers.map(keeper => keeper.health);
  }

  async snapshot(streamsMax: number): Promise<ReactorSnapshot[]> {
    if (this.#local) return [this.#local.snapshot(streamsMax)];
    return Promise.all(this.#keepers.map(keeper => keeper.snapshot(streamsMax)));
  }

  /** Resolves when the last stream has ended: in time, whatever the lanes' threads do in JavaScript. */
  async drain(): Promise<void> {
    this.#forceIn(this.#setup.options.drainTimeoutMs + FORCE_MS);
    await Promise.all((this.#local ? [this.#local] : this.#keepers).map(lane => lane.drain()));
  }

  hurry(): void {
    for (const lane of this.all) lane.hurry();
    // Once: a signal that is repeated must not put it off.
    if (!this.#isHurried) this.#forceIn(FORCE_MS);
    this.#isHurried = true;
  }

  /** @throws SidetoneError SIDETONE_SERVER_CLOSED, when all is closed, where a lane had to be ended by force */
  async close(): Promise<void> {
    this.#acceptor.close();
    await Promise.all((this.#local ? [this.#local] : this.#keepers).map(lane => lane.close()));
    this.#cancelForce();
    checkNotForced(this.#keepers);
  }

  /**
   * New connections need these.
   * @throws what a lane says that cannot take them
   */
  async reload(credentials: Credentials, isNewTls: boolean): Promise<void> {
    this.#acceptor.reload(credentials, isNewTls);
    if (this.#local) {
      this.#local.reload(credentials, isNewTls);
      this.#deal();
      return;
    }
    await Promise.all(this.#keepers.map(keeper => keeper.reload(credentials, isNewTls)));
  }

  /**
   * Of every thread but this one; one that is stuck does it when it turns again, and one that starts has the new ones.
   * @throws what a lane says that cannot load them
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
