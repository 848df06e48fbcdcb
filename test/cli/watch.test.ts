/** `sidetone serve --watch`: new calls get the code that was saved, running ones keep theirs. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { FSWatcher } from 'node:fs';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { VirtualClock } from '../../src/clock.js';
import { type Call, Simulator } from '../../src/index.js';
import { PluginWatch } from '../../src/server/plugin-watch.js';
import { type ServeChild, serveChild } from '../helpers/serve-child.js';
import { eventually } from '../helpers/servers.js';

const WAIT_MS = 60_000;
const directory = mkdtempSync(join(tmpdir(), 'sidetone-watch-'));
after(() => rmSync(directory, { recursive: true }));

const simulator = new Simulator();
const file = (name: string): string => join(directory, name);

/** Each save is one event. Otherwise a slow machine could load a file that is half written. */
function save(name: string, text: string): void {
  writeFileSync(file('saving'), text);
  renameSync(file('saving'), file(name));
}

/** What a call hears at each key: whole frames of this sample. */
const write = (level: number): void => save('level.ts', `export const level: number = ${level};\n`);
const writePlugin = (sign: string): void =>
  save(
    'agent.ts',
    `import { definePlugin } from 'sidetone';
     import { level } from './level.js';
     export default definePlugin({
       name: 'agent',
       onStart: stream => ({ onDtmf: () => void stream.play(new Int16Array(320).fill(${sign}level)) }),
     });\n`,
  );

const count = (child: ServeChild, text: string): number => child.output().split(text).length - 1;

/** Saves, and waits for the line that tells what came of it. */
async function saved(child: ServeChild, change: () => void, line: string): Promise<void> {
  const before = count(child, line);
  change();
  await eventually(() => count(child, line) > before, `"${line}": ${child.output()}`, WAIT_MS);
}

/** What the call hears when it presses a key. */
async function answer(call: Call): Promise<number> {
  const before = call.soFar().heard.length;
  call.dtmf('1');
  await eventually(() => call.soFar().heard.length > before, 'an answer', WAIT_MS);
  return Buffer.from(call.soFar().heard[before]!.payload).readInt16LE(0);
}

async function started(child: ServeChild): Promise<Call> {
  const call = simulator.call(`ws://127.0.0.1:${child.port}/`, {
    encoding: 'L16',
    durationMs: Number.POSITIVE_INFINITY,
    handshakeTimeoutMs: WAIT_MS,
  });
  await eventually(() => call.soFar().frames.sent >= 2, 'the start of a call', WAIT_MS);
  return call;
}

for (const reactors of [1, 2]) {
  test(`new calls get the new code of the plugin and of what it imports; ${reactors} reactor(s)`, async () => {
    write(1000);
    writePlugin('');
    const child = await serveChild(['--watch', '--plugin', file('agent.ts'), '--reactors', String(reactors)]);
    try {
      /** One on every reactor. */
      const calls = (): Promise<Call[]> =>
        Promise.all(Array.from({ length: reactors }, () => started(child)));
      const answers = (all: Call[]): Promise<number[]> => Promise.all(all.map(answer));
      const all = (level: number): number[] => Array.from({ length: reactors }, () => level);
      const first = await calls();
      assert.deepEqual(await answers(first), all(1000));

      await saved(child, () => write(2000), 'plugins loaded anew');
      const second = await calls();
      assert.deepEqual(await answers(second), all(2000));
      assert.deepEqual(await answers(first), all(1000));

      const kept = 'plugins could not be loaded anew: new calls get the code of before';
      await saved(child, () => save('agent.ts', 'export default {{'), kept);
      const third = await calls();
      assert.deepEqual(await answers(third), all(2000));

      await saved(child, () => writePlugin('-'), 'plugins loaded anew');
      const fourth = await calls();
      assert.deepEqual(await answers(fourth), all(-2000));
      assert.deepEqual(await answers(first), all(1000));
      for (const call of [...first, ...second, ...third, ...fourth]) {
        call.hangup();
        assert.deepEqual((await call.result).errors, []);
      }
      assert.equal((await child.stop()).code, 0);
    } finally {
      await child.kill();
    }
  });
}

test('saves in quick succession are one reload, files that are not code cause none, and a reload waits for the last one', async () => {
  const clock = new VirtualClock();
  let tell!: (event: string, file: string | null) => void;
  let loads = 0;
  let finish = (): void => {};
  const watcher = Object.assign(new EventEmitter(), { close() {} }) as unknown as FSWatcher;
  const watch = new PluginWatch({
    folders: ['/agent'],
    clock,
    onChange: () => {
      loads++;
      return new Promise(resolve => {
        finish = resolve;
      });
    },
    onError: error => assert.fail(error),
    watchFolder: (_, listener) => {
      tell = listener;
      return watcher;
    },
  });
  for (const name of ['call.wav', 'agent.ts.swp', '.agent.ts~']) tell('change', name);
  assert.equal(clock.timers, 0);
  tell('change', 'agent.ts');
  await clock.advanceAsync(60);
  tell('rename', null);
  await clock.advanceAsync(60);
  assert.equal(loads, 0);
  await clock.advanceAsync(60);
  assert.equal(loads, 1);
  tell('change', 'agent.ts');
  await clock.advanceAsync(200);
  assert.equal(loads, 1);
  finish();
  await clock.advanceAsync(0);
  assert.equal(loads, 2);
  finish();
  tell('change', 'data.json');
  watch.close();
  await clock.advanceAsync(200);
  tell('change', 'agent.ts');
  assert.equal(clock.timers, 0);
  assert.equal(loads, 2);
});
