import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { RawSocket } from '../helpers/raw-socket.js';
import { serveChild } from '../helpers/serve-child.js';
import { eventually, hangUp, longCall, startServer, stopServer, url } from '../helpers/servers.js';

afterEach(() => RawSocket.destroyAll());

test('reactors without calls go on refusing new ones while the calls of another end', async () => {
  const child = await serveChild(['--reactors', '3']);
  try {
    const call = await longCall(`ws://127.0.0.1:${child.port}/echo`);
    child.process.kill('SIGTERM');
    await eventually(() => child.output().includes('"msg":"draining"'), 'the drain');
    // Connections are dealt in turn, so each reactor gets some, even when the others are idle.
    for (let i = 0; i < 12; i++) {
      const socket = await RawSocket.open(child.port, { path: '/echo' });
      assert.equal(socket.status, 503);
      socket.destroy();
    }
    // The call has lived through all of it.
    await hangUp(call);
    assert.deepEqual(await child.exit, { code: 0, signal: null });
  } finally {
    await child.kill();
  }
});

for (const reactors of [1, 2]) {
  test(`close() called twice at once does not wait for running calls; ${reactors} reactor(s)`, async () => {
    const server = await startServer([], { reactors, drainTimeoutMs: 86_400_000 });
    const call = await longCall(url(server));
    await stopServer(server);
    assert.equal((await call.result).closeCode, 1001);
  });
}
