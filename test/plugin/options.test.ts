/** Options of plugins: any schema library, the environment's names, and what a message may show. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { readServeOptions } from '../../src/cli/serve-options.js';
import { definePlugin, type OptionsSchema } from '../../src/index.js';
import { environmentKey, optionsFor, validated } from '../../src/plugin/options.js';

/** As the libraries make it, with the issue that each value shall have. */
const schema = (validate: (value: unknown) => unknown): OptionsSchema => ({
  '~standard': { version: 1, vendor: 'test', validate: validate as never },
});

const message = async (of: OptionsSchema | undefined, given: object): Promise<string> => {
  try {
    await validated('agent', of, given);
  } catch (error) {
    return (error as Error).message;
  }
  assert.fail('it was taken');
};

test('the schema gives the options: defaults, transformations, and later where it is async', async () => {
  const options = z.object({ greeting: z.string().default('Hello'), ms: z.coerce.number() });
  assert.deepEqual(await validated('agent', options, { ms: '20' }), { greeting: 'Hello', ms: 20 });
  const later = schema(async value => ({ value: { ...(value as object), more: 1 } }));
  assert.deepEqual(await validated('agent', later, undefined), { more: 1 });
  const asFunction = Object.assign(
    () => {},
    schema(value => ({ value })),
  );
  assert.deepEqual(await validated('agent', asFunction, { a: 1 }), { a: 1 });
  assert.equal(await validated('agent', undefined, undefined), undefined);
  assert.equal(await validated('agent', undefined, {}), undefined);
});

test('every issue is told with its field and its value; secrets are not shown', async () => {
  const options = z.object({
    voice: z.object({ speed: z.number().max(2) }),
    languages: z.array(z.enum(['en', 'de'])),
    name: z.string(),
  });
  assert.match(
    await message(options, { voice: { speed: 3 }, languages: ['en', 'fr'] }),
    /^plugin agent: options\.voice\.speed: 3: .*<=2.*; options\.languages\.1: "fr": .*; options\.name: missing: /,
  );
  const refusing = (path: unknown[]) => schema(() => ({ issues: [{ message: 'no', path }] }));
  const told = (options: object, ...path: unknown[]) => message(refusing(path), options);
  assert.equal(
    await told({ a: [{ b: 5 }] }, { key: 'a' }, { key: 0 }, 'b'),
    'plugin agent: options.a.0.b: 5: no',
  );
  for (const name of ['apiKey', 'authToken', 'password', 'CLIENT_SECRET', 'credentials', 'privateKey']) {
    assert.equal(await told({ [name]: 'hunter2' }, name), `plugin agent: options.${name}: no`);
  }
  for (const value of ['AKIAIOSFODNN7EXAMPLE', 'postgres://me:pw@host/db', 'eyJhbGciOiJIUzI1NiJ9.e30']) {
    assert.equal(await told({ value }, 'value'), 'plugin agent: options.value: no');
  }
  assert.equal(
    await told({ url: 'ws://127.0.0.1:8080/' }, 'url'),
    'plugin agent: options.url: "ws://127.0.0.1:8080/": no',
  );
  assert.equal(await told({ inner: { apiKey: 'hunter2' } }, 'inner'), 'plugin agent: options.inner: no');
  const throwing = schema(() => {
    throw new Error('broken');
  });
  assert.match(await message(throwing, {}), /^plugin agent: options: its schema failed: Error: broken/);
});

test('what is no schema is refused where the plugin is defined', () => {
  for (const options of [{}, { greeting: 'Hello' }, 5, null, () => {}, { '~standard': {} }]) {
    const plugin = { name: 'agent', options: options as never, onStart: () => {} };
    assert.throws(() => definePlugin(plugin), {
      code: 'SIDETONE_PLUGIN_INVALID',
      message: /^plugin options: .*Standard Schema/,
    });
  }
});

test('options find their plugin by its name as the environment has it', () => {
  assert.equal(environmentKey('my-agent.v2'), 'MY_AGENT_V2');
  assert.deepEqual(optionsFor(['my-agent', 'other'], { MY_AGENT: { a: 1 } }), [{ a: 1 }, undefined]);
  assert.throws(
    () => optionsFor(['agent'], { other: {} }),
    /pluginOptions: "other": .*the plugins are agent/,
  );
});

test('the environment comes before the config file, field by field', () => {
  const environment = { SIDETONE_PLUGIN_OPTIONS_MY_AGENT: '{"greeting":"Hi"}' };
  assert.deepEqual(readServeOptions({}, environment).pluginOptions, { MY_AGENT: { greeting: 'Hi' } });
  assert.deepEqual(readServeOptions({}, {}), {});
});
