/** One server under one load: started fresh, measured, ended. And the statistics of many. */
import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import type { LoadOptions } from '../../src/load/options.js';
import type { LoadResult } from '../../src/load/result.js';
import { runLoad } from '../../src/load/run.js';
import {
  type RunningServer,
  rssBytes,
  type ServerName,
  type StartOptions,
  startServer,
  type Workload,
} from './servers.js';

/** Node settles (first collections, lazy loading) before its memory is taken as that of an idle server. */
const SETTLE_MS = 700;

export interface Sample {
  server: ServerName;
  workload: Workload;
  result: LoadResult;
  idleRssBytes: number;
  /** Share of the machine's processors that was busy with neither the server nor the generator. */
  othersShare: number;
}

export interface MeasureOptions extends Partial<LoadOptions> {
  streams: number;
  seconds: number;
  start?: StartOptions;
  /** Runs beside the load; `measuring` resolves when the measurement has begun. */
  meanwhile?: (server: RunningServer, measuring: Promise<void>) => Promise<void>;
  /** Reads what it wants of the server before it is ended. */
  after?: (server: RunningServer) => void | Promise<void>;
}

/** Busy and total processor time of the machine, in ticks. */
function machineTicks(): { busy: number; total: number } {
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] =
    readFileSync('/proc/stat', 'utf8').split('\n')[0]!.trim().split(/\s+/).slice(1).map(Number);
  const busy = user + nice + system + irq + softirq + steal;
  return { busy, total: busy + idle + iowait };
}

/** Processor time of a process in ticks of 10 ms. */
function processTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /s, '').split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

export async function measure(
  server: ServerName,
  workload: Workload,
  options: MeasureOptions,
): Promise<Sample> {
  const { start, meanwhile, after, ...load } = options;
  const running = await startServer(server, workload, start);
  try {
    await wait(SETTLE_MS);
    const idleRssBytes = rssBytes(running.pid);
    const own = (): number => processTicks(running.pid) + processTicks(process.pid);
    const before = { machine: machineTicks(), own: own() };
    let begun: () => void = () => {};
    const measuring = new Promise<void>(resolve => {
      begun = resolve;
    });
    const beside = meanwhile?.(running, measuring);
    const result = await runLoad(running.url, {
      mode: workload === 'echo' ? 'echo' : 'listen',
      verify: workload === 'echo',
      connectsPerSecond: 1000,
      serverPid: running.pid,
      onProgress: ({ phase }) => {
        if (phase === 'measuring') begun();
      },
      ...load,
    });
    begun();
    await beside;
    const machine = machineTicks();
    const busy = machine.busy - before.machine.busy - (own() - before.own);
    await after?.(running);
    return {
      server,
      workload,
      result,
      idleRssBytes,
      othersShare: Math.max(0, busy / (machine.total - before.machine.total)),
    };
  } finally {
    await running.stop();
  }
}

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export function spread(values: number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return {
    median: sorted.length === 0 ? Number.NaN : median,
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
  };
}

export const cpuUs = ({ result }: Sample): number => result.server?.cpu.totalUs ?? Number.NaN;
