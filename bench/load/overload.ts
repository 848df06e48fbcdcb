/**
 * `npm run bench:overload` offers the server a multiple of what it can carry: how many calls it admits and refuses, how late
 * and how whole the admitted ones are, and how soon it takes calls again. Server and generator have a core each.
 *
 * Exit code 0 when everything was measured, whether the goal was met or not; 1 where it could not be measured.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { STREAMS_MAX } from '../../src/load/options.js';
import { type RampResult, rampLoad } from '../../src/load/run.js';
import { benchCommand, whole } from '../options.js';
import { hasTaskset, pinSelf } from '../pinned.js';
import { measure, type Sample } from './measure.js';
import { type RunningServer, startServer } from './servers.js';

const GENERATOR_CORE = 1;
const FACTORS = [0.5, 1, 1.5, 2, 3];
/** Of the calls that are admitted. */
const GOALS = { p99Ms: 20, rateMin: 0.999, atFactor: 2, readyMs: 1000 };
const READY_LIMIT_MS = 15_000;
const POLL_MS = 10;
/** New calls a second: a burst of which the load of no measurement knows yet. */
const CONNECTS_PER_SECOND = 500;

interface Options {
  capacity?: number;
  seconds: number;
  rounds: number;
}

const {
  capacity: given,
  seconds,
  rounds,
} = benchCommand(
  'npm run bench:overload --',
  'The server under 0.5 to 3 times the load that it can carry: admitted, refused, latency and audio of the admitted.',
)
  .option(
    '--capacity <n>',
    'streams that count as its capacity (default: measured)',
    whole(10, Math.floor(STREAMS_MAX / FACTORS.at(-1)!)),
  )
  .option('--seconds <s>', 'each measurement', whole(1, 600), 10)
  .option('--rounds <n>', 'rounds of the table', whole(1, 20), 3)
  .parse()
  .opts<Options>();

/** The most streams whose echoes are in time where nothing is refused. */
async function measureCapacity(): Promise<number> {
  const server = await startServer('sidetone', 'echo');
  try {
    const ramp: RampResult = await rampLoad(server.url, {
      p99Ms: GOALS.p99Ms,
      seconds: Math.min(seconds, 5),
      streams: Math.floor(STREAMS_MAX / FACTORS.at(-1)!),
      connectsPerSecond: CONNECTS_PER_SECOND,
      onStep: (result, held) =>
        console.log(
          `  ${result.streams.asked} streams: p99 ${result.latency!.p99Ms.toFixed(1)} ms, ${held ? 'held' : 'not held'}`,
        ),
    });
    return ramp.streams;
  } finally {
    await server.stop();
  }
}

/** After how many ms the server takes calls again; undefined: not within the limit. */
async function readyAfterMs({ adminPort }: RunningServer): Promise<number | undefined> {
  const fromMs = performance.now();
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${adminPort}/readyz`);
    await response.text();
    const passedMs = performance.now() - fromMs;
    if (response.ok) return passedMs;
    if (passedMs > READY_LIMIT_MS) return undefined;
    await wait(POLL_MS);
  }
}

interface Row {
  factor: number;
  sample: Sample;
  readyMs: number | undefined;
}

async function measureRow(factor: number, capacity: number): Promise<Row> {
  let readyMs: number | undefined;
  const sample = await measure('sidetone', 'echo', {
    streams: Math.round(factor * capacity),
    seconds,
    connectsPerSecond: CONNECTS_PER_SECOND,
    start: { refuses: true },
    after: async server => {
      readyMs = await readyAfterMs(server);
    },
  });
  return { factor, sample, readyMs };
}

function cells({ factor, sample, readyMs }: Row): string[] {
  const { streams, latency, audioRate, verify, generator } = sample.result;
  return [
    `${factor}`,
    `${streams.asked}`,
    `${streams.opened}`,
    `${streams.upgradeRefused}`,
    `${streams.asked - streams.opened - streams.upgradeRefused + streams.closedEarly}`,
    latency!.p50Ms.toFixed(1),
    latency!.p99Ms.toFixed(1),
    `${audioRate.mean.toFixed(4)} (${audioRate.min.toFixed(4)})`,
    `${verify!.bytesWrong + verify!.framesMissing}`,
    readyMs === undefined ? 'never' : readyMs.toFixed(0),
    generator.sendLateness.p99Ms.toFixed(1),
    `${(100 * sample.othersShare).toFixed(0)} %`,
  ];
}

const HEAD = [
  'times',
  'offered',
  'admitted',
  'refused',
  'failed',
  'p50 ms',
  'p99 ms',
  'audio rate, mean (least)',
  'wrong or missing',
  'ready again, ms',
  'generator late, p99 ms',
  'other processes',
];
const line = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`;

if (!hasTaskset()) console.log('taskset is not installed: nothing is pinned, figures will spread');
pinSelf(GENERATOR_CORE);
if (given === undefined) console.log('capacity, where nothing is refused:');
const capacity = given ?? (await measureCapacity());
if (capacity === 0) {
  console.log('the server did not hold the smallest load: give --capacity, or measure on a machine at rest');
  process.exit(1);
}
console.log(`capacity: ${capacity} streams`);

const rows: Row[] = [];
console.log(line(HEAD));
console.log(line(HEAD.map(() => '---')));
for (let round = 0; round < rounds; round++) {
  // Every second round runs in reverse order, so that no load always follows the same one.
  for (const factor of round % 2 === 0 ? FACTORS : FACTORS.toReversed()) {
    const row = await measureRow(factor, capacity);
    rows.push(row);
    console.log(line(cells(row)));
  }
}

const missed = rows.filter(({ factor, sample: { result }, readyMs }) => {
  const isInTime = result.latency!.p99Ms < GOALS.p99Ms && result.audioRate.mean >= GOALS.rateMin;
  const isBack = readyMs !== undefined && readyMs <= GOALS.readyMs;
  return factor <= GOALS.atFactor && !(isInTime && isBack);
});
console.log(
  `goal: up to ${GOALS.atFactor} times p99 < ${GOALS.p99Ms} ms, audio rate >= ${GOALS.rateMin}, ready within ${GOALS.readyMs} ms: ` +
    (missed.length === 0 ? 'met' : `missed in ${missed.length} of ${rows.length} measurements`),
);
