/** `npm run bench:playout`: the steady clock (audio.playout) beside frames that are heard as they come. */

import { median } from '../median.js';
import { benchCommand, whole } from '../options.js';
import { FRAMES_MAX, type Heard, Line, messages, run } from './line.js';
import { NETWORKS } from './networks.js';

const program = benchCommand(
  'bench:playout',
  'Delay, concealment and late frames of both ways to hear a call',
)
  .option('--seconds <n>', 'length of each call', whole(10, Math.floor(FRAMES_MAX / 50)), 120)
  .option('--seed <n>', 'of the networks', whole(0, 2 ** 31), 1)
  .option('--only <text>', 'networks whose name holds it', '')
  .parse();
const { seconds, seed, only } = program.opts<{ seconds: number; seed: number; only: string }>();

const frames = seconds * 50;
const media = messages(frames);

const percent = (part: number, all: number): string => `${((100 * part) / all).toFixed(1)} %`;

/** From when a frame was sent to when it was heard. */
function delays(heard: readonly Heard[], frameMs: number): string {
  const sorted = heard
    .filter(({ frame }) => frame >= 0)
    .map(({ atMs, frame }) => atMs - frame * frameMs)
    .sort((a, b) => a - b);
  const mean = sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length;
  return `${mean.toFixed(0)} / ${sorted[Math.floor(sorted.length * 0.95)]!.toFixed(0)}`;
}

/**
 * What is heard as it comes goes into a plain queue, of which a mixer takes one frame every 20 ms from the first on: the
 * share of its ticks that find nothing, and the delay behind the queue.
 */
function mixed(heard: readonly Heard[], frameMs: number): { missing: string; delay: string } {
  const first = heard[0]!.atMs;
  const taken: Heard[] = [];
  let next = 0;
  let missing = 0;
  const ticks = Math.floor((heard.at(-1)!.atMs - first) / 20);
  for (let tick = 1; tick <= ticks; tick++) {
    const atMs = first + tick * 20;
    if (heard[next]!.atMs > atMs) missing++;
    else taken.push({ ...heard[next++]!, atMs });
  }
  return { missing: percent(missing, ticks), delay: delays(taken, frameMs) };
}

console.log(`calls of ${seconds} s, seed ${seed}; delays in ms, mean / p95, from the sending of a frame`);
console.log(
  '| network | in order: delay | concealed | late | plain queue behind it: delay | ticks without a frame | playout: delay | concealed | late | time taken out |',
);
console.log('|---|---|---|---|---|---|---|---|---|---|');
for (const { name, arrivals, frameMs = 20 } of NETWORKS) {
  if (!name.includes(only)) continue;
  const coming = arrivals(frames, seed);
  const cells: string[] = [name];
  for (const playout of [false, true]) {
    const line = run(playout, coming, media);
    const concealed = line.heard.filter(frame => frame.concealed).length;
    const counters = line.counters();
    cells.push(
      delays(line.heard, frameMs),
      percent(concealed, line.heard.length),
      percent(counters.framesLate!, coming.length),
    );
    if (playout) cells.push(`${counters.playoutAcceleratedSeconds!.toFixed(2)} s`);
    else {
      const { missing, delay } = mixed(line.heard, frameMs);
      cells.push(delay, missing);
    }
    line.close();
  }
  console.log(`| ${cells.join(' | ')} |`);
}

/** Processor time of a frame, tick included, in µs; both ways in turn. */
function costs(): Record<'inOrder' | 'playout', number> {
  const times: Record<'inOrder' | 'playout', number[]> = { inOrder: [], playout: [] };
  for (let turn = 0; turn < 15; turn++) {
    for (const way of ['inOrder', 'playout'] as const) {
      const line = new Line(way === 'playout', false);
      const begun = process.cpuUsage();
      for (let i = 0; i < frames; i++) {
        line.runTo(i * 20);
        line.receive(media[i]!, i * 20);
      }
      const { user, system } = process.cpuUsage(begun);
      times[way].push((user + system) / frames);
      line.close();
    }
  }
  return { inOrder: median(times.inOrder), playout: median(times.playout) };
}
const { inOrder, playout } = costs();
console.log(
  `\nL16 at 8 kHz without losses, processor time a frame with ten ticks: in order ${inOrder.toFixed(2)} µs, ` +
    `playout ${playout.toFixed(2)} µs (${(playout / inOrder).toFixed(2)} times)`,
);
