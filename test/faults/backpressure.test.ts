/** Peers that read too slowly, or not at all (rows 38, 39 and 41; row 40 is in idle.test.ts). */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';
import { definePlugin } from '../../src/index.js';
import echo from '../../src/plugins/echo.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { beside, counts, eventually, withServer } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';
import { congestedCall, gusher, gushing } from './gusher.js';

afterEach(() => RawSocket.destroyAll());

test('fault 38: sent and buffered are both sent; a drop is counted and told once, until it drains', async () => {
  const told: Error[] = [];
  const teller = definePlugin({
    name: 'teller',
    onStart: stream => ({
      onAudio: frame => stream.play(frame),
      onError: error => {
        told.push(error);
      },
    }),
  });
  for (const slowReader of ['drop', 'close'] as const) {
    told.length = 0;
    const virtual = new VirtualReactor({ slowReader });
    const { connection, socket, receive } = virtual.connect(teller);
    const call = new WireCall();
    receive(call.start());
    const say = (): void => {
      receive(call.media(payloads(1)[0]!));
      virtual.clock.advance(20);
    };
    for (const status of [1, 0, 0, 1]) {
      socket.status = status;
      say();
    }
    assert.equal(socket.sent.length, 4, 'what was buffered is not sent again');
    socket.status = 2;
    for (let i = 0; i < 5; i++) say();
    if (slowReader === 'close') {
      assert.equal(socket.ended, 1008);
      assert.equal(virtual.reactor.counters().messagesDropped, 1, 'nothing is sent once it is closed');
      assert.equal(virtual.reactor.counters().protocolErrors, 1);
    } else {
      assert.equal(virtual.reactor.counters().messagesDropped, 5);
      assert.equal(told.length, 1);
      assert.match(told[0]!.message, /too slowly: audio is dropped while more than 262144 bytes/);
      assert.equal((told[0] as { code?: string }).code, 'SIDETONE_BACKPRESSURE');
      socket.status = 1;
      connection.drained();
      say();
      socket.status = 2;
      say();
      assert.equal(told.length, 2);
      assert.equal(socket.sent.length, 5);
    }
    await virtual.close();
  }
});

/** The most that the kernel keeps of a connection over loopback: the send buffer of one end and the other's receive buffer. */
function kernelBytesMax(): number {
  const max = (name: string): number =>
    Number(readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').trim().split(/\s+/)[2]);
  return max('tcp_wmem') + max('tcp_rmem');
}

test('fault 39: a slow reader costs bounded bytes; its audio is dropped and comes again when it reads', async () => {
  const { plugin, errors } = gusher();
  await withServer([plugin], gushing, async server => {
    const grown = await beside(
      server,
      async () => {
        const { socket, call } = await congestedCall(server);
        const droppedBefore = (await counts(server)).messagesDropped!;
        const readBefore = socket.tcp.bytesRead;
        // Each digit is more than a megabyte: three times what the kernel can keep, every message beyond it dropped.
        const digits = Math.ceil((3 * kernelBytesMax()) / 1e6);
        for (let i = 0; i < digits; i++) {
          socket.send(call.dtmf('1'));
          await new Promise(resolve => setImmediate(resolve));
        }
        await eventually(
          async () => (await counts(server)).messagesDropped! >= droppedBefore + digits,
          'more drops',
        );
        assert.equal(errors.length, 1);
        assert.ok((await server.snapshot(0))[0]!.queueBytes < 2 << 20);
        socket.tcp.resume();
        // A mark that comes means that all that waited before it has been read.
        await eventually(() => {
          socket.send(call.dtmf('#'));
          return socket.frames.some(({ payload }) => payload.length < 200 && payload.includes('still-here'));
        }, 'a mark after the congestion');
        const waited = socket.tcp.bytesRead - readBefore;
        // One message may go over the limit of what waits in the server.
        const bound = kernelBytesMax() + 65_536 + 200_000 + 100_000;
        assert.ok(waited <= bound, `${waited} bytes waited, ${bound} may`);
        const { bytesRead } = socket.tcp;
        socket.send(call.dtmf('2'));
        await eventually(() => socket.tcp.bytesRead > bytesRead + 500_000, 'audio after the congestion');
        socket.destroy();
      },
      300,
    );
    assert.ok(grown.messagesDropped! > 30);
  });
});

test('fault 39: a slow reader is closed where that is configured, once, and nothing is sent afterwards', async () => {
  const { plugin, stops } = gusher();
  await withServer([plugin], { ...gushing, slowReader: 'close' }, async server => {
    const grown = await beside(
      server,
      async () => {
        const { socket } = await congestedCall(server);
        await eventually(() => server.streams === 1, 'the end of the slow stream');
        socket.destroy();
      },
      300,
    );
    assert.deepEqual(stops, ['protocol_error']);
    assert.equal(grown.messagesDropped, 1);
    assert.equal(grown.protocolErrors, 1);
  });
});

test('fault 41: a drain event, messages and timers after the close do nothing', async () => {
  const virtual = new VirtualReactor();
  const { connection, socket, receive } = virtual.connect(echo);
  const call = new WireCall();
  receive(call.start());
  for (const payload of payloads(10)) receive(call.media(payload));
  connection.end('closed');
  const sent = socket.sent.length;
  connection.drained();
  connection.control();
  connection.sweep(virtual.clock.now() + 1e9);
  connection.end('replaced');
  receive(call.media(payloads(1)[0]!));
  receive('{');
  connection.closed('websocket_frame');
  virtual.clock.advance(5000);
  assert.equal(socket.sent.length, sent);
  assert.equal(socket.ended, 1000);
  const { counters, refusals } = virtual.reactor.snapshot(0);
  assert.equal(counters.streamsStopped, 1);
  assert.deepEqual(refusals, {});
  await virtual.close();
});
