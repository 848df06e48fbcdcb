/** examples/voicemail.ts in virtual time: greeting, tone, message, silence, and what is no message. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import voicemail from '../../examples/voicemail.js';
import { readWav, wavBytes } from '../../src/index.js';
import { type TestCall, testCall } from '../../src/testing/index.js';
import { speechLike } from '../helpers/speech.js';

let directory: string;
let greeting: string;
beforeEach(() => {
  const home = mkdtempSync(join(tmpdir(), 'sidetone-voicemail-'));
  directory = join(home, 'messages');
  greeting = join(home, 'greeting.wav');
  writeFileSync(greeting, wavBytes({ sampleRate: 8000, channels: [new Int16Array(8000).fill(2000)] }));
});
afterEach(() => rmSync(join(directory, '..'), { recursive: true }));

const GREETING_MS = 1000;
const TONE_MS = 400;
const said = { samples: speechLike(16000, 3), sampleRate: 16000 };

const call = (more: object = {}): Promise<TestCall> =>
  testCall(voicemail, {
    encoding: 'L16',
    from: '+13125550100',
    options: { directory, greeting, silenceMs: 1000, ...more },
  });

/** The greeting and the tone have been heard, and the caller knows it. */
const prompted = (of: TestCall): Promise<void> =>
  of.until(() => of.marks.filter(({ returnedMs }) => returnedMs !== undefined).length === 2);

async function message(): Promise<{ pcm: Int16Array; facts: Record<string, unknown> }> {
  const files = readdirSync(directory).sort();
  assert.deepEqual(
    files.map(file => file.replace(/^.*\./, '')),
    ['json', 'wav'],
  );
  const { channels, sampleRate } = await readWav(join(directory, files[1]!));
  assert.equal(sampleRate, 16000);
  return { pcm: channels[0]!, facts: JSON.parse(readFileSync(join(directory, files[0]!), 'utf8')) };
}

const holds = (pcm: Int16Array, sought: Int16Array): boolean =>
  Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength).includes(
    Buffer.from(sought.buffer, 0, sought.byteLength),
  );

test('greeting and tone, then what is said until the silence; number and time stand beside it', async () => {
  const caller = await call();
  await prompted(caller);
  const { parts } = caller.heard();
  const heardMs = parts.reduce((sum, { durationMs }) => sum + durationMs, 0);
  assert.ok(Math.abs(heardMs - GREETING_MS - TONE_MS) < 50, `${heardMs} ms`);
  assert.equal(await caller.metric('voicemail_recording'), 1);
  const saidMs = caller.say(said);
  await caller.until(() => caller.stopReason !== undefined, saidMs + 3000);
  assert.equal(caller.stopReason, 'closed');
  await caller.hangup();
  const { pcm, facts } = await message();
  assert.ok(holds(pcm, said.samples), 'sample for sample');
  const lengthMs = pcm.length / 16;
  assert.equal(facts.lengthMs, lengthMs);
  assert.ok(lengthMs >= saidMs + 700 && lengthMs <= saidMs + 1500, `${lengthMs} ms`);
  assert.equal(facts.from, '+13125550100');
  assert.ok(Math.abs(Date.parse(facts.at as string) - Date.now()) < 3_600_000);
  assert.equal(await caller.metric('voicemail_messages', { outcome: 'kept' }), 1);
  assert.equal(await caller.metric('voicemail_recording'), 0);
  assert.equal(await caller.metric('voicemail_seconds_count'), 1);
  assert.doesNotMatch(JSON.stringify(caller.log), /3125550100/);
});

test('* skips the greeting, # ends the message', async () => {
  const caller = await call();
  await caller.advance(200);
  caller.dtmf('*');
  await caller.until(() => caller.heard().parts.length === 2);
  assert.equal(caller.heard().parts[0]!.interrupted, true);
  await caller.advance(TONE_MS + 100);
  caller.say(said);
  await caller.advance(1500);
  caller.dtmf('#');
  await caller.until(() => caller.stopReason !== undefined);
  await caller.hangup();
  const { pcm } = await message();
  assert.ok(pcm.length > 16 * 1200 && pcm.length < 16 * 1700, `${pcm.length / 16} ms`);
});

test('whoever says nothing leaves nothing; who hangs up in between leaves what was said', async () => {
  const silent = await call();
  await prompted(silent);
  await silent.until(() => silent.stopReason !== undefined, 3000);
  await silent.hangup();
  assert.deepEqual(readdirSync(directory), []);
  assert.equal(await silent.metric('voicemail_messages', { outcome: 'too_short' }), 1);

  const early = await call();
  await early.advance(300);
  await early.hangup();
  assert.deepEqual(readdirSync(directory), []);
  assert.equal(await early.metric('voicemail_messages', { outcome: 'hung_up' }), 1);

  const gone = await call();
  await prompted(gone);
  gone.say(said);
  await gone.advance(2000);
  await gone.hangup();
  const { pcm } = await message();
  assert.ok(pcm.length >= 16 * 1900 && pcm.length <= 16 * 2100, `${pcm.length / 16} ms`);
});

test('a message ends at its greatest length; a greeting that is not there ends the start', async () => {
  const caller = await call({ messageMsMax: 2500 });
  await prompted(caller);
  caller.say(said);
  await caller.until(() => caller.stopReason !== undefined, 4000);
  await caller.hangup();
  assert.equal((await message()).facts.lengthMs, 2500);
  await assert.rejects(call({ greeting: join(directory, 'none.wav') }), { code: 'SIDETONE_SETUP_FAILED' });
  await assert.rejects(call({ silenceMs: 1 }), { message: /options\.silenceMs: 1: / });
});
