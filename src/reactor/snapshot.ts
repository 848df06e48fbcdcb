/** A server's figures: the admin port shows them, and threads send them to each other (plain data only). */
import type { Encoding, Format } from '../formats.js';
import { type MetricFamily, sumFamilies } from '../plugin/metrics.js';
import type { CodecPoolStats } from '../pool/pool.js';
import type { CallStream } from '../stream/stream.js';

export interface StreamSummary {
  id: string;
  plugin: string;
  inbound: Format;
  outbound: Format;
  mode: 'rtp' | 'mp3';
  /** Since its start frame, in ms. */
  ageMs: number;
  /** Audio played and not yet heard in the call, in ms. */
  queuedMs: number;
  /** The engine's counters of this stream (native/engine/counters.h). */
  counters: Record<string, number>;
}

/** How many streams run with a plugin and a pair of encodings. */
export interface StreamGroup {
  plugin: string;
  inbound: Encoding;
  /** MP3 in MP3 mode. */
  outbound: Encoding | 'MP3';
  streams: number;
}

/** @internal What Server.snapshot() gives of each reactor. */
export interface ReactorSnapshot {
  /** 0 for the first. */
  reactor: number;
  /** All that run, by plugin and encodings. */
  groups: StreamGroup[];
  /** Streams one by one, the oldest first: as many as were asked for. */
  streams: StreamSummary[];
  /** WebSockets that are open, streaming or not. */
  connections: number;
  /** The engine's counters over all streams ever, and the reactor's own (REACTOR_COUNTERS). */
  counters: Record<string, number>;
  /** Refused messages by reason. */
  refusals: Record<string, number>;
  /** How late media messages were sent: one bin a quarter of a millisecond, the last one for all the rest. */
  lateness: number[];
  /** Memory that holds queued and held audio, in bytes. */
  queueBytes: number;
  /** The codec pool's figures, once a stream has needed it. */
  pool: CodecPoolStats | undefined;
  /** Delay of the thread's event loop since the last snapshot, in ms. */
  eventLoopDelayMs: { p50: number; p99: number; max: number };
  /** Metrics that the plugins of the thread keep. */
  pluginMetrics: MetricFamily[];
}

/** `stuck`: its thread does not turn; `ended`: a new one is about to take its place. */
export type ReactorCondition = 'well' | 'stuck' | 'ended';

/** What a server tells of one of its reactors. */
export interface ReactorHealth {
  /** Its number, from 0. */
  reactor: number;
  /** Whether it works, is stuck, or has ended. */
  health: ReactorCondition;
  /** Threads that have taken the place of one that ended. */
  restarts: number;
  /** It refuses new streams, because those that it has take all of its time. */
  overloaded: boolean;
  /** Share of its thread's time that is used, 0 to 1. */
  busy: number;
}

/** Whether no reactor takes connections. False of a server that has none yet. */
export function noneWell(reactors: readonly ReactorHealth[]): boolean {
  return reactors.length > 0 && reactors.every(({ health }) => health !== 'well');
}

/** Whether reactors take connections, and all of those are overloaded. */
export function noneHasRoom(reactors: readonly ReactorHealth[]): boolean {
  const taking = reactors.filter(({ health }) => health === 'well');
  return taking.length > 0 && taking.every(({ overloaded }) => overloaded);
}

export function groupKey({ plugin, inbound, outbound }: Omit<StreamGroup, 'streams'>): string {
  return `${inbound} ${outbound} ${plugin}`;
}

/** @internal All streams that run, by plugin and encodings: counted as they come and go, for somebody asks every second. */
export class StreamGroups {
  readonly #groups = new Map<string, StreamGroup>();

  /** `change`: 1 where the stream starts, -1 where it ends. */
  count({ inbound, outbound, mode, plugin }: CallStream, change: 1 | -1): void {
    const of = {
      plugin,
      inbound: inbound.encoding,
      outbound: mode === 'mp3' ? ('MP3' as const) : outbound.encoding,
    };
    const key = groupKey(of);
    const streams = (this.#groups.get(key)?.streams ?? 0) + change;
    if (streams > 0) this.#groups.set(key, { ...of, streams });
    else this.#groups.delete(key);
  }

  list(): StreamGroup[] {
    return [...this.#groups.values()];
  }
}

/** @internal Up to `streamsMax` of the streams that run, the oldest first. */
export function streamSummaries(
  streams: Iterable<CallStream>,
  nowMs: number,
  streamsMax: number,
): StreamSummary[] {
  const summaries: StreamSummary[] = [];
  for (const stream of streams) {
    if (summaries.length >= streamsMax) break;
    summaries.push({
      id: stream.id,
      plugin: stream.plugin,
      inbound: stream.inbound,
      outbound: stream.outbound,
      mode: stream.mode,
      ageMs: nowMs - stream.startedMs,
      queuedMs: stream.queuedMs,
      counters: stream.stats,
    });
  }
  return summaries;
}

/** @internal The snapshot of a reactor that has told nothing. */
export function noFigures(reactor: number): ReactorSnapshot {
  return {
    reactor,
    groups: [],
    streams: [],
    connections: 0,
    counters: {},
    refusals: {},
    lateness: [],
    queueBytes: 0,
    pool: undefined,
    eventLoopDelayMs: { p50: 0, p99: 0, max: 0 },
    pluginMetrics: [],
  };
}

/** @internal Everything of the one, and in what only grows also what the other had. */
export function addCounters(now: ReactorSnapshot, past: ReactorSnapshot): ReactorSnapshot {
  // What a thread that has ended held up is gone.
  const grown = past.pluginMetrics.filter(({ type }) => type !== 'gauge');
  const bins = Math.max(now.lateness.length, past.lateness.length);
  return {
    ...now,
    counters: sum(now.counters, past.counters),
    refusals: sum(now.refusals, past.refusals),
    pluginMetrics: sumFamilies([now.pluginMetrics, grown]),
    lateness: Array.from({ length: bins }, (_, i) => (now.lateness[i] ?? 0) + (past.lateness[i] ?? 0)),
  };
}

function sum(a: Record<string, number>, b: Record<string, number>): Record<string, number> {
  const sums = { ...a };
  for (const [name, value] of Object.entries(b)) sums[name] = (sums[name] ?? 0) + value;
  return sums;
}
