import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { joinPcm } from '../../src/audio/pcm.js';
import { SAMPLE_RATES } from '../../src/formats.js';
import { dsp } from '../helpers/dsp.js';

const pairs = SAMPLE_RATES.flatMap(from => SAMPLE_RATES.map(to => [from, to] as const)).filter(
  ([from, to]) => from !== to,
);

const AMPLITUDE = 16000;

function tone(rateHz: number, hz: number, samples: number): Int16Array {
  return Int16Array.from({ length: samples }, (_, i) =>
    Math.round(AMPLITUDE * Math.sin((2 * Math.PI * hz * i) / rateHz)),
  );
}

const decibels = (ratio: number): number => 20 * Math.log10(Math.max(ratio, 1e-12));

/** Gain at `hz` and everything else (images, aliases, noise), both relative to the tone, from the settled part. */
function measure(pcm: Int16Array, rateHz: number, hz: number): { gainDb: number; restDb: number } {
  const settled = pcm.subarray(Math.floor(pcm.length / 3));
  // Least squares for a*cos + b*sin: the exact 2 by 2 system, since the section holds no whole number of periods.
  let cc = 0;
  let cs = 0;
  let ss = 0;
  let cy = 0;
  let sy = 0;
  for (let i = 0; i < settled.length; i++) {
    const phase = (2 * Math.PI * hz * i) / rateHz;
    const c = Math.cos(phase);
    const s = Math.sin(phase);
    const y = settled[i] as number;
    cc += c * c;
    cs += c * s;
    ss += s * s;
    cy += c * y;
    sy += s * y;
  }
  const determinant = cc * ss - cs * cs;
  const a = (cy * ss - sy * cs) / determinant;
  const b = (sy * cc - cy * cs) / determinant;
  let rest = 0;
  for (let i = 0; i < settled.length; i++) {
    const phase = (2 * Math.PI * hz * i) / rateHz;
    rest += ((settled[i] as number) - a * Math.cos(phase) - b * Math.sin(phase)) ** 2;
  }
  return {
    gainDb: decibels(Math.hypot(a, b) / AMPLITUDE),
    restDb: decibels(Math.sqrt((2 * rest) / settled.length) / AMPLITUDE),
  };
}

function levelDb(pcm: Int16Array): number {
  const settled = pcm.subarray(Math.floor(pcm.length / 3));
  const sum = settled.reduce((total, sample) => total + sample * sample, 0);
  return decibels(Math.sqrt((2 * sum) / settled.length) / AMPLITUDE);
}

const SECONDS = 0.15;
const resample = (from: number, to: number, input: Int16Array): Int16Array =>
  new dsp.Resampler(from, to).process(input);

test('pass-band: flat within 0.01 dB to 0.9 of the lower Nyquist frequency, images 80 dB down', () => {
  for (const [from, to] of pairs) {
    const nyquist = Math.min(from, to) / 2;
    for (let part = 0.02; part <= 0.9001; part += 0.04) {
      const hz = part * nyquist;
      const { gainDb, restDb } = measure(resample(from, to, tone(from, hz, SECONDS * from)), to, hz);
      assert.ok(
        Math.abs(gainDb) < 0.01,
        `${from} to ${to} Hz: ${gainDb.toFixed(4)} dB at ${hz.toFixed(0)} Hz`,
      );
      assert.ok(restDb < -80, `${from} to ${to} Hz: rest ${restDb.toFixed(1)} dB at ${hz.toFixed(0)} Hz`);
    }
  }
});

test('stop-band: from 1.1 of the lower Nyquist frequency, aliases are 80 dB down', () => {
  for (const [from, to] of pairs.filter(([f, t]) => f > t)) {
    for (let hz = (1.1 * to) / 2; hz < from / 2; hz += from / 60) {
      const level = levelDb(resample(from, to, tone(from, hz, SECONDS * from)));
      assert.ok(
        level < -80,
        `${from} to ${to} Hz: ${hz.toFixed(0)} Hz comes through at ${level.toFixed(1)} dB`,
      );
    }
  }
});

test('transition: half amplitude at the lower Nyquist frequency, and what folds back stays above 0.9 of it', () => {
  const hz = 4200; // folds to 3800 Hz, above 3600
  const out = resample(16000, 8000, tone(16000, hz, 0.5 * 16000));
  const { restDb } = measure(out, 8000, 8000 - hz);
  assert.ok(restDb < -80);
  const { gainDb } = measure(resample(16000, 8000, tone(16000, 3980, 16000)), 8000, 3980);
  assert.ok(gainDb < -5 && gainDb > -6.02, `${gainDb} dB at 3980 Hz`);
});

test('the output is the same in every cut of the input', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...pairs),
      fc.array(fc.nat({ max: 1100 }), { maxLength: 12 }),
      fc.integer(),
      ([from, to], lengths, seed) => {
        const total = lengths.reduce((sum, length) => sum + length, 0);
        let state = seed | 1;
        const input = Int16Array.from({ length: total }, () => {
          state = (Math.imul(state, 1664525) + 1013904223) | 0;
          return state >> 16;
        });
        const whole = new dsp.Resampler(from, to);
        const cut = new dsp.Resampler(from, to);
        let at = 0;
        const parts = lengths.map(length => {
          const part = cut.process(input.subarray(at, at + length));
          at += length;
          return part;
        });
        assert.deepEqual(joinPcm([...parts, cut.flush()]), joinPcm([whole.process(input), whole.flush()]));
        assert.equal(joinPcm(parts).length, Math.ceil((total * to) / from));
      },
    ),
    { numRuns: 300 },
  );
});

test('20 ms at 8 kHz are 320 samples at 16 kHz from the first call on, and edges of chunks are inaudible', () => {
  const resampler = new dsp.Resampler(8000, 16000);
  const input = tone(8000, 1000, 160 * 20);
  const parts = Array.from({ length: 20 }, (_, n) =>
    resampler.process(input.subarray(n * 160, n * 160 + 160)),
  );
  for (const part of parts) assert.equal(part.length, 320);
  const { restDb } = measure(joinPcm(parts), 16000, 1000);
  assert.ok(restDb < -80, `${restDb}`);
});

test('delay is stated, 27 samples of the lower rate, and flush brings what it holds back', () => {
  for (const [from, to] of pairs) {
    const resampler = new dsp.Resampler(from, to);
    assert.ok(Math.abs(resampler.delayMs - 27000 / Math.min(from, to)) < 1e-9);
    assert.equal(resampler.flush().length, 0);
    const input = new Int16Array(from / 25);
    input.fill(10000, input.length / 2);
    const out = joinPcm([resampler.process(input), resampler.flush()]);
    const crossing = out.findIndex(sample => sample >= 5000);
    const expectedMs = 20 + resampler.delayMs;
    assert.ok(Math.abs((1000 * crossing) / to - expectedMs) < 2000 / Math.min(from, to), `${from} to ${to}`);
    assert.ok(Math.abs(out.length / to - (0.04 + resampler.delayMs / 1000)) <= 1 / from + 2 / to);
  }
});

test('equal rates copy', () => {
  const input = tone(16000, 440, 500);
  const resampler = new dsp.Resampler(16000, 16000);
  assert.deepEqual(resampler.process(input), input);
  assert.equal(resampler.flush().length, 0);
  assert.equal(resampler.delayMs, 0);
});

test('wrong arguments throw a TypeError that names them', () => {
  const wrong: [() => unknown, RegExp][] = [
    [() => new dsp.Resampler(8000, 12000), /toHz must be one of/],
    [() => new dsp.Resampler('8000' as never, 16000), /fromHz must be one of/],
    [() => new dsp.Resampler(Number.NaN, 16000), /fromHz/],
    [() => new dsp.Resampler(8000.5, 16000), /fromHz/],
    [() => new dsp.Resampler(8000, undefined as never), /toHz/],
    [() => new dsp.Resampler(8000, 16000).process(new Uint8Array(4) as never), /Int16Array/],
    [() => new dsp.Resampler(8000, 16000).process([1, 2] as never), /Int16Array/],
  ];
  for (const [call, message] of wrong) assert.throws(call, { name: 'TypeError', message });
});
