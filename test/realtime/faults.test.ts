/** Services that refuse, fail, are slow or go away, over real sockets. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DoubleSession } from '../helpers/realtime-double.js';
import { answerAudio, eventually, heardBytes, talk } from './talk.js';

const texts = (session: DoubleSession): string[] =>
  session.of('conversation.item.create').map(({ item }) => {
    const { role, content } = item as { role: string; content: { text: string }[] };
    return `${role}: ${content[0]!.text}`;
  });

describe('faults', { concurrency: 4 }, () => {
  test('a lost service: a new session knows the conversation, and answers the turn that was lost', async () => {
    const audio = answerAudio(0.4);
    const answer = (turn: number, session: DoubleSession) => {
      const isFirst = session.double.sessions[0] === session;
      return isFirst && turn === 1 ? { silent: true } : { audio, transcript: `answer ${turn}` };
    };
    await talk({ double: { answer } }, async ({ call, double, session, say }) => {
      say();
      await eventually(() => call.soFar().heardMs >= 400, 'the answer');
      say();
      await eventually(() => session.turns === 2, 'a turn that gets no answer');
      session.break();
      await eventually(() => call.soFar().heardMs >= 800, 'the answer of the new session');
      assert.equal(double.sessions.length, 2);
      const [first, second, third] = texts(double.sessions[1]!);
      assert.deepEqual(
        [first, second, third],
        ["user: caller's words 0", 'assistant: answer 0', "user: caller's words 1"],
      );
      assert.equal(double.sessions[1]!.of('response.create').length, 1);
      say();
      await eventually(() => call.soFar().heardMs >= 1200, 'the conversation goes on');
    });
  });

  test('a service that is lost in the middle of an answer: what it sent is heard, and what was heard is told', async () => {
    const audio = answerAudio(2);
    const answer = (_turn: number, session: DoubleSession) =>
      session.double.sessions[0] === session
        ? { audio, transcript: 'abcdefghij', holdAfter: 5 }
        : { audio: answerAudio(0.2) };
    await talk({ double: { answer } }, async ({ call, double, session }) => {
      session.respond();
      await eventually(() => call.soFar().heardMs >= 100, 'the beginning');
      session.break();
      await eventually(() => call.soFar().heardMs >= 1200, 'what was sent, and a new answer');
      assert.ok(heardBytes(call).subarray(0, 8000).equals(audio.subarray(0, 8000)));
      assert.deepEqual(texts(double.sessions[1]!), ['assistant: abcde']);
    });
  });

  test('a wrong key: no second try, a fallback is heard, and the call ends', async () => {
    const fallback = { samples: new Int16Array(4000).fill(5000), sampleRate: 8000 };
    const plugin = { key: 'wrong', fallback };
    await talk(
      { plugin, double: { authorization: 'Bearer right' }, withoutSession: true },
      async ({ call, double }) => {
        const result = await call.result;
        assert.equal(result.ended, 'by the application');
        assert.equal(result.heardMs, 500);
        assert.equal(double.upgrades.length, 1);
        assert.equal(double.upgrades[0]!.headers.authorization, 'Bearer wrong');
      },
    );
  });

  test('a service that is never there: every try, then the fallback', async () => {
    const double = { statuses: [503, 503, 503, 503, 503] };
    await talk({ double, withoutSession: true }, async ({ call, double }) => {
      const result = await call.result;
      assert.equal(result.ended, 'by the application');
      assert.ok(result.heardMs > 0, 'three tones');
      assert.equal(double.upgrades.length, 4);
    });
  });

  test('settings that are refused end the call with the fallback', async () => {
    await talk(
      { double: { refusesSettings: true }, withoutSession: true, mayFault: true },
      async ({ call, double }) => {
        const result = await call.result;
        assert.equal(result.ended, 'by the application');
        assert.ok(result.heardMs > 0);
        assert.equal(double.upgrades.length, 1);
      },
    );
  });

  test('a service that does not begin the session is given up, and another one asked for', async () => {
    const plugin = { connectTimeoutMs: 1000, retryPausesMs: Array(50).fill(20) };
    const double = { mute: 1, answer: () => ({ audio: answerAudio(0.2) }) };
    await talk({ plugin, double }, async ({ call, double, say }) => {
      say();
      await eventually(() => call.soFar().heardMs >= 200, 'an answer');
      assert.ok(double.sessions.length >= 2);
      assert.ok(!double.sessions[0]!.audio.length, 'the first one has got no audio');
    });
  });

  test('a service that owes an answer and says nothing: a soft tone, then a new session answers', async () => {
    const answer = (_turn: number, session: DoubleSession) =>
      session.double.sessions[0] === session ? { silent: true } : { audio: answerAudio(0.2) };
    const plugin = { answerTimeoutMs: 1200, waitingToneMs: 100 };
    await talk({ plugin, double: { answer } }, async ({ call, double, say }) => {
      say();
      await eventually(() => double.sessions.length >= 2, 'a new session');
      await eventually(
        () => double.sessions.slice(1).some(({ turns }) => turns > 0),
        'it is asked for the answer',
      );
      await eventually(() => heardBytes(call).includes(answerAudio(0.2)), 'the answer');
      assert.ok(heardBytes(call).indexOf(answerAudio(0.2)) > 0, 'a tone was heard before it');
    });
  });

  test('an answer that fails at a limit of the service is asked for again', async () => {
    const answer = (turn: number) =>
      turn === 0 ? { fails: 'rate_limit_exceeded' } : { audio: answerAudio(0.2) };
    await talk({ double: { answer } }, async ({ call, session, say }) => {
      session.emit('rate_limits.updated', {
        rate_limits: [{ name: 'tokens', limit: 10, remaining: 0, reset_seconds: 1 }],
      });
      say();
      await eventually(() => call.soFar().heardMs >= 200, 'the answer');
      assert.equal(session.of('response.create').length, 1);
    });
  });

  test('answers that fail again and again end the call', async () => {
    const plugin = { waitingToneMs: 0 };
    await talk(
      { plugin, double: { answer: () => ({ fails: 'server_error' }) } },
      async ({ call, session }) => {
        session.respond();
        const result = await call.result;
        assert.equal(result.ended, 'by the application');
        assert.equal(session.turns, 4);
      },
    );
  });

  test('messages that make no sense harm nothing', async () => {
    await talk(
      { double: { answer: () => ({ audio: answerAudio(0.2) }) } },
      async ({ call, session, say }) => {
        for (const text of [
          '',
          'no JSON',
          '[]',
          'null',
          '{}',
          '{"type":1}',
          '{"type":"no.such.event"}',
          '{"type":"error"}',
        ]) {
          session.socket.send(text);
        }
        for (const type of [
          'response.done',
          'response.created',
          'response.output_item.added',
          'response.output_audio.delta',
        ]) {
          session.emit(type);
        }
        session.socket.send(Buffer.from([0xff, 0xfe, 0]));
        say();
        await eventually(() => call.soFar().heardMs >= 200, 'the answer');
      },
    );
  });
});
