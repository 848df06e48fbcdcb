/** Tools, keys and limits over real sockets. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { realtime, realtimeTool } from '../../src/plugins/realtime.js';
import { answerAudio, eventually, talk } from './talk.js';

const call = (name: string, args: object) => ({ calls: [{ name, arguments: JSON.stringify(args) }] });

describe('tools', { concurrency: 4 }, () => {
  test("a tool: its arguments, a word while it runs, its result, and the model's answer to it", async () => {
    let finish: (weather: object) => void = () => {};
    const given: string[] = [];
    const weather = realtimeTool<{ city: string }>({
      name: 'weather',
      description: 'The weather of a city.',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      word: 'Say: one moment.',
      run: ({ city }) => {
        given.push(city);
        return new Promise(resolve => {
          finish = resolve;
        });
      },
    });
    const answer = (turn: number, _session: unknown, instructions?: string) => {
      if (instructions) return { audio: answerAudio(0.2) };
      return turn === 0 ? call('weather', { city: 'Porto' }) : { audio: answerAudio(0.4) };
    };
    await talk(
      { plugin: { tools: [weather], toolPatienceMs: 0 }, double: { answer } },
      async ({ call, session, say }) => {
        const [described] = session.settings!.tools as { name: string; parameters: object }[];
        assert.deepEqual([described!.name, described!.parameters], ['weather', weather.parameters]);
        say();
        await eventually(() => call.soFar().heardMs >= 200, 'the word');
        assert.deepEqual(given, ['Porto']);
        const [word] = session.of('response.create');
        assert.equal((word!.response as { conversation: string }).conversation, 'none');
        finish({ degrees: 21 });
        await eventually(() => call.soFar().heardMs >= 600, 'the answer');
        const output = session.of('conversation.item.create')[0]!.item as { type: string; output: string };
        assert.deepEqual([output.type, output.output], ['function_call_output', '{"degrees":21}']);
        assert.equal(session.of('response.create').length, 2);
        assert.deepEqual(given, ['Porto'], 'it ran once, though several events told of it');
      },
    );
  });

  test('a tool that fails, one that is not there, and arguments that are no JSON are told to the model', async () => {
    const broken = realtimeTool({
      name: 'broken',
      description: 'Fails.',
      run: () => Promise.reject(new Error('out of order')),
    });
    const answer = (turn: number) =>
      turn > 0
        ? {}
        : {
            calls: [
              { name: 'broken', arguments: '{}' },
              { name: 'nobody', arguments: '{}' },
              { name: 'broken', arguments: 'not JSON' },
            ],
          };
    await talk({ plugin: { tools: [broken] }, double: { answer } }, async ({ session }) => {
      session.respond();
      await eventually(() => session.of('response.create').length === 1, 'the model is asked to go on');
      const outputs = session
        .of('conversation.item.create')
        .map(({ item }) => JSON.parse((item as { output: string }).output).error as string);
      assert.equal(outputs.length, 3);
      assert.ok(
        outputs.includes('out of order') && outputs.includes('there is no tool nobody'),
        outputs.join(),
      );
    });
  });

  test('hang_up: the goodbye is heard, then the stream ends', async () => {
    const answer = () => ({ audio: answerAudio(0.6), ...call('hang_up', {}) });
    await talk({ double: { answer } }, async ({ call, session }) => {
      session.respond();
      const result = await call.result;
      assert.equal(result.ended, 'by the application');
      assert.equal(result.heardMs, 600);
      assert.equal(session.of('response.create').length, 0, 'nothing more is asked for');
    });
  });

  test('transfer and keys go to the call, only where they may', async () => {
    const done: string[] = [];
    const control = {
      hangup: async () => {},
      transfer: async (to: string) => done.push(`transfer ${to}`),
      sendDtmf: async (digits: string) => done.push(`keys ${digits}`),
    };
    const steps = [
      call('transfer_call', { destination: 'nowhere' }),
      call('press_keys', { keys: '12;3' }),
      call('press_keys', { keys: '12#' }),
      call('transfer_call', { destination: 'sales' }),
    ];
    const answer = (turn: number) => steps[turn] ?? {};
    const plugin = { transferTo: { sales: '+13125550100' }, sendKeys: true };
    await talk({ plugin, double: { answer }, control }, async ({ session }) => {
      session.respond();
      await eventually(() => done.length === 2, 'both');
      assert.deepEqual(done, ['keys 12#', 'transfer +13125550100']);
      const errors = session
        .of('conversation.item.create')
        .map(({ item }) => (item as { output: string }).output)
        .filter(output => output.includes('error'));
      assert.equal(errors.length, 2, errors.join());
    });
  });

  test('keys: the model falls silent, is told of them as text, and answers', async () => {
    const answer = (turn: number) => ({ audio: answerAudio(turn === 0 ? 5 : 0.2) });
    await talk({ plugin: { keyPauseMs: 60_000 }, double: { answer } }, async ({ call, session }) => {
      session.respond();
      await eventually(() => call.soFar().heardMs >= 200, 'the answer');
      for (const digit of '42#') call.dtmf(digit);
      await eventually(() => session.turns === 2, 'an answer to the keys');
      const [told] = session.of('conversation.item.create');
      const { role, content } = told!.item as { role: string; content: { text: string }[] };
      assert.equal(role, 'user');
      assert.match(content[0]!.text, /: 42#\]$/);
      assert.equal(session.of('conversation.item.truncate').length, 1);
      // It goes another way than what the service is told.
      await eventually(() => call.soFar().frames.clearsReceived > 0, 'a clear');
      assert.equal(call.soFar().frames.clearsReceived, 1);
    });
  });

  for (const [limit, plugin] of [
    ['silence', { silenceMaxMs: 300 }],
    ['length', { callMaxMs: 300 }],
  ] as const) {
    test(`a limit of ${limit}: the model says goodbye, then the call ends`, async () => {
      const answer = (_turn: number, _session: unknown, instructions?: string) => ({
        audio: answerAudio(instructions ? 0.4 : 0.1),
      });
      await talk(
        { plugin: { ...plugin, goodbye: 'Goodbye.' }, double: { answer } },
        async ({ call, session }) => {
          const result = await call.result;
          assert.equal(result.ended, 'by the application');
          assert.equal(result.heardMs, 400);
          const [asked] = session.of('response.create');
          assert.deepEqual(asked!.response, { instructions: 'Goodbye.' });
        },
      );
    });
  }

  test('limits of tokens and of cost', async () => {
    const prices = { textIn: 4, audioIn: 32, cachedIn: 0.4, textOut: 16, audioOut: 64 };
    for (const plugin of [{ tokensMax: 300 }, { costMax: 0.01, prices }]) {
      await talk(
        { plugin, double: { answer: () => ({ audio: answerAudio(0.1) }) } },
        async ({ call, session }) => {
          session.respond();
          const { ended } = await call.result;
          assert.equal(ended, 'by the application');
          assert.equal(session.of('response.create').length, 1, 'a goodbye is asked for');
        },
      );
    }
  });
});

test('a stream that cannot hang its call up closes', async () => {
  const control = {
    hangup: () => Promise.reject(new Error('no key')),
    transfer: async () => {},
    sendDtmf: async () => {},
  };
  await talk({ control, double: { answer: () => call('hang_up', {}) } }, async ({ call, session }) => {
    session.respond();
    assert.equal((await call.result).ended, 'by the application');
  });
});

test('options that make no sense are refused with their names', async () => {
  const refusal = async (options: object): Promise<string> => {
    const schema = realtime().options!;
    const result = await schema['~standard'].validate(options);
    assert.ok(result.issues, JSON.stringify(options));
    const keyOf = (segment: PropertyKey | { key: PropertyKey }): PropertyKey =>
      typeof segment === 'object' ? segment.key : segment;
    return result.issues
      .map(({ path, message }) => `${path?.map(keyOf).map(String).join('.')}: ${message}`)
      .join('; ');
  };
  const url = 'ws://127.0.0.1:1';
  assert.match(await refusal({}), /^url: .*SIDETONE_REALTIME_URL/);
  assert.match(await refusal({ url: 'http://127.0.0.1' }), /^url: .*ws: or wss:/);
  assert.match(await refusal({ url, appendMs: 10 }), /^appendMs: /);
  assert.match(await refusal({ url, appendMs: 10, nonsense: 1 }), /nonsense/);
  assert.match(await refusal({ url, costMax: 1 }), /^costMax: .*prices/);
  assert.match(await refusal({ url, key: 'a', keyFile: 'b' }), /^keyFile: .*not both/);
  assert.match(await refusal({ url, keyFile: '/nowhere' }), /^keyFile: cannot be read/);
  assert.match(await refusal({ url, fallback: '/nowhere' }), /^fallback: /);
  const tool = { name: 'hang_up', description: '', run: () => {} };
  assert.match(await refusal({ url, tools: [tool] }), /^tools: two tools are named hang_up/);
  assert.match(await refusal({ url, tools: [{ name: 'a b' }] }), /^tools.0: give \{ name/);
});
