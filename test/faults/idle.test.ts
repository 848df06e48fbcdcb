/**
 * What uWebSockets.js ends by its own timers (rows 4, 40, 47 and 65). The tests use real sockets and run at the same
 * time, because it takes a dozen seconds. The server's own idle timeout is in virtual time.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { definePlugin, type StopReason, type Stream } from '../../src/index.js';
import { OPCODE, RawSocket, upgradeRequest, wsFrame } from '../helpers/raw-socket.js';
import { beside, counts, eventually, startedCall, withServer } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';
import { congestedCall, gusher, gushing } from './gusher.js';

after(() => RawSocket.destroyAll());

/** Tells the end of every stream, by its call. */
function witness() {
  const stops = new Map<string, StopReason>();
  const plugin = definePlugin({
    name: 'witness',
    onStart: (stream: Stream) => ({
      onStop: reason => {
        stops.set(stream.call.callControlId, reason);
      },
    }),
  });
  return { plugin, stops };
}

describe('over real sockets', { concurrency: true }, () => {
  test('faults 4 and 65: fragments that never end, and peers that are gone without a word, are reaped', async () => {
    const { plugin, stops } = witness();
    await withServer([plugin], { idleTimeoutSeconds: 8 }, async server => {
      const grown = await beside(server, async () => {
        // A fragment now and then, and a pong, which is what keeps uWebSockets.js content.
        const slow = await startedCall(server, { path: '/witness' });
        slow.socket.write(wsFrame('x', { fin: false }));
        const trickle = setInterval(() => {
          slow.socket.write(wsFrame('x', { opcode: OPCODE.continuation, fin: false }));
          slow.socket.write(wsFrame('', { opcode: OPCODE.pong }));
        }, 200);
        // A raw socket does not answer pings, as a host that has vanished does not.
        const gone = await startedCall(server, { path: '/witness' });
        gone.socket.send(gone.call.media(payloads(1)[0]!));
        const waiting = await RawSocket.open(server.port, { path: '/witness' });
        await eventually(() => server.streams === 3, 'the starts');
        await Promise.all([slow.socket, gone.socket, waiting].map(socket => socket.end(120_000)));
        clearInterval(trickle);
        await eventually(() => server.connections === 1, 'all are gone');
        for (const { call } of [slow, gone]) assert.equal(stops.get(call.callControlId), 'idle_timeout');
      });
      assert.equal(grown.idleTimeouts, 3);
      assert.equal(grown.streamsStopped, 2);
      assert.equal((await counts(server)).closedBeforeStart, 1);
    });
  });

  test('fault 40: a peer at the limit that still speaks is not idle; one that does not is', async () => {
    const { plugin, stops } = gusher();
    await withServer([plugin], { ...gushing, idleTimeoutSeconds: 8 }, async server => {
      const talking = await congestedCall(server);
      const timer = setInterval(() => talking.socket.send(talking.call.media(payloads(1)[0]!)), 500);
      const silent = await congestedCall(server);
      await eventually(() => stops.length > 0, 'the end of the silent one', 120_000);
      clearInterval(timer);
      assert.deepEqual(stops, ['idle_timeout']);
      const left = (await server.snapshot()).flatMap(({ streams }) => streams.map(({ id }) => id));
      assert.deepEqual(left, [talking.call.streamId]);
      assert.equal((await counts(server)).idleTimeouts, 1);
      talking.socket.destroy();
      silent.socket.destroy();
    });
  });

  test('fault 47: requests that are never finished are cut off; other upgrades go on', async () => {
    const forever = definePlugin({
      name: 'forever',
      accept: () => new Promise<boolean>(() => undefined),
      onStart: () => undefined,
    });
    await withServer([forever], {}, async server => {
      const grown = await beside(server, async () => {
        const silent = new RawSocket(server.port);
        const half = new RawSocket(server.port);
        half.write(upgradeRequest({ path: '/echo' }).slice(0, 60));
        const slow = new RawSocket(server.port);
        const request = upgradeRequest({ path: '/echo' });
        let at = 0;
        // Far fewer bytes than the request has before it is cut off, however late.
        const timer = setInterval(() => at < 60 && slow.write(request[at++]!), 400);
        // accept() may be what never finishes.
        const unanswered = [1, 2].map(() => new RawSocket(server.port));
        for (const socket of unanswered) socket.write(upgradeRequest({ path: '/forever' }));
        for (const socket of [silent, half, slow]) await socket.end(120_000);
        clearInterval(timer);
        for (const socket of unanswered) {
          await socket.until(() => socket.status !== 0, 'an answer', 120_000);
          assert.equal(socket.status, 500);
        }
      });
      assert.equal(grown.upgradesUnfinished, 3);
      assert.equal(grown.upgradesFailed, 2);
    });
  });
});

test('faults 4, 40 and 65: only whole messages keep a connection, and it ends within two sweeps of its timeout', async () => {
  const { plugin, stops } = witness();
  const virtual = new VirtualReactor({ idleTimeoutSeconds: 8 });
  const { clock } = virtual;
  const open = () => {
    const call = new WireCall();
    const peer = virtual.connect(plugin);
    peer.receive(call.start());
    return { ...peer, call };
  };
  // Also at the limit of bytes that wait for it, a peer is idle only where it sends nothing.
  const [talking, ponging, silent] = [open(), open(), open()];
  for (const { socket } of [talking, ponging, silent]) socket.status = 2;
  const waiting = virtual.connect(plugin);
  const others = [ponging, silent, waiting];
  const pass = (ms: number): void => {
    for (let i = 0; i < ms; i += 100) {
      if (i % 500 === 0) talking.receive(talking.call.media(payloads(1)[0]!));
      ponging.connection.control();
      clock.advance(100);
    }
  };
  pass(8000);
  assert.ok(others.every(({ socket }) => socket.ended === undefined));
  pass(1100);
  assert.ok(others.every(({ socket }) => socket.ended === 1000));
  pass(60_000);
  assert.equal(talking.socket.ended, undefined);
  talking.receive({ event: 'weather' });
  clock.advance(8000);
  assert.equal(talking.socket.ended, undefined);
  clock.advance(1100);
  assert.equal(talking.socket.ended, 1000);
  assert.deepEqual([...stops.values()], ['idle_timeout', 'idle_timeout', 'idle_timeout']);
  assert.equal(virtual.reactor.counters().idleTimeouts, 4);
  await virtual.close();
});
