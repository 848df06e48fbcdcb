/** Conversations over real sockets, with a double of the service. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Encoding } from '../../src/index.js';
import { speechLike } from '../helpers/speech.js';
import { answerAudio, eventually, heardBytes, simulator, talk, words } from './talk.js';

function assertTone(encoding: Encoding, heardMs: number): void {
  // A packet of OPUS is whole frames of 20 ms.
  assert.ok(heardMs >= 1600 && heardMs <= 1680, `${encoding}: ${heardMs} ms`);
}

describe('conversations', { concurrency: 4 }, () => {
  for (const encoding of ['PCMU', 'PCMA', 'G722', 'OPUS', 'L16'] as const) {
    test(`${encoding}: a turn, its answer and another turn`, async () => {
      const isLaw = encoding === 'PCMU' || encoding === 'PCMA';
      const audio = answerAudio(0.8, encoding);
      await talk(
        { encoding, double: { answer: turn => ({ audio, transcript: `answer ${turn}` }) } },
        async ({ call, session, say }) => {
          const type = isLaw ? `audio/${encoding.toLowerCase()}` : 'audio/pcm';
          const format = isLaw ? { type } : { type, rate: 24_000 };
          const { audio: settings } = session.settings as { audio: Record<string, { format: unknown }> };
          assert.deepEqual([settings.input!.format, settings.output!.format], [format, format]);
          say();
          await eventually(() => call.soFar().heardMs >= 800, 'the answer');
          say();
          await eventually(() => call.soFar().heardMs >= 1600, 'the second answer');
          assert.equal(session.turns, 2);
          assert.equal(call.soFar().frames.clearsReceived, 0);
          if (isLaw) assert.ok(heardBytes(call).equals(Buffer.concat([audio, audio])), 'byte for byte');
          else assertTone(encoding, call.soFar().heardMs);
        },
      );
    });
  }

  test('the first words of the caller are not lost while the service is slow to connect', async () => {
    await talk({ withoutSession: true, double: { statuses: [503, 503] } }, async ({ call, double, say }) => {
      say(1);
      await eventually(() => (double.sessions[0]?.turns ?? 0) > 0, 'a turn');
      const session = double.sessions[0]!;
      assert.equal(double.upgrades.length, 3);
      // Every payload since the first one, in order: a second of the caller's words is in it.
      const said = Buffer.concat(words(1).inbound);
      assert.ok(session.heard.includes(said), 'what was said is there byte for byte');
      assert.ok(call.soFar().ended === 'running');
    });
  });

  test('an interruption: silence, the item cut where the caller stopped hearing it, late deltas dropped', async () => {
    const audio = answerAudio(6);
    const answer = (turn: number) =>
      turn === 0 ? { audio, transcript: 'x'.repeat(600), holdAfter: 20 } : { audio: answerAudio(0.4) };
    await talk({ double: { answer } }, async ({ call, session, say }) => {
      say();
      await eventually(() => call.soFar().heardMs >= 500, 'the beginning of the answer');
      say();
      await eventually(() => call.soFar().frames.clearsReceived === 1, 'a clear');
      await eventually(() => session.of('conversation.item.truncate').length === 1, 'a cut');
      const [cut] = session.of('conversation.item.truncate');
      const item = session.items.get(String(cut!.item_id))!;
      const endMs = Number(cut!.audio_end_ms);
      assert.ok(endMs > 0 && endMs < 4000, `cut at ${endMs} ms of the ${item.audioMs} that have come`);
      // What still comes of the cut item is not heard.
      const place = { response_id: 'resp_0_3', item_id: cut!.item_id, output_index: 0, content_index: 0 };
      session.emit('response.output_audio.delta', {
        ...place,
        delta: Buffer.alloc(16_000, 0x20).toString('base64'),
      });
      await eventually(() => session.turns === 2, 'the second turn');
      await eventually(
        () => call.queuedMs === 0 && call.soFar().heard.at(-1)!.clearedAfterMs === undefined,
        'the second answer',
      );
      assert.ok(!heardBytes(call).includes(Buffer.alloc(160, 0x20)), 'a late delta was heard');
    });
  });

  test('words while nothing is heard cut nothing', async () => {
    await talk(
      { double: { answer: () => ({ audio: answerAudio(0.2) }) } },
      async ({ call, session, say }) => {
        for (let turn = 1; turn <= 2; turn++) {
          say();
          await eventually(
            () => session.turns === turn && call.soFar().heardMs >= 200 * turn && call.queuedMs === 0,
            `turn ${turn}`,
          );
        }
        assert.equal(call.soFar().frames.clearsReceived, 0);
        assert.deepEqual(session.of('conversation.item.truncate'), []);
      },
    );
  });

  test('a false interruption: the model is asked to go on', async () => {
    const audio = answerAudio(4);
    await talk({ double: { hears: false, answer: () => ({ audio }) } }, async ({ call, session }) => {
      session.respond();
      await eventually(() => call.soFar().heardMs >= 300, 'the answer');
      session.emit('input_audio_buffer.speech_started', { audio_start_ms: 100, item_id: 'item_noise' });
      await eventually(() => session.of('conversation.item.truncate').length === 1, 'a cut');
      session.emit('input_audio_buffer.speech_stopped', { audio_end_ms: 300, item_id: 'item_noise' });
      session.emit('input_audio_buffer.cleared');
      await eventually(() => session.of('response.create').length === 1, 'the model is asked to go on');
      await eventually(() => call.queuedMs > 0, 'it goes on');
    });
  });

  test('with its own ears the server silences the model before the service has heard the caller', async () => {
    const double = {
      hears: false,
      answer: (turn: number) => ({ audio: answerAudio(turn === 0 ? 6 : 0.2), holdAfter: 20 }),
    };
    await talk(
      { plugin: { vad: { levelMinDb: -60, threshold: 0.3 } }, double },
      async ({ call, session }) => {
        session.respond();
        await eventually(() => call.soFar().heardMs >= 200, 'the answer');
        const voice = simulator.speech({ samples: speechLike(16_000, 3), sampleRate: 16_000 });
        call.say(voice.inbound);
        await eventually(() => session.of('conversation.item.truncate').length === 1, 'a cut');
        await eventually(() => session.of('response.cancel').length === 1, 'the service is told to stop');
        await eventually(() => call.soFar().frames.clearsReceived === 1, 'a clear');
        // Nobody tells that the caller has said anything: the model goes on.
        await eventually(() => session.of('response.create').length === 1, 'it goes on');
      },
    );
  });

  test('the older protocol: its settings, its names of events', async () => {
    const audio = answerAudio(0.4);
    await talk(
      { plugin: { protocol: 'beta' }, double: { protocol: 'beta', answer: () => ({ audio }) } },
      async ({ call, session, say }) => {
        assert.equal(session.settings!.input_audio_format, 'g711_ulaw');
        say();
        await eventually(() => call.soFar().heardMs >= 400, 'the answer');
        assert.ok(heardBytes(call).equals(audio));
      },
    );
  });

  test('a greeting is asked for before the caller speaks', async () => {
    const asked: (string | undefined)[] = [];
    const double = {
      answer: (_turn: number, _session: unknown, instructions?: string) => {
        asked.push(instructions);
        return { audio: answerAudio(0.2) };
      },
    };
    await talk({ plugin: { greeting: 'Say hello.' }, double }, async ({ call }) => {
      await eventually(() => call.soFar().heardMs >= 200, 'the greeting');
      assert.deepEqual(asked, ['Say hello.']);
    });
  });

  test('an answer longer than the queue is heard whole', async () => {
    const audio = answerAudio(3);
    await talk(
      { server: { queueMaxMs: 500 }, double: { answer: () => ({ audio }) } },
      async ({ call, session }) => {
        session.respond();
        await eventually(() => call.soFar().heardMs >= 3000, 'all of it');
        assert.ok(heardBytes(call).equals(audio));
      },
    );
  });
});
