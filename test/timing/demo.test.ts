/** The demo is right on a machine at rest: nothing late, no gap over its bound. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../helpers/paths.js';

test('five echoes over real sockets: exit 0', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sidetone-demo-'));
  const main = join(root, 'dist/src/cli/main.js');
  const flags = ['--out', dir, '--only', 'echo-L16', '--seed', '5'];
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'demo', ...flags], {
    encoding: 'utf8',
  });
  rmSync(dir, { recursive: true });
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /calls {4}5 of 5 right, seed 5/);
});
