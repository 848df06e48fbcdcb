/** The client's end of the WebSocket to the service. */
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { WebSocketServer } from 'ws';
import { CloseFault, FrameReader } from '../../src/plugins/realtime/frames.js';
import { ServiceSocket } from '../../src/plugins/realtime/socket.js';
import { eventually } from '../helpers/servers.js';

/** A frame as a server writes it. */
function frame(opcode: number, data: Buffer, isLast = true): Buffer {
  const { length } = data;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65536 ? 4 : 10);
  head[0] = (isLast ? 0x80 : 0) | opcode;
  head[1] = length < 126 ? length : length < 65536 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([head, data]);
}

function reader(): { read(data: Buffer): void; messages: Buffer[]; controls: string[] } {
  const messages: Buffer[] = [];
  const controls: string[] = [];
  const frames = new FrameReader({
    message: data => messages.push(Buffer.from(data)),
    ping: data => controls.push(`ping ${data}`),
    close: data => controls.push(`close ${data.length}`),
  });
  return { read: data => frames.read(data), messages, controls };
}

test('messages come whole, however the bytes are cut and the memory is used again', () => {
  const lengths = fc.array(
    fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(125, 126, 65535, 65536, 70_000)),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(
      lengths,
      fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 20 }),
      (wanted, cuts) => {
        const sent = wanted.map((length, i) => Buffer.alloc(length, i + 1));
        const wire = Buffer.concat(
          sent.map((data, i) =>
            i % 2 === 0
              ? frame(1, data)
              : Buffer.concat([
                  frame(1, data.subarray(0, 7), false),
                  frame(9, Buffer.from('now')),
                  frame(0, data.subarray(7)),
                ]),
          ),
        );
        const { read, messages, controls } = reader();
        const memory = Buffer.alloc(70_000);
        for (let at = 0, i = 0; at < wire.length; i++) {
          const size = Math.min(cuts[i % cuts.length]!, wire.length - at);
          wire.copy(memory, 0, at, at + size);
          read(memory.subarray(0, size));
          memory.fill(0xee);
          at += size;
        }
        assert.deepEqual(messages, sent);
        assert.equal(controls.length, Math.floor(wanted.length / 2));
      },
    ),
    { numRuns: 60 },
  );
});

test('what breaks the protocol closes the connection', () => {
  const cases: [string, Buffer, number][] = [
    ['an extension', Buffer.from([0xc1, 0]), 1002],
    ['a mask', Buffer.from([0x81, 0x80, 0, 0, 0, 0]), 1002],
    ['an unknown opcode', frame(3, Buffer.alloc(1)), 1002],
    ['an unknown control frame', frame(11, Buffer.alloc(1)), 1002],
    ['a divided ping', frame(9, Buffer.alloc(1), false), 1002],
    ['a continuation of nothing', frame(0, Buffer.alloc(1)), 1002],
    [
      'a message in a message',
      Buffer.concat([frame(1, Buffer.alloc(1), false), frame(1, Buffer.alloc(1))]),
      1002,
    ],
    ['far too long', Buffer.from([0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0]), 1009],
  ];
  for (const [name, wire, code] of cases) {
    assert.throws(
      () => reader().read(wire),
      (error: unknown) => error instanceof CloseFault && error.code === code,
      name,
    );
  }
  const { read, messages, controls } = reader();
  read(Buffer.concat([frame(8, Buffer.from([3, 0xe8])), frame(1, Buffer.from('late'))]));
  assert.deepEqual([messages, controls], [[], ['close 2']]);
});

describe('against servers', () => {
  const open: { close(): unknown }[] = [];
  after(() => {
    for (const server of open) server.close();
  });

  /** Connects to a server; what it is told. */
  function client(port: number, headers = {}) {
    const told = { opened: 0, messages: [] as string[], closed: [] as [string, number | undefined][] };
    const socket = new ServiceSocket(`ws://127.0.0.1:${port}/path?model=m`, headers, {
      opened: () => told.opened++,
      message: data => told.messages.push(data.toString()),
      closed: (why, status) => told.closed.push([why, status]),
    });
    return { socket, told };
  }

  /** A server that answers the upgrade with these bytes. */
  async function answering(answer: string, then: (socket: Socket) => void = () => {}): Promise<number> {
    const server = createServer(socket => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write(answer);
        then(socket);
      });
    });
    open.push(server);
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }

  test('text of any length both ways, pings answered, headers sent, a clean close', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    open.push(server);
    await new Promise(resolve => server.once('listening', resolve));
    const seen: string[] = [];
    let pongs = 0;
    let path = '';
    let code = 0;
    server.on('connection', (peer, request) => {
      path = `${request.url} ${request.headers['x-vendor']}`;
      peer.on('message', data => {
        seen.push(data.toString());
        peer.send(data.toString());
      });
      peer.on('pong', data => {
        if (data.toString() === 'there?') pongs++;
      });
      peer.on('close', number => {
        code = number;
      });
      peer.ping('there?');
    });
    const { socket, told } = client((server.address() as AddressInfo).port, { 'x-vendor': 'another' });
    await eventually(() => told.opened === 1, 'the connection');
    const texts = [0, 1, 125, 126, 65_535, 65_536, 300_000].map(
      (length, i) => `${String(i).repeat(length)}ä`,
    );
    for (const text of texts) socket.send(text);
    await eventually(() => told.messages.length === texts.length && pongs === 1, 'all of them');
    assert.deepEqual(seen, texts);
    assert.deepEqual(told.messages, seen);
    assert.equal(path, '/path?model=m another');
    let gone = false;
    socket.close(() => {
      gone = true;
    });
    await eventually(() => gone && code === 1000, 'the close');
    assert.deepEqual(told.closed, []);
  });

  test('audio and text of several connections keep their order, also where a service reads slowly', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    open.push(server);
    await new Promise(resolve => server.once('listening', resolve));
    const peers: { pause(): void; resume(): void; seen: string[] }[] = [];
    server.on('connection', peer => {
      const seen: string[] = [];
      peer.on('message', data => {
        const event = JSON.parse(data.toString());
        assert.ok(event.type === 'input_audio_buffer.append' || event.type === 'text');
        seen.push(event.audio ? Buffer.from(event.audio, 'base64').toString('latin1', 0, 8) : event.text);
      });
      peers.push({ pause: () => peer.pause(), resume: () => peer.resume(), seen });
    });
    const { port } = server.address() as AddressInfo;
    const clients = [client(port), client(port), client(port)];
    await eventually(() => clients.every(({ told }) => told.opened === 1) && peers.length === 3, 'three');
    // Peers are known by what they say.
    for (const peer of peers) peer.pause();
    const memory = Buffer.alloc(30_000);
    const sent: string[][] = clients.map(() => []);
    const send = (which: number, text: string): void => {
      sent[which]!.push(text);
      memory.fill('.').write(text.padEnd(8), 'latin1');
      if (text.startsWith('t')) clients[which]!.socket.send(JSON.stringify({ type: 'text', text }));
      else clients[which]!.socket.sendAudio(memory.subarray(0, which === 2 ? 800 : memory.length));
    };
    // More than the kernel and what is posted in a pass can hold, for the first two.
    for (let i = 0; i < 400; i++) {
      for (const which of [0, 1, 2]) send(which, `a${which}.${i}`);
      if (i % 10 === 0) {
        send(i % 3, `t${i % 3}.${i}`);
        await new Promise(resolve => setImmediate(resolve));
      }
    }
    assert.ok(clients[0]!.socket.bufferedBytes > 0, 'the first service has not read all');
    for (const peer of peers) peer.resume();
    await eventually(
      () => peers.reduce((sum, { seen }) => sum + seen.length, 0) === sent.flat().length,
      'all of it',
    );
    const trimmed = peers.map(({ seen }) => seen.map(text => text.trim())).sort();
    assert.deepEqual(trimmed, sent.sort());
    // What is posted to a connection that is closed in the same pass goes nowhere and harms nobody.
    send(0, 'a0.last');
    clients[0]!.socket.destroy();
    send(1, 'a1.last');
    await eventually(() => peers.some(({ seen }) => seen.at(-1)?.trim() === 'a1.last'), 'the last');
    for (const { socket } of clients) socket.destroy();
  });

  test('a refusal, a wrong answer and an end are told once, with their reasons', async () => {
    const cases: [string, RegExp, number | undefined][] = [
      ['HTTP/1.1 401 Unauthorized\r\n\r\n', /refused the connection with 401/, 401],
      [
        'HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: wrong\r\n\r\n',
        /not that of a WebSocket/,
        undefined,
      ],
      ['nonsense\r\n\r\n', /refused the connection with nonsense/, undefined],
      ['x'.repeat(20_000), /too long/, undefined],
    ];
    for (const [answer, why, status] of cases) {
      const { told } = client(await answering(answer));
      await eventually(() => told.closed.length > 0, `the end after ${answer.slice(0, 20)}`);
      assert.match(told.closed[0]![0], why);
      assert.equal(told.closed[0]![1], status);
      assert.equal(told.opened, 0);
    }
    const silent = client(await answering('', socket => socket.end()));
    await eventually(() => silent.told.closed.length === 1, 'the end');
    const refused = client(1);
    await eventually(() => refused.told.closed.length === 1, 'no server');
    assert.match(refused.told.closed[0]![0], /ECONNREFUSED/);
  });
});
