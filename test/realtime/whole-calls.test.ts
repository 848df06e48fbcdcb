/**
 * `sidetone serve --plugin realtime` and calls in several encodings, each through all that may happen: an interruption, a
 * false one, a tool, a lost service, a transfer.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Encoding, Simulator } from '../../src/index.js';
import { RealtimeDouble } from '../helpers/realtime-double.js';
import { startRestDouble } from '../helpers/rest-double.js';
import { serveChild } from '../helpers/serve-child.js';
import { answerAudio, eventually, words } from './talk.js';

const ENCODINGS: Encoding[] = ['PCMU', 'G722', 'OPUS'];
const OPTIONS = JSON.stringify({
  // A slow machine must not look like a slow service.
  connectTimeoutMs: 60_000,
  answerTimeoutMs: 600_000,
  waitingToneMs: 0,
  silenceMaxMs: 0,
  retryPausesMs: [20, 20, 20],
  turnDetection: { type: 'server_vad', silence_duration_ms: 200 },
  sendKeys: true,
  transferTo: { owner: '+13125550100' },
});

for (const reactors of [1, 2]) {
  test(`${ENCODINGS.join(', ')} through everything, with ${reactors} reactor(s)`, async () => {
    const rest = await startRestDouble('KEYtest');
    const double = await RealtimeDouble.start({
      answer: (turn, session) => {
        const audio = (seconds: number): Buffer => {
          const { audio: settings } = session.settings as { audio: { output: { format: { type: string } } } };
          return answerAudio(seconds, settings.output.format.type === 'audio/pcmu' ? 'PCMU' : 'L16');
        };
        const isFirst = session.double.sessions.indexOf(session) < ENCODINGS.length;
        if (isFirst && turn < 2) return { audio: audio(20), transcript: `answer ${turn}` };
        if (isFirst && turn === 3) {
          return { calls: [{ name: 'press_keys', arguments: JSON.stringify({ keys: '12#' }) }] };
        }
        if (!isFirst && turn === 1) {
          return { calls: [{ name: 'transfer_call', arguments: JSON.stringify({ destination: 'owner' }) }] };
        }
        return { audio: audio(0.3), transcript: `answer ${turn}` };
      },
    });
    const child = await serveChild(
      ['--plugin', 'realtime', '--reactors', String(reactors), '--api-base', rest.base],
      {
        environment: {
          SIDETONE_REALTIME_URL: double.url,
          TELNYX_API_KEY: 'KEYtest',
          SIDETONE_PLUGIN_OPTIONS_REALTIME: OPTIONS,
        },
      },
    );
    try {
      const simulator = new Simulator({ seed: 5 });
      const calls = ENCODINGS.map(encoding =>
        simulator.call(`ws://127.0.0.1:${child.port}/`, {
          encoding,
          idle: words(0, encoding).idle,
          inbound: [],
          durationMs: Number.POSITIVE_INFINITY,
          handshakeTimeoutMs: 30_000,
        }),
      );
      const sessions = (from: number) => double.sessions.slice(from, from + ENCODINGS.length);
      const say = (): void => {
        for (const [i, call] of calls.entries()) call.say(words(0.6, ENCODINGS[i]!).inbound);
      };
      const all = (is: (call: (typeof calls)[number]) => boolean, what: string) =>
        eventually(() => calls.every(is), what);
      const allSessions = (
        from: number,
        is: (session: RealtimeDouble['sessions'][number]) => boolean,
        what: string,
      ) =>
        eventually(() => {
          const these = sessions(from);
          return these.length === ENCODINGS.length && these.every(session => session.settings && is(session));
        }, what);
      const cuts = (count: number) => (session: RealtimeDouble['sessions'][number]) =>
        session.of('conversation.item.truncate').length === count;
      /** Everybody is silent, and each caller has heard so much more. */
      const heardMore = async (ms: number, run: () => unknown): Promise<void> => {
        const before = calls.map(call => call.soFar().heardMs);
        await run();
        await eventually(
          () => calls.every((call, i) => call.soFar().heardMs >= before[i]! + ms && call.queuedMs === 0),
          `${ms} ms more`,
        );
      };

      await allSessions(0, () => true, 'sessions');
      say();
      await all(call => call.soFar().heardMs >= 300, 'the answers');
      say();
      await allSessions(0, session => cuts(1)(session) && session.turns === 2, 'an interruption');
      await all(call => call.soFar().frames.clearsReceived === 1 && call.queuedMs > 0, 'the next answers');

      await heardMore(280, async () => {
        for (const session of sessions(0)) {
          session.emit('input_audio_buffer.speech_started', { audio_start_ms: 100, item_id: 'item_noise' });
        }
        await allSessions(0, cuts(2), 'a false interruption');
        for (const session of sessions(0)) {
          session.emit('input_audio_buffer.speech_stopped', { audio_end_ms: 300, item_id: 'item_noise' });
        }
        await allSessions(0, ({ turns }) => turns === 3, 'the model is asked to go on');
      });

      const commands = (command: string) => rest.requests.filter(request => request.command === command);
      await heardMore(280, async () => {
        say();
        await eventually(() => commands('send_dtmf').length === ENCODINGS.length, 'a tool');
        await allSessions(0, ({ turns }) => turns === 5, 'an answer to its result');
      });

      for (const session of sessions(0)) session.break();
      await allSessions(ENCODINGS.length, () => true, 'new sessions');
      await heardMore(280, say);
      say();
      await eventually(() => commands('transfer').length === ENCODINGS.length, 'a transfer');
      // The call must not end before the model has been told.
      const isTold = (session: RealtimeDouble['sessions'][number]): boolean =>
        session
          .of('conversation.item.create')
          .some(({ item }) => (item as { type: string }).type === 'function_call_output');
      await allSessions(ENCODINGS.length, isTold, 'the outcome of the transfer');
      assert.ok(commands('transfer').every(({ body }) => body.to === '+13125550100'));

      for (const call of calls) call.hangup();
      const results = await Promise.all(calls.map(({ result }) => result));
      assert.deepEqual(
        results.flatMap(({ errors }) => errors),
        [],
      );
      assert.deepEqual(double.faults, []);
      const ended = (): Record<string, unknown>[] =>
        child
          .output()
          .split('\n')
          .filter(line => line.includes('"conversation ended"'))
          .map(line => JSON.parse(line));
      await eventually(() => ended().length === ENCODINGS.length, 'a line for each call');
      for (const { interruptions, toolCalls, serviceLosses, audioDroppedMs } of ended()) {
        assert.deepEqual([interruptions, toolCalls, serviceLosses, audioDroppedMs], [2, 2, 1, 0]);
      }
    } finally {
      await child.kill();
      await double.close();
      await rest.close();
    }
  });
}
