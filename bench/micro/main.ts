/**
 * Micro benchmarks, `npm run bench`: every bench/micro/*.bench.ts in a process of its own, pinned to one core, the
 * alternatives of one thing beside each other.
 *
 * A benchmark file exports `name` and `define(bench)`. A task is called "what it does: who does it", and the others
 * are compared with the first task of the same thing.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';
import { Bench } from 'tinybench';
import { EXIT_USAGE } from '../../src/cli/exit.js';
import { benchCommand, whole } from '../options.js';
import { hasTaskset, nodeOutput } from '../pinned.js';
import type { MicroResult } from './result.js';

interface BenchModule {
  name: string;
  define(bench: Bench): Promise<void>;
}

const CORE = 0;
/** A sample lasts at least this long, so that reading the clock (some 50 ns) does not show. */
const SAMPLE_MS = 0.05;
const BATCH_MAX = 4096;

const folder = new URL('.', import.meta.url);

/** Calls of a synchronous task that make one sample. */
function batchOf(fn: () => unknown): number {
  for (let batch = 1; batch < BATCH_MAX; batch *= 2) {
    const began = performance.now();
    for (let i = 0; i < batch; i++) fn();
    if (performance.now() - began >= SAMPLE_MS) return batch;
  }
  return BATCH_MAX;
}

/** In the child: runs one file and gives its results. */
async function runFile(file: string, timeMs: number): Promise<MicroResult[]> {
  const { name: benchmark, define } = (await import(new URL(file, folder).href)) as BenchModule;
  const bench = new Bench({ time: timeMs, warmupTime: timeMs / 4 });
  const batches = new Map<string, number>();
  // tinybench times single calls; a task of 20 ns needs many to a sample.
  const add = bench.add.bind(bench);
  let kept: unknown;
  bench.add = (name, fn, options) => {
    if (fn() instanceof Promise) return add(name, fn, options);
    const batch = batchOf(fn);
    batches.set(name, batch);
    const many = (): void => {
      for (let i = 0; i < batch; i++) kept = fn();
    };
    return add(name, many, options);
  };
  await define(bench);
  await bench.run();
  void kept;

  const firsts = new Map<string, number>();
  return bench.tasks.map(({ name, result }) => {
    if (!('latency' in result)) {
      const why = 'error' in result ? String(result.error) : result.state;
      throw new Error(`${file}: task "${name}" gave no figures: ${why}`);
    }
    const [what = name, who = ''] = name.split(/: (.*)/s);
    const scale = 1e6 / (batches.get(name) ?? 1);
    const medianNs = result.latency.p50 * scale;
    if (!firsts.has(what)) firsts.set(what, medianNs);
    return {
      benchmark,
      what,
      who,
      medianNs,
      meanNs: result.latency.mean * scale,
      p99Ns: result.latency.p99 * scale,
      errorPercent: result.latency.rme,
      ratio: medianNs / firsts.get(what)!,
    };
  });
}

function printTable(results: MicroResult[]): void {
  const ns = (value: number): string => (value < 100 ? value.toFixed(1) : value.toFixed(0));
  const width = Math.max(...results.map(({ who }) => who.length), 20);
  let what = '';
  for (const result of results) {
    if (result.what !== what) {
      what = result.what;
      console.log(`\n${what}`);
    }
    console.log(
      `  ${result.who.padEnd(width)} ${ns(result.medianNs).padStart(9)} ns ${ns(result.p99Ns).padStart(9)} p99  ±${result.errorPercent.toFixed(1)} %  ×${result.ratio.toFixed(2)}`,
    );
  }
}

const values = benchCommand(
  'npm run bench --',
  'Micro benchmarks, each file in a process of its own, the alternatives of one thing beside each other.',
)
  .option('--only <name>', 'files whose name holds this')
  .option('--time <ms>', 'how long each task runs', whole(10, 60_000), 500)
  .option('--json <file>', 'writes the results there too')
  .addOption(new Option('--child <file>').hideHelp())
  .parse()
  .opts<{ only?: string; time: number; json?: string; child?: string }>();

if (values.child !== undefined) {
  console.log(JSON.stringify(await runFile(values.child, values.time)));
} else {
  const files = readdirSync(folder)
    .filter(file => file.endsWith('.bench.js'))
    .filter(file => values.only === undefined || file.includes(values.only))
    .sort();
  if (files.length === 0) {
    console.error(`--only ${values.only}: no benchmark of that name`);
    process.exit(EXIT_USAGE);
  }
  if (!hasTaskset()) console.log('taskset is not installed: benchmarks run unpinned');
  const all: MicroResult[] = [];
  for (const file of files) {
    console.log(`\n== ${basename(file, '.bench.js')}`);
    const text = nodeOutput(CORE, [
      fileURLToPath(import.meta.url),
      '--child',
      file,
      '--time',
      String(values.time),
    ]);
    const results = JSON.parse(text) as MicroResult[];
    printTable(results);
    all.push(...results);
  }
  if (values.json !== undefined) {
    writeFileSync(
      values.json,
      `${JSON.stringify({ node: process.version, arch: process.arch, results: all }, null, 2)}\n`,
    );
  }
}
