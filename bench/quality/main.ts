/**
 * What callers and handlers hear (`npm run bench:quality`). Calls with speech go through a real server, in each
 * encoding, over networks that lose and reorder frames. They are heard with concealment and with silence in its
 * place. docs/quality.md says what the figures mean.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Option } from 'commander';
import { createDecoder, createEncoder, resample } from '../../src/codecs/create.js';
import { ENCODINGS, type Encoding } from '../../src/formats.js';
import { latencies } from '../../src/simulator/echo.js';
import type { CallResult } from '../../src/simulator/result.js';
import { Simulator } from '../../src/simulator/simulator.js';
import { benchCommand, whole } from '../options.js';
import { logSpectralDistanceDb, segmentalSnrDb } from './distance.js';
import { lagOf } from './fft.js';
import { measureByteOrder } from './l16-order.js';
import type { Heard } from './listener.js';
import { type RunningServer, startServer } from './server.js';
import { measureShortened } from './shortened.js';
import { joined, SOURCE_RATE, speechSources } from './sources.js';
import { intelligibility } from './stoi.js';

const values = benchCommand(
  'npm run bench:quality --',
  'What callers and handlers hear, in each encoding, over networks that lose and reorder; docs/quality.md explains the figures.',
)
  .option('--seeds <n>', 'calls for each lossy network', whole(1, 1000), 2)
  .addOption(new Option('--encoding <encoding>', 'this one alone').choices(ENCODINGS))
  .option('--json <file>', 'writes the figures there too')
  .parse()
  .opts<{ seeds: number; encoding?: Encoding; json?: string }>();
const { seeds } = values;

/** Frames move by up to two places, 40 ms: within the 60 ms for which a gap waits. */
const SHUFFLE = 3;
const NETWORKS = [
  { loss: 0, shuffle: 0 },
  { loss: 0.03, shuffle: SHUFFLE },
  { loss: 0.1, shuffle: SHUFFLE },
];
const LAG_MAX_MS = 60;
type Concealment = 'on' | 'silence';

interface Scores {
  stoi: number;
  estoi: number;
  lsdDb: number;
  segSnrDb: number;
  lagMs: number;
}

interface CallScores {
  encoding: Encoding;
  loss: number;
  concealment: Concealment;
  seed: number;
  framesSent: number;
  framesLost: number;
  framesConcealed: number;
  handler: Scores;
  caller: Scores;
  /** How much later than the luckiest frame of the call a frame came to the handler, in ms. */
  heldMs: { p50: number; p99: number };
  /** Silence that the caller heard inside speech because audio came late. */
  underrunMs: number;
}

const simulator = new Simulator({ seed: 1 });
const { sources, notes } = speechSources();
const speech = joined(sources);
const folder = mkdtempSync(join(tmpdir(), 'sidetone-quality-'));

function available(encoding: Encoding): boolean {
  try {
    createEncoder(encoding).close();
    return values.encoding === undefined || values.encoding === encoding;
  } catch (error) {
    notes.push(`${encoding} left out: ${(error as Error).message}`);
    return false;
  }
}
const encodings = ENCODINGS.filter(available);

function rateOf(encoding: Encoding): number {
  const decoder = createDecoder(encoding);
  decoder.close();
  return decoder.sampleRate;
}

/** Moves what was heard onto the reference's time and measures it. */
function score(reference: Int16Array, heard: Int16Array, rate: number): Scores {
  const lag = lagOf(reference, heard, (LAG_MAX_MS * rate) / 1000);
  const aligned = new Int16Array(reference.length);
  const from = Math.max(0, lag);
  const to = Math.max(0, -lag);
  aligned.set(heard.subarray(from, from + reference.length - to), to);
  return {
    ...intelligibility(reference, aligned, rate),
    lsdDb: logSpectralDistanceDb(reference, aligned, rate, rate === 8000 ? 3600 : 7000),
    segSnrDb: segmentalSnrDb(reference, aligned, rate),
    lagMs: (lag * 1000) / rate,
  };
}

/** What the caller heard, without the pauses of late audio. They are counted separately and would shift the rest. */
function withoutPauses({ heard, outboundEncoding, outboundSampleRate }: CallResult): Int16Array {
  const decoder = createDecoder(outboundEncoding, { sampleRate: outboundSampleRate });
  const parts = heard.map(({ payload }) => decoder.decode(payload));
  decoder.close();
  const whole = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => {
    whole.set(part, at);
    return at + part.length;
  }, 0);
  return whole;
}

const lossPercent = (loss: number): string => `${loss * 100} %`;

async function scoredCall(
  server: RunningServer,
  encoding: Encoding,
  concealment: Concealment,
  network: (typeof NETWORKS)[number],
  seed: number,
): Promise<() => CallScores> {
  const file = join(folder, `${encoding}-${network.loss}-${concealment}-${seed}`);
  const call = simulator.call(server.url, {
    ...simulator.speech({ samples: speech, sampleRate: SOURCE_RATE }, { encoding }),
    ...network,
    seed,
    // Ids follow from the seed, and two streams of one call would be a take-over.
    callControlId: randomUUID(),
    streamId: randomUUID(),
    customParameters: { heard: file },
  });
  const result = await call.result;
  if (result.ended !== 'by the caller' || result.errorsSent > 0) {
    throw new Error(
      `${encoding}: the call ended ${result.ended}: ${result.failure ?? result.errors[0]?.detail}`,
    );
  }
  // Scoring takes processor time, so it waits until all calls have ended.
  return () => {
    const rate = rateOf(encoding);
    const reference = resample(speech, SOURCE_RATE, rate);
    const { buffer, byteOffset, byteLength } = readFileSync(file);
    const pcm = new Int16Array(buffer.slice(byteOffset, byteOffset + byteLength));
    const { frames } = JSON.parse(readFileSync(`${file}.json`, 'utf8')) as Heard;
    const arrivals = frames
      .filter(frame => !frame.concealed)
      .map(frame => frame.cameMs - frame.timestampMs - (frame.samples * 1000) / rate);
    const earliest = arrivals.reduce((min, ms) => Math.min(min, ms), Number.POSITIVE_INFINITY);
    const held = latencies(arrivals.map(ms => ms - earliest))!;
    return {
      encoding,
      loss: network.loss,
      concealment,
      seed,
      framesSent: result.frames.mediaSent + result.frames.lost,
      framesLost: result.frames.lost,
      framesConcealed: frames.filter(frame => frame.concealed).length,
      handler: score(reference, pcm, rate),
      caller: score(reference, withoutPauses(result), rate),
      heldMs: { p50: held.p50, p99: held.p99 },
      underrunMs: result.underruns.totalMs,
    };
  };
}

/** Echo of one call at a time on a perfect network: from when a frame is due to leave to its echo's arrival. */
async function echoLatency(server: RunningServer, encoding: Encoding) {
  const pcm = { samples: sources[0]!.samples, sampleRate: SOURCE_RATE };
  const { heard } = await simulator.call(server.url, simulator.speech(pcm, { encoding })).result;
  return latencies(heard.map(({ arrivedMs }, i) => arrivedMs - i * 20))!;
}

const mean = (list: number[]): number => list.reduce((sum, value) => sum + value, 0) / list.length;
const scored: CallScores[] = [];
const echo = new Map<Encoding, { p50: number; p99: number }>();
try {
  for (const concealment of ['on', 'silence'] as const) {
    const server = await startServer(concealment);
    const networks = NETWORKS.filter(({ loss }) => concealment === 'on' || loss > 0);
    const calls = encodings.flatMap(encoding =>
      networks.flatMap(network =>
        Array.from({ length: network.loss === 0 ? 1 : seeds }, (_, i) =>
          scoredCall(server, encoding, concealment, network, i + 1),
        ),
      ),
    );
    console.error(
      `${calls.length} calls of ${(speech.length / SOURCE_RATE).toFixed(0)} s, concealment ${concealment}`,
    );
    const finished = await Promise.all(calls);
    if (concealment === 'on') {
      for (const encoding of encodings) echo.set(encoding, await echoLatency(server, encoding));
    }
    await server.stop();
    for (const finish of finished) scored.push(finish());
  }
} finally {
  rmSync(folder, { recursive: true });
}

const of = (encoding: Encoding, loss: number, concealment: Concealment): CallScores[] =>
  scored.filter(
    call =>
      call.encoding === encoding && call.loss === loss && (loss === 0 || call.concealment === concealment),
  );

function table(head: string[], rows: string[][]): void {
  console.log(`| ${head.join(' | ')} |\n|${'---|'.repeat(head.length)}`);
  for (const row of rows) console.log(`| ${row.join(' | ')} |`);
  console.log();
}

/** "with concealment / with silence", or one figure where nothing is lost. */
function pair(
  encoding: Encoding,
  loss: number,
  figure: (call: CallScores) => number,
  digits: number,
): string {
  const [on, silence] = (['on', 'silence'] as const).map(mode =>
    mean(of(encoding, loss, mode).map(figure)).toFixed(digits),
  );
  return loss === 0 ? on! : `${on} / ${silence}`;
}

const speechSeconds = sources.map(
  ({ name, samples }) => `${name} (${(samples.length / SOURCE_RATE).toFixed(1)} s)`,
);
console.log(
  `speech: ${speechSeconds.join(', ')}; ${seeds} calls for each lossy network; ${cpus()[0]?.model}`,
);
for (const note of notes) console.log(`note: ${note}`);
for (const side of ['handler', 'caller'] as const) {
  console.log(
    `\nWhat the ${side} hears: with concealment / with silence in its place${side === 'caller' ? '; echo, so coded twice' : ''}\n`,
  );
  table(
    ['encoding', 'lost', 'STOI', 'ESTOI', 'log-spectral distance, dB', 'segmental SNR, dB'],
    encodings.flatMap(encoding =>
      NETWORKS.map(({ loss }) => [
        encoding,
        lossPercent(loss),
        pair(encoding, loss, call => call[side].stoi, 3),
        pair(encoding, loss, call => call[side].estoi, 3),
        pair(encoding, loss, call => call[side].lsdDb, 2),
        pair(encoding, loss, call => call[side].segSnrDb, 1),
      ]),
    ),
  );
}
console.log('Delay, in ms, beside the 20 ms of a frame\n');
const range = ({ p50, p99 }: { p50: number; p99: number }): string => `${p50.toFixed(1)} / ${p99.toFixed(1)}`;
table(
  [
    'encoding',
    'coding one way',
    'coding both ways',
    'echo p50 / p99',
    ...NETWORKS.map(({ loss }) => `held at ${lossPercent(loss)}, p50 / p99`),
    'frames lost / concealed at 10 %',
  ],
  encodings.map(encoding => {
    const clean = of(encoding, 0, 'on')[0]!;
    const worst = of(encoding, 0.1, 'on');
    return [
      encoding,
      clean.handler.lagMs.toFixed(2),
      clean.caller.lagMs.toFixed(2),
      range(echo.get(encoding)!),
      ...NETWORKS.map(({ loss }) => {
        const held = of(encoding, loss, 'on').map(call => call.heldMs);
        return range({ p50: mean(held.map(({ p50 }) => p50)), p99: mean(held.map(({ p99 }) => p99)) });
      }),
      `${mean(worst.map(call => call.framesLost)).toFixed(0)} / ${mean(worst.map(call => call.framesConcealed)).toFixed(0)}`,
    ];
  }),
);
const byteOrder = measureByteOrder(sources);
console.log(`L16 byte order 'auto'\n`);
table(
  ['material', 'streams', 'wrong at first', 'wrong for good', 'frames read wrongly'],
  byteOrder.map(row => [
    row.material,
    String(row.streams),
    String(row.wrongAtFirst),
    String(row.wrongForGood),
    `${row.framesWrong} of ${row.frames}`,
  ]),
);

const shortened = measureShortened(sources);
console.log('Late live audio, shortened / the same made by leaving out 20 ms at a time\n');
table(
  ['rate', 'speed of speech', 'of its length', 'STOI', 'ESTOI'],
  shortened.map(row => [
    `${row.rate} Hz`,
    row.speed === 1 ? 'pauses alone' : String(row.speed),
    `${(row.share * 100).toFixed(0)} %`,
    `${row.stoi.toFixed(3)} / ${row.naive.stoi.toFixed(3)}`,
    `${row.estoi.toFixed(3)} / ${row.naive.estoi.toFixed(3)}`,
  ]),
);

// A codec that sounds better with holes in it than with concealment has a fault.
let worse = 0;
for (const encoding of encodings) {
  for (const { loss } of NETWORKS.filter(network => network.loss > 0)) {
    for (const figure of ['stoi', 'estoi'] as const) {
      const [on, silence] = (['on', 'silence'] as const).map(mode =>
        mean(of(encoding, loss, mode).map(call => call.handler[figure])),
      );
      if (on! > silence!) continue;
      worse++;
      console.log(`${encoding} at ${lossPercent(loss)}: concealment does not beat silence in ${figure}`);
    }
  }
}
if (values.json) {
  const report = { cpu: cpus()[0]?.model, node: process.version, speech: speechSeconds, notes };
  writeFileSync(
    values.json,
    JSON.stringify(
      { ...report, echo: Object.fromEntries(echo), calls: scored, byteOrder, shortened },
      null,
      2,
    ),
  );
}
process.exitCode = worse > 0 ? 1 : 0;
