/** A server of which only the figures exist, and plain HTTP with every header as it is given. */
import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import type { AdminSource } from '../../src/admin/admin.js';
import { REACTOR_COUNTERS } from '../../src/counters.js';
import { native } from '../../src/native/addon.js';
import type { ReactorHealth, ReactorSnapshot, StreamSummary } from '../../src/reactor/snapshot.js';

export const COUNTER_NAMES: readonly string[] = [...native.counterNames, ...REACTOR_COUNTERS];

/** Every counter has a value of its own: its place in the list, from 1, times `factor`. */
export function fakeSnapshot(
  reactor: number,
  factor = 1,
  more: Partial<ReactorSnapshot> = {},
): ReactorSnapshot {
  const lateness = new Array<number>(256).fill(0);
  return {
    reactor,
    groups: [],
    streams: [],
    connections: 0,
    counters: Object.fromEntries(COUNTER_NAMES.map((name, i) => [name, (i + 1) * factor])),
    refusals: {},
    lateness,
    queueBytes: 0,
    pool: undefined,
    eventLoopDelayMs: { p50: 0, p99: 0, max: 0 },
    pluginMetrics: [],
    ...more,
  };
}

export function fakeStream(id: string, more: Partial<StreamSummary> = {}): StreamSummary {
  const format = { encoding: 'PCMU', sampleRate: 8000 } as const;
  return {
    id,
    plugin: 'echo',
    inbound: format,
    mode: 'rtp',
    outbound: format,
    ageMs: 0,
    queuedMs: 0,
    counters: {},
    ...more,
  };
}

export class FakeSource implements AdminSource {
  options = { queueBytesMax: 1 << 30, queueMaxMs: 60_000, leadMs: 200 };
  streamsMax = 100;
  port = 8080;
  ready = true;
  draining = false;
  reactorHealth: ReactorHealth[] = [{ reactor: 0, health: 'well', restarts: 0, overloaded: false, busy: 0 }];
  /** What the server was asked for, in order. */
  readonly asked: (number | undefined)[] = [];
  answer: () => Promise<ReactorSnapshot[]> = async () => [fakeSnapshot(0)];

  snapshot(streamsMax?: number): Promise<ReactorSnapshot[]> {
    this.asked.push(streamsMax);
    return this.answer();
  }
}

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** `host` '' sends no Host header. */
export async function fetchAdmin(
  port: number,
  path: string,
  { method = 'GET', host = `127.0.0.1:${port}`, address = '127.0.0.1' } = {},
): Promise<Reply> {
  const outgoing = request({
    host: address,
    port,
    path,
    method,
    setHost: false,
    headers: host === '' ? {} : { host },
    agent: false,
  });
  outgoing.end();
  const [response] = await once(outgoing, 'response');
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += chunk;
  return { status: response.statusCode, headers: response.headers, body };
}
