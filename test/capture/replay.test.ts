import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { type WebSocket, WebSocketServer } from 'ws';
import { AudioComparison } from '../../src/capture/outcome.js';
import { replay } from '../../src/capture/replay.js';
import { createServer, type Server } from '../../src/server.js';
import { Simulator } from '../../src/simulator/simulator.js';
import { root } from '../helpers/paths.js';
import { propertyRuns } from '../helpers/runs.js';

const TOKEN = 'sesame';
let dir: string;
let capture: string;
let server: Server;
let url: string;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sidetone-replay-'));
  const captureDir = join(dir, 'captures');
  const options = { port: 0, admin: false, logLevel: 'silent', authToken: TOKEN } as const;
  const captured = await createServer({ ...options, captureDir });
  await captured.listen();
  const inbound = Array.from({ length: 15 }, (_, i) => new Uint8Array(160).fill(i + 1));
  const call = new Simulator({ seed: 1 }).call(`ws://127.0.0.1:${captured.port}/echo`, {
    inbound,
    lingerMs: 200,
    authToken: TOKEN,
    dtmf: [{ atMs: 100, digit: '5' }],
  });
  await call.result;
  await captured.close();
  capture = join(captureDir, readdirSync(captureDir)[0]!);
  server = await createServer(options);
  await server.listen();
  url = `ws://127.0.0.1:${server.port}/echo`;
});
after(async () => {
  await server.close();
  rmSync(dir, { recursive: true });
});

test('the same server does the same: every message, every byte, in its own time', async () => {
  const began = performance.now();
  const result = await replay(capture, url, { token: TOKEN });
  assert.ok(performance.now() - began >= 15 * 20, 'not faster than it was');
  assert.equal(result.failure, undefined);
  assert.deepEqual(result.sent, { messages: result.toSend, media: 15 });
  assert.equal(result.captured.payloadBytes, 15 * 160);
  assert.equal(result.replayed.payloadBytes, 15 * 160);
  assert.equal(result.replayed.audioMs, 300);
  assert.deepEqual(result.audio, { same: true });
});

test('without the token the server refuses, and the report says so', async () => {
  const result = await replay(capture, url, { speed: 100 });
  assert.match(result.failure!, /HTTP status 401/);
  assert.equal(result.sent.messages, 0);
  assert.equal(result.audio.same, false);
});

async function against(behave: (socket: WebSocket, text: string) => void, options = {}) {
  const other = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  other.on('connection', socket => socket.on('message', data => behave(socket, String(data))));
  await once(other, 'listening');
  const result = await replay(capture, `ws://127.0.0.1:${(other.address() as AddressInfo).port}/`, {
    speed: 100,
    ...options,
  });
  other.close();
  return result;
}

test('--speed: in a fraction of the time, with times still those of the capture', async () => {
  const result = await against((socket, text) => {
    const frame = JSON.parse(text);
    if (frame.event !== 'media') return;
    socket.send(JSON.stringify({ event: 'media', media: { payload: frame.media.payload } }));
  });
  assert.equal(result.sent.messages, result.toSend);
  assert.deepEqual(result.audio, { same: true });
});

test('another server: what it does differently', async () => {
  const tokens: unknown[] = [];
  let echoed = 0;
  const result = await against(
    (socket, text) => {
      const frame = JSON.parse(text);
      if (frame.event === 'connected') tokens.push(frame.connected['x-telnyx-streaming-auth-token']);
      if (frame.event === 'start') socket.send('{"event":"mark","mark":{"name":"hello"}}');
      if (frame.event !== 'media') return;
      const payload = Buffer.from(frame.media.payload, 'base64');
      if (++echoed === 8) payload[7]! ^= 1;
      socket.send(JSON.stringify({ event: 'media', media: { payload: payload.toString('base64') } }));
      if (echoed === 8) socket.send('nonsense');
    },
    { token: 'another' },
  );
  assert.deepEqual(tokens, ['another']);
  assert.equal(result.failure, undefined);
  assert.deepEqual(result.audio, { same: false, differsAtMs: Math.floor((7 * 160 + 7) / 8) });
  assert.deepEqual([result.replayed.marks, result.replayed.other, result.replayed.media], [1, 1, 15]);
});

test('a server that hangs up in the middle', async () => {
  // Slow enough for the news to arrive before everything is sent: the digit is dialled a fifth into the call.
  const result = await against(
    (socket, text) => {
      if (JSON.parse(text).event === 'dtmf') socket.close(4001);
    },
    { speed: 1 },
  );
  assert.match(result.failure!, /closed the connection after \d+ of \d+ messages/);
  assert.equal(result.closeCode, 4001);
});

test('bad usage', async () => {
  await assert.rejects(replay(capture, url, { speed: 0 }), /--speed: 0: give a number/);
  await assert.rejects(replay(capture, 'http://x'), /URL: http:\/\/x: give a ws/);
  await assert.rejects(replay(join(dir, 'nowhere'), url), /cannot be read/);
  const silent = join(dir, 'silent');
  writeFileSync(silent, '{"capture":"sidetone","version":1,"startedAt":"","redacted":[]}\n');
  await assert.rejects(replay(silent, url), /no message of Telnyx/);
});

test('the command: exit codes and JSON', async () => {
  const main = join(root, 'dist/src/cli/main.js');
  const missing = spawnSync(process.execPath, [main, 'replay', join(dir, 'nowhere'), url], {
    encoding: 'utf8',
  });
  assert.equal(missing.status, 2);
  // Nobody listens on port 9 (discard) of loopback.
  const nobody = spawnSync(process.execPath, [main, 'replay', capture, 'ws://127.0.0.1:9', '--json'], {
    encoding: 'utf8',
  });
  assert.equal(nobody.status, 1, nobody.stderr);
  assert.match(JSON.parse(nobody.stdout).failure, /ECONNREFUSED/);
});

test('comparison: the same bytes however they are cut; otherwise where the first difference is', () => {
  const cut = (bytes: Uint8Array, at: readonly number[]): Uint8Array[] => {
    const edges = [0, ...[...at].map(edge => edge % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
    return edges.slice(1).map((end, i) => bytes.subarray(edges[i], end));
  };
  const cuts = fc.array(fc.nat(1000), { maxLength: 8 });
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 300 }),
      cuts,
      cuts,
      (one, two, a, b) => {
        const firstDifference = (x: Uint8Array, y: Uint8Array): number | undefined => {
          for (let i = 0; i < Math.max(x.length, y.length); i++) if (x[i] !== y[i]) return i;
          return undefined;
        };
        for (const [wanted, got] of [
          [one, two],
          [one, one],
          [one, one.subarray(0, one.length >> 1)],
        ] as const) {
          const comparison = new AudioComparison(cut(wanted, a));
          for (const piece of cut(got, b)) comparison.add(piece);
          assert.equal(comparison.finish(), firstDifference(wanted, got));
        }
      },
    ),
    { numRuns: propertyRuns(500) },
  );
});
