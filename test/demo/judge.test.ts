/** The demo's judgement, tried on servers that are right and on servers that are wrong, in virtual time. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, mock, test } from 'node:test';
import { readWav } from '../../src/audio/wav.js';
import { createDecoder, createEncoder, resample } from '../../src/codecs/create.js';
import { purity } from '../../src/demo/compare.js';
import { judge, TONE_PURITY } from '../../src/demo/judge.js';
import { type Kind, type PhraseSet, type PlannedCall, planCalls } from '../../src/demo/plan.js';
import type { Told } from '../../src/demo/server.js';
import type { Verdict } from '../../src/demo/verdict.js';
import { ENCODINGS as ALL_ENCODINGS, CODECS, type Encoding } from '../../src/formats.js';
import {
  type AudioFrame,
  type Conference,
  definePlugin,
  type Plugin,
  type Stream,
  TurnTaking,
} from '../../src/index.js';
import { loadPlugins } from '../../src/plugin/loader.js';
import echo from '../../src/plugins/echo.js';
import { speak } from '../../src/plugins/speak.js';
import { tone } from '../../src/plugins/tone.js';
import { root } from '../helpers/paths.js';
import { VirtualServer } from '../helpers/virtual-call.js';
import faultyEcho from './faulty-echo.js';

let phrases: PhraseSet;
let agent: Plugin;
let twoParty: Plugin;
before(async () => {
  const phrase = async (name: string) => {
    const { channels, sampleRate } = await readWav(join(root, 'assets', name));
    return { samples: channels[0]!, sampleRate };
  };
  phrases = { speech: await phrase('speech.wav'), answer: await phrase('answer.wav') };
  agent = (await loadPlugins([join(root, 'examples/agent.ts')]))[0]!.plugin;
  twoParty = (await loadPlugins([join(root, 'examples/two-party-bridge.ts')]))[0]!.plugin;
});

/** One call of the plan against `plugin`, judged. `lie` changes what the plugin told. */
async function tried(
  plugin: Plugin,
  kind: Kind,
  encoding: Encoding,
  trouble: RegExp,
  lie: (told: Told) => Told = told => told,
): Promise<Verdict> {
  const server = new VirtualServer(plugin);
  let found = false;
  const [planned] = planCalls(server.simulator, phrases, [encoding], 7, call => {
    if (found || call.kind !== kind || !trouble.test(call.trouble)) return false;
    found = true;
    return true;
  });
  assert.ok(planned);
  const told: Told[] = [];
  const log = mock.method(console, 'log', (line: string) => told.push(JSON.parse(line) as Told));
  try {
    const call = server.call(planned.options, planned.path.split('?')[1]).call;
    let over = false;
    const ended = call.result.finally(() => {
      over = true;
    });
    while (!over) await server.clock.advanceAsync(500);
    const result = await ended;
    return judge(planned, result, { phrases, told: told.map(lie), recording: undefined, stallMs: 0 });
  } finally {
    log.mock.restore();
    await server.close();
  }
}

/** One of each sort: coded sample by sample, with a memory, not coded at all. The pool's run in real time only. */
const ENCODINGS: readonly Encoding[] = ['PCMU', 'G722', 'L16'];
const NONE = /^$|Hz$/;

const RIGHT: [name: string, plugin: () => Plugin, kind: Kind, trouble: RegExp][] = [
  ['echo', () => echo, 'echo', NONE],
  ['echo of a shuffled call', () => echo, 'echo', /shuffled by/],
  ['echo of a call with losses', () => echo, 'echo', /lost/],
  ['echo of both tracks', () => echo, 'echo', /both/],
  ['speak', () => speak(), 'speak', NONE],
  ['speak, cut off by a key', () => speak(), 'speak', /key/],
  ['tone', () => tone(), 'tone', NONE],
  ['agent', () => agent, 'agent', NONE],
  ['agent, spoken into', () => agent, 'agent', /spoken/],
];
for (const [name, plugin, kind, trouble] of RIGHT) {
  test(`${name}: found right in every sort of encoding`, async () => {
    for (const encoding of ENCODINGS) {
      const { problems, how, gaps } = await tried(plugin(), kind, encoding, trouble);
      assert.deepEqual(problems, [], encoding);
      // What is judged by a figure has the bound beside it.
      assert.match(how, /^byte for byte|\(at least [\d.]+/);
      assert.ok(gaps!.totalMs <= gaps!.allowedMs);
    }
  });
}

/** An echo that does something to each frame. */
function echoing(change: (frame: AudioFrame, number: number) => Int16Array | undefined): Plugin {
  return definePlugin({
    name: 'echo',
    onStart(stream) {
      let number = 0;
      return {
        onAudio(frame) {
          const pcm = change(frame, number++);
          if (pcm) stream.play(pcm);
        },
      };
    },
  });
}

/** Speech or a tone with something wrong about it. */
function playing(pcm: (sampleRate: number) => Iterable<Int16Array>): Plugin {
  return definePlugin({
    name: 'playing',
    onStart(stream) {
      stream.play(pcm(stream.sampleRate));
      return {};
    },
  });
}

function* phraseWithout(skippedMs: number, sampleRate: number): Generator<Int16Array> {
  const { samples } = phrases.speech;
  const at = 2 * sampleRate;
  for (;;) {
    yield samples.subarray(0, at);
    yield samples.subarray(at + (skippedMs * sampleRate) / 1000);
    yield new Int16Array(sampleRate / 2);
  }
}

function* sine(hz: number, gain: number, sampleRate: number): Generator<Int16Array> {
  const second = Int16Array.from({ length: sampleRate }, (_, i) =>
    Math.round(8230 * gain * Math.sin((2 * Math.PI * hz * i) / sampleRate)),
  );
  for (;;) yield second;
}

const held: Int16Array[] = [];
const WRONG: [name: string, plugin: Plugin, kind: Kind, trouble: RegExp, problem: RegExp][] = [
  ['every tenth frame is missing', faultyEcho, 'echo', NONE, /is not what it should be from 2\d\d ms on/],
  ['so it is in a call with losses', faultyEcho, 'echo', /lost/, /frames are not what was said/],
  [
    'two frames change places',
    echoing((frame, i) => {
      if (i !== 100) return i === 101 ? new Int16Array([...frame.samples, ...held.pop()!]) : frame.copy();
      held.push(frame.copy());
      return undefined;
    }),
    'echo',
    NONE,
    /is not what it should be from 20\d\d ms on/,
  ],
  [
    'one sample is off by one',
    echoing((frame, i) => frame.copy().map((sample, k) => (i === 200 && k === 3 ? sample + 1 : sample))),
    'echo',
    NONE,
    /is not what it should be from 40\d\d ms on/,
  ],
  [
    'it stops for 600 ms and then brings everything at once',
    echoing((frame, i) => {
      if (i < 100 || i > 130) return frame.copy();
      held.push(frame.copy());
      return i === 130 ? new Int16Array(held.splice(0).flatMap(pcm => [...pcm])) : undefined;
    }),
    'echo',
    NONE,
    /1 gaps, 600 ms in all/,
  ],
  [
    'it stops half way',
    echoing((frame, i) => (i < 200 ? frame.copy() : undefined)),
    'echo',
    NONE,
    /only 4000 of 8000/,
  ],
  ['it says nothing', echoing(() => undefined), 'echo', NONE, /only 0 of 8000 ms came back/],
  [
    '20 ms of a phrase are left out',
    playing(rate => phraseWithout(20, rate)),
    'speak',
    NONE,
    /from 2[01]\d\d ms on/,
  ],
  ['a key is not heeded', playing(rate => phraseWithout(0, rate)), 'speak', /key/, /1 utterances were heard/],
  [
    'a tone of another pitch',
    playing(rate => sine(440, 1, rate)),
    'tone',
    NONE,
    /only 0\.\d % of it is the tone/,
  ],
  [
    'silence instead of a tone',
    definePlugin({ name: 'no', onStart: () => ({}) }),
    'tone',
    NONE,
    /nothing was heard/,
  ],
  ['no answer', echoing(() => undefined), 'agent', NONE, /0 answers were heard/],
];
for (const [name, plugin, kind, trouble, problem] of WRONG) {
  test(`found wrong: ${name}`, async () => {
    held.length = 0;
    const { problems } = await tried(plugin, kind, 'L16', trouble);
    assert.match(problems.join('; '), problem);
  });
}

test('found wrong: an agent that answers after a pause of half a second', async () => {
  const hasty = definePlugin({
    name: 'agent',
    audio: { vad: true },
    onStart(stream) {
      const { samples, sampleRate } = phrases.answer;
      const voice = resample(samples, sampleRate, stream.sampleRate);
      const onTurn = async (): Promise<void> => {
        const { playedMs } = await turns.answer(stream.play(voice));
        console.log(JSON.stringify({ msg: 'answered', playedMs }));
      };
      const turns = new TurnTaking(stream, { pauseMs: 500, onTurn });
      return turns.handler();
    },
  });
  const { problems } = await tried(hasty, 'agent', 'PCMU', NONE);
  assert.match(problems.join('; '), /^from the pause to the answer: 1[01]\d ms, not 160 to 1200$/);
});

test('found wrong: an agent that claims to have been heard longer than it was', async () => {
  const lie = (told: Told): Told => ({ ...told, playedMs: told.playedMs + 50 });
  const { problems } = await tried(agent, 'agent', 'PCMU', /spoken/, lie);
  assert.match(problems.join('; '), /told as heard, less what was heard: 50 ms, not -20 to 20/);
});

/** The two calls of a pair against `plugin`, each judged with the other. */
async function talked(plugin: Plugin, trouble: RegExp, seed = 7): Promise<Verdict[]> {
  const server = new VirtualServer(plugin);
  const planned = planCalls(server.simulator, phrases, ['PCMU', 'L16', 'G722'], seed, call => {
    return call.kind === 'bridge' && trouble.test(call.trouble);
  }).slice(0, 2);
  const calls = planned.map(({ options, path }) => server.call(options, path.split('?')[1]).call);
  let over = false;
  const ended = Promise.all(calls.map(({ result }) => result)).finally(() => {
    over = true;
  });
  while (!over) await server.clock.advanceAsync(500);
  const results = await ended;
  await server.close();
  return planned.map((call, i) => {
    const partner = { planned: planned[1 - i]!, result: results[1 - i]! };
    return judge(call, results[i]!, { phrases, told: [], recording: undefined, stallMs: 0, partner });
  });
}

test('two callers who hear each other: found right in other encodings, with losses, and with one on hold', async () => {
  for (const trouble of [/^$/, /lost/, /hold/]) {
    for (const { problems, how } of await talked(twoParty, trouble)) {
      assert.deepEqual(problems, [], String(trouble));
      assert.match(how, /^\d+ of \d+ pieces of the other party \(at least \d+\)/);
    }
  }
});

test('two callers who hear each other are found right whatever the seed makes them say', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    for (const { problems } of await talked(twoParty, /^$/, seed))
      assert.deepEqual(problems, [], `seed ${seed}`);
  }
});

/** A bridge with something wrong about it. */
const bridging = (join: (room: Conference, stream: Stream) => void): Plugin =>
  definePlugin({ name: 'bridge', onStart: (stream, { conference }) => join(conference('x'), stream) });

test('found wrong: who hears itself, hears nobody, or hears who is on hold', async () => {
  const problems = async (plugin: Plugin, trouble: RegExp): Promise<string> =>
    (await talked(plugin, trouble)).map(verdict => verdict.problems.join('; ')).join(' | ');
  assert.match(await problems(echo, /^$/), /only \d+ of \d+ pieces .* \| only \d+ of/);
  const muted = bridging((room, stream) => void room.join(stream, { muted: true }));
  assert.match(await problems(muted, /^$/), /only 0 of \d+ pieces .* \| only 0 of/);
  const deafToKeys = bridging((room, stream) => void room.join(stream));
  assert.match(await problems(deafToKeys, /hold/), /ms were heard of who had put it on hold/);
});

test('the plan: sixty-six calls over all encodings, the same for the same seed, with different names', () => {
  const plan = (encodings: readonly Encoding[], seed: number): PlannedCall[] =>
    planCalls(new VirtualServer(echo).simulator, phrases, encodings, seed);
  for (const encodings of [ENCODINGS, ['L16'] as const]) {
    const calls = plan(encodings, 3);
    assert.equal(calls.length, 66);
    assert.equal(new Set(calls.map(call => call.name)).size, 66);
    assert.deepEqual(new Set(calls.map(call => call.encoding)), new Set(encodings));
    assert.deepEqual(plan(encodings, 3), calls);
    const talking = calls.filter(({ kind }) => kind === 'bridge');
    assert.equal(talking.length, 6);
    for (const { name, partner } of talking) {
      assert.equal(talking.find(call => call.name === partner)?.partner, name);
    }
  }
  assert.notDeepEqual(plan(['L16'], 4), plan(['L16'], 3));
});

/** A tone as a caller hears it through a codec; `skipMs` of it are left out in the middle. */
function heardTone(encoding: Encoding, hz: number, skipMs: number): number {
  const sampleRate = CODECS[encoding].announcedRates.includes(16000) ? 16000 : 8000;
  const encoder = createEncoder(encoding, { sampleRate });
  const decoder = createDecoder(encoding, { sampleRate });
  const rate = encoder.sampleRate;
  const skip = (at: number): number => (at > 3 * rate ? at + (skipMs * rate) / 1000 : at);
  const tone = Int16Array.from({ length: 6 * rate }, (_, at) =>
    Math.round(8231 * Math.sin((2 * Math.PI * hz * skip(at)) / rate)),
  );
  const heard: number[] = [];
  for (let at = 0; at < tone.length; at += rate / 50) {
    heard.push(...decoder.decode(encoder.encode(tone.subarray(at, at + rate / 50))));
  }
  encoder.close();
  decoder.close();
  return purity(Int16Array.from(heard), decoder.sampleRate, hz);
}

test('a tone through a codec is judged right at every pitch, and wrong with a piece left out', () => {
  for (const encoding of ALL_ENCODINGS) {
    // The pitches that AMR-WB bends most are among them.
    for (const hz of [300, 440, 989, 1501, 2008, 2666, 2687, 2999]) {
      const whole = heardTone(encoding, hz, 0);
      assert.ok(whole >= TONE_PURITY[encoding], `${encoding} ${hz} Hz: ${whole}`);
      // Half a period and some whole ones, so that the phase jumps.
      const skipMs = ((Math.round(hz * 0.02) + 0.5) / hz) * 1000;
      const cut = heardTone(encoding, hz, skipMs);
      assert.ok(cut < TONE_PURITY[encoding], `${encoding} ${hz} Hz, cut: ${cut}`);
    }
  }
});
