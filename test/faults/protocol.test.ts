/** What a peer may do to the WebSocket protocol and to Telnyx's own (rows 1 to 13), over real sockets. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { definePlugin, type Server, type StopReason } from '../../src/index.js';
import { fragments, OPCODE, RawSocket, upgradeRequest, wsFrame } from '../helpers/raw-socket.js';
import {
  beside,
  counts,
  eventually,
  growth,
  startedCall,
  startServer,
  stopServer,
} from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';
import { createWebhookSigner } from '../helpers/webhooks.js';

const stops: StopReason[] = [];
const witness = definePlugin({
  name: 'witness',
  onStart: () => ({
    onStop: reason => {
      stops.push(reason);
    },
  }),
});

let server: Server;
before(async () => {
  const webhooks = { publicKey: createWebhookSigner().publicKey };
  server = await startServer([witness], { webhooks });
});
afterEach(() => RawSocket.destroyAll());
after(() => stopServer(server));

/** Opens a running stream, writes `bytes` and expects the server to break the connection off. */
async function breaksOff(...writes: Uint8Array[]): Promise<void> {
  const { socket } = await startedCall(server, { path: '/witness' });
  for (const bytes of writes) socket.write(bytes);
  await socket.end();
  assert.equal(socket.closeCode, 1006);
}

test('fault 1: unmasked frames, reserved bits and opcodes end that connection', async () => {
  const text = JSON.stringify(new WireCall().connected());
  const faults: Uint8Array[][] = [
    ...[1, 2, 4].map(rsv => [wsFrame('x', { rsv })]),
    ...[3, 7, 11, 15].map(opcode => [wsFrame('x', { opcode })]),
    [wsFrame('x', { opcode: OPCODE.continuation })],
    [wsFrame('a', { fin: false }), wsFrame('b')],
  ];
  const grown = await beside(server, async () => {
    for (const writes of faults) await breaksOff(...writes);
  });
  assert.equal(grown['refused.websocket_frame'], faults.length);
  assert.equal(grown.protocolErrors, faults.length);
  // An unmasked frame's first four bytes are taken for its mask, so it is the next one that cannot be read.
  for (const length of [10, 125, 300]) {
    const unmasked = wsFrame(text.padEnd(length).slice(0, length), { masked: false });
    const { protocolErrors } = await beside(server, () => breaksOff(unmasked, unmasked));
    assert.equal(protocolErrors, 1, `unmasked frames of ${length} bytes`);
  }
});

test('fault 1: one unmasked frame among good ones ends that connection, and nothing in it is obeyed', async () => {
  // More bytes than the longest message has, so that the frame ends whatever length the server reads.
  const [first, ...later] = payloads(300) as [Uint8Array, ...Uint8Array[]];
  const neighbour = await startedCall(server);
  const hostile = [
    (call: WireCall) => call.stop(),
    (call: WireCall) => call.media(payloads(1, 160, 99)[0]!),
    (call: WireCall) => call.dtmf('1'),
  ];
  const grown = await growth(server, async () => {
    for (const [i, makes] of hostile.entries()) {
      const { socket, call } = await startedCall(server);
      socket.send(call.media(first));
      await socket.until(() => socket.audio().length === 160, 'the echo', 30_000);
      socket.write(wsFrame(JSON.stringify(makes(call)), { masked: false }));
      for (const payload of later) socket.send(call.media(payload));
      await socket.end(30_000);
      assert.equal(socket.closeCode, 1006);
      assert.deepEqual(socket.audio(), Buffer.from(first), 'only what came before it is heard');
      neighbour.socket.send(neighbour.call.media(later[i]!));
    }
    const expected = Buffer.concat(later.slice(0, hostile.length));
    await neighbour.socket.until(
      () => neighbour.socket.audio().length === expected.length,
      "the neighbour's echo",
      30_000,
    );
    assert.deepEqual(neighbour.socket.audio(), expected);
  });
  assert.equal(grown.protocolErrors, hostile.length);
  assert.equal(grown.disconnected, undefined);
  neighbour.socket.destroy();
});

test('fault 2: invalid UTF-8, whole or split over fragments, ends that connection', async () => {
  const grown = await beside(server, async () => {
    await breaksOff(wsFrame(Uint8Array.of(0x7b, 0xff, 0x7d)));
    await breaksOff(wsFrame(Uint8Array.of(0xed, 0xa0, 0x80))); // a surrogate
    await breaksOff(wsFrame(Uint8Array.of(0xc0, 0x80))); // an overlong NUL
    await breaksOff(fragments(Uint8Array.of(0xe2, 0x82, 0x41), [1, 1]));
  });
  assert.equal(grown['refused.websocket_utf8'], 4);
  // A character may be split over fragments all the same.
  const { socket, call } = await startedCall(server);
  socket.write(fragments(JSON.stringify({ ...call.media(payloads(1)[0]!), note: '€' }), [165, 3, 1, 1, 1]));
  await socket.until(() => socket.audio().length === 160, 'the echo');
  socket.destroy();
});

test('fault 3: a message over the limit ends that connection before its bytes are taken', async () => {
  const grown = await beside(server, async () => {
    await breaksOff(wsFrame('', { toldLength: server.options.messageBytesMax + 1 }));
    await breaksOff(wsFrame('', { toldLength: 2 ** 40 }));
    // Fragments that come to more only together.
    const half = 'x'.repeat(server.options.messageBytesMax / 2 + 1);
    await breaksOff(
      wsFrame(half, { fin: false }),
      wsFrame(half, { opcode: OPCODE.continuation, fin: false }),
    );
  });
  assert.equal(grown['refused.websocket_too_big'], 3);
  // One of exactly the limit is a message like any other.
  const { socket, call } = await startedCall(server);
  const media = JSON.stringify(call.media(payloads(1)[0]!));
  socket.send(`${media.slice(0, -1)}${' '.repeat(server.options.messageBytesMax - media.length)}}`);
  await socket.until(() => socket.audio().length === 160, 'the echo');
  socket.destroy();
});

test('fault 4: one-byte fragments that never end are bounded in memory', async () => {
  const grown = await beside(
    server,
    async () => {
      const { socket } = await startedCall(server, { path: '/witness' });
      // As many as a message may have bytes, and one more. (What ends the slow ones is in idle.test.ts.)
      const byte = wsFrame('x', { opcode: OPCODE.continuation, fin: false });
      socket.write(wsFrame('x', { fin: false }));
      socket.write(Buffer.concat(Array.from({ length: server.options.messageBytesMax }, () => byte)));
      await socket.end();
    },
    // A batch of 65,536 frames is read in one go; the lead covers what others wait for it.
    300,
  );
  assert.equal(grown['refused.websocket_too_big'], 1);
});

test('fault 5: a control frame in fragments or over 125 bytes ends that connection', async () => {
  const faults = [OPCODE.ping, OPCODE.pong, OPCODE.close].flatMap(opcode => [
    wsFrame('x', { opcode, fin: false }),
    wsFrame('x'.repeat(126), { opcode }),
  ]);
  const grown = await beside(server, async () => {
    for (const frame of faults) await breaksOff(frame);
  });
  assert.equal(grown['refused.websocket_frame'], faults.length);
});

test('fault 6: a flood of pings ends its connection; pings between fragments are answered', async () => {
  const grown = await beside(server, async () => {
    for (const opcode of [OPCODE.ping, OPCODE.pong]) {
      const { socket } = await startedCall(server, { path: '/witness' });
      socket.write(Buffer.concat(Array.from({ length: 10_000 }, () => wsFrame('x'.repeat(125), { opcode }))));
      await socket.end();
      assert.ok(socket.frames.filter(frame => frame.opcode === OPCODE.pong).length < 10_000);
    }
  });
  assert.equal(grown['refused.ping_flood'], 2);
  const { socket, call } = await startedCall(server);
  const text = JSON.stringify(call.media(payloads(1)[0]!));
  socket.write(wsFrame(text.slice(0, 50), { fin: false }));
  socket.write(wsFrame('hello', { opcode: OPCODE.ping }));
  socket.write(wsFrame(text.slice(50), { opcode: OPCODE.continuation }));
  await socket.until(() => socket.audio().length === 160, 'the echo');
  assert.deepEqual(
    socket.frames.filter(({ opcode }) => opcode === OPCODE.pong).map(({ payload }) => payload.toString()),
    ['hello'],
  );
  socket.destroy();
});

test('fault 6: 250 pings and pongs a second are taken, one more ends the connection', async () => {
  const virtual = new VirtualReactor();
  const { connection, socket } = virtual.connect(witness);
  for (let second = 0; second < 10; second++) {
    for (let i = 0; i < 250; i++) connection.control();
    virtual.clock.advance(1000);
  }
  assert.equal(socket.ended, undefined);
  for (let i = 0; i < 250; i++) connection.control();
  virtual.clock.advance(999);
  assert.equal(socket.ended, undefined);
  connection.control();
  assert.equal(socket.ended, 1008);
  assert.deepEqual(virtual.reactor.refusals(), { ping_flood: 1 });
  await virtual.close();
});

test('fault 7: binary messages are counted and ignored', async () => {
  const grown = await beside(server, async () => {
    const { socket, call } = await startedCall(server);
    const media = JSON.stringify(call.media(payloads(1)[0]!));
    for (let i = 0; i < 5; i++) socket.write(wsFrame(media, { opcode: OPCODE.binary }));
    socket.send(media);
    await socket.until(() => socket.audio().length > 0, 'the echo');
    assert.equal(socket.audio().length, 160);
    socket.destroy();
  });
  assert.equal(grown.binaryMessages, 5);
});

test('fault 8: media that come before start are heard after it; where they are too many the stream closes', async () => {
  const spoken = payloads(16);
  const grown = await beside(server, async () => {
    const socket = await RawSocket.open(server.port, { path: '/echo' });
    const call = new WireCall();
    const start = call.start();
    for (const payload of spoken) socket.send(call.media(payload));
    socket.send(start);
    await socket.until(() => socket.audio().length === 16 * 160, 'the echo of what came before start');
    assert.deepEqual(socket.audio(), Buffer.concat(spoken));
    socket.destroy();

    for (const [count, bytes] of [
      [17, 160],
      [3, 24_000],
    ] as const) {
      const tooEarly = await RawSocket.open(server.port, { path: '/echo' });
      for (const payload of payloads(count, bytes)) tooEarly.send(call.media(payload));
      await tooEarly.end();
      assert.equal(tooEarly.closeCode, 1008);
    }
  });
  assert.equal(grown.earlyMedia, 16 + 17 + 3);
  assert.equal(grown['refused.early_media'], 2);
});

test("fault 9: a second start is refused and the first stream's state stands", async () => {
  const grown = await beside(server, async () => {
    const { socket, call } = await startedCall(server);
    const [first, second] = payloads(2) as [Uint8Array, Uint8Array];
    socket.send(call.media(first));
    const other = new WireCall({ encoding: 'L16' });
    socket.send({ ...other.start(), sequence_number: call.next() });
    socket.send(call.media(second));
    await socket.until(() => socket.audio().length === 320, 'the echo of both frames');
    assert.deepEqual(socket.audio(), Buffer.concat([first, second]));
    socket.destroy();
  });
  assert.equal(grown['refused.second_start'], 1);
});

test('fault 10: media after stop are dropped and counted; so is a second stop', async () => {
  const grown = await beside(server, async () => {
    const { socket, call } = await startedCall(server);
    const [first, ...late] = payloads(4) as [Uint8Array, ...Uint8Array[]];
    socket.send(call.media(first));
    await socket.until(() => socket.audio().length === 160, 'the echo');
    socket.send(call.stop());
    for (const payload of late) socket.send(call.media(payload));
    socket.send(call.stop());
    socket.send(call.start());
    const before = (await counts(server))['refused.second_start'] ?? 0;
    await eventually(
      async () => ((await counts(server))['refused.second_start'] ?? 0) > before,
      'the refusal of a start after stop',
    );
    assert.equal(socket.audio().length, 160);
    socket.destroy();
  });
  assert.equal(grown.lateMedia, 3);
  assert.equal(grown['refused.second_start'], 1);
});

test('close codes that are registered or free for use are no protocol errors', async () => {
  const codes = [1000, 1001, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
  const grown = await growth(server, async () => {
    for (const code of codes) {
      const { socket } = await startedCall(server, { path: '/witness' });
      await eventually(() => server.streams === 1, 'the start', 30_000);
      stops.length = 0;
      socket.write(wsFrame(Buffer.from([code >> 8, code & 255]), { opcode: OPCODE.close }));
      await eventually(() => stops.length > 0, `onStop after ${code}`, 30_000);
      await socket.end(30_000);
      assert.deepEqual(stops, ['disconnected'], `${code}`);
    }
  });
  assert.equal(grown.disconnected, codes.length);
  assert.equal(grown.protocolErrors, undefined);
  assert.equal(grown.refusedMessages, undefined);
});

test("fault 11: without stop, onStop runs exactly once and says 'disconnected'; with it, 'stop'", async () => {
  const grown = await beside(server, async () => {
    const endings: [(socket: RawSocket, call: WireCall) => void, StopReason][] = [
      [socket => socket.tcp.resetAndDestroy(), 'disconnected'],
      [socket => socket.tcp.end(), 'disconnected'],
      [socket => socket.write(wsFrame(Buffer.from([3, 232]), { opcode: OPCODE.close })), 'disconnected'],
      [(socket, call) => socket.send(call.stop()), 'stop'],
      [
        (socket, call) => {
          socket.send(call.stop());
          socket.tcp.end();
        },
        'stop',
      ],
    ];
    for (const [end, reason] of endings) {
      const { socket, call } = await startedCall(server, { path: '/witness' });
      await eventually(() => server.streams === 2, 'the start');
      stops.length = 0;
      end(socket, call);
      await eventually(() => stops.length > 0, 'onStop');
      socket.destroy();
      await eventually(() => server.connections === 1, 'the end of the connection');
      assert.deepEqual(stops, [reason]);
    }
  });
  assert.equal(grown.disconnected, 3);
  assert.equal(grown.streamsStopped, 5);
});

test('fault 12: unknown events and extra keys are ignored and counted', async () => {
  const grown = await beside(server, async () => {
    const { socket, call } = await startedCall(server);
    const [payload] = payloads(1) as [Uint8Array];
    socket.send({ event: 'weather', stream_id: call.streamId, sequence_number: call.next() });
    socket.send({ event: 'constructor' });
    const media = call.media(payload);
    socket.send({ ...media, weather: { wind: [1, 2] }, media: { ...media.media, codec: 'x' } });
    socket.send({ ...call.dtmf('5'), duration: 100 });
    await socket.until(() => socket.audio().length > 0, 'the echo');
    assert.deepEqual(socket.audio(), Buffer.from(payload));
    await eventually(() => server.streams === 2, 'the stream goes on');
    socket.destroy();
  });
  assert.equal(grown.unknownEvents, 2);
  assert.equal(grown.unknownKeys, 3);
  assert.equal(grown.refusedMessages, undefined);
});

test('fault 13: a bad upgrade gets a 4xx and makes no stream', async () => {
  const grown = await beside(server, async () => {
    const faults: [Parameters<typeof RawSocket.open>[1], number][] = [
      [{ headers: { 'sec-websocket-key': null } }, 426],
      [{ headers: { 'sec-websocket-key': 'short' } }, 426],
      [{ headers: { 'sec-websocket-version': '8' } }, 426],
      [{ headers: { 'sec-websocket-version': null } }, 426],
      [{ headers: { upgrade: 'h2c' } }, 426],
      [{ method: 'POST', headers: { 'content-length': '0' } }, 426],
      [{ path: '/nobody' }, 404],
      [{ path: '/%00/../echo' }, 404],
      [{ headers: { long: 'x'.repeat(20_000) } }, 431],
    ];
    for (const [options, status] of faults) {
      const socket = await RawSocket.open(server.port, { path: '/echo', ...options });
      assert.equal(socket.status, status, JSON.stringify(options).slice(0, 100));
      await socket.end();
    }
    for (const garbage of ['\0\x01\x02\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n']) {
      const socket = new RawSocket(server.port);
      socket.write(garbage);
      await socket.until(() => socket.closed || (socket.status >= 400 && socket.status < 600), 'a refusal');
      socket.destroy();
    }
  });
  assert.equal(grown.upgradesBad, 8);
  assert.ok(grown.upgradesUnfinished! >= 1);
  assert.equal(grown.connectionsOpened, undefined);
});

test('fault 13: Upgrade and Connection are lists of names, of which one must be the whole right one', async () => {
  const refused: [Record<string, string | null>, number, RegExp][] = [
    [{ upgrade: 'foo-websocket' }, 426, /^connection: upgrade, close\r?$/im],
    [{ upgrade: 'websocket-foo' }, 426, /^upgrade: websocket\r?$/im],
    [{ upgrade: 'h2c, web socket' }, 426, /^sec-websocket-version: 13\r?$/im],
    [{ connection: null }, 400, /^connection: close\r?$/im],
    [{ connection: 'keep-alive' }, 400, /^connection: close\r?$/im],
    [{ connection: 'upgraded' }, 400, /^connection: close\r?$/im],
  ];
  const taken = [
    { upgrade: 'WebSocket', connection: 'upgrade' },
    { upgrade: 'h2c, websocket', connection: 'keep-alive, Upgrade' },
    { upgrade: ' websocket ,h2c', connection: 'UPGRADE,keep-alive' },
  ];
  const grown = await growth(server, async () => {
    for (const [headers, status, header] of refused) {
      const socket = await RawSocket.open(server.port, { path: '/echo', headers });
      assert.equal(socket.status, status, JSON.stringify(headers));
      assert.match(socket.headers, header, JSON.stringify(headers));
      await socket.end(30_000);
    }
    for (const headers of taken) {
      const socket = await RawSocket.open(server.port, { path: '/echo', headers });
      assert.equal(socket.status, 101, JSON.stringify(headers));
      socket.destroy();
    }
  });
  assert.equal(grown.upgradesBad, refused.length);
  assert.equal(grown.connectionsOpened, taken.length);
});

test('fault 13: a request in front of an upgrade closes the connection, and unfinished connections are still counted', async () => {
  const upgrade = upgradeRequest({ path: '/echo' });
  const fronts = [
    'GET /echo HTTP/1.1\r\nhost: localhost\r\n\r\n',
    'POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}',
    'POST /telnyx/webhooks HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}',
    upgradeRequest({ path: '/nobody' }),
    upgradeRequest({ path: '/echo', headers: { connection: null } }),
    'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'.repeat(3),
  ];
  const grown = await growth(server, async () => {
    for (const front of fronts) {
      const socket = new RawSocket(server.port);
      socket.write(front + upgrade);
      await socket.until(() => socket.closed, 'the close', 30_000);
      assert.notEqual(socket.status, 101);
    }
    for (let i = 0; i < 3; i++) {
      const before = (await counts(server)).upgradesUnfinished!;
      const socket = new RawSocket(server.port);
      socket.write(upgrade.slice(0, 20));
      socket.tcp.end();
      await eventually(
        async () => (await counts(server)).upgradesUnfinished === before + 1,
        'the count of an unfinished connection',
        30_000,
      );
      socket.destroy();
    }
  });
  assert.equal(grown.connectionsOpened, undefined);
  assert.equal(grown.upgradesUnfinished, 3);
});
