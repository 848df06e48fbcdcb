import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { readWav } from '../../src/audio/wav.js';
import { resample } from '../../src/codecs/create.js';
import { firstDifference, likeness, purity } from '../../src/demo/compare.js';
import { root } from '../helpers/paths.js';
import { speechLike } from '../helpers/speech.js';

const RATE = 16000;
const SPEECH = speechLike(RATE, 6);
const OPTIONS = { lagMsMax: 200, alike: 0.9 };

function late(pcm: Int16Array, samples: number): Int16Array {
  const whole = new Int16Array(pcm.length + samples);
  whole.set(pcm, samples);
  return whole;
}

test('the same sound, later and quieter, is found where it is', () => {
  for (const lag of [0, 1, 37, 320, 3200]) {
    const found = likeness(
      SPEECH,
      late(SPEECH, lag).map(sample => sample >> 1),
      RATE,
      OPTIONS,
    );
    assert.equal(found.lag, lag);
    assert.ok(found.correlation > 0.9999 && found.worst > 0.999);
    assert.equal(found.windows.unlike, 0);
    assert.ok(Math.abs(found.gain - 0.5) < 0.01);
  }
});

test('every piece of speech is found at every lag, hisses too', async () => {
  const { channels, sampleRate } = await readWav(join(root, 'assets/answer.wav'));
  const speech = resample(channels[0]!, sampleRate, 8000);
  for (let at = 0; at + 4000 <= speech.length; at += 2000) {
    for (const lag of [516, 517, 518, 519]) {
      const among = late(speech.subarray(Math.max(0, at - lag), at + 8000), Math.max(0, lag - at));
      const found = likeness(speech.subarray(at, at + 4000), among, 8000, OPTIONS);
      assert.deepEqual([found.lag, found.correlation > 0.9999], [lag, true], `the piece at ${at / 8} ms`);
    }
  }
});

test('a frame that is missing makes what follows unlike, a hole only itself', () => {
  const at = 2 * RATE + 4000;
  const cut = new Int16Array(SPEECH.length - 320);
  cut.set(SPEECH.subarray(0, at));
  cut.set(SPEECH.subarray(at + 320), at);
  assert.ok(likeness(SPEECH, cut, RATE, OPTIONS).windows.unlike > 5);
  const hole = SPEECH.slice().fill(0, at, at + 3200);
  const { unlike, count } = likeness(SPEECH, hole, RATE, OPTIONS).windows;
  assert.ok(unlike >= 1 && unlike <= 2 && count > 10, `${unlike} of ${count}`);
});

test('what was not heard at all is unlike', () => {
  const { windows, worst } = likeness(SPEECH, SPEECH.subarray(0, 4 * RATE), RATE, OPTIONS);
  assert.equal(worst, 0);
  assert.ok(windows.unlike >= 3);
  assert.equal(likeness(SPEECH, new Int16Array(0), RATE, OPTIONS).windows.unlike, windows.count);
});

test('purity: a steady sine is all tone, a jump of its phase or another pitch is not', () => {
  const sine = (hz: number, phase = 0): Int16Array =>
    Int16Array.from({ length: RATE }, (_, i) => 8000 * Math.sin((2 * Math.PI * hz * i) / RATE + phase));
  assert.ok(purity(sine(440), RATE, 440) > 0.9999);
  assert.ok(purity(sine(440, 1), RATE, 440) > 0.9999);
  assert.ok(purity(sine(441), RATE, 440) < 0.1);
  const jump = sine(440);
  jump.set(sine(440, 1).subarray(8000), 8000);
  assert.ok(purity(jump, RATE, 440) < 0.9);
  assert.equal(purity(new Int16Array(100), RATE, 440), 0);
});

test('the first byte that differs, and a sound that goes on too long', () => {
  const bytes = Buffer.from('abcdef');
  assert.equal(firstDifference(bytes, Buffer.from('abc')), -1);
  assert.equal(firstDifference(bytes, bytes), -1);
  assert.equal(firstDifference(bytes, Buffer.from('abxdef')), 2);
  assert.equal(firstDifference(bytes, Buffer.from('abcdefg')), 6);
});
