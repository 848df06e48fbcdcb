/** Late live audio that is shortened: its pitch, its joints, and what is understood of it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { placeIn } from '../../bench/quality/shortened.js';
import { intelligibilityShortened } from '../../bench/quality/stoi.js';
import { parseWav } from '../../src/audio/wav.js';
import { resample } from '../../src/codecs/create.js';
import { native } from '../../src/native/addon.js';
import { tone } from '../helpers/late-echo.js';
import { root } from '../helpers/paths.js';

const RATES = [8000, 16_000, 22_050, 24_000, 48_000];
const SPEEDS = [1.25, 1.5, 2];

function speech(rate: number): Int16Array {
  const { sampleRate, channels } = parseWav(readFileSync(join(root, 'assets/speech.wav')), 'speech.wav');
  return resample(channels[0]!, sampleRate, rate);
}

/** The mean distance of rising zero crossings says the pitch of a tone. */
function pitchHz(pcm: Int16Array, rate: number): number {
  const crossings: number[] = [];
  for (let i = 1; i < pcm.length; i++) {
    const [before, now] = [pcm[i - 1]!, pcm[i]!];
    if (before < 0 && now >= 0) crossings.push(i - now / (now - before));
  }
  return ((crossings.length - 1) * rate) / (crossings.at(-1)! - crossings[0]!);
}

const largestJump = (pcm: Int16Array): number =>
  pcm.reduce((max, sample, i) => (i === 0 ? 0 : Math.max(max, Math.abs(sample - pcm[i - 1]!))), 0);

for (const rate of RATES) {
  describe(`at ${rate} Hz`, () => {
    test('a tone keeps its pitch within 1 %, its loudness, and its smoothness', () => {
      for (const hz of [90, 137, 220, 440, 1000]) {
        const said = tone(hz, 3000, rate);
        for (const speed of SPEEDS) {
          const { samples } = native.shorten(said, rate, speed);
          assert.ok(
            Math.abs(samples.length / said.length - 1 / speed) < 0.05,
            `${hz} Hz at ${speed}: ${samples.length / said.length} of its length`,
          );
          const heardHz = pitchHz(samples, rate);
          assert.ok(Math.abs(heardHz / hz - 1) < 0.01, `${hz} Hz at ${speed} became ${heardHz} Hz`);
          assert.ok(largestJump(samples) <= largestJump(said) * 1.1, `${hz} Hz at ${speed} clicks`);
        }
      }
    });

    test('speech does not click: no jump from sample to sample is larger than the largest of the original', () => {
      const said = speech(rate);
      for (const speed of [1, ...SPEEDS]) {
        const { samples } = native.shorten(said, rate, speed);
        assert.ok(samples.length < said.length);
        const [heard, original] = [largestJump(samples), largestJump(said)];
        assert.ok(heard <= original, `${heard} in place of ${original} at ${speed}`);
      }
    });
  });
}

test('speech is understood at each speed, and better than with pieces left out', () => {
  for (const rate of [8000, 16_000]) {
    const said = speech(rate);
    const same = intelligibilityShortened(said, said, rate, sample => sample);
    assert.ok(same.stoi > 0.9999 && same.estoi > 0.9999, `${same.stoi} ${same.estoi}`);
    for (const [speed, least] of [
      [1, 0.97],
      [1.25, 0.93],
      [1.5, 0.9],
      [2, 0.85],
    ] as const) {
      const { samples, places } = native.shorten(said, rate, speed);
      const { stoi } = intelligibilityShortened(said, samples, rate, placeIn(places));
      assert.ok(stoi > least, `STOI ${stoi} at ${speed}, ${rate} Hz`);
    }
  }
});

test('pauses alone: what is spoken stays as it is, sample for sample, around pauses of 60 ms', () => {
  const rate = 16_000;
  const said = new Int16Array(rate * 2);
  const [first, second] = [tone(300, 500, rate), tone(500, 500, rate)];
  said.set(first, 0);
  said.set(second, rate * 1.5);
  const { samples } = native.shorten(said, rate, 1);
  const pause = samples.length - first.length - second.length;
  // A window of 300 ms sees a pause of a second in parts.
  assert.ok(pause >= 0.06 * rate && pause <= 0.3 * rate, `${pause} samples of pause`);
  assert.deepEqual(samples.subarray(0, first.length), first);
  assert.deepEqual(samples.subarray(samples.length - second.length), second);
});
