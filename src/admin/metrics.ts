/** The figures of a server as Prometheus text. Every name, type, label and help text is listed here or in counters.ts. */
import { readdir, readFile } from 'node:fs/promises';
import type { Metric } from 'prom-client';
import { REACTOR_COUNTERS } from '../counters.js';
import { native } from '../native/addon.js';
import { promClient } from '../packages.js';
import { familiesText, sumFamilies } from '../plugin/metrics.js';
import { groupKey, type ReactorSnapshot, type StreamGroup } from '../reactor/snapshot.js';
import { version } from '../version.js';
import { COUNTER_HELP, POOL_COUNTER_HELP, POOL_GAUGE_HELP, REFUSAL_REASONS, snakeCase } from './counters.js';
import { LatenessHistogram } from './lateness.js';
import { type Figures, sumByIndex, sumByName } from './source.js';
import { sumGroups } from './status.js';

/** One metric as the documentation lists it. */
export interface MetricDefinition {
  name: string;
  type: 'counter' | 'gauge' | 'histogram';
  labels: readonly string[];
  help: string;
}

type Labels = Record<string, string | number>;
/** A metric whose values are set again for every scrape. Older values are dropped. */
type Write = (value: number, labels?: Labels) => void;

export class Metrics {
  readonly registry = new (promClient().Registry)();
  readonly definitions: MetricDefinition[] = [];
  readonly #figures: Figures;
  readonly #reset: (() => void)[] = [];
  readonly #lateness: LatenessHistogram;
  readonly #counters = new Map<string, Write>();
  readonly #poolCounters = new Map<string, Write>();
  readonly #poolGauges = new Map<string, Write>();
  readonly #write;
  /** All groups of streams that there have been, by `groupKey`. */
  readonly #groups = new Map<string, StreamGroup>();
  #scrapedMs = Number.NEGATIVE_INFINITY;

  constructor(figures: Figures) {
    this.#figures = figures;
    this.#write = this.#gauges();
    for (const name of [...native.counterNames, ...REACTOR_COUNTERS]) {
      const help = COUNTER_HELP[name] ?? `Counter ${name}.`;
      const labels = name === 'refusedMessages' ? ['reason'] : [];
      this.#counters.set(name, this.#counter(`sidetone_${snakeCase(name)}_total`, help, labels));
    }
    for (const [name, help] of Object.entries(POOL_COUNTER_HELP)) {
      this.#poolCounters.set(name, this.#counter(`sidetone_pool_${snakeCase(name)}_total`, help));
    }
    for (const [name, help] of Object.entries(POOL_GAUGE_HELP)) {
      this.#poolGauges.set(name, this.#gauge(`sidetone_pool_${snakeCase(name)}`, help));
    }
    this.#lateness = this.#histogram(
      'sidetone_send_lateness_seconds',
      'How late media messages were sent, after their deadline; Telnyx is kept ahead by leadMs, so less than that is not heard.',
    );
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** The page. Rejects when a reactor does not answer. */
  async text(): Promise<string> {
    const sinceMs = this.#scrapedMs;
    const [snapshots, files] = await Promise.all([this.#figures.take(0), openFiles()]);
    this.#scrapedMs = this.#figures.clock.now();
    for (const reset of this.#reset) reset();
    this.#fillServer(snapshots);
    this.#fillCounters(snapshots);
    this.#fillPool(snapshots);
    for (const snapshot of snapshots) this.#fillReactor(snapshot, sinceMs);
    this.#fillProcess(files);
    const ofPlugins = sumFamilies(snapshots.map(({ pluginMetrics }) => pluginMetrics));
    return (await this.registry.metrics()) + (await familiesText(ofPlugins));
  }

  #fillServer(snapshots: readonly ReactorSnapshot[]): void {
    const write = this.#write;
    const { source } = this.#figures;
    write.info(1, { version, node: process.version });
    write.ready(source.ready ? 1 : 0);
    write.draining(source.draining ? 1 : 0);
    write.streamsMax(source.streamsMax);
    write.queueBytesMax(source.options.queueBytesMax);
    for (const { reactor, health, restarts, overloaded, busy } of source.reactorHealth) {
      write.reactorUp(health === 'well' ? 1 : 0, { reactor });
      write.reactorRestarts(restarts, { reactor });
      write.reactorOverloaded(overloaded ? 1 : 0, { reactor });
      write.reactorBusy(busy, { reactor });
    }
    this.#fillStreams(snapshots);
    this.#lateness.set(sumByIndex(snapshots.map(snapshot => snapshot.lateness)));
  }

  /** A group stays at 0 when its last stream has ended. Prometheus cannot tell a missing series from 0 streams. */
  #fillStreams(snapshots: readonly ReactorSnapshot[]): void {
    for (const group of this.#groups.values()) group.streams = 0;
    for (const group of sumGroups(snapshots)) this.#groups.set(groupKey(group), group);
    for (const { streams, ...labels } of this.#groups.values()) this.#write.streams(streams, labels);
    if (this.#groups.size === 0) this.#write.streams(0, { plugin: '', inbound: '', outbound: '' });
  }

  #fillCounters(snapshots: readonly ReactorSnapshot[]): void {
    const counters = sumByName(snapshots.map(snapshot => snapshot.counters));
    for (const [name, write] of this.#counters) {
      if (name !== 'refusedMessages') write(counters[name] ?? 0);
    }
    const none = Object.fromEntries(REFUSAL_REASONS.map(reason => [reason, 0]));
    const refusals = sumByName([none, ...snapshots.map(snapshot => snapshot.refusals)]);
    const write = this.#counters.get('refusedMessages')!;
    for (const [reason, value] of Object.entries(refusals)) write(value, { reason });
  }

  #fillPool(snapshots: readonly ReactorSnapshot[]): void {
    const pools = snapshots.flatMap(({ pool }) => (pool ? [{ ...pool }] : []));
    const sums = sumByName(pools);
    for (const [name, write] of [...this.#poolCounters, ...this.#poolGauges]) write(sums[name] ?? 0);
  }

  #fillReactor(snapshot: ReactorSnapshot, sinceMs: number): void {
    const write = this.#write;
    const reactor = { reactor: snapshot.reactor };
    write.connections(snapshot.connections, reactor);
    write.reactorStreams(
      snapshot.groups.reduce((sum, { streams }) => sum + streams, 0),
      reactor,
    );
    write.queueBytes(snapshot.queueBytes, reactor);
    const delay = this.#figures.worstDelay(snapshot.reactor, sinceMs);
    for (const stat of ['p50', 'p99', 'max'] as const) {
      write.loopDelay(delay[stat] / 1000, { ...reactor, stat });
    }
  }

  #fillProcess(files: OpenFiles): void {
    const write = this.#write;
    const { user, system } = process.cpuUsage();
    const memory = process.memoryUsage();
    write.cpu((user + system) / 1e6);
    write.cpuUser(user / 1e6);
    write.cpuSystem(system / 1e6);
    write.rss(memory.rss);
    write.heap(memory.heapUsed);
    write.startTime(Math.round(Date.now() / 1000 - process.uptime()));
    if (files.open !== undefined) write.openFiles(files.open);
    if (files.max !== undefined) write.maxFiles(files.max);
  }

  #gauges() {
    const gauge = (name: string, help: string, labels?: string[]) => this.#gauge(name, help, labels);
    const counter = (name: string, help: string, labels?: string[]) => this.#counter(name, help, labels);
    return {
      info: gauge('sidetone_build_info', 'Always 1; the labels say what runs.', ['version', 'node']),
      ready: gauge('sidetone_ready', '1 while new streams are taken, 0 when draining, full or overloaded.'),
      draining: gauge('sidetone_draining', '1 while the server waits for its last calls to end.'),
      streams: gauge('sidetone_streams', 'Streams that run.', ['plugin', 'inbound', 'outbound']),
      streamsMax: gauge('sidetone_streams_max', 'Streams beyond which upgrades are refused.'),
      reactorUp: gauge(
        'sidetone_reactor_up',
        '1 while connections are dealt to a reactor, 0 while its thread is stuck or has ended.',
        ['reactor'],
      ),
      reactorRestarts: counter(
        'sidetone_reactor_restarts_total',
        'Threads of a reactor that have taken the place of one that ended.',
        ['reactor'],
      ),
      reactorOverloaded: gauge(
        'sidetone_reactor_overloaded',
        '1 while a reactor refuses new streams because those that it has take all of its time.',
        ['reactor'],
      ),
      reactorBusy: gauge(
        'sidetone_reactor_busy_ratio',
        "Share of its time in which a reactor's thread works or waits for a processor, 0 to 1.",
        ['reactor'],
      ),
      reactorStreams: gauge('sidetone_reactor_streams', 'Streams that run on a reactor.', ['reactor']),
      connections: gauge('sidetone_connections', 'WebSockets that are open, streaming or not.', ['reactor']),
      queueBytes: gauge('sidetone_queue_bytes', 'Memory that holds queued and held audio.', ['reactor']),
      queueBytesMax: gauge(
        'sidetone_queue_bytes_max',
        'Memory for queued audio of each reactor beyond which play() is refused.',
      ),
      loopDelay: gauge(
        'sidetone_event_loop_delay_seconds',
        "How late a reactor's event loop was since the last scrape: median, 99th percentile and maximum.",
        ['reactor', 'stat'],
      ),
      cpu: counter('process_cpu_seconds_total', 'CPU time of all threads of the process.'),
      cpuUser: counter('process_cpu_user_seconds_total', 'CPU time of the process outside of the kernel.'),
      cpuSystem: counter('process_cpu_system_seconds_total', 'CPU time of the process in the kernel.'),
      rss: gauge('process_resident_memory_bytes', 'Memory of the process that is in RAM.'),
      heap: gauge('nodejs_heap_size_used_bytes', "Heap of the main thread's JavaScript."),
      startTime: gauge('process_start_time_seconds', 'When the process started, in seconds since 1970.'),
      openFiles: gauge('process_open_fds', 'File descriptors that are open (Linux only).'),
      maxFiles: gauge('process_max_fds', 'File descriptors that may be open (Linux only).'),
    };
  }

  #gauge(name: string, help: string, labels: readonly string[] = []): Write {
    const metric = new (promClient().Gauge)({ name, help, labelNames: labels, registers: [this.registry] });
    this.definitions.push({ name, type: 'gauge', labels, help });
    this.#reset.push(() => (labels.length > 0 ? metric.reset() : undefined));
    return (value, given = {}) => metric.set(given, value);
  }

  #counter(name: string, help: string, labels: readonly string[] = []): Write {
    const metric = new (promClient().Counter)({ name, help, labelNames: labels, registers: [this.registry] });
    this.definitions.push({ name, type: 'counter', labels, help });
    this.#reset.push(() => metric.reset());
    return (value, given = {}) => metric.inc(given, value);
  }

  #histogram(name: string, help: string): LatenessHistogram {
    const metric = new LatenessHistogram(name, help);
    this.definitions.push({ name, type: 'histogram', labels: ['le'], help });
    this.registry.registerMetric(metric as unknown as Metric);
    return metric;
  }
}

interface OpenFiles {
  open?: number;
  max?: number;
}

/** Read from Linux. Other systems give nothing. */
async function openFiles(): Promise<OpenFiles> {
  try {
    const [open, limits] = await Promise.all([
      readdir('/proc/self/fd'),
      readFile('/proc/self/limits', 'utf8'),
    ]);
    const max = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    return { open: open.length, ...(max === undefined ? {} : { max: Number(max) }) };
  } catch {
    return {};
  }
}
