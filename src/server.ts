/** A server: its reactor, its listener, its life from listen() to the last call's end. */
import { EventEmitter } from 'node:events';
import { systemClock } from './clock.js';
import { SidetoneError } from './errors.js';
import { Listener } from './listener.js';
import { createLog, type Logger } from './log.js';
import { type ResolvedOptions, resolveOptions, type ServerOptions } from './options.js';
import type { Plugin } from './plugin.js';
import { loadPlugins } from './plugin-loader.js';
import { Reactor } from './reactor.js';
import type { ReactorSnapshot } from './snapshot.js';

export class Server extends EventEmitter {
  readonly options: ResolvedOptions;
  readonly log: Logger;
  readonly #reactor: Reactor;
  #listener: Listener | undefined;
  #port = 0;
  #adminPort = 0;
  #draining = false;
  #closed: Promise<void> | undefined;
  #hurry: (() => void) | undefined;

  /** @internal Use createServer. */
  constructor(options: ResolvedOptions, log: Logger, plugins: readonly Plugin[]) {
    super();
    this.options = options;
    this.log = log;
    this.#reactor = new Reactor({ clock: systemClock, log, options });
    this.#listener = new Listener({
      options,
      plugins,
      reactor: this.#reactor,
      log,
      admits: () => !this.#draining && this.#reactor.connections.size < options.maxStreams,
    });
  }

  /** The port it listens on; 0 before `listen`. */
  get port(): number {
    return this.#port;
  }

  /** The admin port; 0 before `listen` or without one. */
  get adminPort(): number {
    return this.#adminPort;
  }

  /** Whether a new stream would be taken. */
  get ready(): boolean {
    return this.#port !== 0 && !this.#draining && this.#reactor.connections.size < this.options.maxStreams;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Streams that are running. */
  get streams(): number {
    return this.#reactor.streams;
  }

  /** What each reactor tells of itself; the streams one by one only if asked for. */
  async snapshot(withStreams = true): Promise<ReactorSnapshot[]> {
    return [this.#reactor.snapshot(0, withStreams)];
  }

  /** @internal */
  get reactor(): Reactor {
    return this.#reactor;
  }

  async listen(): Promise<this> {
    const { host, port } = this.options;
    this.#port = await this.#listener!.listen(host, port, true);
    return this;
  }

  /**
   * Takes no new streams, waits for running ones to end by themselves for up to `drainTimeoutMs`, then closes the rest
   * with 1001. A second call closes them at once.
   */
  close(): Promise<void> {
    if (this.#closed) this.#hurry?.();
    else this.#closed = this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    const connections = this.#reactor.connections;
    // A connection without a stream is one whose call was not answered yet or is over.
    for (const connection of [...connections]) if (!connection.streaming) connection.end('server_closed');
    if (connections.size > 0) {
      await new Promise<void>(resolve => {
        const poll = systemClock.every(50, () => connections.size === 0 && done());
        const deadline = systemClock.after(this.options.drainTimeoutMs, () => done());
        const done = (): void => {
          poll();
          deadline();
          resolve();
        };
        this.#hurry = done;
      });
    }
    for (const connection of [...connections]) connection.end('server_closed');
    this.#listener?.stopListening();
    this.#listener = undefined;
    // What was sent last (close frames, the handlers' goodbyes) leaves before the loop is let go.
    await new Promise(resolve => setImmediate(resolve));
    await this.#reactor.close();
    this.emit('close');
  }
}

/**
 * Makes a server; `listen()` starts it.
 * @throws SidetoneError SIDETONE_BAD_OPTION, SIDETONE_PLUGIN_NOT_FOUND, SIDETONE_PLUGIN_INVALID
 */
export async function createServer(options: ServerOptions = {}): Promise<Server> {
  const resolved = resolveOptions(options);
  const plugins = await loadPlugins(resolved.plugins.length > 0 ? resolved.plugins : ['echo']);
  const names = plugins.map(plugin => plugin.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new SidetoneError(
      'SIDETONE_BAD_OPTION',
      `plugins: ${twice}: given twice; give each plugin a name of its own`,
    );
  }
  return new Server(resolved, createLog(resolved.logLevel), plugins);
}
