/** examples/ivr.ts in virtual time: prompts, keys, repeats, ends. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import ivr from '../../examples/ivr.js';
import { wavBytes } from '../../src/index.js';
import { type TestCall, testCall } from '../../src/testing/index.js';

const directory = mkdtempSync(join(tmpdir(), 'sidetone-ivr-'));
after(() => rmSync(directory, { recursive: true }));

/** Each prompt is half a second of its own level. */
const LEVELS = { 'main.wav': 1000, 'hours.wav': 2000, 'wrong.wav': 3000, 'bye.wav': 4000 };
for (const [name, level] of Object.entries(LEVELS)) {
  writeFileSync(
    join(directory, name),
    wavBytes({ sampleRate: 16000, channels: [new Int16Array(8000).fill(level)] }),
  );
}
const options = {
  directory,
  waitMs: 2000,
  repeats: 1,
  menus: {
    main: {
      prompt: 'main.wav',
      wrong: 'wrong.wav',
      keys: { '1': { play: 'hours.wav' }, '2': { menu: 'other' }, '9': { end: true, play: 'bye.wav' } },
    },
    other: { prompt: 'hours.wav', keys: { '*': { menu: 'main' } } },
  },
};

const call = (): Promise<TestCall> => testCall(ivr, { encoding: 'L16', options });
/** The prompts that were heard, whole or in part, in order. */
const heard = (of: TestCall): string[] =>
  of.heard().parts.flatMap(({ samples }) => {
    const names: string[] = [];
    for (const sample of samples) {
      const name = Object.entries(LEVELS).find(([, level]) => Math.abs(sample - level) <= 1)?.[0];
      if (name !== undefined && names.at(-1) !== name) names.push(name);
    }
    return names;
  });

test('a key interrupts the prompt, plays what it stands for, and the menu comes again', async () => {
  const caller = await call();
  await caller.advance(200);
  caller.dtmf('1');
  await caller.advance(1300);
  assert.deepEqual(heard(caller), ['main.wav', 'hours.wav', 'main.wav']);
  assert.equal(caller.clears.length, 1);
  assert.ok(caller.heard().parts[0]!.durationMs < 400, 'the prompt was cut off');
  assert.equal(await caller.metric('ivr_keys', { menu: 'main', key: '1' }), 1);
  await caller.hangup();
  assert.equal(await caller.metric('ivr_ends', { why: 'hangup' }), 1);
  assert.deepEqual(caller.log.at(-1)!.why, 'hangup');
});

test('a key leads to another menu and back; one that is not there is told of', async () => {
  const caller = await call();
  caller.dtmf('2');
  await caller.advance(700);
  caller.dtmf('5');
  await caller.advance(700);
  caller.dtmf('*');
  await caller.advance(700);
  caller.dtmf('5');
  await caller.advance(1500);
  assert.deepEqual(heard(caller).slice(-5), ['hours.wav', 'hours.wav', 'main.wav', 'wrong.wav', 'main.wav']);
  assert.equal(await caller.metric('ivr_keys', { menu: 'other', key: 'other' }), 1);
  await caller.hangup();
});

test('silence: the prompt comes again, once, then the stream is closed', async () => {
  const caller = await call();
  await caller.advance(2400);
  assert.deepEqual(heard(caller), ['main.wav']);
  await caller.advance(1000);
  assert.deepEqual(heard(caller), ['main.wav', 'main.wav']);
  await caller.until(() => caller.stopReason !== undefined, 5000);
  assert.equal(caller.stopReason, 'closed');
  assert.equal(await caller.metric('ivr_ends', { why: 'silence' }), 1);
  await caller.hangup();
});

test('the end comes when the goodbye has been heard', async () => {
  const caller = await call();
  await caller.advance(600);
  caller.dtmf('9');
  await caller.until(() => caller.stopReason !== undefined, 5000);
  assert.deepEqual(heard(caller), ['main.wav', 'bye.wav']);
  assert.equal(caller.heard().parts.at(-1)!.durationMs, 500);
  assert.equal(await caller.metric('ivr_ends', { why: 'key' }), 1);
  await caller.hangup();
});

test('a menu or a prompt that is not there shows at the start', async () => {
  const wrong = { ...options, menus: { main: { prompt: 'main.wav', keys: { '1': { menu: 'nowhere' } } } } };
  await assert.rejects(testCall(ivr, { options: wrong }), {
    code: 'SIDETONE_BAD_OPTION',
    message: /plugin ivr: options\.menus\.main\.keys\.1: .*there is no menu nowhere/,
  });
  const missing = { ...options, menus: { main: { prompt: 'no.wav', keys: {} } } };
  await assert.rejects(testCall(ivr, { options: missing }), {
    code: 'SIDETONE_SETUP_FAILED',
    message: /plugin ivr: setup failed: .*no\.wav/,
  });
});
