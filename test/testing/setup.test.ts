/** testCall with a plugin that has options, a setup, metrics and a log. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { definePlugin } from '../../src/index.js';
import { testCall } from '../../src/testing/index.js';

interface Tenants {
  find(name: string): Promise<string | undefined>;
  close(): void;
}
const trace: string[] = [];
const tenantsOf = (greeting: string): Tenants => ({
  find: async name => (name === 'nobody' ? undefined : `${greeting} ${name}`),
  close: () => void trace.push('closed'),
});

const plugin = definePlugin({
  name: 'tenants',
  options: z.object({ level: z.number().default(1000), greeting: z.string() }),
  async setup({ options }) {
    trace.push('own setup');
    return tenantsOf(options.greeting);
  },
  async accept(request, { state }) {
    const tenant = await state.find(request.headers['x-tenant'] ?? 'nobody');
    return tenant !== undefined && { context: { tenant } };
  },
  onStart(stream, { options, metrics, log }) {
    const keys = metrics.counter('keys', 'Keys.', { labels: ['key'] });
    stream.log.info({ tenant: stream.context.tenant, header: stream.request.headers['x-tenant'] }, 'hello');
    return {
      onDtmf(key) {
        keys.inc(1, { key });
        log.debug({ key }, 'key');
        stream.play(new Int16Array(800).fill(options.level));
      },
    };
  },
  teardown({ state, signal }) {
    trace.push(`teardown ${signal.aborted}`);
    state.close();
  },
});

test('setup, accept and handler get their context, and the test sees log and metrics', async () => {
  trace.length = 0;
  const call = await testCall(plugin, {
    encoding: 'L16',
    headers: { 'x-tenant': 'Ada' },
    options: { greeting: 'Dear' },
  });
  const { id, call: info } = call.stream;
  assert.deepEqual(call.log, [
    { level: 'info', stream: id, call: info.callControlId, tenant: 'Dear Ada', header: 'Ada', msg: 'hello' },
  ]);
  assert.equal(await call.metric('keys', { key: '5' }), undefined);
  call.dtmf('55#');
  await call.advance(500);
  assert.equal(await call.metric('keys', { key: '5' }), 2);
  assert.deepEqual(call.log[1], { level: 'debug', key: '5', msg: 'key' });
  assert.equal(call.heard().parts[0]!.samples[100], 1000);
  await call.hangup();
  assert.deepEqual(trace, ['own setup', 'teardown true', 'closed']);
});

test('a setup of the test stands in for the own one; the teardown is the own one', async () => {
  trace.length = 0;
  const call = await testCall(plugin, {
    headers: { 'x-tenant': 'Bob' },
    options: { greeting: 'unused' },
    setup: ({ options }) => tenantsOf(`Test of ${(options as { level: number }).level}:`),
  });
  assert.equal(call.log[0]!.tenant, 'Test of 1000: Bob');
  await call.hangup();
  assert.deepEqual(trace, ['teardown true', 'closed']);
});

test('wrong options, a failing setup and a refusal reject, and what was set up is torn down', async () => {
  trace.length = 0;
  await assert.rejects(testCall(plugin, { options: { greeting: 5 } }), {
    code: 'SIDETONE_BAD_OPTION',
    message: /plugin tenants: options\.greeting: 5: /,
  });
  await assert.rejects(testCall(plugin), { message: /options\.greeting: missing: / });
  await assert.rejects(testCall(plugin, { setup: 5 as never }), {
    message: /testCall setup: 5: give a function/,
  });
  const setup = () => {
    throw new Error('no database');
  };
  await assert.rejects(testCall(plugin, { options: { greeting: 'x' }, setup }), {
    code: 'SIDETONE_SETUP_FAILED',
    message: 'plugin tenants: setup failed: no database',
  });
  assert.deepEqual(trace, []);
  await assert.rejects(testCall(plugin, { options: { greeting: 'x' } }), { code: 'SIDETONE_CALL_FAILED' });
  assert.deepEqual(trace, ['own setup', 'teardown true', 'closed']);
});

test('a plugin that is a class with private fields keeps them', async () => {
  class Counting {
    readonly name = 'counting';
    #calls = 0;
    setup(): { before: number } {
      return { before: this.#calls };
    }
    accept(): boolean {
      return ++this.#calls > 0;
    }
    onStart(): void {
      this.#calls += 10;
    }
    teardown(): void {
      trace.push(`calls ${this.#calls}`);
    }
  }
  trace.length = 0;
  for (const setup of [undefined, () => ({})]) {
    const call = await testCall(definePlugin(new Counting()), setup && { setup });
    await call.hangup();
  }
  assert.deepEqual(trace, ['calls 11', 'calls 11']);
});
