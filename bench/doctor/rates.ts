/**
 * How often the doctor is wrong. It judges calls made of the WAV files of a directory and of assets/speech.wav, at
 * several levels and with noise. Each is tried in every encoding, with the right and with every wrong name.
 *
 *     node dist/bench/doctor/rates.js DIR [CLIPS]
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readWav } from '../../src/audio/wav.js';
import { diagnose } from '../../src/doctor/doctor.js';
import type { Diagnosis, FindingId } from '../../src/doctor/findings.js';
import { ENCODINGS, type Encoding } from '../../src/formats.js';
import type { CallOptions } from '../../src/simulator/options.js';
import { Simulator } from '../../src/simulator/simulator.js';
import type { Pcm } from '../../src/simulator/speech.js';
import { captureDirectory, mute, record, shaped, writeCapture } from '../../test/helpers/captures.js';
import { root } from '../../test/helpers/paths.js';

const [dir, clipsText = '100'] = process.argv.slice(2);
const CLIP_SECONDS = 3;
const CLIP_SECONDS_MIN = 1.5;
/** Level of the speech against its file and noise under it, in dB. Each clip meets two of them. */
const CONDITIONS = [
  { levelDb: 0, noiseDbfs: -200 },
  { levelDb: -10, noiseDbfs: -70 },
  { levelDb: -20, noiseDbfs: -60 },
  { levelDb: -30, noiseDbfs: -60 },
  { levelDb: -10, noiseDbfs: -45 },
  { levelDb: -40, noiseDbfs: -70 },
  { levelDb: -20, noiseDbfs: -45 },
];

const directory = captureDirectory();
const simulator = new Simulator({ seed: 1 });
const tally = new Map<string, { calls: number; wrong: number; under: Map<string, number> }>();

function count(what: string, right: boolean, condition: object): void {
  const entry = tally.get(what) ?? { calls: 0, wrong: 0, under: new Map() };
  tally.set(what, entry);
  entry.calls++;
  if (right) return;
  entry.wrong++;
  const under = JSON.stringify(condition);
  entry.under.set(under, (entry.under.get(under) ?? 0) + 1);
}

async function examine(call: CallOptions): Promise<Diagnosis> {
  const path = writeCapture(directory.path(), record({ call: { ...call, lingerMs: 200 }, answer: mute }));
  return diagnose(path);
}

async function loadClips(): Promise<Pcm[]> {
  const paths = [join(root, 'assets/speech.wav')];
  if (dir) {
    const names = readdirSync(dir).filter(name => name.endsWith('.wav'));
    const every = Math.max(1, Math.floor(names.length / (2 * Number(clipsText))));
    paths.push(...names.filter((_, i) => i % every === 0).map(name => join(dir, name)));
  }
  const clips: Pcm[] = [];
  for (const path of paths) {
    const { channels, sampleRate } = await readWav(path);
    const samples = channels[0]!.subarray(0, CLIP_SECONDS * sampleRate);
    if (samples.length >= CLIP_SECONDS_MIN * sampleRate) clips.push({ samples, sampleRate });
    if (clips.length >= Number(clipsText)) break;
  }
  return clips;
}

const has = ({ findings }: Diagnosis, id: FindingId): boolean => findings.some(finding => finding.id === id);
const announced = (encoding: Encoding): number =>
  ['OPUS', 'AMR-WB', 'L16'].includes(encoding) ? 16000 : 8000;

async function tryClip(clip: Pcm, number: number, condition: (typeof CONDITIONS)[number]): Promise<void> {
  const samples = shaped(clip.samples, { ...condition, from: (number * 977) % 8000, seed: number + 1 });
  const sound = { samples, sampleRate: clip.sampleRate };
  for (const truth of ENCODINGS) {
    const speech = simulator.speech(sound, { encoding: truth });
    for (const declared of ENCODINGS) {
      const diagnosis = await examine({ ...speech, encoding: declared, sampleRate: announced(declared) });
      if (declared === truth) count(`${truth}, healthy`, diagnosis.healthy, condition);
      else {
        const named = has(diagnosis, 'inbound-encoding') && diagnosis.inbound!.actual.startsWith(truth);
        count(`${truth} declared as ${declared}, named`, named, condition);
        count(`${truth} declared as ${declared}, not called healthy`, !diagnosis.healthy, condition);
      }
    }
  }
  for (const sampleRate of [8000, 16000]) {
    const { idle: _, ...speech } = simulator.speech(sound, { encoding: 'L16', sampleRate });
    const inbound = speech.inbound.map(payload => new Uint8Array(Buffer.from(payload).swap16()));
    count('L16 big-endian', has(await examine({ ...speech, inbound }), 'inbound-byte-order'), condition);
    const other = await examine({ ...speech, sampleRate: 24000 - sampleRate });
    count('L16 at another rate', has(other, 'inbound-rate'), condition);
  }
}

const clips = await loadClips();
for (const [i, clip] of clips.entries()) {
  await tryClip(clip, i, CONDITIONS[i % CONDITIONS.length]!);
  await tryClip(clip, i, CONDITIONS[(i + 3) % CONDITIONS.length]!);
}
directory.remove();
for (const [what, { calls, wrong, under }] of tally) {
  const conditions = [...under].map(([condition, times]) => `${times} at ${condition}`).join(', ');
  console.log(`${what.padEnd(48)} ${String(wrong).padStart(4)} of ${calls} wrong ${conditions}`);
}
console.log(`${clips.length} clips`);
