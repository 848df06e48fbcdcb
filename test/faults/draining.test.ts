/** A plugin's onDraining: its calls are told of the drain, on every reactor, and one that fails harms nothing. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { definePlugin, SidetoneError, Simulator } from '../../src/index.js';
import { serveChild } from '../helpers/serve-child.js';
import { eventually } from '../helpers/servers.js';

const WAIT_MS = 60_000;
const directory = mkdtempSync(join(tmpdir(), 'sidetone-draining-'));
after(() => rmSync(directory, { recursive: true }));

const PLUGIN = `
  import { definePlugin } from 'sidetone';
  const streams = new Set();
  export default definePlugin({
    name: 'goodbye',
    onStart(stream) {
      streams.add(stream);
      return { onStop: () => void streams.delete(stream) };
    },
    onDraining(deadline) {
      console.log(JSON.stringify({ draining: deadline.getTime() - Date.now(), streams: streams.size }));
      for (const stream of streams) stream.play(new Int16Array(1600).fill(5000)).then(() => stream.close());
    },
  });`;
const FAILING = `
  import { definePlugin } from 'sidetone';
  export default definePlugin({ name: 'failing', onStart() {}, async onDraining() { throw new Error('no goodbye'); } });`;

for (const reactors of [1, 2]) {
  test(`SIGTERM: each plugin is told once, and says goodbye to its calls; ${reactors} reactor(s)`, async () => {
    const files = { 'goodbye.ts': PLUGIN, 'failing.ts': FAILING };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    const plugins = Object.keys(files).flatMap(name => ['--plugin', join(directory, name)]);
    const child = await serveChild([...plugins, '--reactors', String(reactors), '--drain-timeout', '600']);
    try {
      const simulator = new Simulator();
      const calls = Array.from({ length: 4 }, () =>
        simulator.call(`ws://127.0.0.1:${child.port}/goodbye`, {
          encoding: 'L16',
          durationMs: Number.POSITIVE_INFINITY,
          handshakeTimeoutMs: WAIT_MS,
        }),
      );
      const started = (): boolean => child.output().split('stream started').length - 1 >= 4;
      await eventually(started, `four streams: ${child.output()}`, WAIT_MS);
      child.process.kill('SIGTERM');
      for (const result of await Promise.all(calls.map(call => call.result))) {
        assert.equal(result.ended, 'by the application');
        assert.ok(result.heard.length > 0, 'the goodbye was heard');
        for (const { payload } of result.heard) assert.equal(Buffer.from(payload).readInt16LE(0), 5000);
      }
      assert.equal((await child.exit).code, 0);
      const told = child
        .output()
        .split('\n')
        .filter(line => line.startsWith('{"draining"'));
      const facts = told.map(line => JSON.parse(line) as { draining: number; streams: number });
      assert.equal(facts.length, reactors, child.output());
      assert.equal(
        facts.reduce((sum, { streams }) => sum + streams, 0),
        4,
      );
      for (const { draining } of facts) assert.ok(draining > 0 && draining <= 600_000, `${draining} ms`);
      assert.equal(child.output().split("a plugin's onDraining failed").length - 1, reactors);
    } finally {
      await child.kill();
    }
  });
}

test('an onDraining that is no function is refused', () => {
  const wrong = { name: 'wrong', onStart() {}, onDraining: 5 } as never;
  assert.throws(
    () => definePlugin(wrong),
    (error: unknown) =>
      error instanceof SidetoneError && /onDraining: 5: give a function/.test(error.message),
  );
});
