/** The small form of bench/vad: synthesised speech in made noises, with bounds that leave room. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { engine, type Mix, scene, score } from '../../bench/vad/measure.js';
import * as noises from '../../bench/vad/noises.js';
import { RATE, utterance } from '../../bench/vad/speech.js';
import { readWav, resample } from '../../src/index.js';
import { voiceSettings } from '../../src/plugin/hearing.js';
import { root } from '../helpers/paths.js';

const VOICE = voiceSettings(true)!;
const SECONDS = 60;

const utterances = await Promise.all(
  ['speech', 'answer'].map(async name => {
    const { channels, sampleRate } = await readWav(join(root, `assets/${name}.wav`));
    return utterance(name, name, resample(channels[0]!, sampleRate, RATE))!;
  }),
);

const MIXTURES: [name: string, mix: Mix, missedMax: number][] = [
  ['no noise', { speechDb: -22, noise: undefined, noiseDb: 0 }, 0.2],
  ['comfort noise at -35 dBFS', { speechDb: -22, noise: noises.white, noiseDb: -35 }, 0.25],
  ['pink noise 10 dB below', { speechDb: -22, noise: noises.pink, noiseDb: -32 }, 0.3],
  ['breath', { speechDb: -22, noise: noises.breath, noiseDb: -30 }, 0.25],
  ['a keyboard', { speechDb: -22, noise: noises.knocks, noiseDb: -35 }, 0.25],
  ['keys of a telephone', { speechDb: -22, noise: noises.keys, noiseDb: -15 }, 0.6],
];
for (const [name, mix, missedMax] of MIXTURES) {
  test(`speech in ${name} is found, and nothing else`, () => {
    const got = score(engine(VOICE), [scene(utterances, SECONDS, mix, 7)], VOICE.hangoverMs);
    assert.ok(got.utterances >= 6, `${got.utterances} utterances`);
    assert.equal(got.lostUtterances, 0);
    assert.ok(got.missed <= missedMax, `${(got.missed * 100).toFixed(1)} % missed`);
    assert.ok(got.falseFrames <= 0.05, `${(got.falseFrames * 100).toFixed(1)} % false`);
    assert.ok(got.onsetMs.median <= 250, `${got.onsetMs.median} ms to the event`);
  });
}

test('a detector that hears speech everywhere, or nowhere, is told from a good one', () => {
  const said = scene(utterances, SECONDS, MIXTURES[0]![1], 7);
  const everywhere = score(() => [{ kind: 'began', atMs: 20, startMs: 0 }], [said], VOICE.hangoverMs);
  assert.ok(everywhere.falseFrames > 0.99 && everywhere.missed === 0);
  const nowhere = score(() => [], [said], VOICE.hangoverMs);
  assert.ok(nowhere.missed === 1 && nowhere.lostUtterances === nowhere.utterances);
});
