/** The end of a server, and its beginning on a port that is taken (rows 59 to 62): as processes of their own. */
import assert from 'node:assert/strict';
import { createServer as createTcpServer } from 'node:net';
import { after, describe, test } from 'node:test';
import type { Call, Encoding } from '../../src/index.js';
import echo from '../../src/plugins/echo.js';
import { drain } from '../../src/server/drain.js';
import { OPCODE, RawSocket, wsFrame } from '../helpers/raw-socket.js';
import { runCli, type ServeChild, serveChild } from '../helpers/serve-child.js';
import { eventually, hangUp, longCall } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

after(() => RawSocket.destroyAll());

/** Calls under way, each of them echoed. */
const load = (child: ServeChild, count: number): Promise<Call[]> =>
  Promise.all(Array.from({ length: count }, () => longCall(`ws://127.0.0.1:${child.port}/echo`)));
/**
 * Streams that are silent when the server has read all that they said. Only these surely see the close code: where
 * the server's end has unread bytes, its close breaks the connection off.
 */
async function quiet(child: ServeChild, encodings: readonly Encoding[]): Promise<RawSocket[]> {
  const opening = encodings.map(async encoding => {
    const socket = await RawSocket.open(child.port, { path: '/echo' });
    const call = new WireCall({ encoding });
    socket.send(call.start());
    for (const payload of payloads(5, encoding === 'L16' ? 640 : 40)) socket.send(call.media(payload));
    socket.write(wsFrame('read', { opcode: OPCODE.ping }));
    await socket.until(() => socket.frames.some(({ opcode }) => opcode === OPCODE.pong), 'the pong');
    return socket;
  });
  return Promise.all(opening);
}

/** That all of these end, and the quiet ones with 1001. */
async function closedByServer(calls: readonly Call[], silent: readonly RawSocket[]): Promise<void> {
  for (const call of calls) assert.notEqual((await call.result).ended, 'by the caller');
  for (const socket of silent) {
    await socket.end();
    assert.equal(socket.closeCode, 1001);
  }
}

test('fault 59: SIGTERM under load takes no new stream, lets calls end by themselves and exits with 0', async () => {
  const child = await serveChild();
  try {
    const calls = await load(child, 20);
    // An unanswered call has nothing to wait for.
    const unanswered = await RawSocket.open(child.port, { path: '/echo' });
    child.process.kill('SIGTERM');
    await unanswered.end();
    assert.equal(unanswered.closeCode, 1001);
    for (let i = 0; i < 5; i++) {
      const socket = await RawSocket.open(child.port, { path: '/echo' });
      assert.equal(socket.status, 503);
      socket.destroy();
    }
    // All of them have been heard to the last word when they hang up.
    await Promise.all(calls.map(call => hangUp(call)));
    assert.deepEqual(await child.exit, { code: 0, signal: null });
    assert.match(child.output(), /"signal":"SIGTERM".*"msg":"draining"/);
    assert.match(child.output(), /"msg":"closed"/);
  } finally {
    await child.kill();
  }
});

test('fault 60: a second SIGTERM closes the rest with 1001 and exits with 0, also where a peer does not answer', async () => {
  const child = await serveChild(['--drain-timeout', '3600']);
  try {
    const calls = await load(child, 5);
    const silent = await quiet(child, ['PCMU', 'PCMA', 'G722']);
    // This one never answers the closing handshake, nor does it read.
    const deaf = await RawSocket.open(child.port, { path: '/echo' });
    const call = new WireCall();
    deaf.send(call.start());
    deaf.send(call.media(payloads(1)[0]!));
    await deaf.until(() => deaf.audio().length > 0, 'the echo');
    const idle = new RawSocket(child.port);
    const half = new RawSocket(child.port);
    half.write('GET /echo HTTP/1.1\r\n');
    child.process.kill('SIGTERM');
    await eventually(() => child.output().includes('draining'), 'the drain');
    child.process.kill('SIGTERM');
    await closedByServer(calls, silent);
    assert.match(
      silent[0]!.frames.find(({ opcode }) => opcode === OPCODE.close)!.payload.toString(),
      /server_closed$/,
    );
    assert.deepEqual(await child.exit, { code: 0, signal: null });
    assert.equal(deaf.closeCode, 1001);
    idle.destroy();
  } finally {
    await child.kill();
  }
});

test('fault 60: at the deadline of the drain the rest is closed with 1001, and it exits with 0', async () => {
  const child = await serveChild(['--drain-timeout', '0.2']);
  try {
    const calls = await load(child, 5);
    const silent = await quiet(child, ['PCMU', 'PCMA', 'G722']);
    const exit = child.stop();
    await closedByServer(calls, silent);
    assert.deepEqual(await exit, { code: 0, signal: null });
  } finally {
    await child.kill();
  }
});

test('fault 60: until the deadline calls go on; told to close now, the drain does not wait for it', async () => {
  for (const isToldNow of [false, true]) {
    const virtual = new VirtualReactor();
    const waiting = virtual.connect(echo);
    const [ending, staying] = [virtual.connect(echo), virtual.connect(echo)];
    for (const { receive } of [ending, staying]) receive(new WireCall().start());
    const { done, closeNow } = drain(virtual.reactor, virtual.clock, 30_000);
    let isDone = false;
    void done.then(() => {
      isDone = true;
    });
    assert.equal(waiting.socket.ended, 1001, 'what has no stream is closed at once');
    await virtual.clock.advanceAsync(10_000);
    ending.drop();
    await virtual.clock.advanceAsync(19_999);
    assert.deepEqual([isDone, staying.socket.ended], [false, undefined]);
    if (isToldNow) closeNow();
    else virtual.clock.advance(1);
    await done;
    assert.equal(staying.socket.ended, 1001);
    await virtual.close();
  }
});

test('fault 59: a drain is over when the last call has ended by itself', async () => {
  const virtual = new VirtualReactor();
  const { receive, drop } = virtual.connect(echo);
  receive(new WireCall().start());
  const { done } = drain(virtual.reactor, virtual.clock, 30_000);
  await virtual.clock.advanceAsync(1000);
  drop();
  virtual.clock.advance(50);
  await done;
  assert.equal(virtual.reactor.counters().closedByServer, 0);
  await virtual.close();
});

describe('fault 61: with several reactors, in threads of their own', { concurrency: true }, () => {
  /** Calls on every reactor and in every codec, with requests under way. Each of them ends in its own way. */
  async function busyChild(drainSeconds: number) {
    const child = await serveChild([
      '--reactors',
      '2',
      '--pool',
      '1',
      '--drain-timeout',
      String(drainSeconds),
    ]);
    const calls = await load(child, 6);
    const silent = await quiet(child, ['OPUS', 'AMR-WB', 'L16', 'G722', 'PCMA', 'OPUS']);
    const unanswered = await Promise.all([1, 2, 3].map(() => RawSocket.open(child.port, { path: '/echo' })));
    const half = [1, 2, 3].map(() => new RawSocket(child.port));
    for (const socket of half) socket.write('GET /echo HTTP/1.1\r\n');
    return { child, calls, silent, unanswered };
  }
  const endsCleanly = async (child: ServeChild): Promise<void> => {
    assert.deepEqual(await child.exit, { code: 0, signal: null }, child.output());
    assert.match(child.output(), /"msg":"closed"/);
    assert.doesNotMatch(child.output(), /"level":(50|60)|uv_loop_close/);
  };

  test('SIGTERM lets the calls of all end by themselves, and the process exits with 0', async () => {
    const { child, calls, silent, unanswered } = await busyChild(3600);
    try {
      child.process.kill('SIGTERM');
      for (const socket of unanswered) {
        await socket.end();
        assert.equal(socket.closeCode, 1001);
      }
      await Promise.all(calls.map(call => hangUp(call)));
      silent.forEach((socket, i) => void (i % 2 ? socket.destroy() : socket.tcp.end()));
      await endsCleanly(child);
    } finally {
      await child.kill();
    }
  });

  test('a second SIGTERM closes the rest with 1001, and the process exits with 0', async () => {
    const { child, calls, silent } = await busyChild(3600);
    try {
      child.process.kill('SIGTERM');
      await eventually(() => child.output().includes('draining'), 'the drain');
      child.process.kill('SIGTERM');
      await closedByServer(calls, silent);
      await endsCleanly(child);
    } finally {
      await child.kill();
    }
  });

  test('at the deadline of the drain it is the same', async () => {
    const { child, calls, silent } = await busyChild(0.1);
    try {
      child.process.kill('SIGTERM');
      await closedByServer(calls, silent);
      await endsCleanly(child);
    } finally {
      await child.kill();
    }
  });
});

test('fault 62: a port in use is a message and a non-zero exit; so is bad configuration', async () => {
  const taken = createTcpServer();
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as { port: number };
  const busy = runCli(['serve', '--no-admin', '--port', String(port)]);
  assert.deepEqual(await busy.exit, { code: 1, signal: null });
  assert.match(
    busy.output(),
    new RegExp(`port: ${port}: cannot listen on 127.0.0.1.*--port.*SIDETONE_PORT_IN_USE`),
  );
  taken.close();

  // A server of its own kind does not share the port either.
  const first = await serveChild();
  const second = runCli(['serve', '--no-admin', '--port', String(first.port)]);
  assert.deepEqual(await second.exit, { code: 1, signal: null });
  assert.match(second.output(), /SIDETONE_PORT_IN_USE/);
  assert.deepEqual(await first.stop(), { code: 0, signal: null });

  const wrong: [string[], RegExp][] = [
    [['--port', '70000'], /port: 70000: .*SIDETONE_BAD_OPTION/],
    [['--port', 'x'], /x is not a number/],
    [['--idle-timeout', '961'], /--idle-timeout: 961: give a whole number from 8 to 960 s/],
    [['--plugin', 'nobody-has-this'], /plugin: nobody-has-this: .*SIDETONE_PLUGIN_NOT_FOUND/],
    [['--plugin', './no-such-file.ts'], /no-such-file\.ts: no such file/],
    [['--tls-cert', 'x'], /--tls-key: missing/],
    [['--no-such-flag'], /unknown option/],
  ];
  const runs = wrong.map(async ([args, message]) => {
    const { exit, output } = runCli(['serve', '--no-admin', '--port', '0', ...args]);
    assert.deepEqual(await exit, { code: 2, signal: null }, args.join(' '));
    assert.match(output(), message);
  });
  await Promise.all(runs);
});
