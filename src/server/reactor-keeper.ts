/**
 * Keeps one reactor's thread: notices within two seconds when it is stuck and when it turns again, and starts a new one in the
 * place of one that has ended.
 */

import type { Clock } from '../clock.js';
import { SidetoneError } from '../errors.js';
import type { UWebSockets } from '../native/uws.js';
import type { Credentials } from '../options/options.js';
import {
  addCounters,
  noFigures,
  type ReactorCondition,
  type ReactorHealth,
  type ReactorSnapshot,
} from '../reactor/snapshot.js';
import { watchHeartbeats } from './heartbeats.js';
import { type ReactorEnd, ReactorThread, type ReactorThreadSetup } from './reactor-thread.js';
import type { ReactorState } from './shared-state.js';

export interface KeeperSetup {
  reactor: ReactorThreadSetup;
  clock: Clock;
  /** Connections are to be dealt to other descriptors than before. */
  onDescriptors(): void;
  /** A new thread has taken the place of one that ended: it must be told what the first one was told. */
  onRestart(reactor: ReactorThread): void;
}

/** A new thread is started after this long, doubled with every one that ends soon after its start. */
const RESTART_MS = 100;
const RESTART_MS_MAX = 30_000;
/** One that has lived this long did not end soon. */
const LIVED_MS = 60_000;
/** How long a reactor that works may take to answer; what it told before stands in then. */
const SNAPSHOT_MS_MAX = 1000;
/** Looks at a thread that is to be ended by force, all of which must find it stuck: 3 s. */
const FORCE_LOOKS = 12;
/** How long the calls of a thread that a plugin ends may take to close. */
const RETIRE_MS_MAX = 2000;

export class ReactorKeeper {
  readonly #setup: KeeperSetup;
  readonly #state: ReactorState;
  #reactor: ReactorThread | undefined;
  #descriptor: UWebSockets.AppDescriptor | undefined;
  #health: ReactorCondition = 'ended';
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
    const { index, options, state } = setup.reactor;
    this.#state = state.reactor(index);
    this.#credentials = { authToken: options.authToken, tls: options.tls };
  }

  /** @throws SidetoneError as createServer, for a plugin that does not load in the thread */
  async start(): Promise<ReactorThread> {
    const { reactor: setup, clock } = this.#setup;
    const options = { ...setup.options, ...this.#credentials };
    const { reactor, descriptor } = await ReactorThread.start({ ...setup, options }, () => this.#retire());
    this.#reactor = reactor;
    this.#descriptor = descriptor;
    this.#health = 'well';
    this.#startedMs = clock.now();
    this.#stopWatching = watchHeartbeats(clock, {
      beats: () => this.#state.beats,
      onChange: isStuck => this.#stuck(isStuck),
      onLook: () => this.#look(reactor),
    });
    void reactor.ended.then(end => this.#ended(end));
    return reactor;
  }

  /** Undefined while there is none. */
  get reactor(): ReactorThread | undefined {
    return this.#reactor;
  }

  /** Where connections may be dealt; undefined while they must not. */
  get descriptor(): UWebSockets.AppDescriptor | undefined {
    return this.#health === 'well' ? this.#descriptor : undefined;
  }

  get health(): ReactorHealth {
    const { overloaded, busy } = this.#state;
    return {
      reactor: this.#setup.reactor.index,
      health: this.#health,
      restarts: this.#restarts,
      overloaded,
      busy,
    };
  }

  /** Whether it had to be ended by force. */
  get wasForced(): boolean {
    return this.#wasForced;
  }

  /** Resolves in time whatever the thread does: when it does not answer, with the figures that it gave last. */
  async snapshot(streamsMax: number): Promise<ReactorSnapshot> {
    const told = this.#health === 'well' ? await this.#ask(streamsMax) : undefined;
    if (told) this.#seen = { ...told, streams: [] };
    const now = told ?? (this.#reactor && this.#seen) ?? noFigures(this.#setup.reactor.index);
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
      this.#reactor!.snapshot(streamsMax).then(answer, () => answer());
    });
  }

  async drain(): Promise<void> {
    this.#isClosing = true;
    this.#cancelRestart();
    // A thread that has ended is drained.
    await this.#reactor?.drain().catch(() => {});
  }

  closeNow(): void {
    this.#reactor?.closeNow();
  }

  /** From now on a thread that is stuck is ended by force. */
  force(): void {
    this.#isForcing = true;
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#cancelRestart();
    this.#state.undealt();
    const reactor = this.#reactor;
    if (!reactor) return;
    try {
      this.#seen = await reactor.close();
    } catch {
      // It has ended before.
    }
    await reactor.ended;
  }

  /** New connections need these. */
  async reload(credentials: Credentials, isNewTls: boolean): Promise<void> {
    // A thread that is stuck or about to start gets them too.
    this.#credentials = credentials;
    if (!this.#reactor) return;
    const taken = this.#reactor.reload(credentials, isNewTls).then(descriptor => {
      this.#descriptor = descriptor;
      this.#setup.onDescriptors();
    });
    if (this.#health === 'well') await taken;
    else taken.catch(() => {});
  }

  /** A thread that is stuck is not waited for. */
  async reloadPlugins(): Promise<void> {
    const loaded = this.#reactor?.reloadPlugins();
    if (this.#health === 'well') await loaded;
    else loaded?.catch(() => {});
  }

  #stuck(isStuck: boolean): void {
    const { reactor, onDescriptors } = this.#setup;
    this.#health = isStuck ? 'stuck' : 'well';
    onDescriptors();
    const facts = { reactor: reactor.index, connections: this.#state.connectionCount };
    if (isStuck)
      reactor.log.error(facts, 'a reactor is stuck: it gets no more connections until its thread turns');
    else reactor.log.warn(facts, 'a reactor turns again');
  }

  #look(reactor: ReactorThread): void {
    if (this.#state.ending) this.#leave();
    this.#forceLooks = this.#isForcing && this.#health === 'stuck' ? this.#forceLooks + 1 : 0;
    if (this.#forceLooks === FORCE_LOOKS) {
      this.#wasForced = true;
      const { index, log } = this.#setup.reactor;
      const facts = { reactor: index, connections: this.#state.connectionCount };
      log.fatal(facts, 'a reactor is stuck at the deadline of the drain: its thread is ended by force');
      reactor.terminate();
    }
  }

  /** No more connections come. */
  #leave(): void {
    this.#descriptor = undefined;
    this.#setup.onDescriptors();
    this.#state.undealt();
  }

  /** A plugin has called process.exit() in the thread: its calls are closed, then it ends. */
  async #retire(): Promise<void> {
    const reactor = this.#reactor;
    if (!reactor || this.#isClosing) return;
    this.#leave();
    const giveUp = this.#setup.clock.after(RETIRE_MS_MAX, () => reactor.terminate());
    try {
      const drained = reactor.drain();
      reactor.closeNow();
      await drained;
      this.#seen = { ...(await reactor.close()), streams: [] };
    } catch {
      // The thread has ended otherwise: #ended logs it.
    }
    giveUp();
  }

  #ended({ code, error }: ReactorEnd): void {
    this.#stopWatching();
    this.#leave();
    const { reactor, clock } = this.#setup;
    this.#reactor = undefined;
    this.#health = 'ended';
    if (this.#seen) this.#past = addCounters(this.#past ?? noFigures(reactor.index), this.#seen);
    this.#seen = undefined;
    const connections = this.#state.connectionCount;
    this.#state.reset();
    if (this.#isClosing) return;
    this.#quickEnds = clock.now() - this.#startedMs < LIVED_MS ? this.#quickEnds + 1 : 0;
    const facts = { reactor: reactor.index, code, connections, ...(error && { err: error }) };
    reactor.log.error(facts, 'a reactor ended: its calls are closed, and a new one takes its place');
    this.#restart();
  }

  #restart(): void {
    const { reactor, clock, onRestart, onDescriptors } = this.#setup;
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
        onDescriptors();
        reactor.log.info({ reactor: reactor.index }, 'a reactor runs in the place of one that ended');
      } catch (error) {
        reactor.log.error({ reactor: reactor.index, err: error }, 'a reactor could not be started');
        this.#quickEnds++;
        if (!this.#isClosing) this.#restart();
      }
    });
  }
}

/** @throws SidetoneError SIDETONE_SERVER_CLOSED where one of them had to be ended by force */
export function checkNotForced(keepers: readonly ReactorKeeper[]): void {
  const forced = keepers.filter(keeper => keeper.wasForced).map(keeper => keeper.health.reactor);
  if (forced.length === 0) return;
  const problem = `reactor ${forced.join(', ')}: stuck at the deadline of the drain, and ended by force`;
  throw new SidetoneError('SIDETONE_SERVER_CLOSED', problem);
}
