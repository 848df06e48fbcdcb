/** What a server tells of itself: the admin port shows it, threads send it to each other (plain data only). */
import type { Encoding } from './codec.js';
import type { Connection } from './connection.js';
import type { Format } from './engine.js';
import type { CodecPoolStats } from './pool/pool.js';

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

type GroupedStream = Pick<StreamSummary, 'inbound' | 'outbound' | 'mode'>;

export interface ReactorSnapshot {
  /** 0 for the first. */
  reactor: number;
  /** All that run, by plugin and encodings. */
  groups: StreamGroup[];
  /** One by one, the oldest first: as many as were asked for. */
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
}

export function groupKey({ plugin, inbound, outbound }: Omit<StreamGroup, 'streams'>): string {
  return `${inbound} ${outbound} ${plugin}`;
}

/** All streams that run, by plugin and encodings: counted as they come and go, for somebody asks every second. */
export class StreamGroups {
  readonly #groups = new Map<string, StreamGroup>();

  /** `change`: 1 where the stream starts, -1 where it ends. */
  count({ inbound, outbound, mode }: GroupedStream, plugin: string, change: 1 | -1): void {
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

/** Up to `streamsMax` of the streams that run, the oldest first. */
export function streamSummaries(
  connections: Iterable<Connection>,
  nowMs: number,
  streamsMax: number,
): StreamSummary[] {
  const summaries: StreamSummary[] = [];
  for (const { stream, plugin } of connections) {
    if (summaries.length >= streamsMax) break;
    if (!stream || stream.closed) continue;
    summaries.push({
      id: stream.id,
      plugin: plugin.name,
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
