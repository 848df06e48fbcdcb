/** The goals, and how each follows from what was measured. */
import type { MicroResult } from '../micro/result.js';
import type { Garbage } from './garbage.js';
import { cpuUs, type Sample, spread } from './measure.js';
import type { ServerName, Workload } from './servers.js';

export interface Row {
  workload: string;
  against: string;
  goal: string;
  measured: string;
  /** `not run`: the figures that it needs are not there, and why. */
  verdict: 'met' | 'missed' | 'not run';
}

/** What a run of the harness has found; parts that were not run are empty. */
export interface Findings {
  /** All rounds of all servers at the main number of streams. */
  main: Sample[];
  /** Speech by number of streams: this server in frames long enough for 4,000 streams on one core. */
  scaling: Sample[];
  /** The same in frames of 20 ms, with others beside it, as far as a core goes. */
  scaling20: Sample[];
  /** Echo by number of streams. */
  memory: Sample[];
  blocked: Sample | undefined;
  garbage: Garbage[];
  micro: MicroResult[];
  /** Servers that could not be measured, and why. */
  failures: string[];
}

export const GOALS = {
  speechRatio: 0.28,
  audioRate: 0.001,
  echoRatio: 0.64,
  rawRatio: 1.05,
  rawP99Ms: 1,
  messageRatio: 6,
  bytesPerStream: 8 * 1024,
  flatShare: 0.25,
  deadlineMs: 5,
  blockMs: 150,
  /** Above what uWebSockets.js itself allocates a message; the trace is not finer than this. */
  garbageBytes: 16,
} as const;

/** A share of a core above which the core counts as full: the scheduler takes the rest. */
const FULL_CORE = 0.95;

const verdict = (met: boolean): Row['verdict'] => (met ? 'met' : 'missed');
const ratio = (value: number): string => value.toFixed(2);

export function of(samples: Sample[], server: ServerName, workload: Workload): Sample[] {
  return samples.filter(sample => sample.server === server && sample.workload === workload);
}

/** Medians of one figure over the rounds of two servers; undefined where one of them has none. */
function pair(
  samples: Sample[],
  workload: Workload,
  against: ServerName,
  figure: (sample: Sample) => number,
): { ours: number; theirs: number; ratio: number; ratios: string } | undefined {
  const ours = of(samples, 'sidetone', workload).map(figure);
  const theirs = of(samples, against, workload).map(figure);
  if (ours.length === 0 || theirs.length === 0) return undefined;
  // Round by round: neighbours in time share the machine's moods.
  const each = spread(ours.slice(0, theirs.length).map((value, round) => value / theirs[round]!));
  return {
    ours: spread(ours).median,
    theirs: spread(theirs).median,
    ratio: each.median,
    ratios: `${ratio(each.median)} (${ratio(each.min)} to ${ratio(each.max)})`,
  };
}

const rate = ({ result }: Sample): number => result.audioRate.mean;
const p99 = ({ result }: Sample): number => result.latency?.p99Ms ?? Number.NaN;

/** A note on a server that has used its whole core, because it would have needed more. */
function fullCore(samples: Sample[], server: ServerName, workload: Workload): string {
  const cores = of(samples, server, workload).map(each => (cpuUs(each) * each.result.streams.opened) / 1e6);
  return cores.length > 0 && spread(cores).median > FULL_CORE ? ', whose core is full' : '';
}

/** A row without its figures, with the failure that took them where there was one. */
function missing(
  row: Omit<Row, 'measured' | 'verdict'>,
  failures: string[],
  workload: Workload | 'micro',
): Row {
  const why = failures.find(failure => failure.includes(workload));
  return { ...row, measured: why ?? 'left out of this run', verdict: 'not run' };
}

function speechRow({ main, failures }: Findings): Row {
  const row = {
    workload: 'speech: utterances queued faster than real time, 50 frames/s in',
    against: 'ws-sample, setInterval(20)',
    goal: `≤ ${GOALS.speechRatio} of its CPU; audio rate 1.000 ± ${GOALS.audioRate}`,
  };
  const cpu = pair(main, 'speech', 'ws-sample', cpuUs);
  const rates = pair(main, 'speech', 'ws-sample', rate);
  if (!cpu || !rates) return missing(row, failures, 'speech');
  const floor = pair(main, 'speech', 'uws-floor', cpuUs);
  const least = floor && `; receiving and sending alone (uws-floor) take ${floor.theirs.toFixed(0)}`;
  const worst = Math.max(...of(main, 'sidetone', 'speech').map(sample => Math.abs(rate(sample) - 1)));
  return {
    ...row,
    measured: `${cpu.ratios}: ${cpu.ours.toFixed(0)} of ${cpu.theirs.toFixed(0)} µs${fullCore(main, 'ws-sample', 'speech')}${least ?? ''}; audio rate ${rates.ours.toFixed(4)} (its ${rates.theirs.toFixed(4)})`,
    verdict: verdict(cpu.ratio <= GOALS.speechRatio && worst <= GOALS.audioRate),
  };
}

function echoRow({ main, failures }: Findings): Row {
  const row = {
    workload: 'echo: 20 ms in, 20 ms out',
    against: 'ws-sample',
    goal: `≤ ${GOALS.echoRatio} of its CPU`,
  };
  const cpu = pair(main, 'echo', 'ws-sample', cpuUs);
  if (!cpu) return missing(row, failures, 'echo');
  return {
    ...row,
    measured: `${cpu.ratios}: ${cpu.ours.toFixed(0)} of ${cpu.theirs.toFixed(0)} µs${fullCore(main, 'ws-sample', 'echo')}`,
    verdict: verdict(cpu.ratio <= GOALS.echoRatio),
  };
}

function rawRow({ main, failures }: Findings): Row {
  const row = {
    workload: 'echo',
    against: 'uws-raw, bytes echoed, nothing decoded',
    goal: `≤ ${GOALS.rawRatio} of its CPU; p99 within ${GOALS.rawP99Ms} ms of its`,
  };
  const cpu = pair(main, 'echo', 'uws-raw', cpuUs);
  const tail = pair(main, 'echo', 'uws-raw', p99);
  if (!cpu || !tail) return missing(row, failures, 'echo');
  return {
    ...row,
    measured: `${cpu.ratios}: ${cpu.ours.toFixed(0)} of ${cpu.theirs.toFixed(0)} µs; p99 ${tail.ours.toFixed(2)} ms, its ${tail.theirs.toFixed(2)}`,
    verdict: verdict(cpu.ratio <= GOALS.rawRatio && tail.ours - tail.theirs <= GOALS.rawP99Ms),
  };
}

function messageRow({ micro, failures }: Findings): Row {
  const row = {
    workload: 'message → PCM frame in the handler',
    against: 'JSON.parse + Buffer + table in JS',
    goal: `≥ ${GOALS.messageRatio}× faster`,
  };
  const rounds = micro.filter(({ what }) => what === 'message to PCM frame in the handler');
  const ours = rounds.filter(({ who }) => who === 'sidetone');
  const theirs = rounds.filter(({ who }) => who !== 'sidetone');
  if (ours.length === 0 || theirs.length === 0) return missing(row, failures, 'micro');
  const times = spread(theirs.map(({ ratio }) => ratio));
  const ns = (results: MicroResult[]): string => spread(results.map(each => each.medianNs)).median.toFixed(0);
  return {
    ...row,
    measured: `${times.median.toFixed(1)}× (${times.min.toFixed(1)} to ${times.max.toFixed(1)}): ${ns(ours)} against ${ns(theirs)} ns`,
    verdict: verdict(times.median >= GOALS.messageRatio),
  };
}

/** Resident memory above idle, by stream. */
export function bytesPerStream(sample: Sample): number {
  const after = sample.result.server?.rssBytesAfter ?? Number.NaN;
  return (after - sample.idleRssBytes) / sample.result.streams.opened;
}

function memoryRow({ memory, failures }: Findings): Row {
  const most = memory.filter(({ server }) => server === 'sidetone').at(-1);
  const row = {
    workload: `memory at ${most?.result.streams.opened ?? 5000} streams`,
    against: 'an idle server',
    goal: `≤ ${GOALS.bytesPerStream / 1024} KB a stream`,
  };
  if (!most) return missing(row, failures, 'echo');
  const bytes = bytesPerStream(most);
  return {
    ...row,
    measured: `${(bytes / 1024).toFixed(1)} KB (idle ${(most.idleRssBytes / 1e6).toFixed(0)} MB)`,
    verdict: verdict(bytes <= GOALS.bytesPerStream),
  };
}

function flatRow({ scaling, failures }: Findings): Row {
  const counts = scaling.map(({ result }) => result.streams.opened);
  const row = {
    workload: `CPU a stream-second, ${Math.min(...counts, 100)} to ${Math.max(...counts, 0) || 4000} streams`,
    against: 'itself',
    goal: `flat within ${GOALS.flatShare * 100} %`,
  };
  if (scaling.length === 0) return missing(row, failures, 'speech');
  const { min, max, median } = spread(scaling.map(cpuUs));
  const middle = (min + max) / 2;
  const share = (max - middle) / middle;
  return {
    ...row,
    measured: `± ${(share * 100).toFixed(0)} %: ${min.toFixed(0)} to ${max.toFixed(0)} µs, median ${median.toFixed(0)}`,
    verdict: verdict(share <= GOALS.flatShare),
  };
}

function deadlineRow({ main, blocked, failures }: Findings): Row {
  const row = {
    workload: 'chunk deadlines',
    against: 'the schedule',
    goal: `p99.9 within ${GOALS.deadlineMs} ms, no underrun; a block of ${GOALS.blockMs} ms is inaudible`,
  };
  const rounds = of(main, 'sidetone', 'speech');
  if (rounds.length === 0 || !blocked) return missing(row, failures, 'speech');
  const late = spread(rounds.map(({ result }) => result.deadlineError.p999Ms));
  const underruns = rounds.reduce((sum, { result }) => sum + result.underruns.count, 0);
  const { count } = blocked.result.underruns;
  return {
    ...row,
    measured: `p99.9 ${late.median.toFixed(2)} ms (${late.min.toFixed(2)} to ${late.max.toFixed(2)}), ${underruns} underruns; ${count} with the block`,
    verdict: verdict(late.median <= GOALS.deadlineMs && underruns === 0 && count === 0),
  };
}

function garbageRow({ garbage, failures }: Findings): Row {
  const row = {
    workload: 'garbage a message, after the start',
    against: 'uws-raw: what uWebSockets.js itself allocates',
    goal: 'no more than it',
  };
  const ours = garbage.find(({ server }) => server === 'sidetone');
  const raw = garbage.find(({ server }) => server === 'uws-raw');
  if (!ours || !raw) return missing(row, failures, 'echo');
  return {
    ...row,
    measured: `${ours.bytesPerMessage.toFixed(0)} bytes, its ${raw.bytesPerMessage.toFixed(0)} (${ours.messages} messages)`,
    verdict: verdict(ours.bytesPerMessage - raw.bytesPerMessage <= GOALS.garbageBytes),
  };
}

export function goalRows(findings: Findings): Row[] {
  return [speechRow, echoRow, rawRow, messageRow, memoryRow, flatRow, deadlineRow, garbageRow].map(row =>
    row(findings),
  );
}
