/**
 * Keeps one lane's thread: notices within two seconds when it is stuck and when it turns again, and starts a new one in the
 * place of one that has ended.
 */

import type { Clock } from '../clock.js';
import { SidetoneError } from '../errors.js';
import type { UWebSockets } from '../native/uws.js';
import type { Credentials } from '../options/options.js';
import {
  addCounters,
  type LaneHealth,
  noFigures,
  type ReactorHealth,
  type ReactorSnapshot,
} from '../reactor/snapshot.js';
import { watchHeartbeats } from './heartbeats.js';
import type { LaneSetup } from './lane.js';
import type { LaneState } from './shared-state.js';
import { type LaneEnd, ThreadLane } from './thread-lane.js';

export interface KeeperSetup {
  lane: LaneSetup;
  clock: Clock;
  /** Connections are to be dealt to other doors than before. */
  onDoors(): void;
  /** A new thread has taken the place of one that ended: it must be told what the first one was told. */
  onRestart(lane: ThreadLane): void;
}

/** A new thread is started after this long, doubled with every one that ends soon after its start. */
const RESTART_MS = 100;
const RESTART_MS_MAX = 30_000;
/** One that has lived this long did not end soon. */
const LIVED_MS = 60_000;
/** How long a lane that works may take to answer; what it told before stands in then. */
const SNAPSHOT_MS_MAX = 1000;
/** Looks at a thread that is to be ended by force, all of which must find it stuck: 3 s. */
const FORCE_LOOKS = 12;
/** How long the calls of a thread that a plugin ends may take to close. */
const RETIRE_MS_MAX = 2000;

export class LaneKeeper {
  readonly #setup: KeeperSetup;
  readonly #state: LaneState;
  #lane: ThreadLane | undefined;
  #door: UWebSockets.AppDescriptor | undefined;
  #health: LaneHealth = 'ended';
  #restarts = 0;
  #quickEnds = 0;
  #startedMs = 0;
  #credentials: Credentials;
  #isClosing = false;
  #isForcing = false;
  #forceLooks = 0;
  #wasForced = false;
  /** Figures of threads that have ended. */
  #past: ReactorSnapshot | undefined;
  /** What the thread told last. */
  #seen: ReactorSnapshot | undefined;
  #stopWatching = (): void => {};
  #cancelRestart = (): void => {};

  constructor(setup: KeeperSetup) {
    this.#setup = setup;
    const { index, options, state } = setup.lane;
    this.#state = state.lane(index);
    this.#credentials = { authToken: options.authToken, tls: options.tls };
  }

  /** @throws SidetoneError as createServer, for a plugin that does not load in the thread */
  async start(): Promise<ThreadLane> {
    const { lane: setup, clock } = this.#setup;
    const options = { ...setup.options, ...this.#credentials };
    const { lane, door } = await ThreadLane.start({ ...setup, options }, () => this.#retire());
    this.#lane = lane;
    this.#door = door;
    this.#health = 'well';
    this.#startedMs = clock.now();
    this.#stopWatching = watchHeartbeats(clock, {
      beats: () => this.#state.beats,
      onChange: isStuck => this.#stuck(isStuck),
      onLook: () => this.#look(lane),
    });
    void lane.ended.then(end => this.#ended(end));
    return lane;
  }

  /** Undefined while there is none. */
  get lane(): ThreadLane | undefined {
    return this.#lane;
  }

  /** Where connections may be dealt; undefined while they must not. */
  get door(): UWebSockets.AppDescriptor | undefined {
    return this.#health === 'well' ? this.#door : undefined;
  }

  get health(): ReactorHealth {
    return { reactor: this.#setup.lane.index, health: this.#health, restarts: this.#restarts };
  }

  /** Whether it had to be ended by force. */
  get wasForced(): boolean {
    return this.#wasForced;
  }

  /** In time whatever the thread does: figures of a thread that does not answer are those that it gave last. */
  async snapshot(streamsMax: number): Promise<ReactorSnapshot> {
    const told = this.#health === 'well' ? await this.#ask(streamsMax) : undefined;
    if (told) this.#seen = { ...told, streams: [] };
    const now = told ?? (this.#lane && this.#seen) ?? noFigures(this.#setup.lane.index);
    return this.#past ? addCounters(now, this.#past) : now;
  }

  #ask(streamsMax: number): Promise<ReactorSnapshot | undefined> {
    const { clock } = this.#setup;
    return new Promise(resolve => {
      const cancel = clock.after(SNAPSHOT_MS_MAX, () => resolve(undefined));
      const answer = (snapshot?: ReactorSnapshot): void => {
        cancel();
        resolve(snapshot);
      };
      this.#lane!.snapshot(streamsMax).then(answer, () => answer());
    });
  }

  async drain(): Promise<void> {
    this.#isClosing = true;
    this.#cancelRestart();
    // A thread that has ended is drained.
    await this.#lane?.drain().catch(() => {});
  }

  hurry(): void {
    this.#lane?.hurry();
  }

  /** From now on a thread that is stuck is ended by force. */
  force(): void {
    this.#isForcing = true;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#cancelRestart();
    this.#state.undealt();
    const lane = this.#lane;
    if (!lane) return;
    try {
      this.#seen = await lane.close();
    } catch {
      // It has ended before.
    }
    await lane.ended;
  }

  /** New connections need these. */
  async reload(credentials: Credentials, isNewTls: boolean): Promise<void> {
    // A thread that is stuck or about to start gets them too.
    this.#credentials = credentials;
    if (!this.#lane) return;
    const taken = this.#lane.reload(credentials, isNewTls).then(door => {
      this.#door = door;
      this.#setup.onDoors();
    });
    if (this.#health === 'well') await taken;
    else taken.catch(() => {});
  }

  /** A thread that is stuck is not waited for. */
  async reloadPlugins(): Promise<void> {
    const loaded = this.#lane?.reloadPlugins();
    if (this.#health === 'well') await loaded;
    else loaded?.catch(() => {});
  }

  #stuck(isStuck: boolean): void {
    const { lane, onDoors } = this.#setup;
    this.#health = isStuck ? 'stuck' : 'well';
    onDoors();
    const facts = { reactor: lane.index, connections: this.#state.connectionCount };
    if (isStuck)
      lane.log.error(facts, 'a reactor is stuck: it gets no more connections until its thread turns');
    else lane.log.warn(facts, 'a reactor turns again');
  }

  #look(lane: ThreadLane): void {
    if (this.#state.ending) this.#leave();
    this.#forceLooks = this.#isForcing && this.#health === 'stuck' ? this.#forceLooks + 1 : 0;
    if (this.#forceLooks === FORCE_LOOKS) {
      this.#wasForced = true;
      const { index, log } = this.#setup.lane;
      const facts = { reactor: index, connections: this.#state.connectionCount };
      log.fatal(facts, 'a reactor is stuck at the deadline of the drain: its thread is ended by force');
      lane.terminate();
    }
  }

  /** No more connections come. */
  #leave(): void {
    this.#door = undefined;
    this.#setup.onDoors();
    this.#state.undealt();
  }

  /** A plugin has called process.exit() in the thread: its calls are closed, then it ends. */
  async #retire(): Promise<void> {
    const lane = this.#lane;
    if (!lane || this.#isClosing) return;
    this.#leave();
    const giveUp = this.#setup.clock.after(RETIRE_MS_MAX, () => lane.terminate());
    try {
      const drained = lane.drain();
      lane.hurry();
      await drained;
      this.#seen = { ...(await lane.close()), streams: [] };
    } catch {
      // It has ended otherwise, which #ended tells.
    }
    giveUp();
  }

  #ended({ code, error }: LaneEnd): void {
    this.#stopWatching();
    this.#leave();
    const { lane, clock } = this.#setup;
    this.#lane = undefined;
    this.#health = 'ended';
    if (this.#seen) this.#past = addCounters(this.#past ?? noFigures(lane.index), this.#seen);
    this.#seen = undefined;
    const connections = this.#state.connectionCount;
    this.#state.reset();
    if (this.#isClosing) return;
    this.#quickEnds = clock.now() - this.#startedMs < LIVED_MS ? this.#quickEnds + 1 : 0;
    const facts = { reactor: lane.index, code, connections, ...(error && { err: error }) };
    lane.log.error(facts, 'a reactor ended: its calls are closed, and a new one takes its place');
    this.#restart();
  }

  #restart(): void {
    const { lane, clock, onRestart, onDoors } = this.#setup;
    const waitMs = Math.min(RESTART_MS_MAX, RESTART_MS * 2 ** Math.min(this.#quickEnds, 16));
    this.#cancelRestart = clock.after(waitMs, async () => {
      try {
        const started = await this.start();
        if (this.#isClosing) {
          await this.close();
          return;
        }
        this.#restarts++;
        onRestart(started);
        onDoors();
        lane.log.info({ reactor: lane.index }, 'a reactor runs in the place of one that ended');
      } catch (error) {
        lane.log.error({ reactor: lane.index, err: error }, 'a reactor could not be started');
        this.#quickEnds++;
        if (!this.#isClosing) this.#restart();
      }
    });
  }
}

/** @throws SidetoneError SIDETONE_SERVER_CLOSED where one of them had to be ended by force */
export function checkNotForced(keepers: readonly LaneKeeper[]): void {
  const forced = keepers.filter(keeper => keeper.wasForced).map(keeper => keeper.health.reactor);
  if (forced.length === 0) return;
  const problem = `reactor ${forced.join(', ')}: stuck at the deadline of the drain, and ended by force`;
  throw new SidetoneError('SIDETONE_SERVER_CLOSED', problem);
}
