/** A second process takes over the port while the first drains: real processes, calls all the while. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ServeChild, serveChild } from '../helpers/serve-child.js';
import { echoedCall, eventually, freePort, hangUp, longCall, startServer } from '../helpers/servers.js';

/** How many calls are placed side by side, one after the other each. */
const CALLERS = 3;
const FRAMES = 5;
/** What the kernel does to a connection that nobody had accepted when its listening socket closed. */
const RESET = /ECONNRESET|socket hang up/;

test('a port that the system picks cannot be shared, and the error says what to give', async () => {
  await assert.rejects(startServer([], { sharePort: true, port: 0 }), {
    code: 'SIDETONE_BAD_OPTION',
    message: /^sharePort: true: .*give the port/,
  });
});

for (const reactors of [1, 2]) {
  test(`a hand-over between processes with ${reactors} reactors cuts no call and refuses none`, async () => {
    const port = await freePort();
    const address = `ws://127.0.0.1:${port}/echo`;
    const args = ['--share-port', '--port', String(port), '--reactors', String(reactors)];
    const children: ServeChild[] = [];
    const start = async (): Promise<ServeChild> => {
      const child = await serveChild([...args, '--no-overload-refuse', '--drain-timeout', '120']);
      children.push(child);
      return child;
    };
    try {
      const old = await start();
      const running = [await longCall(address), await longCall(address)];
      await start();

      let isPlacing = true;
      let placed = 0;
      let resets = 0;
      const place = async (): Promise<void> => {
        while (isPlacing) {
          try {
            await echoedCall(address, FRAMES);
            placed++;
          } catch (error) {
            if (!RESET.test(String(error))) throw error;
            resets++;
          }
        }
      };
      const callers = Promise.all(Array.from({ length: CALLERS }, place));
      const placedBy = (count: number): Promise<void> =>
        Promise.race([
          eventually(() => placed >= count, `${count} calls`),
          callers.then(() => assert.fail('the callers ended')),
        ]);
      await placedBy(2 * CALLERS);
      old.process.kill('SIGTERM');
      await eventually(() => old.output().includes('"msg":"draining"'), 'the drain');
      await placedBy(placed + 4 * CALLERS);
      assert.equal(old.process.exitCode, null, 'the first process waits for its calls');
      for (const call of running) await hangUp(call);
      assert.deepEqual(await old.exit, { code: 0, signal: null });
      await placedBy(placed + CALLERS);
      isPlacing = false;
      await callers;
      assert.ok(resets <= 1, `${resets} connections of ${placed} were reset`);
    } finally {
      await Promise.all(children.map(child => child.kill()));
    }
  });
}
