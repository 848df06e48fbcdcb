/** `npm run bench:vad`: how often the engine's voice detector is wrong, and how late. */
import type { NativeHeard } from '../../src/native/addon.js';
import { voiceSettings } from '../../src/plugin/hearing.js';
import { Random } from '../../src/simulator/random.js';
import { benchCommand, someOf, whole } from '../options.js';
import { engine, type Mix, scene, score, talkOff } from './measure.js';
import { neural } from './neural.js';
import * as noises from './noises.js';
import { RATE, recordings, type Utterance, utterance } from './speech.js';

const program = benchCommand(
  'bench:vad',
  'Voice activity on recorded speech with noises, beside what was really said',
)
  .option('--sounds <folder>', 'recorded speech', '/usr/share/asterisk/sounds')
  .option('--music <folder>', 'music on hold', '/usr/share/asterisk/moh')
  .option('--seconds <n>', 'of each mixture', whole(60, 36_000), 600)
  .option('--seed <n>', 'of the mixtures', whole(0, 2 ** 31), 1)
  .option('--detectors <list>', 'spectral,neural: the latter wants its packages', someOf(['spectral', 'neural']), [
    'spectral',
  ])
  .option('--only <text>', 'rows whose name holds it', '')
  .parse();
const options = program.opts<{
  sounds: string;
  music: string;
  seconds: number;
  seed: number;
  detectors: ('spectral' | 'neural')[];
  only: string;
}>();

const utterances: Utterance[] = [];
for (const { voice, file, samples } of recordings(options.sounds)) {
  const found = utterance(voice, file, samples);
  if (found && found.labels.length >= 50 && found.labels.length < 1500) utterances.push(found);
}
if (utterances.length === 0) {
  console.error(
    `no recorded speech in ${options.sounds}: install asterisk-core-sounds-en-wav, or give --sounds`,
  );
  process.exit(2);
}
const voice = voiceSettings(true)!;
const held = noises.music(options.music);
const foreign = utterances.filter(one => one.voice !== 'en').map(one => one.samples);
const english = utterances.filter(one => one.voice === 'en').map(one => one.samples);
const others = noises.babble(foreign, 6);
const echo = noises.babble(english, 1);

type Row = [name: string, mix: Mix];
const at = (noise: noises.Noise | undefined, noiseDb: number, speechDb = -22): Mix => ({
  speechDb,
  noise,
  noiseDb,
});
const rows: Row[] = [
  ['no noise', at(undefined, 0)],
  ['quiet speech, no noise', at(undefined, 0, -38)],
  ['comfort noise -35 dBFS', at(noises.white, -35)],
  ['comfort noise -35 dBFS, speech -28', at(noises.white, -35, -28)],
  ...[20, 15, 10, 5, 0].map((snr): Row => [`white noise, ${snr} dB`, at(noises.white, -22 - snr)]),
  ...[20, 15, 10, 5, 0].map((snr): Row => [`pink noise, ${snr} dB`, at(noises.pink, -22 - snr)]),
  ...[15, 5].map((snr): Row => [`car, ${snr} dB`, at(noises.car, -22 - snr)]),
  ...[20, 10, 5].map((snr): Row => [`babble, ${snr} dB`, at(others, -22 - snr)]),
  ...[35, 25, 15].map((snr): Row => [`echo of an answer, ${snr} dB`, at(echo, -22 - snr)]),
  ['breath -30 dBFS', at(noises.breath, -30)],
  ['keyboard -35 dBFS', at(noises.knocks, -35)],
  ['DTMF keys -15 dBFS', at(noises.keys, -15)],
  ['ring-back tone -18 dBFS', at(noises.ringBack, -18)],
  ['busy tone -18 dBFS', at(noises.busy, -18)],
  ...(held ? [20, 10, 5].map((snr): Row => [`music on hold, ${snr} dB`, at(held, -22 - snr)]) : []),
];
const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;
console.log(`${utterances.length} utterances, ${options.seconds} s a row`);
const wanted = rows.filter(row => row[0].includes(options.only));
const scenes = wanted.map(([, mix]) => scene(utterances, options.seconds, mix, options.seed));

function table(detector: (samples: Int16Array) => NativeHeard[]): void {
  console.log(
    '| noise | missed | false | false begins an hour | utterances lost | onset median, p95 | start off | end off |',
  );
  console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
  for (const [i, [name]] of wanted.entries()) {
    const got = score(detector, [scenes[i]!], voice.hangoverMs);
    console.log(
      `| ${name} | ${percent(got.missed)} | ${percent(got.falseFrames)} | ${got.falseBeginsHour.toFixed(0)} | ` +
        `${got.lostUtterances} of ${got.utterances} | ${got.onsetMs.median.toFixed(0)}, ${got.onsetMs.p95.toFixed(0)} ms | ` +
        `${got.startOffMs.toFixed(0)} ms | ${got.endOffMs.toFixed(0)} ms |`,
    );
  }
}

if (options.detectors.includes('spectral')) {
  console.log('\nspectral');
  const before = process.cpuUsage();
  const detect = engine(voice);
  const heard = new Map(scenes.map(({ samples }) => [samples, detect(samples)]));
  const { user, system } = process.cpuUsage(before);
  const frames = (scenes.length * options.seconds * 1000) / 20;
  table(samples => heard.get(samples)!);
  console.log(`${((user + system) / frames).toFixed(2)} µs a frame of 20 ms`);
}
if (options.detectors.includes('neural')) {
  console.log('\nneural');
  const run = await neural(
    voice,
    scenes.map(({ samples }) => samples),
  );
  const heard = new Map(scenes.map(({ samples }, i) => [samples, run.events[i]!]));
  table(samples => heard.get(samples)!);
  console.log(
    `${run.windowUs.toFixed(1)} µs a window of 32 ms in batches of ${run.rows.toFixed(1)}, ` +
      `${(run.windowUs / 32).toFixed(2)} ms a second of a stream`,
  );
}
if (options.only !== '') process.exit();
const off = talkOff(recordings(options.sounds));
console.log(
  `keys found in ${off.hours.toFixed(1)} h of speech: ${off.keys.length} ${off.keys.slice(0, 20).join(', ')}`,
);
if (held) {
  const random = new Random(options.seed);
  const pieces = Array.from({ length: 24 }, (_, i) => {
    const tune = held(600 * RATE, random);
    const samples = new Int16Array(tune.length);
    tune.forEach((sample, at) => {
      samples[at] = sample * 32767;
    });
    return { file: `music ${i}`, samples };
  });
  const found = talkOff(pieces);
  console.log(`keys found in ${found.hours.toFixed(1)} h of music: ${found.keys.length}`);
}
