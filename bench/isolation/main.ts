/**
 * `npm run bench:isolation` measures what it costs a stream that its handler runs in a thread of its own, and what it saves the
 * other calls: direct and in a thread, in turn.
 *
 * Exit code 0 when everything was measured, whether goals were met or not.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Simulator } from '../../src/simulator/simulator.js';
import { cpuUs, measure, type Sample, spread } from '../load/measure.js';
import { benchCommand, someOf, whole } from '../options.js';
import { pinSelf } from '../pinned.js';

const PARTS = ['cost', 'block'] as const;
const MODES = ['reactor', 'thread'] as const;
type Mode = (typeof MODES)[number];
/** Calls whose handler blocks. */
const BLOCKING_CALLS = 5;
const SPOKEN = Array.from({ length: 30_000 }, (_, i) => new Uint8Array(160).fill(i & 0xff));
/** What is claimed: docs/isolation.md. */
const GOALS = { costRatio: 1.3, othersP99Ms: 5 };

const { rounds, seconds, streams, others, only, json } = benchCommand(
  'npm run bench:isolation --',
  'Handlers in the reactor and in a thread, in turn: cost of a stream by processor time, and what other calls hear of one that blocks.',
)
  .option('--rounds <n>', 'rounds of each part', whole(1, 50), 5)
  .option('--seconds <s>', 'each measurement', whole(1, 600), 8)
  .option('--streams <n>', 'echoes whose cost is measured', whole(1, 5000), 300)
  .option('--others <n>', 'echoes beside the handler that blocks', whole(1, 5000), 50)
  .option('--only <parts>', `some of ${PARTS.join(',')}`, someOf(PARTS), [...PARTS])
  .option('--json <file>', 'where the figures go')
  .parse()
  .opts<{
    rounds: number;
    seconds: number;
    streams: number;
    others: number;
    only: readonly (typeof PARTS)[number][];
    json?: string;
  }>();

/** How late the echoes came back, in ms. */
const p99Ms = ({ result }: Sample): number => result.latency?.p99Ms ?? Number.NaN;

const figures: Record<string, unknown> = { rounds, seconds, streams, others };

async function cost(): Promise<void> {
  const samples: Record<Mode, Sample[]> = { reactor: [], thread: [] };
  console.log(`${streams} echoes, µs of processor time a stream and second`);
  for (let round = 0; round < rounds; round++) {
    for (const mode of round % 2 === 0 ? MODES : MODES.toReversed()) {
      const sample = await measure('sidetone', 'echo', {
        streams,
        seconds,
        start: { args: ['--isolation', mode] },
      });
      samples[mode].push(sample);
      const { audioRate } = sample.result;
      console.log(
        `  ${mode.padEnd(8)} ${cpuUs(sample).toFixed(0).padStart(5)} µs (kernel ${sample.result.server?.cpu.kernelUs.toFixed(0)}), rate ${audioRate.mean.toFixed(4)}, p99 ${p99Ms(sample).toFixed(2)} ms, others ${(sample.othersShare * 100).toFixed(0)} %`,
      );
    }
  }
  const median = (mode: Mode): number => spread(samples[mode].map(cpuUs)).median;
  const ratios = samples.thread.map((sample, i) => cpuUs(sample) / cpuUs(samples.reactor[i]!));
  const ratio = spread(ratios);
  console.log(
    `  medians ${median('reactor').toFixed(0)} and ${median('thread').toFixed(0)} µs; ratio ${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)}), goal ${GOALS.costRatio}`,
  );
  figures.cost = { reactorUs: median('reactor'), threadUs: median('thread'), ratio };
}

/** Calls of the plugin that blocks, until the returned function is called. */
function blockingCalls(url: string): () => Promise<void> {
  const simulator = new Simulator();
  const calls = Array.from({ length: BLOCKING_CALLS }, () =>
    simulator.call(new URL('/blocking', url).href, { inbound: SPOKEN, durationMs: Number.POSITIVE_INFINITY }),
  );
  return async () => {
    for (const call of calls) call.hangup();
    await Promise.allSettled(calls.map(call => call.result));
  };
}

async function block(): Promise<void> {
  console.log(
    `${others} echoes beside ${BLOCKING_CALLS} calls whose handler computes for 500 ms of every second`,
  );
  const plugin = fileURLToPath(new URL('./blocking.js', import.meta.url));
  const samples: Record<Mode, Sample[]> = { reactor: [], thread: [] };
  for (let round = 0; round < rounds; round++) {
    for (const mode of MODES) {
      process.env.BLOCKING_ISOLATION = mode;
      let end = async (): Promise<void> => {};
      const sample = await measure('sidetone', 'echo', {
        streams: others,
        seconds,
        // The thread that blocks is to have a core, as far as there are some.
        start: { args: ['--plugin', plugin], unpinned: true },
        meanwhile: async (server, measuring) => {
          await measuring;
          end = blockingCalls(server.url);
        },
      });
      await end();
      samples[mode].push(sample);
      const { audioRate } = sample.result;
      console.log(
        `  ${mode.padEnd(8)} audio rate ${audioRate.mean.toFixed(4)}, p99 ${p99Ms(sample).toFixed(2)} ms, others ${(sample.othersShare * 100).toFixed(0)} %`,
      );
    }
  }
  const of = (mode: Mode): Record<string, number> => ({
    p99Ms: spread(samples[mode].map(p99Ms)).median,
    audioRate: spread(samples[mode].map(({ result }) => result.audioRate.mean)).median,
  });
  figures.block = { reactor: of('reactor'), thread: of('thread') };
  console.log(
    `  medians: direct p99 ${of('reactor').p99Ms!.toFixed(1)} ms at ${of('reactor').audioRate!.toFixed(3)} of the audio; thread p99 ${of('thread').p99Ms!.toFixed(1)} ms at ${of('thread').audioRate!.toFixed(3)}, goal ${GOALS.othersP99Ms} ms`,
  );
}

if (only.includes('cost')) pinSelf(1);
if (only.includes('cost')) await cost();
if (only.includes('block')) await block();
if (json !== undefined) writeFileSync(json, JSON.stringify(figures, null, 2));
