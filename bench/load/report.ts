/** The harness' findings as one page with plots, and the plots as files for the README. */

import {
  barChart,
  type Distribution,
  lineChart,
  quantileChart,
  type Series,
} from '../../src/report/charts.js';
import { figure, heading, page, paragraph, table } from '../../src/report/page.js';
import { bytesPerStream, type Findings, of, type Row } from './goals.js';
import { cpuUs, type Sample, spread } from './measure.js';
import type { ServerName, Workload } from './servers.js';

const SERVERS: ServerName[] = ['sidetone', 'ws-sample', 'uws-sample', 'uws-raw', 'uws-chunks', 'uws-floor'];

export interface Environment {
  cpu: string;
  cores: number;
  node: string;
  kernel: string;
  date: string;
  pinned: boolean;
  streams: number;
  seconds: number;
  rounds: number;
}

/** The rounds of one server as one distribution. */
export function merged(distributions: Distribution[]): Distribution {
  const counts = new Map<number, [number, number, number]>();
  for (const { buckets } of distributions) {
    for (const [low, width, count] of buckets) {
      counts.set(low, [low, width, (counts.get(low)?.[2] ?? 0) + count]);
    }
  }
  const buckets = [...counts.values()].sort((a, b) => a[0] - b[0]);
  const count = buckets.reduce((sum, [, , n]) => sum + n, 0);
  const quantile = (q: number): number => {
    let seen = 0;
    for (const [low, width, n] of buckets) {
      seen += n;
      if (seen >= q * count) return low + width;
    }
    return 0;
  };
  return {
    count,
    buckets,
    minMs: Math.min(...distributions.map(d => d.minMs)),
    maxMs: Math.max(...distributions.map(d => d.maxMs)),
    meanMs: distributions.reduce((sum, d) => sum + d.meanMs * d.count, 0) / count,
    p50Ms: quantile(0.5),
    p90Ms: quantile(0.9),
    p99Ms: quantile(0.99),
    p999Ms: quantile(0.999),
  };
}

function distributions(
  samples: Sample[],
  workload: Workload,
  pick: (sample: Sample) => Distribution | undefined,
): { name: string; distribution: Distribution; slot: number }[] {
  return SERVERS.flatMap((name, slot) => {
    const found = of(samples, name, workload)
      .map(pick)
      .filter(distribution => distribution !== undefined && distribution.count > 0);
    return found.length === 0 ? [] : [{ name, slot, distribution: merged(found as Distribution[]) }];
  });
}

function cpuBars(samples: Sample[], workload: Workload): { name: string; parts: Record<string, number> }[] {
  return SERVERS.flatMap(name => {
    const found = of(samples, name, workload);
    if (found.length === 0) return [];
    const median = (part: 'userUs' | 'kernelUs'): number =>
      spread(found.map(({ result }) => result.server?.cpu[part] ?? Number.NaN)).median;
    return [{ name, parts: { 'user space': median('userUs'), kernel: median('kernelUs') } }];
  });
}

/** One line a server and frame length, over the streams that were open. */
function lines(samples: Sample[], y: (sample: Sample) => number, origin = false): Series[] {
  const named = new Map<string, Sample[]>();
  for (const sample of samples) {
    const name = `${sample.server}, ${sample.result.ptimeMs} ms frames`;
    named.set(name, [...(named.get(name) ?? []), sample]);
  }
  return [...named].map(([name, found]) => {
    const { server, result } = found[0]!;
    // The same server in other frames takes a colour that no server has.
    const slot = SERVERS.indexOf(server) + (result.ptimeMs === 20 || named.size === 1 ? 0 : SERVERS.length);
    const counts = [...new Set(found.map(({ result }) => result.streams.asked))].sort((a, b) => a - b);
    const points = counts.map((count): Series['points'][number] => {
      const { median, min, max } = spread(
        found.filter(({ result }) => result.streams.asked === count).map(y),
      );
      return [count, median, min, max];
    });
    return { name, slot, points: origin ? [[0, 0], ...points] : points };
  });
}

/** File name (without ending) and SVG of every plot that the findings have figures for. */
export async function plots(findings: Findings, environment: Environment): Promise<Map<string, string>> {
  const { main, scaling, scaling20, memory } = findings;
  const out = new Map<string, string>();
  const under = `${environment.streams} PCMU streams, one core, ${environment.rounds === 1 ? 'one round' : `${environment.rounds} rounds`} of ${environment.seconds} s`;
  const latency = distributions(main, 'echo', ({ result }) => result.latency);
  if (latency.length > 0) {
    out.set(
      'latency',
      await quantileChart('Echo latency: a 20 ms frame there and back', under, 'ms', latency),
    );
  }
  const deadline = distributions(main, 'speech', ({ result }) => result.deadlineError);
  if (deadline.length > 0) {
    out.set(
      'deadline',
      await quantileChart('Speech: how late each chunk comes against its schedule', under, 'ms', deadline),
    );
  }
  for (const workload of ['echo', 'speech'] as const) {
    const bars = cpuBars(main, workload);
    if (bars.length === 0) continue;
    const title = workload === 'echo' ? 'Echo: processor time' : 'Speech: processor time';
    out.set(`cpu-${workload}`, await barChart({ title, subtitle: under, y: 'µs a stream and second', bars }));
  }
  const byStreams = lines([...scaling20, ...scaling], cpuUs);
  if (byStreams.length > 0) {
    out.set(
      'cpu-by-streams',
      await lineChart({
        title: 'Processor time by number of streams',
        subtitle: 'speech, PCMU, one core',
        x: 'streams',
        y: 'µs a stream and second',
        series: byStreams,
        xLog: true,
      }),
    );
  }
  const above = lines(memory, sample => (bytesPerStream(sample) * sample.result.streams.opened) / 1e6, true);
  if (above.length > 0) {
    out.set(
      'memory-by-streams',
      await lineChart({
        title: 'Memory by number of streams',
        subtitle: 'resident memory above the idle server, echo, PCMU',
        x: 'streams',
        y: 'MB above idle',
        series: above,
      }),
    );
  }
  return out;
}

const text = ({ median, min, max }: ReturnType<typeof spread>, most: number): string => {
  const digits = max >= 100 ? 0 : most;
  return `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
};

/** Head and rows of the table of all servers: medians, least and greatest of the rounds. */
export function serverTable(samples: Sample[]): { head: string[]; rows: string[][] } {
  const head = [
    'server',
    'CPU µs/stream·s',
    'user',
    'kernel',
    'audio rate',
    'p50 ms',
    'p99 ms',
    'p99.9 ms',
    'underruns',
    'generator µs',
  ];
  const rows: string[][] = [];
  for (const workload of ['echo', 'speech'] as const) {
    for (const server of SERVERS) {
      const found = of(samples, server, workload);
      if (found.length === 0) continue;
      const figureOf = (pick: (sample: Sample) => number, digits: number): string =>
        text(spread(found.map(pick)), digits);
      const medianOf = (pick: (sample: Sample) => number, digits: number): string =>
        spread(found.map(pick)).median.toFixed(digits);
      const tail = ({ result }: Sample): Distribution => result.latency ?? result.deadlineError;
      rows.push([
        `${workload}: ${server}`,
        figureOf(cpuUs, 0),
        medianOf(({ result }) => result.server?.cpu.userUs ?? Number.NaN, 0),
        medianOf(({ result }) => result.server?.cpu.kernelUs ?? Number.NaN, 0),
        medianOf(({ result }) => result.audioRate.mean, 4),
        medianOf(sample => tail(sample).p50Ms, 2),
        figureOf(sample => tail(sample).p99Ms, 2),
        medianOf(sample => tail(sample).p999Ms, 2),
        medianOf(({ result }) => result.underruns.count, 0),
        medianOf(({ result }) => result.generator.cpu.totalUs, 0),
      ]);
    }
  }
  return { head, rows };
}

export function environmentText(environment: Environment, others: number): string {
  const { cpu, cores, node, kernel, date, pinned } = environment;
  return `${cpu}, ${cores} cores, Linux ${kernel}, Node ${node}, ${date}. Server on core 0, generator on core 1${pinned ? '' : ' (not pinned: no taskset)'}. Other processes took ${(others * 100).toFixed(0)} % of the machine (median of the runs).`;
}

/** `drawn`: as from plots(). */
export function harnessPage(
  findings: Findings,
  environment: Environment,
  rows: Row[],
  drawn: Map<string, string>,
): string {
  const others = spread(findings.main.map(({ othersShare }) => othersShare)).median;
  const { head, rows: servers } = serverTable(findings.main);
  return page('sidetone under load', environmentText(environment, others), [
    heading('Goals'),
    table(
      ['workload', 'against', 'goal', 'measured', 'verdict'],
      rows.map(row => [
        row.workload,
        row.against,
        row.goal,
        row.measured,
        {
          text: row.verdict,
          ...(row.verdict !== 'not run' && { tone: row.verdict === 'met' ? 'good' : 'bad' }),
        },
      ]),
      true,
    ),
    heading('Servers side by side'),
    paragraph(
      `${environment.streams} streams, ${environment.rounds} rounds of ${environment.seconds} s, servers in turn; median (least–greatest). Latency for echo: a frame there and back. For speech: lateness of each chunk against its schedule.`,
    ),
    table(head, servers),
    ...[...drawn.values()].map(figure),
    ...(findings.failures.length > 0
      ? [heading('What went wrong'), ...findings.failures.map(paragraph)]
      : []),
  ]);
}
