/** Where a plugin's handlers run: in the thread of the reactor, or in threads of the plugin's own. */
import { SidetoneError, shown } from '../errors.js';
import { isObject } from '../objects.js';

/** How a plugin runs in threads of its own. */
export interface ThreadIsolation {
  /** Threads of each reactor, 1 to 64, to which its streams are dealt. Default 1. */
  threads?: number;
  /** A thread whose event loop has not turned for so long is ended and replaced, in ms: 1000 to 600,000. Default 5000. */
  hangMs?: number;
  /** Memory of each thread for JavaScript, in MB, 32 to 65,536: one that wants more ends. Default: what Node.js gives it. */
  heapMb?: number | undefined;
  /**
   * What becomes of the calls of a thread that is replaced. `move`: `onStart` is called for them in another thread, where
   * `stream.resumed` tells of it; the call whose handler held the thread ends, and so does one that moves a second time.
   * `end`: all of them end. Default `move`.
   */
  lostCalls?: 'move' | 'end';
}

/** `reactor`: the thread that carries the streams. `thread`: threads of the plugin's own, as the object says. */
export type Isolation = 'reactor' | 'thread' | ThreadIsolation;

/** The same with what is usual filled in. */
export type ThreadSettings = Omit<Required<ThreadIsolation>, 'heapMb'> & Pick<ThreadIsolation, 'heapMb'>;

export const ISOLATION_REMEDY =
  "use 'reactor', 'thread', or { threads (1 to 64), hangMs (1000 to 600000), heapMb (32 to 65536), lostCalls ('move' or 'end') }";

const USUAL: ThreadSettings = { threads: 1, hangMs: 5000, lostCalls: 'move' };

export function isIsolation(value: unknown): value is Isolation {
  if (value === 'reactor' || value === 'thread') return true;
  if (!isObject(value) || Array.isArray(value)) return false;
  const { threads, hangMs, heapMb, lostCalls, ...others } = { ...USUAL, ...(value as ThreadIsolation) };
  const isBetween = (number: unknown, min: number, max: number): boolean =>
    typeof number === 'number' && number >= min && number <= max;
  return (
    Object.keys(others).length === 0 &&
    Number.isInteger(threads) &&
    isBetween(threads, 1, 64) &&
    isBetween(hangMs, 1000, 600_000) &&
    (heapMb === undefined || isBetween(heapMb, 32, 65_536)) &&
    (lostCalls === 'move' || lostCalls === 'end')
  );
}

/** What `isolation` comes to; undefined where handlers run in the reactor. */
export function threadIsolation(isolation: Isolation): ThreadSettings | undefined {
  if (isolation === 'reactor') return undefined;
  return isolation === 'thread' ? USUAL : { ...USUAL, ...isolation };
}

/** A plugin that can run in threads of its own, as far as it matters here. */
interface Isolatable {
  readonly name: string;
  readonly plugin: { readonly isolation?: Isolation | undefined };
  /** Undefined where it was given as a definition. */
  readonly file: string | undefined;
  readonly given: object | undefined;
}

/**
 * What goes to a plugin's threads must be found there again.
 * @throws SidetoneError SIDETONE_BAD_OPTION naming the plugin and the remedy
 */
export function checkIsolatable(plugins: readonly Isolatable[], usual: Isolation): void {
  for (const { name, plugin, file, given = {} } of plugins) {
    if (!threadIsolation(plugin.isolation ?? usual)) continue;
    const fail = (problem: string): never => {
      throw new SidetoneError('SIDETONE_BAD_OPTION', `plugin ${name}: isolation: ${problem}`);
    };
    if (file === undefined) {
      fail('a definition cannot go to a thread: give its file or package name in `plugins`, or use reactor');
    }
    for (const [field, value] of Object.entries(given)) {
      try {
        structuredClone(value);
      } catch {
        fail(`options.${field}: ${shown(typeof value)} cannot be cloned for a thread: give plain data`);
      }
    }
  }
}
