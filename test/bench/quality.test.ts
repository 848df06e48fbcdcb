/** The measures of bench/quality are what their papers say they are. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { logSpectralDistanceDb, segmentalSnrDb } from '../../bench/quality/distance.js';
import { convertRate, fft, lagOf } from '../../bench/quality/fft.js';
import { intelligibility } from '../../bench/quality/stoi.js';
import { parseWav } from '../../src/audio/wav.js';
import { Random } from '../../src/simulator/random.js';
import { root } from '../helpers/paths.js';

const RATE = 16_000;
const speech = parseWav(readFileSync(join(root, 'assets/speech.wav'))).channels[0]!;

/** Normal, by the sum of twelve. */
function gaussian(random: Random): number {
  let sum = -6;
  for (let i = 0; i < 12; i++) sum += random.float();
  return sum;
}

function withNoise(snrDb: number, seed = 1): Int16Array {
  const random = new Random(seed);
  const power = speech.reduce((sum, sample) => sum + sample * sample, 0) / speech.length;
  const level = Math.sqrt(power / 10 ** (snrDb / 10));
  return speech.map(sample => Math.max(-32768, Math.min(32767, sample + level * gaussian(random))));
}

test('the transform is the definition, and its inverse gives the signal back', () => {
  const random = new Random(4);
  const n = 64;
  const re = Float64Array.from({ length: n }, () => random.float());
  const im = Float64Array.from({ length: n }, () => random.float());
  const [haveRe, haveIm] = [re.slice(), im.slice()];
  fft(haveRe, haveIm);
  for (let k = 0; k < n; k++) {
    let wantRe = 0;
    let wantIm = 0;
    for (let i = 0; i < n; i++) {
      const angle = (-2 * Math.PI * i * k) / n;
      wantRe += re[i]! * Math.cos(angle) - im[i]! * Math.sin(angle);
      wantIm += re[i]! * Math.sin(angle) + im[i]! * Math.cos(angle);
    }
    assert.ok(Math.hypot(haveRe[k]! - wantRe, haveIm[k]! - wantIm) < 1e-9);
  }
  fft(haveRe, haveIm, true);
  for (let i = 0; i < n; i++) assert.ok(Math.hypot(haveRe[i]! - re[i]!, haveIm[i]! - im[i]!) < 1e-12);
});

test('a tone keeps its place and level at another rate', () => {
  const tone = Int16Array.from(
    { length: 16_000 },
    (_, i) => 10_000 * Math.sin((2 * Math.PI * 1000 * i) / RATE),
  );
  const converted = convertRate(tone, RATE, 10_000);
  assert.equal(converted.length, 10_000);
  for (let i = 200; i < 9800; i++) {
    assert.ok(
      Math.abs(converted[i]! - 10_000 * Math.sin((2 * Math.PI * 1000 * i) / 10_000)) < 20,
      `sample ${i}`,
    );
  }
});

test('a delay is found to the sample', () => {
  for (const lag of [-300, -1, 0, 7, 411]) {
    const late = new Int16Array(speech.length);
    if (lag >= 0) late.set(speech.subarray(0, speech.length - lag), lag);
    else late.set(speech.subarray(-lag));
    assert.equal(lagOf(speech, late, 960), lag);
  }
});

test('STOI and ESTOI: 1 for the clean speech at any level, near 0 for other sound, falling with the noise', () => {
  const same = intelligibility(speech, speech, RATE);
  assert.ok(Math.abs(same.stoi - 1) < 1e-9 && Math.abs(same.estoi - 1) < 1e-9);
  const soft = intelligibility(
    speech,
    speech.map(sample => sample / 4),
    RATE,
  );
  assert.ok(soft.stoi > 0.999 && soft.estoi > 0.99);
  const noise = withNoise(-60);
  const other = intelligibility(speech, noise, RATE);
  assert.ok(Math.abs(other.estoi) < 0.1, `ESTOI ${other.estoi}`);
  // Clipping what is worse than -15 dB to a multiple of the clean band leaves STOI a floor.
  assert.ok(other.stoi < 0.5, `STOI ${other.stoi}`);
  let before = { stoi: 1.000001, estoi: 1.000001 };
  for (const snrDb of [40, 30, 20, 10, 5, 0, -5, -10]) {
    const now = intelligibility(speech, withNoise(snrDb), RATE);
    assert.ok(now.stoi < before.stoi && now.estoi < before.estoi, `${snrDb} dB`);
    before = now;
  }
});

test('STOI and ESTOI: holes cost, and more holes cost more', () => {
  const holes = (every: number): Int16Array =>
    speech.map((sample, i) => (Math.floor(i / 320) % every === 0 ? 0 : sample));
  const [few, many] = [holes(20), holes(5)].map(heard => intelligibility(speech, heard, RATE));
  assert.ok(few!.stoi < 0.999 && many!.stoi < few!.stoi);
  assert.ok(few!.estoi < 0.99 && many!.estoi < few!.estoi);
});

test('segmental SNR is the SNR of noise that follows the speech; log-spectral distance is 0 for the same sound', () => {
  const random = new Random(2);
  const following = speech.map(sample => sample + Math.round(sample * 0.1 * Math.sign(random.float() - 0.5)));
  assert.ok(Math.abs(segmentalSnrDb(speech, following, RATE) - 20) < 0.5);
  assert.equal(segmentalSnrDb(speech, speech, RATE), 35);
  assert.equal(logSpectralDistanceDb(speech, speech, RATE, 7000), 0);
  // In speech much of the band lies below the floor of 50 dB; in noise none does.
  const noise = withNoise(-20).map(sample => sample / 4);
  const halved = noise.map(sample => sample / 2);
  assert.ok(Math.abs(logSpectralDistanceDb(noise, halved, RATE, 7000) - 6.02) < 0.1);
});
