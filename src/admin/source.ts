/** Where the admin port's figures come from. */
import { type Clock, systemClock } from '../clock.js';
import type { ResolvedOptions } from '../options/options.js';
import { noneHasRoom, noneWell, type ReactorHealth, type ReactorSnapshot } from '../reactor/snapshot.js';

/** What the admin port needs of a server. */
export interface AdminSource {
  readonly options: Pick<ResolvedOptions, 'queueBytesMax' | 'queueMaxMs' | 'leadMs'>;
  /** Streams beyond which upgrades are refused. */
  readonly streamsMax: number;
  /** The port of the streams; 0 before it listens. */
  readonly port: number;
  /** Whether a new stream would be taken. */
  readonly ready: boolean;
  readonly draining: boolean;
  /** Of each reactor: whether it works, and how often it was started anew. */
  readonly reactorHealth: readonly ReactorHealth[];
  /** What each reactor tells of itself, with up to `streamsMax` streams one by one. */
  snapshot(streamsMax?: number): Promise<ReactorSnapshot[]>;
}

export type ServerState = 'starting' | 'ready' | 'full' | 'stuck' | 'overloaded' | 'draining';

export function serverState(source: AdminSource): ServerState {
  if (source.draining) return 'draining';
  if (source.port === 0) return 'starting';
  if (noneWell(source.reactorHealth)) return 'stuck';
  if (source.ready) return 'ready';
  return noneHasRoom(source.reactorHealth) ? 'overloaded' : 'full';
}

/** A reactor whose event loop is blocked cannot answer. A snapshot fails after this time. */
const SNAPSHOT_MS_MAX = 2000;
/** Delays are remembered this long for a scraper, in ms and in number. */
const DELAYS_MS_MAX = 300_000;
const DELAYS_MAX = 20_000;

export type LoopDelay = ReactorSnapshot['eventLoopDelayMs'];

interface NotedDelay extends LoopDelay {
  atMs: number;
  reactor: number;
}

/**
 * Takes the snapshots for several readers. Each snapshot starts a new window of the event loop's delay. The windows
 * are kept, so every reader gets the worst delay since its own last snapshot.
 */
export class Figures {
  readonly #delays: NotedDelay[] = [];

  constructor(
    readonly source: AdminSource,
    readonly clock: Clock = systemClock,
  ) {}

  /**
   * @throws Error when a reactor does not answer within two seconds, or whatever the source rejects with
   */
  async take(streamsMax: number): Promise<ReactorSnapshot[]> {
    let stop: (() => void) | undefined;
    const late = new Promise<never>((_, reject) => {
      stop = this.clock.after(SNAPSHOT_MS_MAX, () =>
        reject(new Error(`a reactor did not answer within ${SNAPSHOT_MS_MAX} ms`)),
      );
    });
    try {
      const snapshots = await Promise.race([this.source.snapshot(streamsMax), late]);
      this.#note(snapshots);
      return snapshots;
    } finally {
      stop?.();
    }
  }

  /** The worst delay of a reactor's event loop in the windows that ended after `sinceMs` on the clock. */
  worstDelay(reactor: number, sinceMs: number): LoopDelay {
    const worst: LoopDelay = { p50: 0, p99: 0, max: 0 };
    for (const delay of this.#delays) {
      if (delay.reactor !== reactor || delay.atMs <= sinceMs) continue;
      worst.p50 = Math.max(worst.p50, delay.p50);
      worst.p99 = Math.max(worst.p99, delay.p99);
      worst.max = Math.max(worst.max, delay.max);
    }
    return worst;
  }

  /** The worst over all these reactors. */
  worstOf(snapshots: readonly ReactorSnapshot[], sinceMs: number): LoopDelay {
    const each = snapshots.map(({ reactor }) => this.worstDelay(reactor, sinceMs));
    const worst = (stat: keyof LoopDelay): number => Math.max(0, ...each.map(delay => delay[stat]));
    return { p50: worst('p50'), p99: worst('p99'), max: worst('max') };
  }

  #note(snapshots: readonly ReactorSnapshot[]): void {
    const now = this.clock.now();
    for (const { reactor, eventLoopDelayMs } of snapshots) {
      this.#delays.push({ ...eventLoopDelayMs, atMs: now, reactor });
    }
    const kept = this.#delays.findIndex(delay => delay.atMs > now - DELAYS_MS_MAX);
    this.#delays.splice(0, Math.max(kept, this.#delays.length - DELAYS_MAX));
  }
}

/** Adds up what each of several has by name. */
export function sumByName(each: Iterable<Record<string, number>>): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const record of each) {
    for (const [name, value] of Object.entries(record)) sums[name] = (sums[name] ?? 0) + value;
  }
  return sums;
}

/** Adds up bin by bin. */
export function sumByIndex(each: readonly (readonly number[])[]): number[] {
  const bins = Math.max(0, ...each.map(one => one.length));
  return Array.from({ length: bins }, (_, i) => each.reduce((sum, one) => sum + (one[i] ?? 0), 0));
}
