import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { WebSocket } from 'ws';
import { AudioComparison } from '../../src/capture/outcome.js';
import { openCapture } from '../../src/capture/reader.js';
import {
  type ReplayOptions,
  type ReplayResult,
  type ReplaySocket,
  replay,
} from '../../src/capture/replay.js';
import { type Clock, VirtualClock } from '../../src/clock.js';
import echo from '../../src/plugins/echo.js';
import { createServer } from '../../src/server/server.js';
import { Simulator } from '../../src/simulator/simulator.js';
import { AUTH_TOKEN_HEADER } from '../../src/telnyx/frames.js';
import { root } from '../helpers/paths.js';
import { propertyRuns } from '../helpers/runs.js';
import { eventually } from '../helpers/servers.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

const TOKEN = 'sesame';
let dir: string;
let capture: string;
/** When each of Telnyx's messages came in the capture, since the first. */
let capturedMs: number[];

/** Calls an echo in virtual time, with a capture: fifteen frames and a digit. */
async function makeCapture(captureDir: string): Promise<string> {
  const server = new VirtualReactor({ captureDir });
  const simulator = new Simulator({ clock: server.clock, seed: 1 });
  const inbound = Array.from({ length: 15 }, (_, i) => new Uint8Array(160).fill(i + 1));
  server.call(simulator, echo, {
    inbound,
    lingerMs: 200,
    latencyMs: 5,
    authToken: TOKEN,
    dtmf: [{ atMs: 100, digit: '5' }],
  });
  await server.clock.advanceAsync(1000);
  await server.close();
  return join(captureDir, readdirSync(captureDir)[0]!);
}

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sidetone-replay-'));
  capture = await makeCapture(join(dir, 'captures'));
  capturedMs = [];
  for await (const record of (await openCapture(capture)).records) {
    if (record.from === 'telnyx') capturedMs.push(record.atMs);
  }
  capturedMs = capturedMs.map(atMs => atMs - capturedMs[0]!);
});
after(() => rmSync(dir, { recursive: true }));

/** The server's end of a connection in memory. */
interface Peer {
  clock: VirtualClock;
  send(text: string): void;
  close(code: number): void;
}

/** Replays to a server in memory, in virtual time. `sentMs`: when each message left, since the first. */
async function against(
  serve: (peer: Peer) => (text: string) => void,
  options: ReplayOptions = {},
): Promise<{ result: ReplayResult; sentMs: number[]; tookMs: number }> {
  const clock = new VirtualClock(1000);
  const sentMs: number[] = [];
  const connect = (): ReplaySocket => {
    const client = new EventEmitter();
    let open = true;
    const end = (code: number): void => {
      if (open) client.emit('close', code);
      open = false;
    };
    const receive = serve({
      clock,
      send: text => open && client.emit('message', Buffer.from(text), false),
      close: end,
    });
    setImmediate(() => client.emit('open'));
    return Object.assign(client, {
      bufferedAmount: 0,
      send(data: string) {
        sentMs.push(clock.now());
        receive(data);
      },
      close: end,
      terminate: () => end(1006),
    }) as unknown as ReplaySocket;
  };
  // The clock moves only while the replay waits, so reading the file takes no time.
  let waiting = 0;
  const replayClock: Clock = {
    now: () => clock.now(),
    every: (intervalMs, callback) => clock.every(intervalMs, callback),
    after(delayMs, callback) {
      waiting++;
      let done = false;
      const end = (): void => {
        if (!done) waiting--;
        done = true;
      };
      const cancel = clock.after(delayMs, () => {
        end();
        callback();
      });
      return () => {
        end();
        cancel();
      };
    },
  };
  let over = false;
  const replaying = replay(capture, 'ws://127.0.0.1/', { ...options, clock: replayClock, connect }).finally(
    () => {
      over = true;
    },
  );
  while (!over) {
    if (waiting > 0) clock.advance(0.5);
    await new Promise(resolve => setImmediate(resolve));
  }
  const result = await replaying;
  return { result, sentMs: sentMs.map(atMs => atMs - sentMs[0]!), tookMs: clock.now() - sentMs[0]! };
}
const echoing =
  (peer: Peer) =>
  (text: string): void => {
    const frame = JSON.parse(text);
    if (frame.event !== 'media') return;
    peer.send(JSON.stringify({ event: 'media', media: { payload: frame.media.payload } }));
  };

test('the same server does the same: every message, every byte, in its own time', async () => {
  const { result, sentMs } = await against(peer => {
    const server = new VirtualReactor({}, peer.clock);
    const { socket, receive } = server.connect(echo);
    socket.onSend = text => peer.send(text);
    return receive;
  });
  assert.deepEqual(sentMs, capturedMs);
  assert.equal(result.failure, undefined);
  assert.equal(result.latestMs, 0);
  assert.deepEqual(result.sent, { messages: result.toSend, media: 15 });
  assert.equal(result.captured.payloadBytes, 15 * 160);
  assert.equal(result.captured.audioMs, 300);
  assert.deepEqual(result.replayed, result.captured);
  assert.deepEqual(result.audio, { same: true });
});

test('--speed: in a fraction of the time, with times still those of the capture', async () => {
  const { result, sentMs } = await against(
    peer => text => {
      const frame = JSON.parse(text);
      if (frame.event !== 'media') return;
      const answer = JSON.stringify({ event: 'media', media: { payload: frame.media.payload } });
      peer.clock.after(10, () => peer.send(answer));
    },
    { speed: 4 },
  );
  assert.deepEqual(
    sentMs,
    capturedMs.map(atMs => atMs / 4),
  );
  assert.equal(result.sent.messages, result.toSend);
  assert.deepEqual(result.audio, { same: true });
  assert.equal(result.replayed.firstMediaMs, 40);
});

test('another server: what it does differently', async () => {
  const tokens: unknown[] = [];
  let echoed = 0;
  const { result, tookMs } = await against(
    peer => text => {
      const frame = JSON.parse(text);
      if (frame.event === 'connected') tokens.push(frame.connected['x-telnyx-streaming-auth-token']);
      if (frame.event === 'start') peer.send('{"event":"mark","mark":{"name":"hello"}}');
      if (frame.event !== 'media') return;
      const payload = Buffer.from(frame.media.payload, 'base64');
      if (++echoed === 8) payload[7]! ^= 1;
      peer.send(JSON.stringify({ event: 'media', media: { payload: payload.toString('base64') } }));
      if (echoed === 8) peer.send('nonsense');
    },
    { token: 'another' },
  );
  assert.deepEqual(tokens, ['another']);
  assert.equal(result.failure, undefined);
  assert.equal(result.closeCode, 1000);
  assert.deepEqual(result.audio, { same: false, differsAtMs: Math.floor((7 * 160 + 7) / 8) });
  assert.deepEqual([result.replayed.marks, result.replayed.other, result.replayed.media], [1, 1, 15]);
  // It listens for the server's last words before it closes.
  assert.equal(tookMs, capturedMs.at(-1)! + 1500);
});

test('a server that hangs up in the middle', async () => {
  // A digit comes a fifth into the call.
  const { result, sentMs } = await against(peer => text => {
    if (JSON.parse(text).event === 'dtmf') peer.close(4001);
  });
  assert.equal(
    result.failure,
    `the server closed the connection after ${sentMs.length} of ${result.toSend} messages`,
  );
  assert.equal(sentMs.at(-1), 100);
  assert.equal(result.closeCode, 4001);
});

test('a server that falls behind and one that says nothing more', async () => {
  const late = await against(peer => {
    const echo = echoing(peer);
    let count = 0;
    return text => {
      // The event loop stands still for a second: what is due meanwhile is sent late, and nothing is lost.
      if (JSON.parse(text).event === 'media' && ++count === 5) peer.clock.block(1000);
      echo(text);
    };
  });
  assert.equal(late.result.latestMs, 980);
  assert.deepEqual(late.result.audio, { same: true });
  const silent = await against(() => () => {});
  assert.deepEqual(silent.result.audio, { same: false, differsAtMs: 0 });
});

test('over real sockets: the token opens the door, every message arrives, every byte comes back', async () => {
  const server = await createServer({ port: 0, admin: false, logLevel: 'silent', authToken: TOKEN });
  await server.listen();
  const url = `ws://127.0.0.1:${server.port}/echo`;
  const refused = await replay(capture, url, { speed: 100 });
  assert.match(refused.failure!, /HTTP status 401/);
  assert.equal(refused.sent.messages, 0);
  assert.equal(refused.audio.same, false);

  // The replay's clock stops after its last message until the last echo has come, however late that is.
  const clock = new VirtualClock();
  let [sent, received] = [0, 0];
  const connect: ReplayOptions['connect'] = (to, { token }) => {
    const socket = new WebSocket(to, { headers: { [AUTH_TOKEN_HEADER]: token } });
    const send = socket.send.bind(socket) as (data: string) => void;
    socket.send = (data: string) => {
      sent++;
      send(data);
    };
    socket.on('message', () => received++);
    return socket;
  };
  let over = false;
  const replaying = replay(capture, url, { token: TOKEN, clock, connect }).finally(() => {
    over = true;
  });
  await eventually(
    async () => {
      if (sent < capturedMs.length || received >= 15) await clock.advanceAsync(5);
      return over;
    },
    'the end of the replay',
    60_000,
  );
  const result = await replaying;
  assert.equal(result.failure, undefined);
  assert.deepEqual(result.sent, { messages: result.toSend, media: 15 });
  assert.equal(result.replayed.payloadBytes, 15 * 160);
  assert.deepEqual(result.audio, { same: true });
  await server.close();
});

test('bad usage', async () => {
  await assert.rejects(replay(capture, 'ws://127.0.0.1:1', { speed: 0 }), /--speed: 0: give a number/);
  await assert.rejects(replay(capture, 'http://x'), /URL: http:\/\/x: give a ws/);
  await assert.rejects(replay(join(dir, 'nowhere'), 'ws://127.0.0.1:1'), /cannot be read/);
  const silent = join(dir, 'silent');
  writeFileSync(silent, '{"capture":"sidetone","version":1,"startedAt":"","redacted":[]}\n');
  await assert.rejects(replay(silent, 'ws://127.0.0.1:1'), /no message of Telnyx/);
});

test('the command: exit codes and JSON', async () => {
  const main = join(root, 'dist/src/cli/main.js');
  const missing = spawnSync(process.execPath, [main, 'replay', join(dir, 'nowhere'), 'ws://127.0.0.1:1'], {
    encoding: 'utf8',
  });
  assert.equal(missing.status, 2);
  // Nobody listens on port 1 (tcpmux) of loopback.
  const nobody = spawnSync(process.execPath, [main, 'replay', capture, 'ws://127.0.0.1:1', '--json'], {
    encoding: 'utf8',
  });
  assert.equal(nobody.status, 1, nobody.stderr);
  assert.match(JSON.parse(nobody.stdout).failure, /ECONNREFUSED/);
});

test('comparison: the same bytes in any cut, or the place of the first difference', () => {
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
