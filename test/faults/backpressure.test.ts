/** Peers that read too slowly, or not at all (rows 38 to 41). */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { definePlugin, type ServerOptions, type StopReason, type Stream } from '../../src/index.js';
import echo from '../../src/plugins/echo.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { beside, counts, eventually, startedCall, withServer } from '../helpers/servers.js';
import { speechLike } from '../helpers/speech.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

afterEach(() => RawSocket.destroyAll());

/** Sends without end to a peer: each digit lets go about a megabyte at once. */
const speech = speechLike(48_000, 5);
const errors: Error[] = [];
const stops: StopReason[] = [];
const gusher = definePlugin({
  name: 'gusher',
  outbound: { encoding: 'L16', sampleRate: 48_000 },
  onStart: (stream: Stream) => ({
    onDtmf: async () => {
      for (let i = 0; i < 2 && !stream.closed; i++) {
        stream.play(speech, { sampleRate: 48_000 });
        if (!stream.closed) await stream.clear();
      }
      if (!stream.closed) stream.play(speech.subarray(0, 4800), { sampleRate: 48_000 });
    },
    onError: error => {
      errors.push(error);
    },
    onStop: reason => {
      stops.push(reason);
    },
  }),
});
const gushing: ServerOptions = {
  leadMs: 5000,
  chunkMs: 1000,
  maxBackpressureBytes: 65_536,
  idleTimeoutSeconds: 8,
};

/** A peer that does not read, and has been sent more than fits anywhere. */
async function congestedCall(server: Parameters<typeof startedCall>[0]) {
  const { socket, call } = await startedCall(server, { path: '/gusher' });
  await eventually(() => server.streams >= 1, 'the start');
  socket.tcp.pause();
  const before = (await counts(server)).messagesDropped!;
  for (let i = 0; i < 60 && (await counts(server)).messagesDropped === before && !socket.closed; i++) {
    socket.send(call.dtmf('1'));
    await new Promise(resolve => setImmediate(resolve));
  }
  await eventually(async () => (await counts(server)).messagesDropped! > before, 'the first drop');
  return { socket, call };
}

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

test('fault 39: a slow reader costs bounded bytes; its audio is dropped and comes again when it reads', async () => {
  await withServer([gusher], gushing, async server => {
    errors.length = 0;
    const grown = await beside(
      server,
      async () => {
        const { socket, call } = await congestedCall(server);
        const rssBefore = process.memoryUsage.rss();
        for (let i = 0; i < 30; i++) {
          socket.send(call.dtmf('1'));
          await new Promise(resolve => setImmediate(resolve));
        }
        await eventually(async () => (await counts(server)).messagesDropped! > 30, 'more drops');
        // Some 30 MB were played; none of it may be waiting.
        const rssGrowth = process.memoryUsage.rss() - rssBefore;
        assert.ok(rssGrowth < 20e6, `the process grew by ${rssGrowth} bytes`);
        assert.equal(errors.length, 1);
        socket.tcp.resume();
        await eventually(() => socket.tcp.bytesRead > 0, 'reading');
        let read = -1;
        await eventually(async () => {
          const idle = socket.tcp.bytesRead === read;
          read = socket.tcp.bytesRead;
          await new Promise(resolve => setTimeout(resolve, 50));
          return idle;
        }, 'all that waited is read');
        socket.send(call.dtmf('2'));
        await eventually(() => socket.tcp.bytesRead > read + 500_000, 'audio after the congestion');
        socket.destroy();
      },
      300,
    );
    assert.ok(grown.messagesDropped! > 30);
  });
});

test('fault 39: a slow reader is closed where that is configured, once, and nothing is sent afterwards', async () => {
  await withServer([gusher], { ...gushing, slowReader: 'close' }, async server => {
    stops.length = 0;
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

test('fault 40: a peer at the limit that still speaks is not idle; one that does not is', async () => {
  await withServer([gusher], gushing, async server => {
    const talking = await congestedCall(server);
    const silent = await congestedCall(server);
    const began = performance.now();
    const timer = setInterval(() => talking.socket.send(talking.call.media(payloads(1)[0]!)), 500);
    stops.length = 0;
    await eventually(() => stops.length > 0, 'the end of the silent one', 20_000);
    assert.ok(performance.now() - began > 4000, 'not before the idle timeout, which has a grain of 4 s');
    await new Promise(resolve => setTimeout(resolve, Math.max(0, began + 10_000 - performance.now())));
    clearInterval(timer);
    assert.deepEqual(stops, ['idle_timeout']);
    assert.equal(server.streams, 1);
    assert.equal((await counts(server)).idleTimeouts, 1);
    talking.socket.destroy();
    silent.socket.destroy();
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
