/** The server's figures of the last hour. The server keeps them, so that a page that was just opened can show them. */
import type { ReactorSnapshot } from '../reactor/snapshot.js';
import { LATENESS_BIN_MS } from './lateness.js';
import { type Figures, type LoopDelay, sumByIndex, sumByName } from './source.js';

/** One stretch of time: what happened in it, and what was so at its end. */
export interface HistoryPoint {
  /** Its end, in ms since 1970 by the wall clock. */
  atMs: number;
  /** Its length. */
  seconds: number;
  streams: number;
  /** Media messages and payload bytes a second. */
  messagesIn: number;
  bytesIn: number;
  messagesOut: number;
  bytesOut: number;
  /** Of the frames that were heard; null where none was. */
  concealedPercent: number | null;
  underruns: number;
  /** Of the messages that were sent; null where none was. */
  lateP50Ms: number | null;
  lateP99Ms: number | null;
  /** Of the reactor that was worst. */
  loopP50Ms: number;
  loopMaxMs: number;
  /** Of one core, all threads of the process. */
  cpuPercent: number;
  rssBytes: number;
  queueBytes: number;
}

/** `GET /api/history`. */
export interface HistoryReport {
  /** Another process began anew. */
  pid: number;
  intervalMs: number;
  /** The oldest first. Where a reactor did not answer, points are missing. */
  points: HistoryPoint[];
}

/** What happened within the last minute, or since the start where that is less. */
export interface LastMinute {
  seconds: number;
  /** How much each counter has grown. */
  counters: Record<string, number>;
  /** Lateness of the messages that were sent; null where none was. */
  lateP99Ms: number | null;
}

/** What counts up, and what is so now. */
interface Reading {
  nowMs: number;
  atMs: number;
  counters: Record<string, number>;
  lateness: number[];
  cpuSeconds: number;
  streams: number;
  rssBytes: number;
  queueBytes: number;
}

/** Ten minutes second by second, and an hour in steps of ten seconds: some 200 KB. */
const RESOLUTIONS = [
  { intervalMs: 1000, pointsMax: 600 },
  { intervalMs: 10_000, pointsMax: 360 },
] as const;
export const HISTORY_INTERVALS_MS: readonly number[] = RESOLUTIONS.map(({ intervalMs }) => intervalMs);
const MINUTE_MS = 60_000;

/** Points of one length. */
class Track {
  readonly points: HistoryPoint[] = [];
  #before: Reading | undefined;

  constructor(
    readonly intervalMs: number,
    private readonly pointsMax: number,
  ) {}

  add(reading: Reading, worstDelay: (sinceMs: number) => LoopDelay): void {
    const before = this.#before;
    // A timer may fire a little early. A sample that is up to half an interval early counts as in time.
    if (before && reading.nowMs - before.nowMs < this.intervalMs - RESOLUTIONS[0].intervalMs / 2) return;
    this.#before = reading;
    if (!before) return;
    this.points.push(pointBetween(before, reading, worstDelay(before.nowMs)));
    if (this.points.length > this.pointsMax) this.points.shift();
  }
}

export class History {
  readonly #figures: Figures;
  readonly #wallClock: () => number;
  readonly #tracks = RESOLUTIONS.map(({ intervalMs, pointsMax }) => new Track(intervalMs, pointsMax));
  /** Of the last minute, and the one before it. */
  readonly #readings: Reading[] = [];
  #isSampling = false;
  #stop: (() => void) | undefined;

  constructor(figures: Figures, wallClock: () => number = Date.now) {
    this.#figures = figures;
    this.#wallClock = wallClock;
  }

  /** Takes a sample a second until stop(). */
  start(): void {
    this.#stop = this.#figures.clock.every(RESOLUTIONS[0].intervalMs, () => void this.#sample());
  }

  stop(): void {
    this.#stop?.();
  }

  /**
   * @param intervalMs one of HISTORY_INTERVALS_MS
   * @param sinceMs only points that end after it, in ms since 1970
   */
  report(intervalMs: number, sinceMs: number): HistoryReport {
    const track = this.#tracks.find(one => one.intervalMs === intervalMs)!;
    return { pid: process.pid, intervalMs, points: track.points.filter(({ atMs }) => atMs > sinceMs) };
  }

  /** What happened up to `snapshots`, which have just been taken. */
  lastMinute(snapshots: readonly ReactorSnapshot[]): LastMinute {
    const now = this.#read(snapshots);
    const since = this.#readings.findLast(({ nowMs }) => nowMs <= now.nowMs - MINUTE_MS);
    const names = Object.keys(now.counters);
    const grown = growth(since?.counters ?? {}, now.counters);
    return {
      // In the first minute, everything that happened since the start counts.
      seconds: Math.min(MINUTE_MS / 1000, process.uptime()),
      counters: Object.fromEntries(names.map(name => [name, grown(name)])),
      lateP99Ms: quantileMs(latenessBetween(since?.lateness ?? [], now.lateness), 0.99),
    };
  }

  async #sample(): Promise<void> {
    // A reactor that does not answer is waited for, once.
    if (this.#isSampling) return;
    this.#isSampling = true;
    try {
      const snapshots = await this.#figures.take(0);
      // Before the server listens there is no reactor.
      if (snapshots.length > 0) this.#add(snapshots);
    } catch {
      // The missing points are visible in the plots.
    } finally {
      this.#isSampling = false;
    }
  }

  #add(snapshots: readonly ReactorSnapshot[]): void {
    const reading = this.#read(snapshots);
    const worst = (sinceMs: number): LoopDelay => this.#figures.worstOf(snapshots, sinceMs);
    for (const track of this.#tracks) track.add(reading, worst);
    this.#readings.push(reading);
    while ((this.#readings[1]?.nowMs ?? reading.nowMs) <= reading.nowMs - MINUTE_MS) this.#readings.shift();
  }

  #read(snapshots: readonly ReactorSnapshot[]): Reading {
    const { user, system } = process.cpuUsage();
    const groups = snapshots.flatMap(snapshot => snapshot.groups);
    return {
      nowMs: this.#figures.clock.now(),
      atMs: this.#wallClock(),
      counters: sumByName(snapshots.map(({ counters }) => counters)),
      lateness: sumByIndex(snapshots.map(({ lateness }) => lateness)),
      cpuSeconds: (user + system) / 1e6,
      streams: groups.reduce((sum, { streams }) => sum + streams, 0),
      rssBytes: process.memoryUsage.rss(),
      queueBytes: snapshots.reduce((sum, { queueBytes }) => sum + queueBytes, 0),
    };
  }
}

function pointBetween(before: Reading, after: Reading, delay: LoopDelay): HistoryPoint {
  const seconds = (after.nowMs - before.nowMs) / 1000;
  const grown = growth(before.counters, after.counters);
  const rate = (name: string): number => grown(name) / seconds;
  const late = latenessBetween(before.lateness, after.lateness);
  const heard = grown('framesHeard');
  return {
    atMs: after.atMs,
    seconds,
    streams: after.streams,
    messagesIn: rate('mediaReceived'),
    bytesIn: rate('bytesReceived'),
    messagesOut: rate('mediaSent'),
    bytesOut: rate('bytesSent'),
    concealedPercent: heard > 0 ? (100 * grown('framesConcealed')) / heard : null,
    underruns: grown('underruns'),
    lateP50Ms: quantileMs(late, 0.5),
    lateP99Ms: quantileMs(late, 0.99),
    loopP50Ms: delay.p50,
    loopMaxMs: delay.max,
    cpuPercent: (100 * (after.cpuSeconds - before.cpuSeconds)) / seconds,
    rssBytes: after.rssBytes,
    queueBytes: after.queueBytes,
  };
}

/** A reactor that was replaced counts from 0 again. A counter that went down is taken as unchanged. */
function growth(before: Record<string, number>, after: Record<string, number>): (name: string) => number {
  return name => Math.max(0, (after[name] ?? 0) - (before[name] ?? 0));
}

function latenessBetween(before: readonly number[], after: readonly number[]): number[] {
  return after.map((count, i) => Math.max(0, count - (before[i] ?? 0)));
}

/** The upper end of the bin in which the quantile lies; null where nothing was counted. */
function quantileMs(bins: readonly number[], share: number): number | null {
  const all = bins.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let below = 0;
  const at = bins.findIndex(count => {
    below += count;
    return below >= share * all;
  });
  return (at + 1) * LATENESS_BIN_MS;
}
