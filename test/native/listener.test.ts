/** What the engine hears beside the audio, by itself: see bench/vad for how often it is wrong. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { joinPcm } from '../../src/audio/pcm.js';
import { readWav, resample } from '../../src/index.js';
import { type NativeHeard, native } from '../../src/native/addon.js';
import { voiceSettings } from '../../src/plugin/hearing.js';
import { root } from '../helpers/paths.js';
import { propertyRuns } from '../helpers/runs.js';

const voice = voiceSettings(true);
const wav = await readWav(join(root, 'assets/speech.wav'));
const words = wav.channels[0]!;

/** Without the frame in which it was told. */
const what = (events: readonly NativeHeard[]) => events.map(({ atMs: _, ...event }) => event);

test('what is heard does not depend on how the audio is cut', () => {
  const signal = joinPcm([new Int16Array(8000), words, new Int16Array(8000), words.subarray(0, 20_000)]);
  const byRate = new Map<number, { pcm: Int16Array; events: NativeHeard[] }>();
  for (const rate of [8000, 16000, 24000, 48000]) {
    const pcm = resample(signal, wav.sampleRate, rate);
    const { events } = new native.Listener(rate, { voice, keys: true }).hear(pcm, rate / 50);
    assert.ok(events.length >= 3, `${rate} Hz: ${events.length} events`);
    byRate.set(rate, { pcm, events });
  }
  fc.assert(
    fc.property(
      fc.constantFrom(8000, 16000, 24000, 48000),
      fc.array(fc.integer({ min: 1, max: 960 }), { minLength: 1, maxLength: 8 }),
      (rate, cuts) => {
        const { pcm, events } = byRate.get(rate)!;
        const listener = new native.Listener(rate, { voice, keys: true });
        const heard: NativeHeard[] = [];
        const most = (rate * 120) / 1000;
        for (let at = 0, i = 0; at < pcm.length; i++) {
          const samples = Math.min(cuts[i % cuts.length]! + (cuts.length < 3 ? 400 : 80), most);
          heard.push(...listener.hear(pcm.subarray(at, at + samples), samples).events);
          at += samples;
        }
        assert.deepEqual(what(heard), what(events));
      },
    ),
    { numRuns: propertyRuns(40) },
  );
});

test('speech is told once it has lasted, and silence once it has', () => {
  const pcm = joinPcm([new Int16Array(8000), resample(words, wav.sampleRate, 8000), new Int16Array(16_000)]);
  const told = (options: object) =>
    new native.Listener(8000, { voice: { ...voice!, ...options } }).hear(pcm, 160).events;
  const [usual] = told({});
  const [late] = told({ onsetMs: 200 });
  assert.ok(usual!.kind === 'began' && late!.kind === 'began');
  assert.ok(late!.atMs >= usual!.atMs + 60, `${usual!.atMs} and ${late!.atMs} ms`);
  const patient = told({ hangoverMs: 1500 });
  assert.equal(patient.length, 2);
  assert.ok(patient[1]!.kind === 'ended' && patient[1]!.atMs - patient[1]!.endMs >= 1500);
  assert.equal(told({ levelMinDb: -3 }).length, 0);
});

test('neither silence nor sound that is made up changes what is known of the line', () => {
  const noise = Int16Array.from({ length: 40_000 }, (_, i) => ((i * 7919 * (i + 13)) % 701) - 350);
  const listener = new native.Listener(8000, { voice });
  assert.deepEqual(listener.hear(noise, 160).events, []);
  // Two seconds of losses that are concealed by silence, then the noise of before.
  assert.deepEqual(listener.hear(new Int16Array(16_000), 160, true).events, []);
  assert.deepEqual(listener.hear(noise, 160).events, []);
  assert.ok(listener.hear(noise.subarray(0, 800), 160).speech.every(likely => likely < 0.5));
});
