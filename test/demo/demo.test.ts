import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readWav } from '../../src/audio/wav.js';
import { root } from '../helpers/paths.js';

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'sidetone-demo-'));
});
after(() => rmSync(dir, { recursive: true }));

function demo(...flags: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [join(root, 'dist/src/cli/main.js'), 'demo', ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output += chunk;
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  return new Promise(resolve => child.once('close', code => resolve({ code, output })));
}

test('a server that is right: exit 0; one that loses every tenth frame: exit 1, and the calls are named', async () => {
  const [right, wrong] = await Promise.all([
    demo('--out', join(dir, 'right'), '--only', 'echo-L16', '--seed', '5'),
    demo(
      ...['--out', join(dir, 'wrong'), '--only', '06-echo-L16', '--seed', '5'],
      ...['--plugin', fileURLToPath(new URL('faulty-echo.js', import.meta.url))],
    ),
  ]);
  assert.equal(right.code, 0, right.output);
  assert.match(right.output, /calls {4}5 of 5 right, seed 5/);
  assert.match(right.output, /echo +4\/4\n/m);
  assert.match(right.output, /every caller heard what it should/);
  const page = readFileSync(join(dir, 'right/index.html'), 'utf8');
  assert.match(page, /5 of 5 calls right/);
  assert.match(page, /<svg/);
  // Nothing is fetched from anywhere: the sounds that lie beside the page are all it points to.
  const references = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(match => match[1]!);
  assert.ok(references.length >= 5);
  for (const reference of references) assert.ok(existsSync(join(dir, 'right', reference)), reference);
  const { channels } = await readWav(join(dir, 'right/heard/06-echo-L16.wav'));
  assert.ok(channels[0]!.length > 8.5 * 16000);

  assert.equal(wrong.code, 1, wrong.output);
  assert.match(wrong.output, /06-echo-L16: is not what it should be from \d+ ms on/);
  assert.match(wrong.output, /NOT RIGHT/);
  assert.match(readFileSync(join(dir, 'wrong/index.html'), 'utf8'), /class="bad long"/);
});

test('a server that does not start, and a name that no call has, say so', async () => {
  const [none, plugin] = await Promise.all([
    demo('--out', join(dir, 'none'), '--only', 'walkie-talkie'),
    demo('--out', join(dir, 'plugin'), '--only', '06', '--plugin', './missing.ts'),
  ]);
  assert.equal(none.code, 2, none.output);
  assert.match(none.output, /--only: walkie-talkie: no call has this in its name/);
  assert.equal(plugin.code, 1, plugin.output);
  assert.match(plugin.output, /the server did not start: .*missing\.ts: no such file/);
});
