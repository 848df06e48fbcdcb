/** Turns of a caller whose speech is told as the engine tells it, frame by frame, and of one on a whole call. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  definePlugin,
  type HeldAnswer,
  readWav,
  type TurnOptions,
  TurnTaking,
  VirtualClock,
} from '../../src/index.js';
import type { AudioFrame } from '../../src/plugin/stream.js';
import { testCall } from '../../src/testing/index.js';
import { root } from '../helpers/paths.js';

const HANGOVER_MS = 300;
const ONSET_MS = 80;

/** An answer that notes what is done to it. */
class FakeAnswer implements HeldAnswer {
  readonly done: string[] = [];
  settle: () => void = () => {};
  pause(): unknown {
    this.done.push('pause');
    return undefined;
  }
  resume(): unknown {
    this.done.push('resume');
    return undefined;
  }
  clear(): unknown {
    this.done.push('clear');
    this.settle();
    return undefined;
  }
  playing(): Promise<void> {
    return new Promise(resolve => {
      this.settle = resolve;
    });
  }
}

const frameAt = (timestampMs: number, speech = 0): AudioFrame => ({
  samples: new Int16Array(160),
  sampleRate: 8000,
  track: 'inbound',
  timestampMs,
  concealed: false,
  payload: new Uint8Array(0),
  speech,
  copy: () => new Int16Array(160),
});

/** Speech at these times, in ms, told as the engine does. */
function run(
  speech: readonly (readonly [fromMs: number, toMs: number])[],
  options: TurnOptions,
  more: { untilMs?: number; answering?: boolean; wordsAtMs?: number } = {},
) {
  const answer = new FakeAnswer();
  const log: string[] = [];
  let nowMs = 0;
  const turns = new TurnTaking(answer, {
    onTurn: ({ startMs, endMs, speechMs }) => log.push(`${nowMs} turn ${startMs}-${endMs} ${speechMs}`),
    onInterruption: ({ startMs }) => log.push(`${nowMs} interruption ${startMs}`),
    onFalseInterruption: ({ startMs, endMs }) => log.push(`${nowMs} cough ${startMs}-${endMs}`),
    ...options,
  });
  if (more.answering) void turns.answer(answer.playing());
  const handler = turns.handler();
  for (nowMs = 0; nowMs < (more.untilMs ?? 4000); nowMs += 20) {
    for (const [startMs, endMs] of speech) {
      if (nowMs === startMs + ONSET_MS) handler.onSpeech!({ startMs, track: 'inbound' });
      if (nowMs === endMs + HANGOVER_MS) {
        handler.onSilence!({ endMs, durationMs: endMs - startMs, track: 'inbound' });
      }
    }
    if (nowMs === more.wordsAtMs) turns.words();
    const isVoice = speech.some(([fromMs, toMs]) => nowMs >= fromMs && nowMs < toMs);
    handler.onAudio!(frameAt(nowMs, isVoice ? 1 : 0));
  }
  return { log, answer, turns };
}

test('a turn ends after the pause; shorter pauses belong to it; what is too short is none', () => {
  const { log, answer } = run(
    [
      [200, 900],
      [1300, 1500],
    ],
    { pauseMs: 600 },
  );
  assert.deepEqual(log, ['2080 turn 200-1500 900']);
  assert.deepEqual(answer.done, []);
  const patient = run(
    [
      [200, 900],
      [1600, 1800],
    ],
    { pauseMs: 600 },
  );
  assert.deepEqual(patient.log, ['1480 turn 200-900 700', '2380 turn 1600-1800 200']);
  assert.deepEqual(run([[200, 340]], { speechMinMs: 150 }).log, []);
  assert.deepEqual(run([[200, 340]], { speechMinMs: 140 }).log, ['1020 turn 200-340 140']);
});

test('speech holds the answer at once, and clears it when it is no cough', () => {
  const { log, answer } = run([[1000, 2000]], { coughMaxMs: 400, pauseMs: 700 }, { answering: true });
  assert.deepEqual(answer.done, ['pause', 'clear']);
  assert.deepEqual(log, ['1380 interruption 1000', '2680 turn 1000-2000 1000']);
});

test('a cough: the answer goes on where it stopped, and no turn is told', () => {
  const { log, answer, turns } = run([[1000, 1200]], { coughMaxMs: 400 }, { answering: true });
  assert.deepEqual(answer.done, ['pause', 'resume']);
  assert.deepEqual(log, ['1500 cough 1000-1200']);
  assert.equal(turns.speaking, false);
});

/** The caller says something from 1000 to `toMs`, and no frame comes after it is known to be over. */
function fallsSilent(toMs: number, options: TurnOptions, answering: boolean) {
  const clock = new VirtualClock(0);
  const answer = new FakeAnswer();
  const log: string[] = [];
  const turns = new TurnTaking(answer, {
    clock,
    onTurn: ({ startMs, endMs }) => log.push(`turn ${startMs}-${endMs}`),
    onInterruption: ({ startMs }) => log.push(`interruption ${startMs}`),
    onFalseInterruption: ({ startMs, endMs }) => log.push(`cough ${startMs}-${endMs}`),
    ...options,
  });
  if (answering) void turns.answer(answer.playing());
  const handler = turns.handler();
  handler.onSpeech!({ startMs: 1000, track: 'inbound' });
  for (let at = 1000; at < toMs; at += 20) handler.onAudio!(frameAt(at, 1));
  handler.onSilence!({ endMs: toMs, durationMs: toMs - 1000, track: 'inbound' });
  return { clock, answer, handler, log };
}

test('a leg that sends nothing when the caller is silent: the clock ends the turn', () => {
  const { clock, log } = fallsSilent(1800, { pauseMs: 600 }, false);
  clock.advance(799);
  assert.deepEqual(log, []);
  clock.advance(1);
  assert.deepEqual(log, ['turn 1000-1800']);
  clock.advance(5000);
  assert.equal(log.length, 1);
});

test('such a leg: a cough lets the answer go on, and an interruption ends as a turn', () => {
  const cough = fallsSilent(1200, { coughMaxMs: 400, wordsWaitMs: 500 }, true);
  cough.clock.advance(5000);
  assert.deepEqual(cough.answer.done, ['pause', 'resume']);
  assert.deepEqual(cough.log, ['cough 1000-1200']);
  const noise = fallsSilent(1200, { needsWords: true, wordsWaitMs: 500 }, true);
  noise.clock.advance(5000);
  assert.deepEqual(noise.answer.done, ['pause', 'resume']);
  const interruption = fallsSilent(1390, { coughMaxMs: 400 }, true);
  interruption.clock.advance(5000);
  assert.deepEqual(interruption.answer.done, ['pause', 'clear']);
  assert.deepEqual(interruption.log, ['interruption 1000', 'turn 1000-1390']);
});

test('such a leg: frames that come again, and the end of the stream, stop the clock', () => {
  const again = fallsSilent(1800, { pauseMs: 600 }, false);
  again.clock.advance(700);
  again.handler.onAudio!(frameAt(2000));
  again.clock.advance(5000);
  assert.deepEqual(again.log, []);
  again.handler.onAudio!(frameAt(2400));
  assert.deepEqual(again.log, ['turn 1000-1800']);
  const ended = fallsSilent(1800, { pauseMs: 600 }, false);
  void ended.handler.onStop!('stop');
  ended.clock.advance(5000);
  assert.deepEqual(ended.log, []);
});

test('where words decide, long noise is a cough and a short word is none', () => {
  const options: TurnOptions = { needsWords: true, wordsWaitMs: 500, pauseMs: 700 };
  const noise = run([[1000, 2200]], options, { answering: true });
  assert.deepEqual(noise.answer.done, ['pause', 'resume']);
  assert.deepEqual(noise.log, ['2680 cough 1000-2200']);
  const word = run([[1000, 1200]], options, { answering: true, wordsAtMs: 1600 });
  assert.deepEqual(word.answer.done, ['pause', 'clear']);
  assert.deepEqual(word.log, ['1600 interruption 1000', '1880 turn 1000-1200 200']);
  // Words are no cough where they are not needed either.
  const early = run([[1000, 2000]], {}, { answering: true, wordsAtMs: 1200 });
  assert.equal(early.log[0], '1200 interruption 1000');
});

test('an answer that ends while it is held leaves the speech to the caller', async () => {
  const answer = new FakeAnswer();
  const log: string[] = [];
  const turns = new TurnTaking(answer, { onTurn: ({ startMs, endMs }) => log.push(`${startMs}-${endMs}`) });
  const playback = turns.answer(answer.playing());
  const { onAudio, onSpeech, onSilence } = turns.handler();
  onSpeech!({ startMs: 100, track: 'inbound' });
  answer.settle();
  await playback;
  await Promise.resolve();
  onAudio!(frameAt(300));
  onSilence!({ endMs: 300, durationMs: 200, track: 'inbound' });
  onAudio!(frameAt(1200));
  assert.deepEqual(log, ['100-300']);
  assert.deepEqual(answer.done, ['pause']);
});

test('what is async happens in order, and its failure reaches the handler', async () => {
  const done: string[] = [];
  let goOn: () => void = () => {};
  const turns = new TurnTaking(
    {
      pause: () =>
        new Promise<void>(resolve => {
          goOn = () => {
            done.push('paused');
            resolve();
          };
        }),
      resume: async () => {
        done.push('resumed');
        throw new Error('no voice');
      },
      clear() {},
    },
    {},
  );
  void turns.answer(new Promise(() => {}));
  const { onAudio, onSpeech, onSilence } = turns.handler();
  const pausing = onSpeech!({ startMs: 0, track: 'inbound' });
  onSilence!({ endMs: 100, durationMs: 100, track: 'inbound' });
  const resuming = onAudio!(frameAt(400));
  assert.deepEqual(done, []);
  goOn();
  await pausing;
  await assert.rejects(resuming as Promise<unknown>, /no voice/);
  assert.deepEqual(done, ['paused', 'resumed']);
});

test('other events reach the handler as they are; wrong options are named', () => {
  class Handler {
    readonly #keys: string[] = [];
    onDtmf(digit: string): string {
      this.#keys.push(digit);
      return this.#keys.join('');
    }
  }
  const handler = new TurnTaking(new FakeAnswer()).handler(new Handler());
  handler.onDtmf!('1', new Date());
  assert.equal(handler.onDtmf!('2', new Date()), '12');
  assert.throws(() => new TurnTaking(new FakeAnswer(), { pauseMs: 5 }), {
    code: 'SIDETONE_BAD_OPTION',
    message: 'TurnTaking pauseMs: 5: give 100 to 10000 ms',
  });
});

test('on a call: a question is answered, a cough holds the answer, words end it', async () => {
  const speech = await readWav(join(root, 'assets/speech.wav'));
  const words = { samples: speech.channels[0]!, sampleRate: speech.sampleRate };
  const voice = (await readWav(join(root, 'assets/answer.wav'))).channels[0]!;
  const log: string[] = [];
  const plugin = definePlugin({
    name: 'polite',
    audio: { sampleRate: 16000, vad: true },
    onStart(stream) {
      const turns = new TurnTaking(stream, {
        onTurn: () => {
          log.push('turn');
          void turns.answer(stream.play(voice));
        },
        onInterruption: () => log.push('interruption'),
        onFalseInterruption: () => log.push('cough'),
      });
      return turns.handler();
    },
  });
  const call = await testCall(plugin, { encoding: 'L16' });
  const saidMs = call.say(words);
  await call.until(() => call.heard().parts.length === 1, saidMs + 2000);
  assert.deepEqual(log, ['turn']);
  await call.advance(800);
  // 160 ms of a voice.
  call.say({ samples: words.samples.subarray(16_000 * 0.2, 16_000 * 0.36), sampleRate: 16000 });
  await call.until(() => log.includes('cough'), 3000);
  await call.advance(400);
  const [before, after] = call.heard().parts;
  assert.equal(before!.interrupted, true);
  assert.equal(after!.interrupted, false);
  call.say(words);
  await call.until(() => log.includes('interruption'), 4000);
  assert.deepEqual(log, ['turn', 'cough', 'interruption']);
  assert.equal(call.clears.length, 3);
  const heardMs = call.heard().parts.reduce((sum, part) => sum + part.durationMs, 0);
  assert.ok(heardMs < (voice.length * 1000) / 16000, `${heardMs} ms of the answer`);
  assert.deepEqual((await call.hangup()).errors, []);
});
