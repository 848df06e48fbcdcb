/** README must say the same as the code. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from './helpers/paths.js';

const readme = readFileSync(join(root, 'README.md'), 'utf8');

test('every file that README links to exists', () => {
  const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(match => match[1]!);
  assert.ok(links.length > 5);
  for (const link of links) assert.ok(existsSync(join(root, link)), `${link} is missing`);
});
