import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { type CaptureRecord, redact } from '../../src/capture/format.js';
import { openCapture } from '../../src/capture/reader.js';
import { CaptureDirectory, type CaptureOptions, type StreamCapture } from '../../src/capture/writer.js';
import { VirtualClock } from '../../src/clock.js';
import { createServer } from '../../src/server/server.js';
import { Simulator } from '../../src/simulator/simulator.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { propertyRuns } from '../helpers/runs.js';
import { counts, eventually, startServer, stopServer } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';

let base: string;
before(() => {
  base = mkdtempSync(join(tmpdir(), 'sidetone-capture-'));
});
after(() => rmSync(base, { recursive: true }));

let directories = 0;
function directory(options: Partial<CaptureOptions> = {}) {
  const clock = new VirtualClock(1000);
  const path = join(base, `${directories++}`);
  return { clock, path, captures: new CaptureDirectory(path, { clock, wallClock: () => 0, ...options }) };
}
const bytes = (text: string): ArrayBuffer => new Uint8Array(Buffer.from(text)).buffer;
const start = (streamId: string): string =>
  JSON.stringify({ event: 'start', sequence_number: '1', stream_id: streamId, start: { from: '+15550100' } });
const hear = (capture: StreamCapture, text: string): void => capture.received(bytes(text), false);

async function read(path: string): Promise<{ header: Record<string, unknown>; records: CaptureRecord[] }> {
  const { header, records } = await openCapture(path);
  const all: CaptureRecord[] = [];
  for await (const record of records) all.push(record);
  return { header: header as never, records: all };
}
const only = (path: string): string => {
  const names = readdirSync(path);
  assert.equal(names.length, 1, names.join());
  return join(path, names[0]!);
};

test('both directions with their times, in order, in one file named after start and stream', async () => {
  const { clock, path, captures } = directory();
  const capture = captures.begin();
  clock.advance(1.5);
  hear(capture, '{"event":"connected","version":"1.0.0"}');
  hear(capture, start('0a-stream_1'));
  capture.streaming(
    'echo',
    { encoding: 'PCMU', sampleRate: 8000 },
    { encoding: 'L16', sampleRate: 16000 },
    'le',
  );
  clock.advance(20);
  capture.sent('{"event":"clear"}', false);
  capture.sent(Buffer.from('{"event":"media","media":{"payload":"é"}}'), true);
  capture.received(Uint8Array.of(1, 2, 3).buffer, true);
  capture.closed('stop');
  capture.closed('again');
  await captures.close();
  const file = only(path);
  assert.match(file, /19700101T000000\.000Z-0a-stream_1\.jsonl$/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const { header, records } = await read(file);
  assert.deepEqual(header, {
    capture: 'sidetone',
    version: 1,
    startedAt: '1970-01-01T00:00:00.000Z',
    streamId: '0a-stream_1',
    redacted: ['token', 'personal'],
  });
  assert.deepEqual(records, [
    { atMs: 1.5, from: 'telnyx', text: '{"event":"connected","version":"1.0.0"}' },
    { atMs: 1.5, from: 'telnyx', text: start('0a-stream_1').replace('+15550100', '[redacted]') },
    {
      atMs: 1.5,
      from: 'capture',
      note: 'stream',
      plugin: 'echo',
      inbound: { encoding: 'PCMU', sampleRate: 8000 },
      outbound: { encoding: 'L16', sampleRate: 16000 },
      l16ByteOrder: 'le',
    },
    { atMs: 21.5, from: 'server', text: '{"event":"clear"}' },
    { atMs: 21.5, from: 'server', text: '{"event":"media","media":{"payload":"é"}}', dropped: true },
    { atMs: 21.5, from: 'telnyx', base64: 'AQID' },
    { atMs: 21.5, from: 'capture', note: 'closed', reason: 'stop' },
  ]);
});

test('a stream id cannot choose the path, and the same one twice gives two files', async () => {
  const { path, captures } = directory();
  for (const id of ['../../etc/passwd', '../../etc/passwd', 'a'.repeat(500), '\0']) {
    const capture = captures.begin();
    hear(capture, start(id));
    capture.closed('stop');
    await capture.done;
  }
  await captures.close();
  assert.deepEqual(readdirSync(path).sort(), [
    '19700101T000000.000Z-_.jsonl',
    '19700101T000000.000Z-______etc_passwd-2.jsonl',
    '19700101T000000.000Z-______etc_passwd.jsonl',
    `19700101T000000.000Z-${'a'.repeat(64)}.jsonl`,
  ]);
});

test('a connection that never starts is captured too', async () => {
  const { path, captures } = directory();
  const capture = captures.begin();
  hear(capture, 'not JSON');
  await captures.close();
  const { records } = await read(only(path));
  assert.match(only(path), /-no-start\.jsonl$/);
  assert.deepEqual(
    records.map(record => ('note' in record ? record : record.text)),
    ['not JSON', { atMs: 0, from: 'capture', note: 'closed', reason: 'server_closed' }],
  );
});

test('what the disk is too slow for is dropped, counted, and noted where it is missing', async () => {
  let told = 0;
  const { path, captures } = directory({ queueBytesMax: 1000, onDropped: messages => (told += messages) });
  const capture = captures.begin();
  hear(capture, start('s'));
  // All of it within one turn: nothing can reach the disk meanwhile.
  for (let i = 0; i < 50; i++) capture.sent(`{"event":"mark","mark":{"name":"${i}"}}`, false);
  assert.ok(captures.queuedBytes <= 1000);
  await new Promise(resolve => setImmediate(resolve));
  capture.closed('stop');
  await captures.close();
  const { records } = await read(only(path));
  const kept = records.filter(record => record.from === 'server').length;
  const noted = records.flatMap(record =>
    'note' in record && record.note === 'dropped' ? record.messages : [],
  );
  assert.ok(kept > 0 && kept < 50);
  assert.deepEqual(noted, [50 - kept]);
  assert.equal(told, 50 - kept);
  assert.equal(captures.queuedBytes, 0);
});

test('a disk that fails ends the capture, not the stream', async () => {
  const errors: unknown[] = [];
  let dropped = 0;
  const { path, captures } = directory({
    onError: error => errors.push(error),
    onDropped: messages => (dropped += messages),
  });
  rmSync(path, { recursive: true });
  const capture = captures.begin();
  hear(capture, start('s'));
  capture.closed('stop');
  await captures.close();
  assert.equal((errors[0] as NodeJS.ErrnoException).code, 'ENOENT');
  assert.equal(errors.length, 1);
  assert.ok(dropped > 0);
  assert.equal(captures.queuedBytes, 0);
});

test('a directory that cannot be written to is refused at once', () => {
  const file = join(base, 'a-file');
  writeFileSync(file, '');
  assert.throws(
    () => directory() && new CaptureDirectory(join(file, 'x'), { clock: new VirtualClock() }),
    /captureDir: .*name a directory to write to/,
  );
  assert.throws(
    () => new CaptureDirectory('/proc/sidetone/captures', { clock: new VirtualClock() }),
    /captureDir: \/proc/,
  );
  if (process.getuid?.() === 0) return; // nothing is forbidden to root
  const locked = join(base, 'locked');
  mkdirSync(locked);
  chmodSync(locked, 0o500);
  assert.throws(() => new CaptureDirectory(locked, { clock: new VirtualClock() }), /captureDir: .*EACCES/);
});

test('redaction: tokens always, personal data unless asked for, anything else character by character', () => {
  const connected = '{"event":"connected","connected":{"X-Telnyx-Streaming-Auth-Token":"s3cret"}}';
  assert.doesNotMatch(redact(connected, true), /s3cret/);
  const escaped = '{"event":"connected","connected":{"x-telnyx-streaming-auth\\u002dtoken":"s3cret"}}';
  assert.doesNotMatch(redact(escaped, true), /s3cret/);
  assert.doesNotMatch(redact(`${connected} trailing`, true), /s3cret/);
  const personal =
    '{"event":"start","start":{"from":"+1555","to":"+1666","client_state":"c2VjcmV0","custom_parameters":{"pin":"1234"}}}';
  assert.equal(redact(personal, true), personal);
  const without = redact(personal, false);
  assert.doesNotMatch(without, /1555|1666|c2VjcmV0|1234/);
  assert.match(without, /"pin":"\[redacted\]"/);
  const odd = '{ "event" : "media",\n "media":{"payload":"from+to/client="} }';
  assert.equal(redact(odd, false), odd);
});

test('redaction: no token gets through, in any form and at any place', () => {
  fc.assert(
    fc.property(
      fc
        .string({ minLength: 6 })
        .filter(token => !'{"event":"connected","connected":{},"[redacted]":'.includes(token)),
      fc.boolean(),
      (token, nested) => {
        const fields = { 'x-telnyx-streaming-auth-token': token };
        const text = redact(
          JSON.stringify({ event: 'connected', ...(nested ? { connected: fields } : fields) }),
          true,
        );
        assert.ok(!text.includes(JSON.stringify(token).slice(1, -1)));
      },
    ),
    { numRuns: propertyRuns(300) },
  );
});

test('reading: a file that is not a capture, another version, a broken line, a file cut off', async () => {
  const header = '{"capture":"sidetone","version":1,"startedAt":"","redacted":[]}';
  const line = '{"atMs":1,"from":"telnyx","text":"x"}';
  const write = (name: string, text: string): string => {
    writeFileSync(join(base, name), text);
    return join(base, name);
  };
  await assert.rejects(openCapture(join(base, 'nowhere')), /nowhere cannot be read/);
  await assert.rejects(openCapture(write('empty', '')), /line 1: is no capture/);
  await assert.rejects(openCapture(write('other', `${line}\n`)), /line 1: is no capture/);
  await assert.rejects(
    openCapture(write('newer', header.replace('1', '9'))),
    /version is 9: this program reads version 1/,
  );
  await assert.rejects(
    read(write('broken', `${header}\n${line}\n{"atMs"\n${line}\n`)),
    /line 3: is no record/,
  );
  const { records } = await read(write('cut', `${header}\n${line}\n${line.slice(0, 20)}`));
  assert.deepEqual(records.at(-1), { atMs: 1, from: 'capture', note: 'truncated' });
  assert.equal(records.length, 2);
});

test('a server with captureDir: every message of a call is in its file when close() resolves', async () => {
  const path = join(base, 'server');
  const server = await createServer({ port: 0, admin: false, logLevel: 'silent', captureDir: path });
  await server.listen();
  const inbound = Array.from({ length: 10 }, (_, i) => new Uint8Array(160).fill(i + 1));
  const call = new Simulator({ seed: 1 }).call(`ws://127.0.0.1:${server.port}/echo`, {
    inbound,
    durationMs: Number.POSITIVE_INFINITY,
    authToken: 'sesame',
    clientState: 'c2VjcmV0',
  });
  await eventually(() => call.soFar().echo.matched === 10, 'the last echo', 60_000);
  call.hangup();
  const result = await call.result;
  const [snapshot] = await server.snapshot();
  assert.equal(snapshot!.counters.captureDropped, 0);
  await server.close();
  const file = only(path);
  assert.ok(file.includes(call.streamId));
  const { records } = await read(file);
  const texts = (from: string) =>
    records.flatMap(record => (record.from === from && 'text' in record ? [JSON.parse(record.text!)] : []));
  assert.equal(texts('telnyx').length, result.frames.sent);
  assert.equal(texts('server').length, result.frames.received);
  const payloads = texts('server').filter(frame => frame.event === 'media');
  assert.deepEqual(
    Buffer.concat(payloads.map(frame => Buffer.from(frame.media.payload, 'base64'))),
    Buffer.concat(inbound),
  );
  const whole = readFileSync(file, 'utf8');
  assert.doesNotMatch(whole, /sesame|c2VjcmV0|\+1312/);
});

test('media that come before start are captured once, and a capture takes nothing off the fast path', async () => {
  const path = join(base, 'early');
  const server = await startServer([], { captureDir: path });
  const spoken = payloads(6);
  const call = new WireCall();
  const [connected, start] = [call.connected(), call.start()];
  const media = spoken.map(payload => call.media(payload));
  const socket = await RawSocket.open(server.port, { path: '/echo' });
  const sent = [connected, ...media.slice(0, 2), start, ...media.slice(2)];
  for (const message of sent) socket.send(message);
  await eventually(() => socket.audio().length === 6 * 160, 'the echo', 30_000);
  const { earlyMedia, mediaReceived, mediaParsedFully } = await counts(server);
  assert.deepEqual(
    { earlyMedia, mediaReceived, mediaParsedFully },
    { earlyMedia: 2, mediaReceived: 6, mediaParsedFully: 0 },
  );
  socket.destroy();
  await stopServer(server);
  const { records } = await read(only(path));
  const heard = records.flatMap(record =>
    record.from === 'telnyx' && 'text' in record ? [JSON.parse(record.text!).event] : [],
  );
  assert.deepEqual(
    heard,
    sent.map(message => message.event),
  );
});
