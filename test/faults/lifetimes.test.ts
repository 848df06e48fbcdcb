/** Objects of uWebSockets.js and of this server that outlive what they stand for (rows 42 to 45). */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import {
  createServer,
  definePlugin,
  type Plugin,
  type SidetoneError,
  type Stream,
  type StreamHandler,
} from '../../src/index.js';
import { fragments, RawSocket, upgradeRequest } from '../helpers/raw-socket.js';
import { beside, counts, eventually, startedCall, withServer } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';

afterEach(() => RawSocket.destroyAll());

/** Everything a handler may do to its stream. */
const CALLS: Record<string, (stream: Stream) => unknown> = {
  play: stream => stream.play(new Int16Array(160)),
  'play a source': stream => stream.play([new Int16Array(160)]),
  mark: stream => stream.mark('x'),
  clear: stream => stream.clear(),
  close: stream => stream.close(),
  queuedMs: stream => stream.queuedMs,
  stats: stream => stream.stats,
};

test('fault 42: a call on a closed stream, in any callback, throws a documented error or does nothing', async () => {
  const outcomes: string[] = [];
  let left: (() => Promise<void>) | undefined;
  const tryAll = async (stream: Stream, where: string): Promise<void> => {
    for (const [name, call] of Object.entries(CALLS)) {
      try {
        await call(stream);
        outcomes.push(`${where} ${name} fine`);
      } catch (error) {
        outcomes.push(`${where} ${name} ${(error as SidetoneError).code}`);
      }
    }
  };
  const closer = (name: string, method: keyof StreamHandler): Plugin =>
    definePlugin({
      name,
      onStart: stream => {
        const handler: Record<string, () => unknown> = {
          onStop: () => tryAll(stream, 'onStop'),
          [method]: () => {
            stream.close();
            return tryAll(stream, method);
          },
        };
        left = () => tryAll(stream, 'later');
        return handler;
      },
    });
  const inStart = definePlugin({
    name: 'in-start',
    onStart: stream => {
      stream.close();
      void tryAll(stream, 'onStart');
      left = () => tryAll(stream, 'later');
      return { onStop: () => tryAll(stream, 'onStop') };
    },
  });
  const plugins = [
    closer('in-audio', 'onAudio'),
    closer('in-dtmf', 'onDtmf'),
    closer('in-error', 'onError'),
    closer('in-stop', 'onStop'),
    inStart,
  ];
  const expected = (where: string): string[] => [
    `${where} play fine`,
    `${where} play a source fine`,
    `${where} mark fine`,
    `${where} clear fine`,
    `${where} close fine`,
    `${where} queuedMs fine`,
    `${where} stats fine`,
  ];
  await withServer(plugins, {}, async server => {
    for (const { name } of plugins) {
      const grown = await beside(server, async () => {
        outcomes.length = 0;
        const { socket, call } = await startedCall(server, { path: `/${name}` });
        if (name === 'in-audio') socket.send(call.media(payloads(1)[0]!));
        if (name === 'in-dtmf') socket.send(call.dtmf('1'));
        if (name === 'in-error') {
          socket.send({
            event: 'error',
            stream_id: call.streamId,
            payload: { code: 100002, title: 'unknown_error', detail: '' },
          });
        }
        if (name === 'in-stop') socket.send(call.stop());
        else await socket.end();
        await eventually(() => outcomes.length >= (name === 'in-stop' ? 7 : 14), `${name}: all was tried`);
        socket.destroy();
        await eventually(() => server.streams === 1, 'the end');
        await left!();
      });
      const where =
        name === 'in-start' ? 'onStart' : name.replace(/in-(.)/, (_, c) => `on${c.toUpperCase()}`);
      const wanted = new Set([...expected(where), ...expected('onStop'), ...expected('later')]);
      for (const outcome of outcomes) assert.ok(wanted.has(outcome), `${name}: ${outcome}`);
      assert.deepEqual(outcomes.slice(-7), expected('later'));
      assert.equal(grown.handlerFailures, undefined, name);
    }
  });
});

test('fault 42: a call whose peer goes in the midst of queued audio ends cleanly', async () => {
  const settled: unknown[] = [];
  const speaker = definePlugin({
    name: 'speaker',
    onStart: stream => {
      const playback = stream.play(new Int16Array(8000 * 20));
      playback.then(result => settled.push(result));
      stream.mark('end').then(result => settled.push(result));
      return {};
    },
  });
  await withServer([speaker], {}, async server => {
    await beside(server, async () => {
      const { socket } = await startedCall(server, { path: '/speaker' });
      await socket.until(() => socket.frames.length > 3, 'some audio');
      socket.tcp.resetAndDestroy();
      await eventually(() => settled.length === 2, 'playback and mark settle');
    });
    const [playback, mark] = settled as [{ playedMs: number; interrupted: boolean }, unknown];
    assert.equal(playback.interrupted, true);
    assert.ok(playback.playedMs < 20_000);
    assert.deepEqual(mark, { name: 'end', played: false });
  });
});

test('fault 43: messages that wait (early, held for a gap, in fragments) are not read out of reused memory', async () => {
  // However late the missing frame is read, nobody gives it up.
  await withServer([], { reorderWaitMs: 1000 }, async server => {
    await beside(server, async () => {
      const spoken = payloads(18, 160, 43);
      const socket = await RawSocket.open(server.port, { path: '/echo' });
      const call = new WireCall();
      const start = call.start();
      const messages = spoken.map(payload => JSON.stringify(call.media(payload)));
      const noise = (): void => socket.send({ event: 'weather', filling: 'x'.repeat(20_000) });
      for (const message of messages.slice(0, 6)) {
        socket.send(message);
        noise();
      }
      socket.send(start);
      // The first of these six comes last, so five are held meanwhile.
      for (const message of [...messages.slice(7, 12), messages[6]!]) {
        socket.send(message);
        noise();
      }
      for (const message of messages.slice(12)) {
        socket.write(fragments(message, [7, 100, 1, 50]));
        noise();
      }
      await socket.until(() => socket.audio().length >= 18 * 160, 'the echo');
      assert.deepEqual(socket.audio(), Buffer.concat(spoken));
      socket.destroy();
    });
  });
});

test('fault 44: an upgrade that its peer leaves while accept() thinks is left alone', async () => {
  const pending: ((judgement: boolean) => void)[] = [];
  const thinker = definePlugin({
    name: 'thinker',
    accept: () => new Promise<boolean>(resolve => pending.push(resolve)),
    onStart: () => undefined,
  });
  await withServer([thinker], {}, async server => {
    const grown = await beside(server, async () => {
      for (const judgement of [true, false]) {
        const socket = new RawSocket(server.port);
        socket.write(upgradeRequest({ path: '/thinker' }));
        await eventually(() => pending.length === 1, 'accept()');
        const before = (await counts(server)).upgradesAborted!;
        socket.destroy();
        await eventually(async () => (await counts(server)).upgradesAborted! > before, 'the abort');
        pending.pop()!(judgement);
      }
      // One that stays is answered, whichever way.
      for (const [judgement, status] of [
        [true, 101],
        [false, 403],
      ] as const) {
        const opening = RawSocket.open(server.port, { path: '/thinker' });
        await eventually(() => pending.length === 1, 'accept()');
        pending.pop()!(judgement);
        const socket = await opening;
        assert.equal(socket.status, status);
        socket.destroy();
      }
    });
    assert.equal(grown.upgradesAborted, 2);
    assert.equal(grown.upgradesForbidden, 1);
    assert.equal(grown.connectionsOpened, 1);
  });
});

test('fault 45: idle timeouts that uWebSockets.js does not survive are refused', async () => {
  for (const idleTimeoutSeconds of [961, 1e9, 7, 0, -1, 120.5, Number.NaN, '120' as unknown as number]) {
    await assert.rejects(createServer({ idleTimeoutSeconds }), (error: SidetoneError) => {
      assert.equal(error.code, 'SIDETONE_BAD_OPTION');
      assert.match(error.message, /^idleTimeoutSeconds: /);
      return true;
    });
  }
  for (const idleTimeoutSeconds of [8, 960]) {
    await withServer([], { idleTimeoutSeconds }, async server => {
      const { socket } = await startedCall(server);
      await eventually(() => server.streams === 1, 'the start');
      socket.destroy();
    });
  }
});
