/** `sidetone serve --plugin realtime`, with its settings from the environment: what it logs and counts. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Simulator } from '../../src/index.js';
import { parseExposition, sampleValue } from '../admin/exposition.js';
import { RealtimeDouble } from '../helpers/realtime-double.js';
import { runCli, serveChild } from '../helpers/serve-child.js';
import { answerAudio, eventually, words } from './talk.js';

/** A slow machine must not look like a slow service. */
const PATIENT = JSON.stringify({ connectTimeoutMs: 60_000, answerTimeoutMs: 600_000, waitingToneMs: 0 });

for (const reactors of [1, 2]) {
  test(`conversations with ${reactors} reactor(s): settings of the environment, metrics, a line for each call`, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sidetone-realtime-'));
    const keyFile = join(directory, 'key');
    writeFileSync(keyFile, 'secret-key-1\n');
    const double = await RealtimeDouble.start({
      authorization: 'Bearer secret-key-1',
      answer: turn => ({ audio: answerAudio(2), transcript: `secret words ${turn}` }),
    });
    const child = await serveChild(['--plugin', 'realtime', '--reactors', String(reactors)], {
      admin: true,
      environment: {
        SIDETONE_REALTIME_URL: double.url,
        SIDETONE_REALTIME_KEY_FILE: keyFile,
        SIDETONE_REALTIME_MODEL: 'gpt-realtime',
        SIDETONE_REALTIME_VOICE: 'marin',
        SIDETONE_REALTIME_INSTRUCTIONS: 'Be brief.',
        SIDETONE_PLUGIN_OPTIONS_REALTIME: PATIENT,
      },
    });
    try {
      const simulator = new Simulator({ seed: 3 });
      const spoken = words(0.6);
      const options = {
        ...spoken,
        inbound: [],
        durationMs: Number.POSITIVE_INFINITY,
        handshakeTimeoutMs: 30_000,
      };
      const calls = [0, 1, 2, 3].map(() => simulator.call(`ws://127.0.0.1:${child.port}/`, options));
      await eventually(
        () => double.sessions.filter(({ settings }) => settings).length === 4,
        'four sessions',
      );
      for (const call of calls) call.say(spoken.inbound);
      await eventually(() => calls.every(call => call.soFar().heardMs >= 200), 'four answers');
      for (const call of calls) call.say(spoken.inbound);
      await eventually(
        () => calls.every(call => call.soFar().frames.clearsReceived === 1),
        'four interruptions',
      );
      for (const call of calls) call.hangup();
      await Promise.all(calls.map(({ result }) => result));
      assert.deepEqual(double.faults, []);
      assert.ok(double.upgrades.every(({ url }) => url?.endsWith('?model=gpt-realtime')));
      const { instructions, audio } = double.sessions[0]!.settings as {
        instructions: string;
        audio: { output: { voice: string } };
      };
      assert.deepEqual([instructions, audio.output.voice], ['Be brief.', 'marin']);
      const ended = (): Record<string, unknown>[] =>
        child
          .output()
          .split('\n')
          .filter(line => line.includes('"conversation ended"'))
          .map(line => JSON.parse(line));
      await eventually(() => ended().length === 4, 'a line for each call');
      for (const line of ended()) {
        assert.equal(line.why, 'caller');
        assert.equal(line.interruptions, 1);
        assert.ok(Number(line.answerMs) > 0 && Number(line.bargeInMs) > 0, JSON.stringify(line));
        assert.ok(line.stream && line.call && line.plugin === 'realtime');
      }
      const text = await (await fetch(`http://127.0.0.1:${child.adminPort}/metrics`)).text();
      const samples = parseExposition(text);
      const labels = { plugin: 'realtime' };
      assert.equal(sampleValue(samples, 'sidetone_plugin_interruptions_total', labels), 4);
      assert.equal(sampleValue(samples, 'sidetone_plugin_ends_total', { ...labels, why: 'caller' }), 4);
      assert.ok(Number(sampleValue(samples, 'sidetone_plugin_answer_seconds_count', labels)) >= 4);
      assert.doesNotMatch(child.output(), /secret|caller's words/);
    } finally {
      await child.kill();
      await double.close();
      rmSync(directory, { recursive: true });
    }
  });
}

test('without an address the server does not start, and says what to set', async () => {
  const cli = runCli(['serve', '--plugin', 'realtime', '--port', '0', '--admin-port', '0']);
  assert.equal((await cli.exit).code, 2);
  assert.match(cli.output(), /realtime: options\.url: missing: .*SIDETONE_REALTIME_URL/);
});
