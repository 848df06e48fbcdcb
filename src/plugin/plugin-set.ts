/** All plugins of one thread: their start, their replacement by newer code, and their end. */
import type { ReactorCounter } from '../counters.js';
import type { Logger } from '../log/log.js';
import type { PluginInstance, PluginThread } from './instance.js';
import { type MetricFamily, sumFamilies } from './metrics.js';

export interface PluginSetSetup extends PluginThread {
  /** Which of them run in this thread. Default: all. */
  runs?(plugin: PluginInstance): boolean;
}

/** How long an onStop may take after the last call, at least. */
export const IDLE_MS_MIN = 4000;

export class PluginSet {
  /** Those that get new calls. Whoever holds this list sees when others take their place in it. */
  readonly running: PluginInstance[];
  /** Counts a teardown that failed. */
  count: () => void = () => {};
  /** Counts what plugins' own threads do. */
  countThreads: (counter: ReactorCounter, times?: number) => void = () => {};
  readonly #setup: PluginSetSetup;
  /** Older code whose calls are not over. */
  readonly #replaced = new Set<PluginInstance>();
  /** Replacements and the end come one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #hasStarted = false;

  constructor(plugins: PluginInstance[], setup: PluginSetSetup) {
    this.running = plugins;
    this.#setup = setup;
  }

  /** Those that get new calls, and older code whose calls are not over. */
  get all(): PluginInstance[] {
    return [...this.running, ...this.#replaced];
  }

  /**
   * Runs their setups, all at a time.
   * @throws SidetoneError SIDETONE_SETUP_FAILED: those that have been set up are torn down again
   */
  async start(): Promise<void> {
    await this.#start(this.running);
    this.#hasStarted = true;
  }

  /**
   * New calls get `next`, whose setups have run by then. The plugins of before are torn down when their calls are over.
   * @throws SidetoneError SIDETONE_SETUP_FAILED: nothing has changed then
   */
  replace(next: PluginInstance[]): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#hasStarted) await this.#start(next);
      const before = this.running.splice(0, this.running.length, ...next);
      if (!this.#hasStarted) return;
      for (const plugin of before) {
        this.#replaced.add(plugin);
        void this.#end(plugin, Number.POSITIVE_INFINITY).then(() => this.#replaced.delete(plugin));
      }
    });
  }

  /** Tears all of them down, when what they have begun is over; that is waited for up to `idleMs`. */
  close(idleMs = IDLE_MS_MIN): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#hasStarted) return;
      this.#hasStarted = false;
      await Promise.all(this.all.map(plugin => this.#end(plugin, idleMs)));
    });
  }

  async families(): Promise<MetricFamily[]> {
    const own = await this.#setup.metrics.families();
    const hosts = this.all.flatMap(({ host }) => host ?? []);
    if (hosts.length === 0) return own;
    return sumFamilies([own, ...(await Promise.all(hosts.map(host => host.families())))]);
  }

  async #start(plugins: readonly PluginInstance[]): Promise<void> {
    const { runs = () => true } = this.#setup;
    const wanted = plugins.filter(plugin => runs(plugin));
    const outcomes = await Promise.allSettled(wanted.map(plugin => plugin.start(this.#setup)));
    const failed = outcomes.find(outcome => outcome.status === 'rejected');
    if (!failed) return;
    const started = wanted.filter((_, i) => outcomes[i]!.status === 'fulfilled');
    await Promise.all(started.map(plugin => this.#end(plugin, 0)));
    throw failed.reason;
  }

  async #end(plugin: PluginInstance, idleMs: number): Promise<void> {
    try {
      await plugin.end(idleMs);
    } catch (error) {
      this.count();
      this.#log.error({ plugin: plugin.name, err: error }, "a plugin's teardown failed");
    }
  }

  get #log(): Logger {
    return this.#setup.log;
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(action);
    this.#turn = done.catch(() => {});
    return done;
  }
}
