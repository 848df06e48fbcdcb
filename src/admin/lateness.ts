/** How late media messages were sent, as a Prometheus histogram. */

/** Width of an engine's bin, in ms; the last bin holds all the rest. */
export const LATENESS_BIN_MS = 0.25;

/** Upper bounds in ms, each the end of a bin, so that nothing has to be divided. */
const BOUNDS_MS = [0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 60];

interface Sample {
  metricName: string;
  labels: Record<string, string | number>;
  value: number;
}

/** Reads finished bins, where prom-client's own histogram wants one call an observation. Made to be registered. */
export class LatenessHistogram {
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  #bins: readonly number[] = [];

  constructor(
    readonly name: string,
    readonly help: string,
  ) {}

  set(bins: readonly number[]): void {
    this.#bins = bins;
  }

  reset(): void {
    this.#bins = [];
  }

  /** `_sum` takes every message as sent in the middle of its bin. */
  async get(): Promise<{ name: string; help: string; type: string; aggregator: string; values: Sample[] }> {
    const { name, help, type, aggregator } = this;
    const bins = this.#bins;
    const below = (ms: number): number =>
      bins.slice(0, Math.round(ms / LATENESS_BIN_MS)).reduce((sum, count) => sum + count, 0);
    const count = bins.reduce((sum, one) => sum + one, 0);
    const sumMs = bins.reduce((sum, one, i) => sum + one * (i + 0.5) * LATENESS_BIN_MS, 0);
    const values: Sample[] = BOUNDS_MS.map(ms => ({
      metricName: `${name}_bucket`,
      labels: { le: ms / 1000 },
      value: below(ms),
    }));
    values.push(
      { metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: count },
      { metricName: `${name}_sum`, labels: {}, value: sumMs / 1000 },
      { metricName: `${name}_count`, labels: {}, value: count },
    );
    return { name, help, type, aggregator, values };
  }
}
