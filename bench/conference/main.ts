/**
 * `npm run bench:conference` measures bridged pairs and a conference, and compares what every caller hears with what the
 * others have said. It prints the processor time of a participant-second. With `--check` it ends with 1 where anything is
 * not as it was said.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EXIT_FAILED } from '../../src/cli/exit.js';
import { type Call, type Encoding, Simulator } from '../../src/index.js';
import { runLoad } from '../../src/load/run.js';
import { benchCommand, whole } from '../options.js';
import { pinnedNode, pinSelf } from '../pinned.js';
import { judgeConference, voiceOf } from './judge.js';

const SERVER_CORE = 0;
const CALLERS_CORE = 1;
const compiled = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

interface Flags {
  pairs: number;
  participants: number;
  seconds: number;
  reactors: number;
  check?: boolean;
}

const { pairs, participants, seconds, reactors, check } = benchCommand(
  'npm run bench:conference --',
  'Bridged pairs and a conference: what everybody hears is compared with what the others say; processor time.',
)
  .option('--pairs <n>', 'bridged pairs of PCMU, compared byte for byte', whole(1, 2000), 50)
  .option('--participants <n>', 'of the conference, with all encodings', whole(3, 40), 20)
  .option('--seconds <s>', 'each measurement', whole(2, 600), 20)
  .option('--reactors <n>', 'threads that carry the streams', whole(1, 16), 1)
  .option('--check', 'end with 1 where something was not heard as it was said')
  .parse()
  .opts<Flags>();

interface Server {
  child: ChildProcess;
  port: number;
}

async function startServer(): Promise<Server> {
  const args = [
    '--max-semi-space-size=2',
    compiled('src/cli/main.js'),
    ...['serve', '--port', '0', '--admin-port', '0', '--reactors', String(reactors)],
    ...['--plugin', compiled('bench/conference/plugin.js'), '--no-overload-refuse'],
  ];
  // Several threads on one core would only measure how they take turns.
  const [program, all] = reactors === 1 ? pinnedNode(SERVER_CORE, args) : [process.execPath, args];
  const child = spawn(program, all, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  const port = await new Promise<number>((resolve, reject) => {
    child.once('exit', code => reject(new Error(`the server ended with ${code}: ${output}`)));
    child.stdout.on('data', data => {
      output = (output + data).slice(-10_000);
      const isWhole = (line: string): boolean => line.startsWith('{') && line.endsWith('}');
      const line = output.split('\n').find(each => each.includes('"listening"') && isWhole(each));
      if (line) resolve((JSON.parse(line) as { port: number }).port);
    });
  });
  return { child, port };
}

async function stopServer({ child }: Server): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

/** Processor time of a process so far, in µs. */
async function cpuUs(pid: number): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  // utime and stime, in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Returns what was wrong. */
async function measurePairs(): Promise<string[]> {
  const server = await startServer();
  try {
    const result = await runLoad(`ws://127.0.0.1:${server.port}/`, {
      mode: 'bridge',
      verify: true,
      streams: 2 * pairs,
      seconds,
      drainSeconds: 2,
      serverPid: server.child.pid!,
    });
    const { bytesRight, bytesWrong, framesMissing } = result.verify!;
    console.log(
      `${pairs} pairs, ${reactors} reactor(s): ${Math.round(result.server!.cpu.totalUs)} µs a participant-second; ` +
        `${bytesRight} bytes right, ${bytesWrong} wrong, ${framesMissing} frames missing; one way ` +
        `p50 ${result.latency!.p50Ms.toFixed(1)} ms, p99 ${result.latency!.p99Ms.toFixed(1)} ms; ` +
        `${result.underruns.count} underruns`,
    );
    return [...result.problems, ...result.warnings];
  } finally {
    await stopServer(server);
  }
}

const FORMATS: readonly { encoding: Encoding; sampleRate?: number }[] = [
  { encoding: 'PCMU' },
  { encoding: 'G722' },
  { encoding: 'PCMA' },
  { encoding: 'L16', sampleRate: 16000 },
];

/** Returns what was wrong. */
async function measureConference(): Promise<string[]> {
  const server = await startServer();
  const simulator = new Simulator({ seed: 14 });
  const calls: Call[] = [];
  try {
    for (let each = 0; each < participants; each++) {
      const format = FORMATS[each % FORMATS.length]!;
      calls.push(
        simulator.call(`ws://127.0.0.1:${server.port}/?room=all`, {
          ...simulator.speech(voiceOf(each, seconds + 4), format),
          ...format,
          durationMs: Number.POSITIVE_INFINITY,
        }),
      );
    }
    await wait(2000);
    const before = await cpuUs(server.child.pid!);
    const sinceMs = performance.now();
    await wait(seconds * 1000);
    const cpu = (await cpuUs(server.child.pid!)) - before;
    const passed = (performance.now() - sinceMs) / 1000;
    for (const call of calls) call.hangup();
    const results = await Promise.all(calls.map(call => call.result));
    const problems: string[] = [];
    let likeLeast = 1;
    for (const [listener, result] of results.entries()) {
      if (result.errors.length > 0 || result.ended !== 'by the caller') {
        problems.push(`participant ${listener}: ${result.ended} ${result.errors.map(({ title }) => title)}`);
      }
      const judged = judgeConference(simulator.render(result), listener, participants);
      likeLeast = Math.min(likeLeast, judged.right);
      problems.push(...judged.problems.map(problem => `participant ${listener}: ${problem}`));
    }
    console.log(
      `a conference of ${participants}, ${reactors} reactor(s): ` +
        `${Math.round(cpu / passed / participants)} µs a participant-second; every participant heard all others and not ` +
        `itself in ${(100 * likeLeast).toFixed(1)} % of its pieces of 200 ms at least`,
    );
    return problems;
  } finally {
    for (const call of calls) call.hangup();
    await stopServer(server);
  }
}

pinSelf(CALLERS_CORE);
const problems = [...(await measurePairs()), ...(await measureConference())];
for (const problem of problems) console.log(`  ${problem}`);
if (check && problems.length > 0) process.exitCode = EXIT_FAILED;
