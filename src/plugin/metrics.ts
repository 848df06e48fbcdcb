/** Metrics of plugins: each plugin's own, in one registry a thread. The admin port adds them up over all threads. */
import type { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { SidetoneError, shown } from '../errors.js';
import type { Logger } from '../log/log.js';
import { promClient } from '../packages.js';

/** Values of a metric's labels. Keep them few: a call's identifier has no place here. */
export type LabelValues<Label extends string> = Readonly<Record<Label, string | number>>;

/** What a metric has besides its name and help. `Label` are the names of its labels. */
export interface MetricOptions<Label extends string = never> {
  /** Names of its labels; each value is then counted for itself. Default: none. */
  labels?: readonly Label[];
}

/** What a histogram has besides its name and help. */
export interface HistogramOptions<Label extends string = never> extends MetricOptions<Label> {
  /** Upper bounds of its buckets, ascending. Default: prom-client's, 0.005 to 10. */
  buckets?: readonly number[];
}

/** Something that only grows. */
export interface PluginCounter<Label extends string = never> {
  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is no number from 0 on, or for wrong labels */
  inc(by?: number, labels?: LabelValues<Label>): void;
}

/** Something that goes up and down. */
export interface PluginGauge<Label extends string = never> {
  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is no number, or for wrong labels; so do inc and dec */
  set(value: number, labels?: LabelValues<Label>): void;
  /** Adds `by`, 1 unless given. */
  inc(by?: number, labels?: LabelValues<Label>): void;
  /** Takes `by` away, 1 unless given. */
  dec(by?: number, labels?: LabelValues<Label>): void;
}

/** How something is spread, such as durations. */
export interface PluginHistogram<Label extends string = never> {
  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is no number, or for wrong labels */
  observe(value: number, labels?: LabelValues<Label>): void;
}

/**
 * A plugin's own metrics. They stand on the admin port as `sidetone_plugin_NAME` with the label `plugin`, added up over all
 * reactors; a counter's name gets `_total` at its end. The same definition twice gives the same metric.
 *
 * ```ts
 * setup: ({ metrics }) => ({ answers: metrics.counter('answers', 'Answers given.', { labels: ['how'] }) }),
 * onStart: (stream, { state }) => ({ onDtmf: () => state.answers.inc(1, { how: 'key' }) }),
 * ```
 *
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT for a bad name, and for one that is defined otherwise
 */
export interface PluginMetrics {
  /**
   * A metric that only grows. A second call with the same name and options gives the same metric.
   *
   * @param name 1 to 100 small letters, digits and underscores, beginning with a letter, without `_total`
   */
  counter<Label extends string = never>(
    name: string,
    help: string,
    options?: MetricOptions<Label>,
  ): PluginCounter<Label>;
  /** A metric that goes up and down. Names are as those of counters. */
  gauge<Label extends string = never>(
    name: string,
    help: string,
    options?: MetricOptions<Label>,
  ): PluginGauge<Label>;
  /** A metric of how values are spread. Names are as those of counters. */
  histogram<Label extends string = never>(
    name: string,
    help: string,
    options?: HistogramOptions<Label>,
  ): PluginHistogram<Label>;
}

/** One metric with all its values, as prom-client writes it as JSON: plain data, for threads to send. */
export interface MetricFamily {
  name: string;
  help: string;
  type: string;
  aggregator: string;
  values: { value: number; labels: Record<string, string | number>; metricName?: string }[];
}

/** The families of several, added up by name and labels. */
export function sumFamilies(each: readonly (readonly MetricFamily[])[]): MetricFamily[] {
  if (each.every(families => families.length === 0)) return [];
  const summed = promClient()
    .AggregatorRegistry.aggregate(each.map(one => [...one]))
    .getMetricsAsArray();
  return (summed as unknown as MetricFamily[]).map(({ name, help, type, aggregator, values }) => ({
    name,
    help,
    type,
    aggregator,
    values,
  }));
}

/** As Prometheus reads them; empty where there are none. */
export async function familiesText(families: readonly MetricFamily[]): Promise<string> {
  if (families.length === 0) return '';
  return promClient()
    .AggregatorRegistry.aggregate([[...families]])
    .metrics();
}

type Kind = 'counter' | 'gauge' | 'histogram';
type Given = Record<string, string | number>;

interface Definition {
  kind: Kind;
  help: string;
  labels: readonly string[];
  buckets: readonly number[] | undefined;
}

/** Combinations of label values of one metric in one thread; more are not counted. */
const SERIES_MAX = 1000;

/** The metrics of all plugins of one thread. They outlive a reload, so that what has been counted stays. */
export class PluginRegistry {
  readonly #registries = new Map<string, Registry>();
  /** What each name on the page is, and whose. */
  readonly #kinds = new Map<string, { kind: Kind; plugin: string }>();

  /** The metrics of one plugin; anew for each time that its code is loaded. */
  of(plugin: string, log: Logger): PluginMetrics {
    return new OwnMetrics(plugin, () => this.#registryOf(plugin), log, this.#kinds);
  }

  #registryOf(plugin: string): Registry {
    let registry = this.#registries.get(plugin);
    if (!registry) {
      registry = new (promClient().Registry)();
      registry.setDefaultLabels({ plugin });
      this.#registries.set(plugin, registry);
    }
    return registry;
  }

  async families(): Promise<MetricFamily[]> {
    const each = await Promise.all(
      [...this.#registries.values()].map(registry => registry.getMetricsAsJSON()),
    );
    return each.flat() as unknown as MetricFamily[];
  }
}

class OwnMetrics implements PluginMetrics {
  readonly #definitions = new Map<string, Definition & { metric: OwnMetric }>();

  constructor(
    private readonly plugin: string,
    private readonly registry: () => Registry,
    private readonly log: Logger,
    private readonly kinds: Map<string, { kind: Kind; plugin: string }>,
  ) {}

  counter<Label extends string = never>(
    name: string,
    help: string,
    options: MetricOptions<Label> = {},
  ): PluginCounter<Label> {
    return this.#metric('counter', name, help, options);
  }

  gauge<Label extends string = never>(
    name: string,
    help: string,
    options: MetricOptions<Label> = {},
  ): PluginGauge<Label> {
    return this.#metric('gauge', name, help, options);
  }

  histogram<Label extends string = never>(
    name: string,
    help: string,
    options: HistogramOptions<Label> = {},
  ): PluginHistogram<Label> {
    return this.#metric('histogram', name, help, options);
  }

  #metric(kind: Kind, name: string, help: string, options: HistogramOptions<string>): OwnMetric {
    const where = `plugin ${this.plugin}: metrics.${kind}`;
    const fail = (problem: string): never => {
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${where} ${problem}`);
    };
    const { labels = [], buckets } = options;
    checkNames(kind, name, labels, fail);
    if (typeof help !== 'string' || help === '') fail(`${name}: help: ${shown(help)}: say what it counts`);
    if (buckets && !isAscending(buckets)) fail(`${name}: buckets: ${shown(buckets)}: give ascending numbers`);
    const definition: Definition = { kind, help, labels: [...labels], buckets: buckets && [...buckets] };
    const before = this.#definitions.get(name);
    if (before) {
      if (isSame(before, definition)) return before.metric;
      fail(`${name}: it is defined already, and otherwise: give each metric its own name`);
    }
    const full = `sidetone_plugin_${name}${kind === 'counter' ? '_total' : ''}`;
    const other = this.kinds.get(full);
    if (other && other.kind !== kind && other.plugin !== this.plugin) {
      fail(`${name}: plugin ${other.plugin} has a ${other.kind} of this name: give it another one`);
    }
    this.kinds.set(full, { kind, plugin: this.plugin });
    const metric = new OwnMetric(
      `${where} ${name}`,
      this.#registered(full, definition),
      definition,
      this.log,
    );
    this.#definitions.set(name, { ...definition, metric });
    return metric;
  }

  /** The metric that code before a reload has made, where it is the same; else a new one in its place. */
  #registered(name: string, definition: Definition): Counter | Gauge | Histogram {
    const { kind, help, labels, buckets } = definition;
    const registry = this.registry();
    const before = registry.getSingleMetric(name) as unknown as Made | undefined;
    if (before && isSame(before[DEFINITION], definition)) return before as unknown as Counter;
    registry.removeSingleMetric(name);
    const settings = { name, help, labelNames: labels, registers: [registry] };
    const { Counter, Gauge, Histogram } = promClient();
    const made =
      kind === 'counter'
        ? new Counter(settings)
        : kind === 'gauge'
          ? new Gauge(settings)
          : new Histogram(buckets ? { ...settings, buckets: [...buckets] } : settings);
    (made as unknown as Made)[DEFINITION] = definition;
    return made;
  }
}

const DEFINITION = Symbol('definition');
interface Made {
  [DEFINITION]: Definition;
}

/** Checks each value before prom-client has it, whose errors name neither the plugin nor a remedy. */
class OwnMetric implements PluginCounter<string>, PluginGauge<string>, PluginHistogram<string> {
  readonly #series = new Set<string>();
  #isFull = false;

  constructor(
    private readonly where: string,
    private readonly metric: Counter | Gauge | Histogram,
    private readonly definition: Definition,
    private readonly log: Logger,
  ) {}

  inc(by = 1, labels?: Given): void {
    const least = this.definition.kind === 'counter' ? 0 : Number.NEGATIVE_INFINITY;
    if (this.#takes(by, labels, least)) (this.metric as Gauge).inc(labels ?? {}, by);
  }

  dec(by = 1, labels?: Given): void {
    if (this.#takes(by, labels)) (this.metric as Gauge).dec(labels ?? {}, by);
  }

  set(value: number, labels?: Given): void {
    if (this.#takes(value, labels)) (this.metric as Gauge).set(labels ?? {}, value);
  }

  observe(value: number, labels?: Given): void {
    if (this.#takes(value, labels)) (this.metric as Histogram).observe(labels ?? {}, value);
  }

  /** False where there are too many combinations of label values to take another one. */
  #takes(value: unknown, labels: Given | undefined, least = Number.NEGATIVE_INFINITY): boolean {
    const fail = (problem: string): never => {
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${this.where}: ${problem}`);
    };
    if (typeof value !== 'number' || !Number.isFinite(value) || value < least) {
      fail(`${shown(value)}: give a number${least === 0 ? ' from 0 on' : ''}`);
    }
    const names = this.definition.labels;
    const given = labels === undefined ? 0 : Object.keys(labels).length;
    if (given !== names.length || names.some(name => !isLabelValue(labels?.[name]))) {
      const wanted =
        names.length === 0 ? 'leave them out' : `give a text or a number for ${names.join(', ')}`;
      fail(`labels: ${shown(labels)}: ${wanted}`);
    }
    if (names.length === 0) return true;
    const series = names.map(name => String(labels![name])).join('\0');
    if (this.#series.has(series)) return true;
    if (this.#series.size < SERIES_MAX) {
      this.#series.add(series);
      return true;
    }
    if (!this.#isFull) {
      this.#isFull = true;
      const problem = 'a metric has too many combinations of label values: further ones are not counted';
      this.log.warn({ metric: this.where, most: SERIES_MAX }, problem);
    }
    return false;
  }
}

const isLabelValue = (value: unknown): boolean => typeof value === 'string' || typeof value === 'number';

const isAscending = (bounds: readonly unknown[]): boolean =>
  bounds.length > 0 &&
  bounds.every(
    (bound, i) => Number.isFinite(bound) && (i === 0 || (bound as number) > (bounds[i - 1] as number)),
  );

const isSame = (a: Definition, b: Definition): boolean =>
  a.kind === b.kind && JSON.stringify([a.labels, a.buckets]) === JSON.stringify([b.labels, b.buckets]);

function checkNames(kind: Kind, name: unknown, labels: unknown, fail: (problem: string) => never): void {
  if (typeof name !== 'string' || !/^[a-z][a-z0-9_]{0,99}$/.test(name)) {
    fail(
      `name: ${shown(name)}: give it 1 to 100 small letters, digits and underscores, beginning with a letter`,
    );
  }
  // Prometheus and prom-client put these behind a name themselves.
  const ending = /_(total|bucket|sum|count|created|info)$/.exec(name as string)?.[0];
  if (ending !== undefined) {
    const remedy = kind === 'counter' && ending === '_total' ? 'which is added by itself' : 'which is taken';
    fail(`name: ${shown(name)}: leave out its end ${ending}, ${remedy}`);
  }
  const isList = Array.isArray(labels) && labels.every(label => /^[a-z][a-z0-9_]{0,99}$/.test(String(label)));
  if (!isList || new Set(labels).size !== labels.length) {
    fail(`${name}: labels: ${shown(labels)}: give a list of names in small letters, digits and underscores`);
  }
  const taken = (labels as string[]).find(label => ['plugin', 'le', 'quantile'].includes(label));
  if (taken !== undefined) fail(`${name}: labels: ${taken}: it is taken: give it another name`);
}
