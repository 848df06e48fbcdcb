/** The figures of a server as JSON. */

import {
  groupKey,
  type ReactorCondition,
  type ReactorSnapshot,
  type StreamGroup,
  type StreamSummary,
} from '../reactor/snapshot.js';
import { version } from '../version.js';
import type { History, LastMinute } from './history.js';
import { LATENESS_BIN_MS } from './lateness.js';
import {
  type Figures,
  type LoopDelay,
  type ServerState,
  serverState,
  sumByIndex,
  sumByName,
} from './source.js';
import { type Concern, concerns } from './warnings.js';

/** `GET /api/status`. Counters only grow; whoever polls takes differences. */
export interface StatusReport {
  version: string;
  node: string;
  pid: number;
  /** Monotonic, for rates. */
  nowMs: number;
  uptimeSeconds: number;
  state: ServerState;
  streams: number;
  streamsMax: number;
  connections: number;
  groups: StreamGroup[];
  counters: Record<string, number>;
  refusals: Record<string, number>;
  /** Messages sent, by lateness: a bin `latenessBinMs` wide each, the last one for all the rest. */
  lateness: number[];
  latenessBinMs: number;
  lastMinute: LastMinute;
  /** What is over its bound. */
  concerns: Concern[];
  queueBytes: number;
  /** Of each reactor. */
  queueBytesMax: number;
  /** Longest audio that may wait in one stream, in ms. */
  queueMaxMs: number;
  /** Of all threads of the process. */
  cpuSeconds: number;
  rssBytes: number;
  pool: Record<string, number>;
  reactors: {
    reactor: number;
    health: ReactorCondition;
    streams: number;
    connections: number;
    queueBytes: number;
    /** The worst of the last second at least. */
    eventLoopDelayMs: LoopDelay;
  }[];
}

/** `GET /api/streams`. It names no caller and holds no secret. */
export interface StreamsReport {
  /** Streams that run. */
  total: number;
  limit: number;
  /** The oldest first, at most `limit`. */
  streams: (StreamSummary & { reactor: number })[];
}

const RECENT_MS = 1000;
const MINUTE_MS = 60_000;

const streamsOf = (snapshot: ReactorSnapshot): number =>
  snapshot.groups.reduce((sum, { streams }) => sum + streams, 0);

export async function statusReport(figures: Figures, history: History): Promise<StatusReport> {
  const { source } = figures;
  const snapshots = await figures.take(0);
  const { user, system } = process.cpuUsage();
  const now = figures.clock.now();
  const lastMinute = history.lastMinute(snapshots);
  const streams = snapshots.reduce((total, snapshot) => total + streamsOf(snapshot), 0);
  const sum = (figure: (snapshot: ReactorSnapshot) => number): number =>
    snapshots.reduce((total, snapshot) => total + figure(snapshot), 0);
  return {
    version,
    node: process.version,
    pid: process.pid,
    nowMs: now,
    uptimeSeconds: process.uptime(),
    state: serverState(source),
    streams,
    streamsMax: source.streamsMax,
    connections: sum(snapshot => snapshot.connections),
    groups: sumGroups(snapshots),
    counters: sumByName(snapshots.map(snapshot => snapshot.counters)),
    refusals: sumByName(snapshots.map(snapshot => snapshot.refusals)),
    lateness: sumByIndex(snapshots.map(snapshot => snapshot.lateness)),
    latenessBinMs: LATENESS_BIN_MS,
    lastMinute,
    concerns: concerns({
      streams,
      draining: source.draining,
      lastMinute,
      reactors: snapshots.map(({ reactor, queueBytes }) => ({
        reactor,
        queueBytes,
        loopMaxMs: figures.worstDelay(reactor, now - MINUTE_MS).max,
      })),
      options: source.options,
    }),
    queueBytes: sum(snapshot => snapshot.queueBytes),
    queueBytesMax: source.options.queueBytesMax,
    queueMaxMs: source.options.queueMaxMs,
    cpuSeconds: (user + system) / 1e6,
    rssBytes: process.memoryUsage.rss(),
    pool: sumByName(snapshots.flatMap(({ pool }) => (pool ? [{ ...pool }] : []))),
    reactors: snapshots.map(snapshot => ({
      reactor: snapshot.reactor,
      health: source.reactorHealth.find(({ reactor }) => reactor === snapshot.reactor)?.health ?? 'well',
      streams: streamsOf(snapshot),
      connections: snapshot.connections,
      queueBytes: snapshot.queueBytes,
      eventLoopDelayMs: figures.worstDelay(snapshot.reactor, now - RECENT_MS),
    })),
  };
}

export async function streamsReport(figures: Figures, limit: number): Promise<StreamsReport> {
  const snapshots = await figures.take(limit);
  const streams = snapshots.flatMap(({ reactor, streams }) =>
    // Copied field by field, so that a field added to the summary later is not published by accident.
    streams.map(({ id, plugin, inbound, outbound, mode, ageMs, queuedMs, counters }) => ({
      id,
      reactor,
      plugin,
      inbound,
      outbound,
      mode,
      ageMs: Math.round(ageMs),
      queuedMs: Math.round(queuedMs),
      counters,
    })),
  );
  const total = snapshots.reduce((sum, snapshot) => sum + streamsOf(snapshot), 0);
  streams.sort((a, b) => b.ageMs - a.ageMs);
  return { total, limit, streams: streams.slice(0, limit) };
}

/** Streams by plugin and encodings, over all reactors, the largest group first. */
export function sumGroups(snapshots: readonly ReactorSnapshot[]): StreamGroup[] {
  const sums = new Map<string, StreamGroup>();
  for (const group of snapshots.flatMap(({ groups }) => groups)) {
    const key = groupKey(group);
    const sum = sums.get(key);
    if (sum) sum.streams += group.streams;
    else sums.set(key, { ...group });
  }
  return [...sums.values()].sort((a, b) => b.streams - a.streams);
}
