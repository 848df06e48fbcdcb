/**
 * Cost of one 20 ms frame in each of the costly codecs, in one thread: medians over rounds that take turns.
 *
 *   node dist/bench/pool/codecs.js [--rounds 9] [--wav speech-16khz-mono.wav]
 *
 * OPUS_FORCE_WASM=1 measures the WebAssembly build of libopus.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { AmrWbPayloadDecoder, AmrWbPayloadEncoder } from '../../src/codecs/amrwb.js';
import { closeMp3, encodeMp3 } from '../../src/codecs/mp3.js';
import { OpusPayloadDecoder, OpusPayloadEncoder, type OpusRate } from '../../src/codecs/opus.js';
import { opusLibrary } from '../../src/codecs/opus-library.js';
import type { PayloadDecoder, PayloadEncoder } from '../../src/codecs/types.js';
import { speechLike } from '../../test/helpers/speech.js';
import { median } from '../median.js';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '9' }, wav: { type: 'string' } },
});
const rounds = Number(values.rounds);

function speechAt(rate: number): Int16Array {
  if (!values.wav || rate !== 16000) return speechLike(rate, 6);
  const file = readFileSync(values.wav);
  const data = file.indexOf('data') + 8;
  return new Int16Array(
    file.buffer.slice(file.byteOffset + data, file.byteOffset + file.length - ((file.length - data) % 2)),
  );
}

interface Case {
  name: string;
  encoder: PayloadEncoder;
  decoder: PayloadDecoder;
  frames: Int16Array[];
  encodeUs: number[];
  decodeUs: number[];
  concealUs: number[];
  kbps: number;
}

function makeCase(name: string, encoder: PayloadEncoder, decoder: PayloadDecoder): Case {
  const speech = speechAt(encoder.sampleRate);
  const frames: Int16Array[] = [];
  for (let at = 0; at + encoder.frameSamples <= speech.length; at += encoder.frameSamples) {
    frames.push(speech.slice(at, at + encoder.frameSamples));
  }
  return { name, encoder, decoder, frames, encodeUs: [], decodeUs: [], concealUs: [], kbps: 0 };
}

function round(one: Case): void {
  const { encoder, decoder, frames } = one;
  let start = performance.now();
  const packets = frames.map(frame => encoder.encode(frame).slice());
  one.encodeUs.push(((performance.now() - start) / frames.length) * 1000);
  one.kbps = packets.reduce((sum, packet) => sum + packet.length * 8, 0) / (frames.length * 20);
  start = performance.now();
  for (const packet of packets) decoder.decode(packet);
  one.decodeUs.push(((performance.now() - start) / frames.length) * 1000);
  start = performance.now();
  for (let i = 0; i < 100; i++) decoder.conceal();
  one.concealUs.push(((performance.now() - start) / 100) * 1000);
}

const cases: Case[] = [];
const opus = (rate: OpusRate, complexity: number, more = {}, note = '') =>
  cases.push(
    makeCase(
      `OPUS ${rate} Hz complexity ${complexity}${note}`,
      new OpusPayloadEncoder({ sampleRate: rate, complexity, ...more }),
      new OpusPayloadDecoder({ sampleRate: rate }),
    ),
  );
for (const complexity of [0, 1, 2, 3, 4, 5, 6, 8, 10]) opus(16000, complexity);
for (const complexity of [1, 5, 10]) opus(8000, complexity);
opus(16000, 5, { fec: true, packetLossPercent: 10 }, ' FEC 10 %');
opus(48000, 5);
try {
  for (const mode of [0, 2, 8]) {
    cases.push(makeCase(`AMR-WB mode ${mode}`, new AmrWbPayloadEncoder({ mode }), new AmrWbPayloadDecoder()));
  }
} catch (error) {
  console.log((error as Error).message);
}

for (let i = 0; i < rounds; i++) for (const one of cases) round(one);
console.log(`libopus: ${opusLibrary().build} build; µs a frame, medians of ${rounds}`);
for (const one of cases) {
  const [encode, decode, conceal] = [one.encodeUs, one.decodeUs, one.concealUs].map(list =>
    median(list).toFixed(1),
  );
  console.log(
    `${one.name.padEnd(36)} encode ${encode!.padStart(6)}  decode ${decode!.padStart(5)}  conceal ${conceal!.padStart(5)}  ${one.kbps.toFixed(1)} kbit/s`,
  );
}

for (const rate of [8000, 16000, 48000]) {
  const times: number[] = [];
  const speech = speechLike(rate, 10);
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    await encodeMp3(speech, rate);
    times.push(performance.now() - start);
  }
  console.log(`MP3 ${rate} Hz: 10 s in ${median(times).toFixed(1)} ms`);
}
await closeMp3();
