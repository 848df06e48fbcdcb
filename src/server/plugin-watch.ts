/** Watches the folders that plugins are written in. */
import { type FSWatcher, watch } from 'node:fs';
import type { Clock } from '../clock.js';

export interface PluginWatchSetup {
  folders: readonly string[];
  clock: Clock;
  /** Code has changed. The next call waits until what this returns has settled. */
  onChange(): Promise<void>;
  /** A folder cannot be watched (any more). */
  onError(error: Error): void;
  /** Default: that of node:fs. */
  watchFolder?: (folder: string, listener: (event: string, file: string | null) => void) => FSWatcher;
}

/** An editor writes a file in several steps, and a save of several files is one change. */
const QUIET_MS = 100;
/** What else lies there, such as recordings, is no code. */
const CODE = /\.(ts|js|json)$/;

export class PluginWatch {
  readonly #setup: PluginWatchSetup;
  readonly #watchers: FSWatcher[];
  #cancel = (): void => {};
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(setup: PluginWatchSetup) {
    this.#setup = setup;
    const { watchFolder = (folder, listener) => watch(folder, { persistent: false }, listener) } = setup;
    this.#watchers = setup.folders.flatMap(folder => {
      try {
        const watcher = watchFolder(folder, (_, file) => this.#changed(file));
        return watcher.on('error', setup.onError);
      } catch (error) {
        setup.onError(error as Error);
        return [];
      }
    });
  }

  #changed(file: string | null): void {
    if (this.#isClosed || (file !== null && !CODE.test(file))) return;
    this.#cancel();
    this.#cancel = this.#setup.clock.after(QUIET_MS, () => {
      this.#running = this.#running.then(() => (this.#isClosed ? undefined : this.#setup.onChange()));
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
    for (const watcher of this.#watchers) watcher.close();
  }
}
