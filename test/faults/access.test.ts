/** Who may connect, how many, and what of it is written down (rows 46 and 48 to 50). */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { definePlugin, Simulator } from '../../src/index.js';
import { root } from '../helpers/paths.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { serveChild } from '../helpers/serve-child.js';
import {
  beside,
  counts,
  echoedCall,
  eventually,
  hangUp,
  longCall,
  startedCall,
  url,
  withServer,
} from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';

afterEach(() => RawSocket.destroyAll());

const HEADER = 'x-telnyx-streaming-auth-token';

test('fault 46: a missing or forged token is a 401, one of 4,000 characters fits, one of another call ends the stream', async () => {
  const long = 't'.repeat(4000);
  const authToken = ['right', long, { token: 'bound', callControlId: 'v2:mine' }];
  await withServer([], { authToken }, async server => {
    const before = await counts(server);
    for (const token of [null, '', 'wrong', 'righ', 'right ish', 'RIGHT', 'x'.repeat(8000)]) {
      const socket = await RawSocket.open(server.port, { path: '/echo', headers: { [HEADER]: token } });
      assert.equal(socket.status, 401, String(token).slice(0, 20));
      await socket.end();
    }
    assert.equal((await counts(server)).unauthorized! - before.unauthorized!, 7);
    assert.equal(server.connections, 0);

    for (const authToken of ['right', long]) {
      await echoedCall(url(server), 5, { authToken });
    }

    const bound = { headers: { [HEADER]: 'bound' } };
    const mine = await startedCall(server, { ...bound, callControlId: 'v2:mine' });
    mine.socket.send(mine.call.media(payloads(1)[0]!));
    await mine.socket.until(() => mine.socket.audio().length === 160, 'the echo');
    const replayed = await startedCall(server, { ...bound, callControlId: 'v2:theirs' });
    await replayed.socket.end();
    assert.equal(replayed.socket.closeCode, 1008);
    // Neither the header's token nor the one inside `connected` may be another's.
    const socket = await RawSocket.open(server.port, { path: '/echo', headers: { [HEADER]: 'right' } });
    socket.send(new WireCall().connected('forged'));
    await socket.end();
    assert.equal(socket.closeCode, 1008);
    const grown = (await counts(server)).unauthorized! - before.unauthorized!;
    assert.equal(grown, 9);
    assert.equal(server.streams, 1, "the bound call's stream stands");
  });
});

test('fault 46: a token bound to one call does not start another through connected', async () => {
  const authToken = ['right', { token: 'bound', callControlId: 'v2:mine' }];
  await withServer([], { authToken }, async server => {
    const { socket, call } = await startedCall(server, {
      headers: { [HEADER]: 'right' },
      callControlId: 'v2:any',
    });
    socket.send(call.media(payloads(1)[0]!));
    await socket.until(() => socket.audio().length === 160, 'the echo');
    const mixed = await RawSocket.open(server.port, { path: '/echo', headers: { [HEADER]: 'right' } });
    const theirs = new WireCall({ callControlId: 'v2:theirs' });
    mixed.send(theirs.connected('bound'));
    mixed.send(theirs.start());
    await mixed.end();
    assert.equal(mixed.closeCode, 1008);
  });
});

test('fault 48: over the limit of streams, an upgrade is a 503 and running calls go on', async () => {
  const pending: ((judgement: boolean) => void)[] = [];
  const thinker = definePlugin({
    name: 'thinker',
    accept: () => new Promise<boolean>(resolve => pending.push(resolve)),
    onStart: () => undefined,
  });
  await withServer([thinker], { maxStreams: 3 }, async server => {
    const grown = await beside(server, async () => {
      // Two accept() at once, of which only one finds room.
      const opening = [1, 2].map(() => RawSocket.open(server.port, { path: '/thinker' }));
      await eventually(() => pending.length === 2, 'both are thought about');
      const second = await startedCall(server);
      for (const resolve of pending) resolve(true);
      const statuses = (await Promise.all(opening)).map(({ status }) => status);
      assert.deepEqual(statuses.sort(), [101, 503]);
      for (let i = 0; i < 5; i++) {
        const socket = await RawSocket.open(server.port, { path: '/echo' });
        assert.equal(socket.status, 503);
        await socket.end();
      }
      assert.equal(server.ready, false);
      second.socket.destroy();
      await eventually(() => server.ready, 'room again');
      const { socket } = await startedCall(server);
      socket.destroy();
    });
    assert.equal(grown.upgradesFull, 6);
  });
});

test('fault 49: without file descriptors, calls go on and new ones come when some close', async () => {
  // Some 250 descriptors, of which 64 are kept for what is not a stream.
  const child = await serveChild(['--no-overload-refuse'], { descriptors: 250 });
  try {
    const call = await longCall(`ws://127.0.0.1:${child.port}/echo`);
    const open = async (): Promise<RawSocket> => RawSocket.open(child.port, { path: '/echo' });
    const streams = await Promise.all(Array.from({ length: 230 }, open));
    const statuses = streams.map(({ status }) => status);
    assert.equal(statuses.filter(status => status === 101).length, 250 - 64 - 1);
    assert.ok(statuses.every(status => status === 101 || status === 503));
    // Connections that ask for nothing take what is left; the kernel holds the others back.
    const idle = Array.from({ length: 120 }, () => new RawSocket(child.port));
    const taken = (): number => readdirSync(`/proc/${child.process.pid}/fd`).length;
    await eventually(() => taken() >= 250, 'no descriptor is left');
    const before = call.soFar().echo.matched;
    await eventually(() => call.soFar().echo.matched > before + 20, 'the call goes on');
    for (const socket of [...idle, ...streams.slice(0, 100)]) socket.destroy();
    await eventually(async () => {
      const socket = await open();
      socket.destroy();
      return socket.status === 101;
    }, 'room again');
    await hangUp(call);
    assert.match(child.output(), /the file descriptors allow fewer streams than streamsMax/);
  } finally {
    await child.kill();
  }
});

test('fault 50: no token, number or client_state is ever logged at the default level', async () => {
  const child = await serveChild([
    ...['--plugin', join(root, 'dist/test/fixtures/failing-plugin.js'), '--plugin', 'echo'],
    ...['--auth-token', 'SECRET-token'],
  ]);
  try {
    const path = (name: string): string => `ws://127.0.0.1:${child.port}/${name}`;
    const secrets = {
      authToken: 'SECRET-token',
      from: '+SECRET1312',
      to: '+SECRET1313',
      clientState: Buffer.from('SECRET').toString('base64'),
      customParameters: { pin: 'SECRET-pin' },
    };
    const simulator = new Simulator();
    await echoedCall(path('echo'), 5, secrets);
    await simulator.call(path('failing'), { ...secrets, inbound: payloads(5), lingerMs: 100 }).result;
    await simulator.call(path('echo'), { ...secrets, authToken: 'SECRET-guess' }).result;
    const socket = await RawSocket.open(child.port, {
      path: '/echo?token=SECRET-query',
      headers: { [HEADER]: 'SECRET-token' },
    });
    socket.send(new WireCall().connected('SECRET-token'));
    socket.send({ ...new WireCall().start({ from: 'SECRET', client_state: 'SECRET', to: 7 }) });
    socket.send('{"event":"start","start":{"from":"SECRET');
    socket.send({ ...new WireCall().start({ from: '+SECRET', to: '+SECRET' }) });
    socket.send(new WireCall().connected('SECRET-forged'));
    await socket.end();
    await eventually(() => child.output().includes('handler failed'), 'the log of what went wrong');
    const exit = await child.stop();
    assert.equal(exit.code, 0);
    assert.match(child.output(), /draining/);
    assert.doesNotMatch(child.output(), /SECRET|U0VDUkVU/);
  } finally {
    await child.kill();
  }
});
