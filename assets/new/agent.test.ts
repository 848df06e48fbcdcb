/** Calls without a telephone, a socket or a wait: time goes on only where the test says so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testCall } from 'sidetone/testing';
import agent from './agent.js';

/** A second of a tone that is as loud as speech. */
const tone = {
  samples: Int16Array.from({ length: 16000 }, (_, i) => 8000 * Math.sin((2 * Math.PI * 440 * i) / 16000)),
  sampleRate: 16000,
};

test('it repeats what was said, after the pause', async () => {
  const call = await testCall(agent);
  const saidMs = call.say(tone);
  await call.advance(saidMs);
  assert.equal(call.heard().parts.length, 0);
  await call.advance(3000);
  const [answer] = call.heard().parts;
  assert.ok(answer && answer.atMs >= saidMs + 500 && answer.durationMs >= saidMs);
  assert.equal(answer.interrupted, false);
  await call.hangup();
});

test('it falls silent when the caller speaks into it', async () => {
  const call = await testCall(agent);
  call.say(tone);
  await call.until(() => call.heard().parts.length > 0);
  call.say(tone);
  await call.advance(200);
  assert.equal(call.clears.length, 1);
  assert.equal(call.heard().parts[0]?.interrupted, true);
  await call.hangup();
});

test('the key # ends the stream', async () => {
  const call = await testCall(agent);
  call.dtmf('#');
  await call.advance(100);
  assert.equal(call.stopReason, 'closed');
  await call.hangup();
});
