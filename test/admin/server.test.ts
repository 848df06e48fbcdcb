/** The admin port of a real server with real calls. */
import assert from 'node:assert/strict';
import { createServer as createSocket } from 'node:net';
import { test } from 'node:test';
import { createServer } from '../../src/index.js';
import echo from '../../src/plugins/echo.js';
import { eventually, longCall, startServer, stopServer, url } from '../helpers/servers.js';
import { WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';
import { parseExposition, sampleValue } from './exposition.js';
import { fetchAdmin } from './fake.js';

const SECRETS = {
  from: '+13125550123',
  to: '+13125550188',
  clientState: 'aGlkZGVuLXN0YXRl',
  customParameters: { account: 'account-of-the-caller' },
  authToken: 'the-secret-token',
  callControlId: 'v3:call-control-id-of-the-call',
  userId: 'user-id-of-the-owner',
};

for (const reactors of [1, 2]) {
  test(`${reactors} reactor${reactors > 1 ? 's' : ''}: calls show in metrics and streams, and nothing of who calls`, async () => {
    const server = await startServer([], { admin: true, reactors, authToken: SECRETS.authToken });
    try {
      const calls = await Promise.all(
        [0, 1].map(i =>
          longCall(url(server), { ...SECRETS, callControlId: `${SECRETS.callControlId}-${i}` }),
        ),
      );
      await eventually(() => calls.every(call => call.soFar().echo.matched >= 10), 'the echo of both calls');

      const { total, streams } = JSON.parse((await fetchAdmin(server.adminPort, '/api/streams')).body);
      assert.equal(total, 2);
      assert.deepEqual(
        streams.map(({ id }: { id: string }) => id).sort(),
        calls.map(({ streamId }) => streamId).sort(),
      );
      for (const stream of streams) {
        assert.equal(stream.plugin, 'echo');
        assert.deepEqual(stream.inbound, { encoding: 'PCMU', sampleRate: 8000 });
        assert.ok(stream.counters.framesHeard >= 10 && stream.ageMs > 0);
      }

      const text = (await fetchAdmin(server.adminPort, '/metrics')).body;
      const families = parseExposition(text);
      const labels = { plugin: 'echo', inbound: 'PCMU', outbound: 'PCMU' };
      assert.equal(sampleValue(families, 'sidetone_streams', labels), 2);
      assert.equal(sampleValue(families, 'sidetone_ready'), 1);
      assert.equal(sampleValue(families, 'sidetone_streams_started_total'), 2);
      assert.ok(sampleValue(families, 'sidetone_frames_heard_total') >= 20);
      assert.equal(
        sampleValue(families, 'sidetone_bytes_received_total'),
        160 * sampleValue(families, 'sidetone_media_received_total'),
      );
      assert.equal(families.get('sidetone_connections')!.samples.length, reactors);

      const status = (await fetchAdmin(server.adminPort, '/api/status')).body;
      assert.equal(JSON.parse(status).streams, 2);
      const shown = text + status + JSON.stringify(streams);
      for (const secret of Object.values(SECRETS)) {
        const hidden = typeof secret === 'string' ? secret : secret.account;
        assert.ok(!shown.includes(hidden), `${hidden} shows`);
      }
      for (const call of calls) call.hangup();
      await Promise.all(calls.map(call => call.result));
    } finally {
      await stopServer(server);
    }
  });
}

test('the age and the queue of a stream are in ms of the clock', async () => {
  const virtual = new VirtualReactor({ leadMs: 200 });
  const { connection, receive } = virtual.connect(echo);
  receive(new WireCall().start());
  virtual.clock.advance(1234);
  connection.stream!.play(new Int16Array(8000));
  virtual.clock.advance(100);
  const [stream] = virtual.reactor.snapshot(0).streams;
  assert.deepEqual([stream!.ageMs, stream!.queuedMs], [1334, 900]);
  await virtual.close();
});

test('while draining, readiness is 503 and the figures go on; the admin port closes last', async () => {
  const server = await startServer([], { admin: true });
  const { adminPort } = server;
  const call = await longCall(url(server));
  assert.equal((await fetchAdmin(adminPort, '/readyz')).status, 200);
  const closed = server.close();
  assert.deepEqual((await fetchAdmin(adminPort, '/readyz')).status, 503);
  assert.equal((await fetchAdmin(adminPort, '/healthz')).status, 200);
  const families = parseExposition((await fetchAdmin(adminPort, '/metrics')).body);
  assert.equal(sampleValue(families, 'sidetone_draining'), 1);
  assert.equal(sampleValue(families, 'sidetone_streams_started_total'), 1);
  call.hangup();
  await call.result;
  await closed;
  await assert.rejects(fetchAdmin(adminPort, '/healthz'), { code: 'ECONNREFUSED' });
});

test('a full server is not ready', async () => {
  const server = await startServer([], { admin: true, maxStreams: 1 });
  try {
    const call = await longCall(url(server));
    const { status, body } = await fetchAdmin(server.adminPort, '/readyz');
    assert.deepEqual([status, body], [503, 'full\n']);
    call.hangup();
    await call.result;
    await eventually(async () => (await fetchAdmin(server.adminPort, '/readyz')).status === 200, 'room');
  } finally {
    await stopServer(server);
  }
});

test('an admin port in use: listen() says so and leaves the other port free', async () => {
  const other = createSocket();
  await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as { port: number };
  try {
    const server = await createServer({ port: 0, adminPort: port, logLevel: 'silent' });
    await assert.rejects(server.listen(), { code: 'SIDETONE_PORT_IN_USE', message: /--admin-port/ });
    assert.equal(server.port, 0);
    await server.close();
    // The reverse: the admin port is closed again when the streams' port is in use.
    const another = await createServer({ port, adminPort: 0, logLevel: 'silent' });
    await assert.rejects(another.listen(), { code: 'SIDETONE_PORT_IN_USE', message: /--port/ });
    assert.equal(another.adminPort, 0);
    await another.close();
  } finally {
    other.close();
  }
});

test('without an admin port there is none; beside a port that is given, 9090 is its default', async () => {
  const server = await startServer([], { admin: false });
  assert.equal(server.adminPort, 0);
  await stopServer(server);
  const { options } = await createServer({ port: 8080, logLevel: 'silent' });
  assert.equal(options.adminPort, 9090);
});
