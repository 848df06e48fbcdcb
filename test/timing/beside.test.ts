/**
 * How late a call hears its echo beside each fault. `beside` judges the p99 bounds only here, with one process for
 * each file of faults. The bounds hold on a machine that does nothing else.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from '../helpers/paths.js';

const FILES = ['access', 'backpressure', 'idle', 'json', 'lifetimes', 'order', 'plugins', 'protocol'];

for (const file of FILES) {
  test(`beside the faults of ${file}.test.ts, a call is in time`, async () => {
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const child = spawn(process.execPath, ['--test', join(root, `dist/test/faults/${file}.test.js`)], {
      env: { ...environment, SIDETONE_TIMING: '1' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.on('data', data => {
      output += data;
    });
    const [code] = await once(child, 'close');
    assert.equal(code, 0, output);
  });
}
