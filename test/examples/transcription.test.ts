/** examples/transcription.ts with a recogniser over real sockets; the call itself is in virtual time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import transcription from '../../examples/transcription.js';
import { type TestCall, testCall } from '../../src/testing/index.js';
import { eventually } from '../helpers/servers.js';
import { speechLike } from '../helpers/speech.js';

const directory = mkdtempSync(join(tmpdir(), 'sidetone-transcription-'));
after(() => rmSync(directory, { recursive: true }));
const SAID = { samples: speechLike(16000, 2), sampleRate: 16000 };
const SAID_BYTES = Buffer.from(SAID.samples.buffer, 0, SAID.samples.byteLength);

/** Takes PCM, and answers each second of it with a text. */
class Recogniser {
  readonly connections: {
    headers: IncomingHttpHeaders;
    texts: string[];
    audio: Buffer[];
    socket: WebSocket;
  }[] = [];

  private constructor(readonly server: WebSocketServer) {
    server.on('connection', (socket, { headers }) => {
      const connection = { headers, texts: [] as string[], audio: [] as Buffer[], socket };
      this.connections.push(connection);
      let seconds = 0;
      const say = (transcript: string, is_final: boolean): void =>
        socket.send(JSON.stringify({ channel: { alternatives: [{ transcript }] }, is_final }));
      socket.on('message', (data, isBinary) => {
        if (!isBinary) {
          connection.texts.push(String(data));
          if (String(data) !== '{"type":"Close"}') return;
          say('and goodbye', true);
          socket.close();
          return;
        }
        connection.audio.push(data as Buffer);
        const now = Math.floor(this.bytes(connection) / 32_000);
        if (now <= seconds) return;
        seconds = now;
        say('some', false);
        say(`second  ${seconds}\n`, true);
        socket.send('no JSON');
      });
    });
  }

  static async start(): Promise<Recogniser> {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const recogniser = new Recogniser(server);
    open.add(recogniser);
    return recogniser;
  }

  bytes({ audio }: { audio: Buffer[] }): number {
    return audio.reduce((sum, { length }) => sum + length, 0);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }

  close(): void {
    for (const { socket } of this.connections) socket.terminate();
    this.server.close();
  }
}
const open = new Set<Recogniser>();
afterEach(() => {
  for (const recogniser of open) recogniser.close();
  open.clear();
});

let calls = 0;
const call = (url: string, more: object = {}): Promise<TestCall> =>
  testCall(transcription, {
    encoding: 'L16',
    options: {
      url,
      directory: join(directory, String(++calls)),
      headers: { authorization: 'Token secret-7' },
      hello: { type: 'Configure', rate: 16000 },
      goodbye: { type: 'Close' },
      text: 'channel.alternatives.0.transcript',
      final: 'is_final',
      retryMs: 10,
      finishMs: 30_000,
      ...more,
    },
  });
const texts = ({ stream }: TestCall): string[] =>
  readFileSync(join(directory, String(calls), `${stream.id}.txt`), 'utf8')
    .split('\n')
    .slice(0, -1);

test('hello, the audio as it was said, goodbye; final texts are in the file, the last words too', async () => {
  const recogniser = await Recogniser.start();
  const caller = await call(recogniser.url);
  await caller.advance(caller.say(SAID) + 60);
  await eventually(() => recogniser.connections.length === 1, 'the connection');
  const [connection] = recogniser.connections;
  await eventually(() => recogniser.bytes(connection!) >= SAID_BYTES.length + 640, 'the audio');
  assert.equal(await caller.metric('transcription_connections'), 1);
  await eventually(
    async () => (await caller.metric('transcription_texts', { final: 'true' })) === 2,
    'two texts',
  );
  await caller.hangup();
  assert.equal(connection!.headers.authorization, 'Token secret-7');
  assert.deepEqual(connection!.texts, ['{"type":"Configure","rate":16000}', '{"type":"Close"}']);
  assert.ok(Buffer.concat(connection!.audio).includes(SAID_BYTES), 'sample for sample');
  assert.deepEqual(
    texts(caller).map(line => line.replace(/^\d+\.\d\t/, '')),
    ['second 1 ', 'second 2 ', 'and goodbye'],
  );
  assert.equal(await caller.metric('transcription_texts', { final: 'false' }), 2);
  await eventually(async () => (await caller.metric('transcription_connections')) === 0, 'the end of it');
  assert.equal(await caller.metric('transcription_dropped_seconds'), 0);
  assert.doesNotMatch(JSON.stringify(caller.log), /second|secret-7/);
});

test('a connection that breaks is made anew, and the audio of meanwhile is not lost', async () => {
  const recogniser = await Recogniser.start();
  const caller = await call(recogniser.url);
  await eventually(() => recogniser.connections.length === 1, 'the connection');
  recogniser.connections[0]!.socket.close(1011);
  await eventually(async () => (await caller.metric('transcription_failures')) === 1, 'the end of it');
  await caller.advance(caller.say(SAID) + 60);
  await eventually(() => recogniser.connections.length === 2, 'the next one');
  const next = recogniser.connections[1]!;
  await eventually(() => recogniser.bytes(next) >= SAID_BYTES.length, 'the audio');
  await caller.hangup();
  assert.ok(Buffer.concat(next.audio).includes(SAID_BYTES), 'sample for sample');
  assert.deepEqual(next.texts[0], '{"type":"Configure","rate":16000}');
});

test('without a recogniser the call goes on, the newest audio is kept, the rest is counted', async () => {
  const recogniser = await Recogniser.start();
  const { url } = recogniser;
  recogniser.close();
  const caller = await call(url, { keepMs: 1000 });
  await eventually(() => caller.log.length > 0, 'the word of it');
  await caller.advance(caller.say(SAID) + 1000);
  assert.equal(caller.stopReason, undefined);
  const droppedSeconds = await caller.metric('transcription_dropped_seconds');
  assert.ok(Math.abs(droppedSeconds! - 2) < 0.2, `${droppedSeconds} s`);
  await caller.hangup();
  assert.equal(caller.stopReason, 'stop');
  assert.ok(Math.abs((await caller.metric('transcription_dropped_seconds'))! - 3) < 0.2);
  assert.equal(existsSync(join(directory, String(calls), `${caller.stream.id}.txt`)), false);
});

test('a recogniser that never closes is not waited for longer than finishMs', async () => {
  const recogniser = await Recogniser.start();
  const caller = await call(recogniser.url, { goodbye: { type: 'Ignored' }, finishMs: 50 });
  await eventually(() => recogniser.connections.length === 1, 'the connection');
  await caller.hangup();
  await eventually(async () => (await caller.metric('transcription_connections')) === 0, 'the end of it');
});
