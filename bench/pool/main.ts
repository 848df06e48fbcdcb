/**
 * What the codec pool costs. It measures frames a second of one worker beside a bare loop over @evan/opus, in pairs
 * of rounds, and the event loop's delay with calls in real time.
 */
import { cpus } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Decoder, Encoder } from '@evan/opus';
import { CodecPool } from '../../src/pool/pool.js';
import type { PoolDecoder, PoolEncoder } from '../../src/pool/streams.js';
import { speechLike } from '../../test/helpers/speech.js';
import { median } from '../median.js';
import { benchCommand, whole } from '../options.js';

const { rounds, seconds, calls, complexity, threads, json } = benchCommand(
  'node dist/bench/pool/main.js',
  'What the codec pool costs beside a bare loop over @evan/opus, and what it does to the event loop.',
)
  .option('--rounds <n>', 'pairs of rounds', whole(1, 100), 7)
  .option('--seconds <s>', 'calls in real time', whole(1, 600), 10)
  .option('--calls <n>', 'how many of them', whole(1, 2000), 100)
  .option('--complexity <n>', "the encoder's", whole(0, 10), 5)
  .option('--threads <n>', 'workers', whole(1, 256), 1)
  .option('--json', 'prints JSON alone', false)
  .parse()
  .opts<Record<'rounds' | 'seconds' | 'calls' | 'complexity' | 'threads', number> & { json: boolean }>();

const RATE = 16000;
const FRAME = RATE / 50;
const STREAMS = 16;
const ROUND_MS = 1500;

const speech = speechLike(RATE, 10);
const frames = Array.from({ length: speech.length / FRAME }, (_, i) =>
  speech.slice(i * FRAME, (i + 1) * FRAME),
);
/** Each stream is elsewhere in the speech: the same frame 16 times in a row would flatter a branch predictor. */
const firstFrame = (stream: number): number => stream * 31;

/** Frames coded there and back a second, in a loop over the package as it is. */
function bareLoop(): number {
  const pairs = Array.from({ length: STREAMS }, () => {
    const encoder = new Encoder({ channels: 1, sample_rate: RATE, application: 'voip' });
    encoder.ctl(4002, 24000);
    encoder.ctl(4010, complexity);
    return { encoder, decoder: new Decoder({ channels: 1, sample_rate: RATE }) };
  });
  let count = 0;
  const start = performance.now();
  while (performance.now() - start < ROUND_MS) {
    const stream = count % STREAMS;
    const { encoder, decoder } = pairs[stream]!;
    const frame = frames[(firstFrame(stream) + ((count / STREAMS) | 0)) % frames.length]!;
    decoder.decode(encoder.encode(frame));
    count++;
  }
  return (count / (performance.now() - start)) * 1000;
}

/** The same work by one worker that always has jobs: a packet that comes back is decoded, its audio makes the next. */
async function pooled(): Promise<number> {
  const pool = new CodecPool({ threads: 1, loadMax: Number.POSITIVE_INFINITY });
  let count = 0;
  let stopped = false;
  for (let i = 0; i < STREAMS; i++) {
    let frame = firstFrame(i);
    const decoder = pool.openDecoder(
      'OPUS',
      {},
      {
        onPcm: () => {
          count++;
          if (!stopped) encoder.encode(frames[frame++ % frames.length]!);
        },
        onError: fail,
      },
    );
    const encoder = pool.openEncoder(
      'OPUS',
      { complexity },
      {
        onPacket: packet => {
          if (!stopped) decoder.decode(packet);
        },
        onError: fail,
      },
    );
    for (let ahead = 0; ahead < 16; ahead++) encoder.encode(frames[frame++ % frames.length]!);
  }
  await later(200);
  const before = count;
  const start = performance.now();
  await later(ROUND_MS);
  const rate = ((count - before) / (performance.now() - start)) * 1000;
  stopped = true;
  await pool.close();
  return rate;
}

interface LoopResult {
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  answerP50Ms: number;
  answerP99Ms: number;
  framesPerSecond: number;
  refused: number;
  jobsPerBatch: number;
}

/** The event loop's delay with the same timer and nothing to do: what the machine itself is good for. */
async function idleP99Ms(): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const timer = setInterval(() => {}, 4);
  delay.enable();
  await later((seconds * 1000) / 2);
  delay.disable();
  clearInterval(timer);
  return delay.percentile(99) / 1e6;
}

/** Calls in real time: each sends one packet and one frame every 20 ms, a fifth of the calls every 4 ms. */
async function realTime(): Promise<LoopResult> {
  const pool = new CodecPool({ threads, loadMax: Number.POSITIVE_INFINITY });
  const packets: Uint8Array[] = [];
  const prepare = new Encoder({ channels: 1, sample_rate: RATE, application: 'voip' });
  for (const frame of frames) packets.push(prepare.encode(frame));

  let answered = 0;
  const sentAt = new Float64Array(calls * 2);
  const waits: number[] = [];
  const decoders: PoolDecoder[] = [];
  const encoders: PoolEncoder[] = [];
  const answer = (slot: number) => {
    answered++;
    if (waits.length < 1e6) waits.push(performance.now() - sentAt[slot]!);
  };
  for (let i = 0; i < calls; i++) {
    decoders.push(pool.openDecoder('OPUS', {}, { onPcm: () => answer(2 * i), onError: fail }));
    encoders.push(
      pool.openEncoder('OPUS', { complexity }, { onPacket: () => answer(2 * i + 1), onError: fail }),
    );
  }
  await later(500);

  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const start = performance.now();
  let step = 0;
  await new Promise<void>(resolve => {
    const timer = setInterval(() => {
      for (; step * 4 <= performance.now() - start; step++) {
        for (let i = step % 5; i < calls; i += 5) {
          const at = (((step / 5) | 0) + i) % frames.length;
          sentAt[2 * i] = sentAt[2 * i + 1] = performance.now();
          decoders[i]!.decode(packets[at]!);
          encoders[i]!.encode(frames[at]!);
        }
      }
      if (performance.now() - start < seconds * 1000) return;
      clearInterval(timer);
      resolve();
    }, 4);
  });
  delay.disable();
  await later(200);
  const { refused, jobs, batches } = pool.stats;
  await pool.close();
  waits.sort((a, b) => a - b);
  return {
    p50Ms: delay.percentile(50) / 1e6,
    p99Ms: delay.percentile(99) / 1e6,
    maxMs: delay.max / 1e6,
    answerP50Ms: waits[waits.length >> 1]!,
    answerP99Ms: waits[Math.floor(waits.length * 0.99)]!,
    framesPerSecond: answered / seconds,
    refused,
    jobsPerBatch: jobs / batches,
  };
}

function fail(error: Error): never {
  throw error;
}
const later = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

const ratios: number[] = [];
const bares: number[] = [];
const pools: number[] = [];
for (let round = 0; round < rounds; round++) {
  // They take turns in going first, so that neither always runs on the warmer machine.
  const poolFirst = round % 2 === 1;
  const first = poolFirst ? await pooled() : bareLoop();
  const second = poolFirst ? bareLoop() : await pooled();
  const [bare, pool] = poolFirst ? [second, first] : [first, second];
  bares.push(bare);
  pools.push(pool);
  ratios.push(pool / bare);
  if (!json) console.log(`round ${round + 1}: bare ${bare.toFixed(0)}, pool ${pool.toFixed(0)} frames/s`);
}
const throughput = {
  barePerSecond: median(bares),
  poolPerSecond: median(pools),
  ratio: median(ratios),
};
const idleBefore = await idleP99Ms();
const loop = await realTime();
const idle = (idleBefore + (await idleP99Ms())) / 2;

if (json) {
  console.log(
    JSON.stringify({
      cpu: cpus()[0]?.model,
      node: process.version,
      complexity,
      throughput,
      calls,
      loop,
      idleP99Ms: idle,
    }),
  );
} else {
  console.log(
    `one worker: ${throughput.poolPerSecond.toFixed(0)} frames/s there and back, bare loop ` +
      `${throughput.barePerSecond.toFixed(0)}, ratio ${throughput.ratio.toFixed(3)} (medians of ${rounds})`,
  );
  console.log(
    `${calls} calls both ways for ${seconds} s: event loop delay p50 ${loop.p50Ms.toFixed(2)} p99 ${loop.p99Ms.toFixed(2)} ` +
      `max ${loop.maxMs.toFixed(2)} ms (1 ms resolution; idle p99 ${idle.toFixed(2)}); answers p50 ${loop.answerP50Ms.toFixed(2)} p99 ` +
      `${loop.answerP99Ms.toFixed(2)} ms, ${loop.framesPerSecond.toFixed(0)}/s, ${loop.jobsPerBatch.toFixed(1)} jobs a batch, ` +
      `${loop.refused} refused`,
  );
}
