/** `sidetone demo`: a server, sixty-six callers, live progress, a report; exit 0 only if every caller heard what it should. */
import { randomInt } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Command, Option } from 'commander';
import { Listr } from 'listr2';
import { Demo, type DemoOutcome, isRight } from '../demo/demo.js';
import type { Kind } from '../demo/plan.js';
import { writeReport } from '../demo/report.js';
import { summary } from '../demo/summary.js';
import { SidetoneError } from '../errors.js';
import { loadCharts } from '../report/charts.js';
import { EXIT_FAILED, EXIT_OK } from './exit.js';
import { numberArgument } from './values.js';

const LIVE_MS = 250;
const PLAIN_MS = 5000;
const BAR = 24;
const SEEDS = { min: 0, max: 2 ** 32 - 1, whole: true };

interface DemoFlags {
  out: string;
  seed?: number;
  only?: string;
  plugin?: string[];
}

export function register(program: Command): void {
  program
    .command('demo')
    .description(
      'start a server with example plugins, place 66 simulated calls, judge what every caller heard',
    )
    .option('--out <directory>', 'where the WAV files and the report go', 'demo-out')
    .option('--seed <n>', 'repeat the calls of an earlier demo', numberArgument(SEEDS))
    .option('--only <text>', 'only the calls whose name holds this, such as agent, G722 or 07')
    .addOption(
      // For tests of the judgement, which must find a wrong server wrong.
      new Option('--plugin <name|file.ts>', 'run these plugins instead').hideHelp().argParser(append),
    )
    .action(async (flags: DemoFlags) => {
      process.exitCode = await runDemo(flags);
    });
}

function append(value: string, before: string[] = []): string[] {
  return [...before, value];
}

/**
 * Makes the directory for the results, level by level: mkdir's own recursion never ends below /proc.
 * @throws SidetoneError SIDETONE_BAD_OPTION where that cannot be done
 */
function makeDirectory(directory: string): void {
  try {
    const missing: string[] = [];
    for (let path = directory; !existsSync(path); path = dirname(path)) missing.unshift(path);
    for (const path of missing) mkdirSync(path);
    // The path may be a file, or belong to another user.
    accessSync(`${directory}/.`, constants.W_OK);
  } catch (cause) {
    const { code = 'unknown' } = cause as NodeJS.ErrnoException;
    const problem = `--out: ${directory}: cannot be made or written to (${code}): give a directory of yours`;
    throw new SidetoneError('SIDETONE_BAD_OPTION', problem, { cause });
  }
}

async function runDemo(flags: DemoFlags): Promise<number> {
  const directory = resolve(flags.out);
  await loadCharts();
  makeDirectory(directory);
  const demo = new Demo({
    directory,
    seed: flags.seed ?? randomInt(2 ** 32),
    ...(flags.only && { only: flags.only }),
    ...(flags.plugin && { plugins: flags.plugin }),
  });
  let interrupted = false;
  const interrupt = (): void => {
    interrupted = true;
    demo.abort();
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const outcome = await carryOut(demo);
    if (interrupted) return EXIT_FAILED;
    const report = await writeReport(directory, outcome);
    process.stdout.write(`\n${summary(outcome)}\n`);
    process.stdout.write(`report   ${pathToFileURL(report).href}\n`);
    process.stdout.write(`sound    ${join(directory, 'heard')}\n`);
    return isRight(outcome) ? EXIT_OK : EXIT_FAILED;
  } catch (error) {
    demo.abort();
    if (interrupted) return EXIT_FAILED;
    throw error;
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

/** The demo with its progress: redrawn on a terminal, a line now and then elsewhere. */
async function carryOut(demo: Demo): Promise<DemoOutcome> {
  const live = process.stdout.isTTY === true;
  let outcome: DemoOutcome | undefined;
  const tasks = new Listr(
    [
      {
        title: 'start a server',
        task: async (_context, task) => {
          await demo.start();
          const { url, dashboard } = demo.server;
          task.title = `server at ${url}${dashboard ? `, dashboard at ${dashboard}` : ''}`;
        },
      },
      {
        title: 'place the calls',
        task: (_context, task) => {
          demo.place();
          task.title = `${demo.planned.length} calls`;
          const kinds = [...new Set(demo.planned.map(call => call.kind))];
          return task.newListr(
            kinds.map(kind => ({
              title: kind,
              task: async (_inner, line) => {
                const show = (text: string): void => {
                  if (live) line.title = text;
                  else line.output = text;
                };
                const tell = (): void => show(progressLine(kind, demo.progress(kind)));
                const timer = setInterval(tell, live ? LIVE_MS : PLAIN_MS);
                await demo.over(kind);
                clearInterval(timer);
                line.title = progressLine(kind, demo.progress(kind));
              },
            })),
            { concurrent: true },
          );
        },
      },
      {
        title: 'compare what was heard with what should have been',
        task: async (_context, task) => {
          outcome = await demo.judge(done => {
            if (live) task.output = `${done} of ${demo.planned.length}`;
          });
        },
      },
    ],
    { renderer: live ? 'default' : 'simple', rendererOptions: { collapseSubtasks: false } },
  );
  await tasks.run();
  return outcome!;
}

function progressLine(
  kind: Kind,
  { count, talking, over }: { count: number; talking: number; over: number },
): string {
  const [done, now] = [over, over + talking].map(calls => Math.round((calls * BAR) / count)) as [
    number,
    number,
  ];
  const bar = '█'.repeat(done) + '▒'.repeat(now - done) + '·'.repeat(BAR - now);
  return `${kind.padEnd(14)} ${bar} ${over} of ${count} over, ${talking} talking`;
}
