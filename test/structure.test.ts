/** The order of src/'s folders, as .dependency-cruiser.cjs has it: no circle, no import upwards, type-only ones counted. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { root } from './helpers/paths.js';

const run = promisify(execFile);

interface Cruise {
  summary: { totalCruised: number; violations: { rule: { name: string }; from: string; to: string }[] };
}

async function cruise(cwd: string): Promise<Cruise['summary']> {
  const cruiser = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const args = [cruiser, '--output-type', 'json', '--config', join(root, '.dependency-cruiser.cjs'), 'src'];
  // Its exit code is the number of broken rules.
  const { stdout } = await run(process.execPath, args, { cwd, maxBuffer: 64e6 }).catch(
    (error: { stdout: string }) => error,
  );
  return (JSON.parse(stdout) as Cruise).summary;
}

const told = ({ violations }: Cruise['summary']): string[] =>
  violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`);

test('no circle and no import upwards in src/', async () => {
  const summary = await cruise(root);
  assert.ok(summary.totalCruised > 150, `${summary.totalCruised} modules looked at`);
  assert.deepEqual(told(summary), []);
});

test('a type-only import upwards, a circle of them and a folder without a place are found', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sidetone-structure-'));
  const files = {
    'server/server.ts': "import type { Entry } from '../log/log.js';\nexport type Server = Entry;\n",
    'log/log.ts': "import type { Server } from '../server/server.js';\nexport type Entry = Server;\n",
    'attic/box.ts': "import type { Entry } from '../log/log.js';\nexport type Box = Entry;\n",
  };
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(folder, 'src', dirname(path)), { recursive: true });
      writeFileSync(join(folder, 'src', path), text);
    }
    const found = told(await cruise(folder)).sort();
    assert.deepEqual(
      found.map(line => line.split(':')[0]),
      ['no-circle', 'no-room-without-a-floor', 'not-upward-from-log'],
      found.join('\n'),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
