/** Pages that are made of tables in the code must say what the tables say. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ERRORS } from '../src/errors.js';
import { root } from './helpers/paths.js';

test('the pages made by npm run docs are up to date', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/docs.mjs', '--check'], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
});

test('every error code of the table is used', () => {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.ts') && file !== 'errors.ts')
    .map(file => readFileSync(join(root, 'src', file), 'utf8'));
  for (const code of Object.keys(ERRORS)) {
    assert.ok(
      sources.some(text => text.includes(`'${code}'`)),
      `${code} is in the table of errors and nowhere else`,
    );
  }
});
