/**
 * `npm run bench:load` measures this server and the baselines under the same load, in turn, on a core of their own.
 * It prints every goal with its ratio and writes a report with plots.
 *
 * Exit code 0 when everything was measured, whether goals were met or not; 1 where this server failed or could not be
 * measured.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { MicroResult } from '../micro/result.js';
import { benchCommand, someOf, whole } from '../options.js';
import { hasTaskset, nodeOutput, pinSelf } from '../pinned.js';
import { measureGarbage } from './garbage.js';
import { type Findings, GOALS, goalRows } from './goals.js';
import { cpuUs, type MeasureOptions, measure, type Sample } from './measure.js';
import { type Environment, environmentText, harnessPage, plots, serverTable } from './report.js';
import type { ServerName, Workload } from './servers.js';

const GENERATOR_CORE = 1;
const PARTS = ['main', 'scaling', 'memory', 'block', 'garbage', 'micro'] as const;

interface Options {
  quick: boolean;
  rounds?: number;
  seconds?: number;
  streams: number;
  only?: readonly (typeof PARTS)[number][];
  out: string;
}

const { quick, streams, out, ...given } = benchCommand(
  'npm run bench:load --',
  'This server and the baselines under the same load, in turn; every goal with its ratio, and a report with plots.',
)
  .option('--quick', 'about five minutes instead of twenty', false)
  .option('--rounds <n>', 'rounds of the main part (default: 5; quick: 2)', whole(1, 50))
  .option('--seconds <s>', 'each measurement of it (default: 10; quick: 4)', whole(1, 600))
  .option('--streams <n>', 'streams of it', whole(1, 5000), 1000)
  .option('--only <parts>', `some of ${PARTS.join(',')}`, someOf(PARTS))
  .option('--out <dir>', 'where report, plots and figures go', 'bench-out')
  .parse()
  .opts<Options>();
const { rounds = quick ? 2 : 5, seconds = quick ? 4 : 10, only = PARTS } = given;

const findings: Findings = {
  main: [],
  scaling: [],
  scaling20: [],
  memory: [],
  blocked: undefined,
  garbage: [],
  micro: [],
  failures: [],
};
let failed = false;
const absent = new Set<string>();

function fail(server: ServerName, why: string): void {
  findings.failures.push(why);
  console.log(`  ${why}`);
  // A baseline that cannot keep up is a finding, not a failure.
  if (server === 'sidetone') failed = true;
}

/** Measures and says so; a server that does not start is not tried again for that workload. */
async function sample(
  server: ServerName,
  workload: Workload,
  options: MeasureOptions,
): Promise<Sample | undefined> {
  const key = `${server} for ${workload}`;
  if (absent.has(key)) return undefined;
  try {
    const found = await measure(server, workload, options);
    const { result } = found;
    const tail = result.latency ?? result.deadlineError;
    console.log(
      `  ${key.padEnd(22)} ${String(options.streams).padStart(4)} streams: ${cpuUs(found).toFixed(0).padStart(4)} µs (user ${result.server?.cpu.userUs.toFixed(0)}, kernel ${result.server?.cpu.kernelUs.toFixed(0)}), rate ${result.audioRate.mean.toFixed(4)}, p99 ${tail.p99Ms.toFixed(2)} ms, ${result.underruns.count} underruns, generator ${result.generator.cpu.totalUs.toFixed(0)} µs, others ${(found.othersShare * 100).toFixed(0)} %`,
    );
    for (const problem of result.problems) fail(server, `${key}, ${options.streams} streams: ${problem}`);
    return found;
  } catch (error) {
    absent.add(key);
    fail(server, `${key}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

async function collect(
  into: Sample[],
  server: ServerName,
  workload: Workload,
  options: MeasureOptions,
): Promise<Sample | undefined> {
  const found = await sample(server, workload, options);
  if (found) into.push(found);
  return found;
}

const parts: Record<(typeof PARTS)[number], () => Promise<void>> = {
  async main() {
    const turns: [ServerName, Workload][] = [
      ['sidetone', 'echo'],
      ['ws-sample', 'echo'],
      ['uws-raw', 'echo'],
      ['uws-sample', 'echo'],
      ['sidetone', 'speech'],
      ['ws-sample', 'speech'],
      ['uws-chunks', 'speech'],
      ['uws-floor', 'speech'],
    ];
    for (let round = 1; round <= rounds; round++) {
      console.log(`round ${round} of ${rounds}`);
      // Every second round runs in reverse order, so that no server always follows the same one.
      for (const [server, workload] of round % 2 === 1 ? turns : turns.toReversed()) {
        await collect(findings.main, server, workload, { streams, seconds });
      }
    }
  },

  async scaling() {
    console.log('by number of streams, frames of 100 ms');
    const span = Math.min(seconds, 5);
    for (const count of quick ? [100, 1000, 4000] : [100, 250, 500, 1000, 2000, 3000, 4000]) {
      await collect(findings.scaling, 'sidetone', 'speech', {
        streams: count,
        seconds: span,
        ptimeMs: 100,
        warmupSeconds: 4,
      });
    }
    if (quick) return;
    console.log('by number of streams, frames of 20 ms');
    for (const server of ['sidetone', 'ws-sample', 'uws-chunks'] as const) {
      for (const count of [100, 250, 500, 1000, 2000]) {
        const found = await collect(findings.scaling20, server, 'speech', { streams: count, seconds: span });
        // A server that is no longer in real time uses its whole core, so more streams tell nothing.
        if (!found || found.result.audioRate.mean < 0.99) break;
      }
    }
  },

  async memory() {
    console.log('memory by number of streams');
    for (const server of quick ? (['sidetone'] as const) : (['sidetone', 'uws-raw', 'ws-sample'] as const)) {
      for (const count of quick ? [5000] : [1000, 2500, 5000]) {
        await collect(findings.memory, server, 'echo', { streams: count, seconds: 3, ptimeMs: 100 });
      }
    }
  },

  async block() {
    console.log(`speech while the server's process stands still for ${GOALS.blockMs} ms`);
    findings.blocked = await sample('sidetone', 'speech', {
      streams,
      seconds,
      meanwhile: async ({ pid }, measuring) => {
        await measuring;
        await wait((seconds * 1000) / 3);
        process.kill(pid, 'SIGSTOP');
        await wait(GOALS.blockMs);
        process.kill(pid, 'SIGCONT');
      },
    });
  },

  async garbage() {
    console.log('garbage');
    for (const server of ['sidetone', 'uws-raw'] as const) {
      if (absent.has(`${server} for echo`)) continue;
      const found = await measureGarbage(server, streams, quick ? 15 : 60);
      console.log(`  ${server.padEnd(22)} ${found.bytesPerMessage.toFixed(1)} bytes a message`);
      findings.garbage.push(found);
    }
  },

  async micro() {
    console.log('message to handler');
    const file = join(out, 'message.json');
    const main = fileURLToPath(new URL('../micro/main.js', import.meta.url));
    for (let round = 0; round < rounds; round++) {
      nodeOutput(0, [main, '--only', 'message', '--time', quick ? '300' : '1000', '--json', file]);
      findings.micro.push(...(JSON.parse(readFileSync(file, 'utf8')) as { results: MicroResult[] }).results);
    }
  },
};

function printTable(head: string[], rows: string[][]): void {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map(row => row[i]!.length)));
  for (const row of [head, ...rows]) console.log(row.map((cell, i) => cell.padEnd(widths[i]!)).join('  '));
}

mkdirSync(out, { recursive: true });
if (!hasTaskset()) console.log('taskset is not installed: nothing is pinned, figures will spread');
if (availableParallelism() < 2)
  console.log('one core only: server and generator share it, figures mean little');
pinSelf(GENERATOR_CORE);

for (const part of PARTS) {
  if (!only.includes(part)) continue;
  try {
    await parts[part]();
  } catch (error) {
    fail('sidetone', `${part}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const environment: Environment = {
  cpu: cpus()[0]?.model ?? 'unknown processor',
  cores: cpus().length,
  node: process.version,
  kernel: release(),
  date: new Date().toISOString().slice(0, 10),
  pinned: hasTaskset(),
  streams,
  seconds,
  rounds,
};
const rows = goalRows(findings);
const drawn = await plots(findings, environment);
for (const [name, svg] of drawn) writeFileSync(join(out, `${name}.svg`), svg);
const report = join(out, 'report.html');
writeFileSync(report, harnessPage(findings, environment, rows, drawn));
writeFileSync(
  join(out, 'load.json'),
  `${JSON.stringify({ environment, rows, ...findings }, (key, value) => (key === 'buckets' ? undefined : value), 1)}\n`,
);

const { head, rows: servers } = serverTable(findings.main);
if (servers.length > 0) {
  console.log('');
  printTable(head, servers);
}
console.log('');
for (const row of rows) {
  console.log(`${row.verdict.toUpperCase().padEnd(8)} ${row.workload} / ${row.against}`);
  console.log(`         goal ${row.goal}; measured ${row.measured}`);
}
console.log(`\n${environmentText(environment, findings.main.at(-1)?.othersShare ?? 0)}`);
console.log(`report: ${report}, plots: ${[...drawn.keys()].map(name => `${name}.svg`).join(', ')}`);
process.exitCode = failed ? 1 : 0;
