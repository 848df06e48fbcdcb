/**
 * A drain past its deadline hands running calls to the process that shares the port: the simulator takes Telnyx's side and opens
 * each call again. That the real service does so is not proven.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type ServeChild, serveChild } from '../helpers/serve-child.js';
import { eventually, freePort, hangUp, longCall, startServer } from '../helpers/servers.js';

const directory = mkdtempSync(join(tmpdir(), 'sidetone-drain-handover-'));
after(() => rmSync(directory, { recursive: true }));

const CALLS = 4;
const state = (call: string): string => join(directory, `${call}.json`);

/** An echo that leaves what it knows of a call to its successor, as a plugin with a database would. */
const plugin = join(directory, 'agent.mjs');
writeFileSync(
  plugin,
  `import { existsSync, readFileSync, writeFileSync } from 'node:fs';
export default {
  name: 'agent',
  onStart(stream) {
    const file = ${JSON.stringify(directory)} + '/' + stream.callControlId + '.json';
    const history = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
    let frames = 0;
    return {
      onAudio(frame) { frames++; stream.play(frame); },
      onResume() { throw new Error('its handler is in another process'); },
      onStop(reason) { writeFileSync(file, JSON.stringify([...history, { pid: process.pid, reason, heard: frames > 0 }])); },
    };
  },
};\n`,
);

test('drainHandover without another process on the port is refused', async () => {
  await assert.rejects(startServer([], { drainHandover: true }), {
    code: 'SIDETONE_BAD_OPTION',
    message: /^drainHandover: true: .*give sharePort/,
  });
});

for (const reactors of [1, 2]) {
  test(`calls that outlast the drain go on at the new process, with what the plugin kept; ${reactors} reactor(s)`, async () => {
    const port = await freePort();
    const address = `ws://127.0.0.1:${port}/agent`;
    const own = ['--share-port', '--port', String(port), '--reactors', String(reactors), '--plugin', plugin];
    const children: ServeChild[] = [];
    const start = async (): Promise<ServeChild> => {
      const child = await serveChild([
        ...own,
        '--no-overload-refuse',
        '--drain-handover',
        '--drain-timeout',
        '1',
      ]);
      children.push(child);
      return child;
    };
    try {
      const old = await start();
      const ids = Array.from({ length: CALLS }, (_, i) => `v3:call-${reactors}-${i}`);
      const calls = await Promise.all(ids.map(callControlId => longCall(address, { callControlId })));
      const next = await start();
      old.process.kill('SIGTERM');
      const returned = await Promise.all(
        calls.map(async (call, i) => {
          const { ended, closeCode, errors } = await call.result;
          assert.deepEqual([ended, closeCode, errors], ['by the application', 1012, []], old.output());
          return longCall(address, { callControlId: ids[i]! });
        }),
      );
      assert.deepEqual(await old.exit, { code: 0, signal: null });
      // What each says and hears is compared byte for byte.
      for (const call of returned) await hangUp(call);
      for (const id of ids) {
        const told = (): unknown[] => JSON.parse(readFileSync(state(id), 'utf8')) as unknown[];
        await eventually(() => told().length === 2, `the end of ${id}`);
        assert.deepEqual(told(), [
          { pid: old.process.pid, reason: 'handed_over', heard: true },
          { pid: next.process.pid, reason: 'stop', heard: true },
        ]);
      }
      assert.deepEqual(await next.stop(), { code: 0, signal: null });
    } finally {
      await Promise.all(children.map(child => child.kill()));
    }
  });
}
