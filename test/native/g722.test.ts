import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { pcmBytes } from '../../src/audio/pcm.js';
import { dsp, words } from '../helpers/dsp.js';
import { haveVectors, vector } from '../helpers/paths.js';

const itu = (name: string): Int16Array => words(readFileSync(vector(`g722/itu-t/${name}`)));
const sippy = (name: string): Buffer => readFileSync(vector(`g722/sippy/${name}`));

/** Sixteen words 0x0001 at either end of a sequence of Appendix II say that the coders start anew. */
const RESET_WORDS = 16;

/** What lies between the reset words of an Appendix II file; bit 0 of a word is the reset flag, off there. */
function sequence(name: string): Int16Array {
  const all = itu(name);
  for (let i = 0; i < RESET_WORDS; i++) {
    assert.equal(all[i], 1);
    assert.equal(all[all.length - 1 - i], 1);
  }
  const data = all.subarray(RESET_WORDS, all.length - RESET_WORDS);
  assert.ok(data.every(word => (word & 1) === 0));
  return data;
}

const fifteenBit = (data: Int16Array): Int16Array => data.map(word => word >> 1);
/** Code words are the high byte. */
const codes = (data: Int16Array): Uint8Array => Uint8Array.from(data, word => (word >> 8) & 255);

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

test('full codec set: encoding gives the code words', { skip: !haveVectors }, () => {
  const expected = Uint8Array.from(itu('codspw.cod'), word => word & 255);
  assert.deepEqual(new dsp.G722Encoder().encode(itu('inpsp.bin')), expected);
});

test('full codec set: decoding gives the output of modes 1, 2 and 3', { skip: !haveVectors }, () => {
  const payload = Uint8Array.from(itu('codspw.cod'), word => word & 255);
  for (const mode of [1, 2, 3]) {
    assert.deepEqual(new dsp.G722Decoder(mode).decode(payload), itu(`outsp${mode}.bin`), `mode ${mode}`);
  }
});

test('Appendix II, configuration 1: sub-band samples to code words', { skip: !haveVectors }, () => {
  for (const [input, output] of [
    ['bt1c1.xmt', 'bt2r1.cod'],
    ['bt1c2.xmt', 'bt2r2.cod'],
  ] as const) {
    const samples = fifteenBit(sequence(input));
    assert.deepEqual(new dsp.G722Encoder().encodeBands(samples, samples), codes(sequence(output)), input);
  }
});

test('Appendix II, configuration 2: code words to sub-band samples, three modes', {
  skip: !haveVectors,
}, () => {
  for (const [input, n] of [
    ['bt2r1.cod', 1],
    ['bt2r2.cod', 2],
    ['bt1d3.cod', 3],
  ] as const) {
    for (const mode of [1, 2, 3]) {
      const { low, high } = new dsp.G722Decoder(mode).decodeBands(codes(sequence(input)));
      assert.deepEqual(low, fifteenBit(sequence(`bt3l${n}.rc${mode}`)), `${input} mode ${mode}, lower band`);
      assert.deepEqual(high, fifteenBit(sequence(`bt3h${n}.rc0`)), `${input} mode ${mode}, higher band`);
    }
  }
});

test('checksums of another implementation, full-scale audio among them', { skip: !haveVectors }, () => {
  const listed = new Map(
    ['test.checksum', 'pcminb.checksum']
      .flatMap(name => sippy(name).toString().split('\n'))
      .map(line => /^([0-9a-f]{64}) \*(\S+)$/.exec(line))
      .filter(match => match !== null)
      .map(match => [match[2], match[1]]),
  );
  const decoded = (payload: Uint8Array): string => sha256(pcmBytes(new dsp.G722Decoder().decode(payload)));
  assert.equal(decoded(sippy('test.g722')), listed.get('test.raw.16k.out'));
  assert.equal(decoded(sippy('fullscale.g722')), listed.get('fullscale.raw.out'));
  const pcm = words(sippy('pcminb.dat').swap16());
  const encoded = new dsp.G722Encoder().encode(pcm);
  assert.equal(sha256(encoded), listed.get('pcminb.g722.out'));
});

const ffmpegRuns = spawnSync('ffmpeg', ['-version']).status === 0;

function ffmpeg(input: Uint8Array, from: string[], to: string[]): Buffer {
  const run = spawnSync('ffmpeg', ['-loglevel', 'error', ...from, '-i', '-', ...to, '-'], {
    input,
    maxBuffer: 1 << 26,
  });
  assert.equal(run.status, 0, run.stderr.toString());
  return run.stdout;
}

/**
 * Noise, square waves and constants, up to half scale. Above it the mirror filter overshoots at edges: the
 * recommendation limits its output to 15 bits there, ffmpeg does not.
 */
function wild(samples: number, seed: number): Int16Array {
  let state = seed | 1;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state >>> 16;
  };
  const pcm = new Int16Array(samples);
  for (let at = 0; at < samples; ) {
    const end = Math.min(samples, at + 1 + (random() % 2000));
    const kind = random() % 4;
    const shift = 1 + (random() % 15);
    const half = 1 + (random() % 50);
    const level = random() << 16;
    for (let i = at; i < end; i++) {
      const noise = (random() << 16) >> (16 + shift);
      const square = Math.floor(i / half) % 2 === 0 ? 16000 : -16000;
      pcm[i] = kind < 2 ? noise : kind === 2 ? square : level >> 17;
    }
    at = end;
  }
  return pcm;
}

const RAW = ['-f', 's16le', '-ar', '16000', '-ac', '1'];

test('ffmpeg gives the same bytes and samples on random signals', { skip: !ffmpegRuns }, () => {
  for (const seed of [1, 2, 3]) {
    const pcm = wild(200_000, seed);
    const payload = new dsp.G722Encoder().encode(pcm);
    const theirs = ffmpeg(pcmBytes(pcm), RAW, ['-f', 'g722']);
    assert.equal(theirs.length, payload.length);
    assert.ok(theirs.equals(payload), `encoding differs, seed ${seed}`);
    const heard = ffmpeg(payload, ['-f', 'g722'], ['-f', 's16le']);
    assert.ok(
      heard.equals(pcmBytes(new dsp.G722Decoder().decode(payload))),
      `decoding differs, seed ${seed}`,
    );
  }
});

test('ffmpeg decodes random payloads to the same samples', { skip: !ffmpegRuns }, () => {
  const noise = wild(100_000, 9);
  const payload = Uint8Array.from(noise, (sample, i) => sample ^ (noise[(i * 7) % noise.length] as number));
  const heard = ffmpeg(payload, ['-f', 'g722'], ['-f', 's16le']);
  assert.ok(heard.equals(pcmBytes(new dsp.G722Decoder().decode(payload))));
});

test('any payload is audio, any cut of it gives the same', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.nat({ max: 2000 }), (payload, at) => {
      const whole = new dsp.G722Decoder().decode(payload);
      assert.equal(whole.length, 2 * payload.length);
      const cut = new dsp.G722Decoder();
      const parts = [cut.decode(payload.subarray(0, at)), cut.decode(payload.subarray(at))];
      assert.deepEqual([...(parts[0] as Int16Array), ...(parts[1] as Int16Array)], [...whole]);
    }),
    { numRuns: 100 },
  );
});

test('wrong arguments throw a TypeError that names them', () => {
  const encoder = new dsp.G722Encoder();
  const wrong: [() => unknown, RegExp][] = [
    [() => encoder.encode(new Int16Array(3)), /even number of samples/],
    [() => encoder.encode(new Uint8Array(4) as never), /pcm must be an Int16Array/],
    [() => encoder.encodeBands(new Int16Array(2), new Int16Array(3)), /one length/],
    [() => new dsp.G722Decoder(4), /mode must be 1, 2 or 3/],
    [() => new dsp.G722Decoder().decode('abc' as never), /payload must be a Uint8Array/],
  ];
  for (const [call, message] of wrong) assert.throws(call, { name: 'TypeError', message });
});
