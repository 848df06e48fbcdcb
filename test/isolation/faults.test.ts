/** What a plugin's thread does wrong: its own calls pay for it, and no other call does. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer, definePlugin, type Server } from '../../src/index.js';
import { root } from '../helpers/paths.js';
import { counts, eventually, hangUp, longCall, url } from '../helpers/servers.js';
import { STEERED, SteeredCall, withSteered } from '../helpers/steered.js';

const ISOLATED = { isolation: 'reactor' } as const;
/** The steered plugin in a thread, beside an echo in the reactor. */
const hung = { hangMs: 1000 };

/** A copy of the steered plugin with an isolation of its own. */
function steeredAs(isolation: object): string {
  const directory = mkdtempSync(join(tmpdir(), 'sidetone-isolation-'));
  directories.push(directory);
  const file = join(directory, 'steered.mjs');
  const text = `import steered from ${JSON.stringify(STEERED)};
export default { ...steered, isolation: ${JSON.stringify(isolation)} };\n`;
  writeFileSync(file, text);
  return file;
}
const directories: string[] = [];
test.after(() => {
  for (const directory of directories) rmSync(directory, { recursive: true });
});

function withThreads(isolation: object, run: (server: Server) => Promise<void>, options = {}): Promise<void> {
  return withSteered({ ...ISOLATED, ...options }, run, { module: steeredAs(isolation) });
}

/** The rule of this file: a call beside the fault hears all that it said, while the fault goes on. */
async function besideEcho(server: Server, fault: () => Promise<void>): Promise<void> {
  const call = await longCall(url(server));
  try {
    await fault();
    await hangUp(call);
  } finally {
    call.hangup();
  }
}

test('a definition and options that cannot be cloned are refused, and the message names the remedy', async () => {
  const plugin = definePlugin({ name: 'here', isolation: 'thread', onStart: () => undefined });
  await assert.rejects(createServer({ plugins: [plugin], port: 0 }), {
    code: 'SIDETONE_BAD_OPTION',
    message: /plugin here: isolation: a definition cannot go to a thread: give its file/,
  });
  await assert.rejects(createServer({ plugins: ['echo'], isolation: 'nowhere' as 'thread' }), {
    code: 'SIDETONE_BAD_OPTION',
    message: /isolation/,
  });
  const options = { file: join(root, 'none'), onDone: () => {} };
  await assert.rejects(
    createServer({ plugins: [{ module: 'speak', options }], port: 0, isolation: 'thread' }),
    { code: 'SIDETONE_BAD_OPTION' },
  );
  for (const isolation of [
    'process',
    { threads: 0 },
    { hangMs: 10 },
    { lostCalls: 'keep' },
    { heapMb: 1 },
    { thread: 1 },
  ]) {
    assert.throws(
      () => definePlugin({ name: 'here', isolation: isolation as 'thread', onStart: () => undefined }),
      {
        code: 'SIDETONE_PLUGIN_INVALID',
        message: /plugin isolation: .*: use 'reactor', 'thread', or \{ threads/,
      },
    );
  }
});

test('a setup that fails in a thread keeps the server from starting', async () => {
  const server = await createServer({
    port: 0,
    admin: false,
    logLevel: 'silent',
    plugins: [{ module: 'speak', options: { file: join(root, 'no-such-file.wav') } }],
    isolation: 'thread',
  });
  await assert.rejects(server.listen(), { code: 'SIDETONE_SETUP_FAILED', message: /no-such-file/ });
  await server.close();
});

test('a blocked thread costs its own call only, which then hears where it was, without a hole', () =>
  withThreads({ hangMs: 60_000 }, server =>
    besideEcho(server, async () => {
      const call = await SteeredCall.start(server);
      call.say(10);
      await eventually(async () => (await call.do('heard')).frames === 10, 'it hears');
      await call.do('blockNext', 3000);
      await eventually(async () => {
        call.say(10);
        return (await counts(server)).threadFramesLost! >= 20;
      }, 'frames that the thread does not take');
      const counted = await counts(server);
      assert.ok(counted.threadBlocks! >= 1);
      // The end of its live audio was made to fade out.
      const concealed = counted.threadFramesConcealed!;
      assert.ok(concealed > 0 && concealed % 3 === 0, String(concealed));
      await call.do('heard');
      await eventually(async () => {
        const { threadFramesLost } = await counts(server);
        const { frames, concealed } = await call.do('heard');
        // The next frame tells of those that were lost; it may be lost itself.
        if (concealed < threadFramesLost!) call.say(1);
        return concealed === threadFramesLost && frames === call.said;
      }, 'all of its time');
      const heard = await call.do('heard');
      assert.equal(heard.holes, 0);
      assert.equal(heard.samples, 160 * call.said);
      assert.equal(heard.concealed, (await counts(server)).threadFramesLost);
      assert.equal((await counts(server)).threadsLost, 0);
      call.close();
    }),
  ));

test('queued audio goes on while its thread is blocked', () =>
  withThreads({}, async server => {
    const call = await SteeredCall.start(server);
    await call.do('start', 1500);
    const blocked = call.do('block', 1200);
    await call.socket.until(() => call.socket.audio().length >= 8 * 1000, 'a second of it');
    let isBlocked = true;
    void blocked.then(() => {
      isBlocked = false;
    });
    await call.socket.until(() => call.socket.audio().length >= 8 * 1500, 'all of it');
    assert.ok(isBlocked || call.socket.audio().length === 12_000);
    assert.deepEqual(await call.do('await'), { playedMs: 1500, interrupted: false });
    call.close();
  }));

test('a thread that hangs is replaced: the call that holds it ends, the others move', () =>
  withThreads(hung, server =>
    besideEcho(server, async () => {
      const calls = [await SteeredCall.start(server), await SteeredCall.start(server)] as const;
      const [loops, moves] = calls;
      const before = await moves.do('thread');
      loops.press('D');
      await moves.wasTold('onStart', 'thread_lost');
      await loops.socket.until(() => loops.socket.frames.some(({ opcode }) => opcode === 8), 'a close frame');
      assert.notEqual(await moves.do('thread'), before);
      // It hears and plays as before, with its context.
      assert.equal((await moves.do('facts')).name, `context of ${moves.name}`);
      const heard = moves.socket.audio().length;
      moves.say(10);
      await moves.socket.until(() => moves.socket.audio().length >= heard + 1600, 'its echo');
      const { threadsLost, threadCallsMoved, threadCallsEnded } = await counts(server);
      assert.deepEqual([threadsLost, threadCallsMoved, threadCallsEnded], [1, 1, 1]);
      for (const call of calls) call.close();
    }),
  ));

test('where calls are to end with their thread, all of them do, and new ones find another', () =>
  withThreads({ ...hung, lostCalls: 'end' }, async server => {
    const calls = [await SteeredCall.start(server), await SteeredCall.start(server)] as const;
    await calls[0].startedHandler();
    await calls[1].startedHandler();
    calls[0].press('D');
    for (const { socket } of calls) {
      await socket.until(() => socket.frames.some(({ opcode }) => opcode === 8), 'a close frame');
    }
    const next = await SteeredCall.start(server);
    assert.equal((await next.do('play', 60)).result.playedMs, 60);
    for (const call of [...calls, next]) call.close();
  }));

for (const [deed, what] of [
  ['exit', 'process.exit()'],
  ['fill', 'a heap that is full'],
] as const) {
  test(`${what} in a thread ends that thread only`, () =>
    withThreads({ heapMb: 64 }, server =>
      besideEcho(server, async () => {
        const call = await SteeredCall.start(server);
        await call.startedHandler();
        call.say(5);
        await call.socket.until(() => call.socket.audio().length >= 800, 'its echo');
        await call.order(deed);
        await call.wasTold('onStart', 'thread_lost');
        assert.equal((await counts(server)).threadsLost, 1);
        // A call moves once: where its next thread is lost too, it ends.
        await call.order('exit');
        await call.socket.until(() => call.socket.frames.some(({ opcode }) => opcode === 8), 'a close frame');
        call.close();
      }),
    ));
}

test('what a handler mixed ends with its thread', () =>
  withThreads({}, async server => {
    const call = await SteeredCall.start(server);
    await call.do('mix');
    await call.do('gainDb', -6.0206);
    await call.hearsOnly(0x8f);
    await call.order('exit');
    await call.wasTold('onStart', 'thread_lost');
    // Were the first one still there, both together would be louder.
    assert.deepEqual(await call.do('mix'), { stopped: false, gainDb: 0 });
    await call.hearsOnly(0x8f);
    call.close();
  }));

test('errors in timers and promises of a thread are counted and end nothing', () =>
  withThreads({}, async server => {
    const call = await SteeredCall.start(server);
    await call.do('stray');
    await eventually(async () => (await counts(server)).strayErrors === 2, 'both are counted');
    call.say(5);
    await call.socket.until(() => call.socket.audio().length >= 800, 'its echo');
    assert.equal((await counts(server)).threadsLost, 0);
    call.close();
  }));

test('a stream that ends while its thread is blocked leaves nothing behind', () =>
  withThreads({}, async server => {
    const call = await SteeredCall.start(server);
    await call.do('start', 10_000);
    const blocked = call.do('block', 600);
    call.hangUp();
    await blocked;
    await call.wasTold('onStop', 'stop');
    assert.equal((await call.do('await')).interrupted, true);
    await eventually(() => server.streams === 0, 'the end');
    call.close();
  }));

test('a server closes while a thread hangs, and its figures are told meanwhile', () =>
  withThreads({ hangMs: 600_000 }, async server => {
    const call = await SteeredCall.start(server);
    await call.startedHandler();
    call.press('D');
    await eventually(async () => {
      call.say(10);
      return (await counts(server)).threadFramesLost! > 0;
    }, 'it hangs');
    const [snapshot] = await server.snapshot();
    assert.equal(snapshot!.streams[0]!.plugin, 'steered');
    const closed = server.close();
    void server.close();
    await closed;
    call.close();
  }));

test('two threads share the calls; with two reactors each has its own', async () => {
  await withThreads({ threads: 2 }, async server => {
    const calls = [await SteeredCall.start(server), await SteeredCall.start(server)];
    const threads = await Promise.all(calls.map(call => call.do('thread')));
    assert.notEqual(threads[0], threads[1]);
    for (const call of calls) call.close();
  });
  await withThreads(
    {},
    async server => {
      const calls = await Promise.all(Array.from({ length: 4 }, () => SteeredCall.start(server)));
      for (const call of calls)
        assert.deepEqual((await call.do('play', 40)).result, { playedMs: 40, interrupted: false });
      for (const call of calls) call.close();
    },
    { reactors: 2 },
  );
});

test('a reload gives new calls new code in new threads, and running calls keep theirs', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sidetone-isolation-'));
  directories.push(directory);
  const file = join(directory, 'plugin.js');
  const code = (byte: number): string =>
    `export default { name: 'said', isolation: 'thread', onStart: stream => ({
       onAudio: () => stream.playEncoded('PCMU', new Uint8Array(160).fill(${byte})) }) };\n`;
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  writeFileSync(file, code(1));
  const { startServer, startedCall, stopServer } = await import('../helpers/servers.js');
  const server = await startServer([file]);
  try {
    const say = async (
      { socket, call }: Awaited<ReturnType<typeof startedCall>>,
      byte: number,
    ): Promise<void> => {
      const heard = socket.audio().length;
      socket.send(call.media(new Uint8Array(160).fill(7)));
      await socket.until(() => socket.audio().length >= heard + 160, 'an answer');
      assert.deepEqual(socket.audio().subarray(heard), Buffer.alloc(160, byte));
    };
    const first = await startedCall(server, { path: '/said' });
    await say(first, 1);
    writeFileSync(file, code(2));
    await server.reloadPlugins();
    const second = await startedCall(server, { path: '/said' });
    await say(second, 2);
    await say(first, 1);
    first.socket.destroy();
    second.socket.destroy();
  } finally {
    await stopServer(server);
  }
});
