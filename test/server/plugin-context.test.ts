/** A plugin's options, setup, context and teardown over real sockets, with one reactor and with two. */
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { createServer, type ServerOptions } from '../../src/index.js';
import { parseExposition, sampleValue } from '../admin/exposition.js';
import { fixture } from '../helpers/paths.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { runCli, type ServeChild, serveChild } from '../helpers/serve-child.js';
import { eventually, withServer } from '../helpers/servers.js';
import { WireCall } from '../helpers/telnyx-messages.js';

const PLUGIN = fixture('context-plugin.ts');
const directory = mkdtempSync(join(tmpdir(), 'sidetone-context-'));
const file = (name: string): string => join(directory, name);
afterEach(() => RawSocket.destroyAll());
after(() => rmSync(directory, { recursive: true }));

type Line = Record<string, unknown>;
const lines = (child: { output(): string }): Line[] =>
  child
    .output()
    .split('\n')
    .flatMap(line => (line.startsWith('{') && line.endsWith('}') ? [JSON.parse(line) as Line] : []));
const steps = (child: { output(): string }, step: string): Line[] =>
  lines(child).filter(line => line.step === step);

interface Started {
  socket: RawSocket;
  call: WireCall;
}

async function started(port: number, path: string, tenant: string): Promise<Started> {
  const headers = { 'x-tenant': tenant, 'x-telnyx-streaming-auth-token': 'token-1' };
  const socket = await RawSocket.open(port, { path, headers });
  assert.equal(socket.status, 101, socket.headers);
  const call = new WireCall();
  socket.send(call.connected());
  socket.send(call.start());
  return { socket, call };
}

async function metrics(adminPort: number): Promise<ReturnType<typeof parseExposition>> {
  return parseExposition(await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text());
}

for (const reactors of [1, 2]) {
  test(`two instances of one module with their own options, contexts and metrics; ${reactors} reactor(s)`, async () => {
    const config = file(`config-${reactors}.json`);
    const plugins = [
      { module: PLUGIN, name: 'one', options: { greeting: 'first', volume: 3 } },
      { module: PLUGIN, name: 'two', path: '/second', options: { greeting: 'second' } },
    ];
    const pluginOptions = { two: { volume: 4 } };
    writeFileSync(config, JSON.stringify({ plugins, pluginOptions, reactors, authToken: 'token-1' }));
    const child = await serveChild(['--config', config], {
      admin: true,
      environment: { SIDETONE_PLUGIN_OPTIONS_TWO: '{"greeting":"from the environment"}' },
    });
    const two = 'from the environment';
    try {
      // A thread's lines come through the main thread, so they may come after "listening".
      await eventually(() => steps(child, 'setup').length >= 2 * reactors, 'the setups');
      const setups = steps(child, 'setup');
      assert.equal(setups.length, 2 * reactors, 'each is set up once in each thread that carries streams');
      for (const [plugin, greeting] of [
        ['one', 'first'],
        ['two', two],
      ]) {
        const own = setups.filter(line => line.plugin === plugin);
        assert.deepEqual(
          own.map(line => [line.greeting, line.reactor]).sort(),
          Array.from({ length: reactors }, (_, reactor) => [greeting, reactor]),
        );
      }
      const calls = await Promise.all(
        ['/one', '/second', '/one', '/second'].map((path, i) => started(child.port, path, `tenant-${i}`)),
      );
      await eventually(() => steps(child, 'start').length === 4, 'four starts');
      for (const [i, { call }] of calls.entries()) {
        const line = steps(child, 'start').find(({ stream }) => stream === call.streamId)!;
        const isFirst = i % 2 === 0;
        assert.equal(line.plugin, isFirst ? 'one' : 'two');
        assert.equal(line.call, call.callControlId);
        assert.equal(line.path, isFirst ? '/one' : '/second');
        assert.deepEqual(line.context, { tenant: `tenant-${i}`, by: isFirst ? 'first' : two });
        assert.equal(line.header, `tenant-${i}`);
        assert.equal(line.address, '127.0.0.1');
        assert.equal(line.hasToken, false);
      }
      for (const { socket, call } of calls) socket.send(call.dtmf('5'));
      const shown = async (plugin: string, name: string, labels = {}): Promise<number> =>
        sampleValue(await metrics(child.adminPort), `sidetone_plugin_${name}`, { plugin, ...labels });
      for (const plugin of ['one', 'two']) {
        await eventually(
          async () => (await shown(plugin, 'keys_total', { key: '5' }).catch(() => 0)) === 2,
          'both keys in one sum',
        );
        assert.equal(await shown(plugin, 'running'), 2);
        assert.equal(await shown(plugin, 'seconds_bucket', { le: '1' }), 0);
        assert.equal(await shown(plugin, 'seconds_bucket', { le: '2' }), 2);
        assert.equal(await shown(plugin, 'seconds_count'), 2);
      }
      const refused = await RawSocket.open(child.port, {
        path: '/one',
        headers: { 'x-telnyx-streaming-auth-token': 'token-1' },
      });
      assert.equal(refused.status, 403);

      child.process.kill('SIGTERM');
      await eventually(() => steps(child, 'draining').length === 2 * reactors, 'the word of the drain');
      assert.equal(steps(child, 'teardown').length, 0);
      for (const { socket, call } of calls) {
        socket.send(call.stop());
        socket.destroy();
      }
      assert.deepEqual(await child.exit, { code: 0, signal: null });
      const ends = lines(child).filter(({ step }) => step === 'stopped' || step === 'teardown');
      for (const plugin of ['one', 'two']) {
        for (let reactor = 0; reactor < reactors; reactor++) {
          const own = ends.filter(
            line => line.plugin === plugin && (reactors === 1 || line.reactor === reactor),
          );
          const last = own.pop()!;
          assert.equal(last.step, 'teardown', 'once, after every onStop');
          assert.equal(last.aborted, true);
          for (const line of own) assert.deepEqual([line.step, line.aborted], ['stopped', false]);
        }
        assert.equal(steps(child, 'teardown').filter(line => line.plugin === plugin).length, reactors);
        assert.equal(steps(child, 'stopped').filter(line => line.plugin === plugin).length, 2);
      }
    } finally {
      await child.kill();
    }
  });

  test(`a setup that throws, rejects or hangs fails the start; ${reactors} reactor(s)`, async () => {
    for (const [fails, why] of [
      ['throws', /plugin bad: setup failed: as planned$/],
      ['rejects', /plugin bad: setup failed: as planned, later$/],
      ['hangs', /plugin bad: setup failed: it has not finished after 100 ms: .*setupTimeoutMs/],
    ] as const) {
      const server = await createServer({
        port: 0,
        admin: false,
        logLevel: 'silent',
        reactors,
        setupTimeoutMs: 100,
        plugins: ['echo', { module: PLUGIN, name: 'bad', options: { fails } }],
      });
      await assert.rejects(server.listen(), { code: 'SIDETONE_SETUP_FAILED', message: why });
      assert.equal(server.port, 0);
      await server.close();
    }
  });
}

test('a teardown that fails is logged and counted, and the server closes', async () => {
  const options = JSON.stringify({ fails: 'teardown' });
  const child = await serveChild(['--plugin', PLUGIN], {
    environment: { SIDETONE_PLUGIN_OPTIONS_CONTEXT: options },
  });
  assert.deepEqual(await child.stop(), { code: 0, signal: null });
  const failed = lines(child).find(({ msg }) => msg === "a plugin's teardown failed")!;
  assert.equal(failed.plugin, 'context');
  assert.equal((failed.err as Line).message, 'as planned, at the end');
});

test('a server whose listen() failed can be tried again: each setup has its teardown', async () => {
  let setups = 0;
  let teardowns = 0;
  const counting = {
    name: 'counting',
    setup: () => void setups++,
    onStart: () => {},
    teardown: () => void teardowns++,
  };
  await withServer([], {}, async ({ port }) => {
    const server = await createServer({ port, admin: false, logLevel: 'silent', plugins: [counting] });
    await assert.rejects(server.listen(), { code: 'SIDETONE_PORT_IN_USE' });
    assert.deepEqual([setups, teardowns], [1, 1]);
    await assert.rejects(server.listen(), { code: 'SIDETONE_PORT_IN_USE' });
    assert.deepEqual([setups, teardowns], [2, 2]);
    await server.close();
    await server.close();
    assert.deepEqual([setups, teardowns], [2, 2]);
  });
});

test('wrong options are refused at the start: plugin, field, value unless it is secret, remedy', async () => {
  const refused = async (options: ServerOptions, message: RegExp, absent?: string): Promise<void> => {
    await assert.rejects(createServer({ port: 0, admin: false, ...options }), (error: Error) => {
      assert.match(error.message, message);
      assert.equal((error as NodeJS.ErrnoException).code, 'SIDETONE_BAD_OPTION');
      if (absent !== undefined) assert.ok(!error.message.includes(absent), error.message);
      return true;
    });
  };
  const entry = (options: object) => ({ plugins: [{ module: PLUGIN, name: 'agent', options }] });
  await refused(entry({ volume: 11 }), /^plugin agent: options\.volume: 11: .*10/);
  await refused(entry({ volume: 11, greeting: 5 }), /options\.greeting: 5: .*; options\.volume: 11: /);
  await refused(entry({ apiKey: 'hunter2' }), /^plugin agent: options\.apiKey: .*KEY/, 'hunter2');
  await refused(entry({ greting: 'x9-secret' }), /^plugin agent: options: .*greting/, 'x9-secret');
  await refused(
    { plugins: [{ module: 'echo', options: { loud: true } }] },
    /echo: options: loud: it takes none/,
  );
  const named = (pluginOptions: Record<string, object>) => ({ plugins: [PLUGIN], pluginOptions });
  await refused(named({ contxt: {} }), /pluginOptions: "contxt": .*did you mean context\?/);
  await refused(named({ CONTEXT: { volume: 99 } }), /plugin context: options\.volume: 99/);
  const twice = [
    { module: 'echo', name: 'a-b' },
    { module: 'echo', name: 'a.b' },
  ];
  await refused({ plugins: twice, pluginOptions: { a_b: {} } }, /a-b and a\.b are both meant/);
  await refused(
    { plugins: [{ module: 'echo', path: 'x' } as never] },
    /plugins\[0\]\.path: "x": start it with/,
  );
  await refused({ plugins: ['echo', { module: 5 } as never] }, /plugins\[1\]\.module: 5: give/);
  await refused({ plugins: [{ modul: './x.ts' } as never] }, /plugins\[0\]\.modul: .*did you mean module\?/);
  await refused(
    { plugins: [{ module: 'echo', optoins: { key: 's3' } } as never] },
    /optoins: .*options\?/,
    's3',
  );
  await refused({ plugins: [{ module: 'echo' }, { module: 'echo' }] }, /echo: given twice/);
  await refused(
    {
      plugins: [
        { module: 'echo', path: '/x' },
        { module: 'tone', path: '/x' },
      ],
    },
    /plugins: \/x: two plugins answer this path/,
  );
  const onDone = { module: PLUGIN, options: { onDone: () => 'secret code' } };
  await refused(
    { reactors: 2, plugins: [onDone] },
    /plugins\[0\]\.options\.onDone: a function/,
    'secret code',
  );
  const definition = { name: 'mine', onStart: () => {} };
  await refused({ reactors: 2, plugins: [{ module: definition }] }, /a definition cannot go to the threads/);
});

test('an environment variable that is no JSON object is refused without its value', async () => {
  for (const [text, why] of [
    ['', /SIDETONE_PLUGIN_OPTIONS_ECHO: it is empty/],
    ['{"key": "s3cret"', /SIDETONE_PLUGIN_OPTIONS_ECHO: it holds no JSON object/],
    ['["s3cret"]', /SIDETONE_PLUGIN_OPTIONS_ECHO: it holds no JSON object/],
  ] as const) {
    const child = runCli(['serve', '--port', '0', '--no-admin'], {
      environment: { SIDETONE_PLUGIN_OPTIONS_ECHO: text },
    });
    assert.notEqual((await child.exit).code, 0);
    assert.match(child.output(), why);
    assert.doesNotMatch(child.output(), /s3cret/);
  }
});

/** One event for one save: a file that is half written could be loaded on a slow machine. */
function save(name: string, text: string): void {
  writeFileSync(file('saving'), text);
  renameSync(file('saving'), file(name));
}

const version = (number: number, setup = ''): string => `
  import { definePlugin } from 'sidetone';
  const tell = (log, what) => log.info({ step: what + ' ${number}' }, 'version');
  export default definePlugin({
    name: 'agent',
    setup({ log }) { tell(log, 'setup'); ${setup} },
    onStart: (stream, { log }) => ({ onStop: () => tell(log, 'stop') }),
    onDraining: (_, { log }) => tell(log, 'draining'),
    teardown({ log }) { tell(log, 'teardown'); },
  });`;

for (const reactors of [1, 2]) {
  test(`watching: a failing setup keeps the old code, and old code is torn down after its last call; ${reactors} reactor(s)`, async () => {
    const name = `agent-${reactors}.ts`;
    save(name, version(1));
    const child = await serveChild(['--watch', '--plugin', file(name), '--reactors', String(reactors)]);
    const count = (step: string): number => steps(child, step).length;
    const told = (text: string): number => child.output().split(text).length - 1;
    const calls = (): Promise<Started[]> =>
      Promise.all(Array.from({ length: reactors }, () => started(child.port, '/', 'x')));
    const end = ({ socket, call }: Started): void => {
      socket.send(call.stop());
      socket.destroy();
    };
    try {
      await eventually(() => count('setup 1') >= reactors, 'the setups');
      assert.equal(count('setup 1'), reactors);
      const first = await calls();
      await eventually(() => told('stream started') === reactors, 'the first calls');
      save(name, version(2, "throw new Error('not yet');"));
      await eventually(
        () => told('plugins could not be loaded anew') === 1,
        `the refusal: ${child.output()}`,
      );
      assert.match(child.output(), /plugin agent: setup failed: not yet/);
      const second = await calls();
      await eventually(() => told('stream started') === 2 * reactors, 'the second calls');
      save(name, version(3));
      await eventually(() => told('plugins loaded anew') === 1, `the third version: ${child.output()}`);
      await eventually(() => count('setup 3') >= reactors, 'its setups');
      assert.equal(count('setup 3'), reactors);
      const third = await calls();
      await eventually(() => told('stream started') === 3 * reactors, 'the third calls');
      for (const call of first) end(call);
      await eventually(() => count('stop 1') === reactors, 'the end of the first calls');
      assert.equal(count('teardown 1'), 0);
      for (const call of second) end(call);
      await eventually(() => count('teardown 1') === reactors, 'the teardown of the first version');
      assert.equal(count('stop 1'), 2 * reactors);
      for (const call of third) end(call);
      await eventually(() => count('stop 3') === reactors, 'the end of the third calls');
      assert.equal(count('teardown 3'), 0);
      assert.deepEqual(await child.stop(), { code: 0, signal: null });
      assert.deepEqual(
        [count('teardown 1'), count('teardown 2'), count('teardown 3')],
        [reactors, 0, reactors],
      );
      assert.deepEqual([count('draining 1'), count('draining 3')], [0, reactors]);
    } finally {
      await child.kill();
    }
  });
}

test('old code whose calls run is told of the drain, and torn down at the end', async () => {
  save('old.ts', version(1));
  const child: ServeChild = await serveChild(['--watch', '--plugin', file('old.ts')]);
  try {
    const { socket, call } = await started(child.port, '/', 'x');
    await eventually(() => child.output().includes('stream started'), 'the call');
    save('old.ts', version(2));
    await eventually(() => child.output().includes('plugins loaded anew'), 'the second version');
    child.process.kill('SIGTERM');
    await eventually(
      () => steps(child, 'draining 1').length + steps(child, 'draining 2').length === 2,
      'both',
    );
    socket.send(call.stop());
    socket.destroy();
    assert.deepEqual(await child.exit, { code: 0, signal: null });
    assert.deepEqual([steps(child, 'teardown 1').length, steps(child, 'teardown 2').length], [1, 1]);
  } finally {
    await child.kill();
  }
});
