/** examples/speech-stream.ts with synthesisers over real sockets; the call itself is in virtual time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { WebSocketServer } from 'ws';
import speech from '../../examples/speech-stream.js';
import { type TestCall, testCall } from '../../src/testing/index.js';
import { eventually } from '../helpers/servers.js';

/** Half a second at 16 kHz, each sample another one, so that a byte that is lost or moved shows. */
const PCM = Int16Array.from({ length: 8000 }, (_, i) => ((i * 7) % 20_000) + 1);
const BYTES = Buffer.from(PCM.buffer);

interface Asked {
  body: Record<string, unknown>;
  headers: IncomingMessage['headers'];
  response: ServerResponse;
}
const asked: Asked[] = [];
/** What the next requests get: all of PCM in odd pieces, or nothing until the test says so. */
let answer: (asked: Asked) => void;
const whole = ({ response }: Asked): void => {
  for (let from = 0; from < BYTES.length; from += 777) response.write(BYTES.subarray(from, from + 777));
  response.end();
};

const http = createServer(async (incoming, response) => {
  let body = '';
  for await (const piece of incoming) body += piece;
  const one = { body: JSON.parse(body) as Record<string, unknown>, headers: incoming.headers, response };
  asked.push(one);
  answer(one);
});
http.listen(0, '127.0.0.1');
await once(http, 'listening');
const webSockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
await once(webSockets, 'listening');
after(() => {
  http.closeAllConnections();
  http.close();
  for (const client of webSockets.clients) client.terminate();
  webSockets.close();
});
const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
const HTTP = `http://127.0.0.1:${portOf(http)}/speak`;
const WEB_SOCKET = `ws://127.0.0.1:${portOf(webSockets)}/`;

const call = (url: string, more: object = {}): Promise<TestCall> =>
  testCall(speech, {
    encoding: 'L16',
    options: { url, sampleRate: 16_000, greeting: 'Welcome.', firstMsMax: 60_000, ...more },
  });
const outcome = (of: TestCall, name: string): Promise<number> =>
  of.metric('speech_texts', { outcome: name }).then(value => value ?? 0);
/** Lets the call go on until the metric says that a text came to this end. */
const ended = (of: TestCall, name: string, times = 1): Promise<void> =>
  eventually(async () => {
    await of.advance(20);
    return (await outcome(of, name)) === times;
  }, `${times} texts ${name}`);
/** Time stands still until PCM has come, because on a slow machine the caller would hear a gap. */
const allThere = (of: TestCall, queuedMs = 500): Promise<void> =>
  eventually(() => of.stream.queuedMs >= queuedMs, 'the whole text');
const heard = (of: TestCall): Buffer => {
  const { samples } = of.heard();
  return Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
};

test('HTTP: what comes in odd pieces is heard sample for sample', async () => {
  answer = whole;
  asked.length = 0;
  const caller = await call(HTTP, { fields: { voice: 'Anna' }, headers: { 'x-key': 'secret-7' } });
  await allThere(caller);
  await ended(caller, 'heard');
  assert.deepEqual(asked[0]!.body, { voice: 'Anna', text: 'Welcome.' });
  assert.equal(asked[0]!.headers['x-key'], 'secret-7');
  assert.ok(heard(caller).includes(BYTES));
  assert.equal(await caller.metric('speech_first_seconds_count'), 1);
  await caller.hangup();
  assert.doesNotMatch(JSON.stringify(caller.log), /secret-7|Welcome/);
});

test('it is played while it is being made, and a key stops both', async () => {
  answer = ({ response }) => void response.write(BYTES.subarray(0, 3201));
  asked.length = 0;
  const caller = await call(HTTP);
  await eventually(() => caller.stream.queuedMs > 0, 'the first audio');
  await caller.advance(80);
  assert.ok(caller.heard().parts.length === 1, 'the synthesis has not ended');
  let isCut = false;
  asked[0]!.response.on('close', () => {
    isCut = true;
  });
  answer = whole;
  caller.dtmf('5');
  await caller.until(() => caller.clears.length > 0);
  // The way of the clear may have taken 20 ms of it.
  await allThere(caller, 480);
  await ended(caller, 'heard');
  assert.equal(await outcome(caller, 'interrupted'), 1);
  await eventually(() => isCut, 'the end of the first synthesis');
  assert.equal(asked[1]!.body.text, 'You pressed 5.');
  assert.ok(heard(caller).includes(BYTES));
  await caller.hangup();
});

test('a synthesiser that fails, sends nothing or is late costs the text and not the call', async () => {
  answer = ({ response }) => void response.writeHead(500).end();
  const caller = await call(HTTP);
  await ended(caller, 'failed');
  assert.match((caller.log.find(({ level }) => level === 'error')!.err as Error).message, /POST .*: 500/);
  answer = ({ response }) => void response.end();
  caller.dtmf('1');
  await ended(caller, 'failed', 2);
  answer = whole;
  caller.dtmf('2');
  await ended(caller, 'heard');
  await caller.hangup();
  assert.equal(caller.stopReason, 'stop');

  answer = () => {};
  const waiting = await call(HTTP, { firstMsMax: 100 });
  await ended(waiting, 'failed');
  assert.match(JSON.stringify(waiting.log), /no audio came in time/);
  await waiting.hangup();
});

test('WebSocket: one text, binary messages until it closes; an address that nobody answers', async () => {
  const texts: string[] = [];
  webSockets.once('connection', socket => {
    socket.on('message', data => {
      texts.push(String(data));
      socket.send('{"type":"started"}');
      for (let from = 0; from < BYTES.length; from += 1111) socket.send(BYTES.subarray(from, from + 1111));
      socket.close();
    });
  });
  const caller = await call(WEB_SOCKET);
  await allThere(caller);
  await ended(caller, 'heard');
  assert.deepEqual(texts, ['{"text":"Welcome."}']);
  assert.ok(heard(caller).includes(BYTES));
  await caller.hangup();

  const lost = await call('ws://127.0.0.1:1/');
  await ended(lost, 'failed');
  assert.match(JSON.stringify(lost.log), /ECONNREFUSED/);
  await lost.hangup();
});
