import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { VirtualClock } from '../../src/clock.js';
import { Simulator } from '../../src/simulator/simulator.js';
import { testCodecs } from '../helpers/codecs.js';
import { eventually } from '../helpers/servers.js';
import { frames, pcmu, type Wire } from './harness.js';

/** A server on a free loopback port; `serve` gets each connection. */
async function withServer(
  serve: (socket: WebSocket, headers: NodeJS.Dict<string | string[]>) => void,
  run: (url: string) => Promise<void>,
): Promise<void> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  server.on('connection', (socket, request) => serve(socket, request.headers));
  await once(server, 'listening');
  try {
    await run(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/media`);
  } finally {
    for (const socket of server.clients) socket.terminate();
    server.close();
  }
}

function echo(socket: WebSocket): void {
  socket.on('message', data => {
    const frame = JSON.parse(String(data)) as Wire;
    if (frame.event !== 'media') return;
    socket.send(JSON.stringify({ event: 'media', media: { payload: frame.media.payload } }));
  });
}

test('over a real socket: an echo comes back byte for byte, the token goes out twice', async () => {
  const tokens: unknown[] = [];
  const serve = (socket: WebSocket, headers: NodeJS.Dict<string | string[]>): void => {
    tokens.push(headers['x-telnyx-streaming-auth-token']);
    socket.once('message', data => tokens.push(JSON.parse(String(data)).connected));
    echo(socket);
  };
  await withServer(serve, async url => {
    const simulator = new Simulator({ seed: 1 });
    const spoken = frames(10);
    const options = { inbound: spoken, durationMs: Number.POSITIVE_INFINITY, authToken: 'secret' };
    const call = simulator.call(url, options);
    await eventually(() => call.soFar().heard.length === 10, 'the last echo, heard', 60_000);
    call.hangup();
    const result = await call.result;
    assert.deepEqual(tokens, ['secret', { 'x-telnyx-streaming-auth-token': 'secret' }]);
    assert.equal(result.ended, 'by the caller');
    assert.deepEqual(result.errors, []);
    assert.deepEqual(result.echo, { sent: 10, matched: 10 });
    assert.deepEqual(Buffer.concat(result.heard.map(({ payload }) => payload)), Buffer.concat(spoken));
    assert.ok(result.latencies.firstHeardMs! >= 0);
  });
});

test('over a real socket: stop comes before a normal close; an abrupt end is a 1006', async () => {
  const seen: string[][] = [];
  const closed: Promise<unknown>[] = [];
  const serve = (socket: WebSocket): void => {
    const events: string[] = [];
    seen.push(events);
    socket.on('message', data => events.push(JSON.parse(String(data)).event));
    closed.push(once(socket, 'close').then(([code]) => events.push(String(code))));
  };
  await withServer(serve, async url => {
    const simulator = new Simulator();
    for (const ending of ['stop', 'abrupt'] as const) {
      const { ended } = await simulator.call(url, { inbound: frames(1), lingerMs: 0, ending }).result;
      assert.equal(ended, 'by the caller');
    }
    await Promise.all(closed);
  });
  assert.deepEqual(seen, [
    ['connected', 'start', 'media', 'stop', '1000'],
    ['connected', 'start', 'media', '1006'],
  ]);
});

test('over a real socket: binary frames draw 100003, a close by the server ends the call', async () => {
  const errors: Wire[] = [];
  const serve = (socket: WebSocket): void => {
    socket.on('message', data => {
      const frame = JSON.parse(String(data));
      if (frame.event === 'start') socket.send(Buffer.from([1, 2, 3]));
      if (frame.event !== 'error') return;
      errors.push(frame.payload);
      socket.close(4000, 'enough');
    });
  };
  await withServer(serve, async url => {
    const call = new Simulator().call(url, { durationMs: Number.POSITIVE_INFINITY });
    const result = await call.result;
    assert.equal(errors[0].code, 100003);
    const { ended, closeCode, closeReason } = result;
    assert.deepEqual(
      { ended, closeCode, closeReason },
      {
        ended: 'by the application',
        closeCode: 4000,
        closeReason: 'enough',
      },
    );
  });
});

test('a refused upgrade, a refused connection and a bad address have different failures', async () => {
  const http = createServer();
  http.on('upgrade', (_request, socket) =>
    socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n'),
  );
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { port } = http.address() as AddressInfo;
  const simulator = new Simulator();
  const refused = await simulator.call(`ws://127.0.0.1:${port}/`).result;
  assert.equal(refused.ended, 'failed');
  assert.equal(refused.httpStatus, 401);
  http.close();
  await once(http, 'close');
  const nobody = await simulator.call(`ws://127.0.0.1:${port}/`).result;
  assert.equal(nobody.ended, 'failed');
  assert.match(nobody.failure!, /ECONNREFUSED/);
  for (const url of ['http://127.0.0.1/', 'ws://', 'ws://127.0.0.1/#part']) {
    assert.throws(() => simulator.call(url), { code: 'SIDETONE_BAD_OPTION' });
  }
  assert.throws(() => simulator.call('ws://127.0.0.1/', { authToken: 'a\nb' }), {
    code: 'SIDETONE_BAD_OPTION',
  });
});

/** Everything one in-memory call says to an application that echoes and marks, with the times. */
async function pairRun(seed: number): Promise<{ log: string[]; result: unknown }> {
  const clock = new VirtualClock();
  const simulator = new Simulator({ clock, seed });
  const { call, application, open } = simulator.pair({
    inbound: frames(20),
    shuffle: 3,
    loss: 0.1,
    latencyMs: 15,
    jitterMs: 10,
  });
  const log: string[] = [];
  application.onText = text => {
    log.push(`${clock.now()} ${text}`);
    const frame = JSON.parse(text) as Wire;
    if (frame.event !== 'media') return;
    application.send(JSON.stringify({ event: 'media', media: { payload: frame.media.payload } }));
    application.send(JSON.stringify({ event: 'mark', mark: { name: frame.media.chunk } }));
  };
  application.onClose = code => log.push(`${clock.now()} closed ${code}`);
  open();
  clock.advance(3000);
  return { log, result: await call.result };
}

test('in memory, under a virtual clock, the seed decides everything: ids, losses, order and latencies', async () => {
  const first = await pairRun(42);
  assert.deepEqual(await pairRun(42), first);
  assert.notDeepEqual((await pairRun(43)).log, first.log);
  assert.match(first.log[0]!, /^[34]\d(\.\d+)? \{"event":"connected"/);
  assert.match(first.log.at(-1)!, /closed 1000$/);
  const times = first.log.map(line => Number(line.split(' ')[0]));
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  );
});

test('in memory without latency, messages are delivered within send', async () => {
  const clock = new VirtualClock();
  const { call, application, open } = new Simulator({ clock, seed: 1 }).pair({
    durationMs: Number.POSITIVE_INFINITY,
  });
  const events: string[] = [];
  application.onText = text => events.push((JSON.parse(text) as Wire).event);
  open();
  assert.deepEqual(events, ['connected', 'start']);
  application.send(JSON.stringify({ event: 'mark', mark: { name: 'x' } }));
  application.sendBinary(new Uint8Array(1));
  call.dtmf('1');
  assert.deepEqual(events.slice(2), ['mark', 'error', 'dtmf']);
  application.send(
    JSON.stringify({ event: 'media', media: { payload: Buffer.from(pcmu(40)).toString('base64') } }),
  );
  assert.equal(call.queuedMs, 40);
  application.close(1001);
  assert.equal((await call.result).closeCode, 1001);
});

test('an application that closes from within its handler ends the call without leaving timers', async () => {
  for (const at of ['connected', 'start', 'media']) {
    const clock = new VirtualClock();
    const { call, application, open } = new Simulator({ clock, seed: 1 }).pair({
      inbound: frames(5),
      outbound: frames(5),
      dtmf: [{ atMs: 10, digit: '1' }],
    });
    const events: string[] = [];
    application.onText = text => {
      events.push((JSON.parse(text) as Wire).event);
      if (events.at(-1) === at) application.close();
    };
    open();
    clock.advance(5000);
    assert.equal(events.at(-1), at);
    assert.equal((await call.result).ended, at === 'connected' ? 'unanswered' : 'by the application');
    assert.equal(call.soFar().durationMs, 0);
  }
});

test('speech is encoded once for many calls, and what was heard becomes sound again', async () => {
  const clock = new VirtualClock();
  const simulator = new Simulator({ clock, seed: 1, codecs: testCodecs });
  const samples = Int16Array.from({ length: 800 }, (_, i) => ((i * 37) % 2000) - 1000);
  const spoken = simulator.speech({ samples, sampleRate: 16000 }, { encoding: 'L16' });
  assert.equal(spoken.inbound.length, 3, 'the last frame is filled up');
  const { call, application, open } = simulator.pair({ ...spoken, durationMs: 200 });
  let heardFrom = 0;
  application.onText = text => {
    const frame = JSON.parse(text) as Wire;
    if (frame.event !== 'media' || heardFrom++ >= 3) return;
    clock.after(35, () =>
      application.send(JSON.stringify({ event: 'media', media: { payload: frame.media.payload } })),
    );
  };
  open();
  clock.advance(300);
  const result = await call.result;
  assert.equal(result.frames.mediaSent, 10);
  const sound = simulator.render(result);
  const expected = new Int16Array((35 + 60) * 16);
  expected.set(samples, 35 * 16);
  assert.deepEqual(sound, { samples: expected, sampleRate: 16000 });
});

test('what a clear cut short is heard up to the cut', async () => {
  const clock = new VirtualClock();
  const simulator = new Simulator({ clock, seed: 1, codecs: testCodecs });
  const { call, application, open } = simulator.pair({ encoding: 'L16', durationMs: 100 });
  open();
  const samples = Int16Array.from({ length: 640 }, (_, i) => i + 1);
  const payload = Buffer.from(samples.buffer).toString('base64');
  application.send(JSON.stringify({ event: 'media', media: { payload } }));
  clock.advance(25);
  application.send('{"event":"clear"}');
  clock.advance(100);
  assert.deepEqual(simulator.render(await call.result).samples, samples.subarray(0, 400));
});
