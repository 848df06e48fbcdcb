/** README must say the same as the code. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Command } from 'commander';
import { register } from '../src/cli/serve.js';
import { serverOptionsSchema } from '../src/options.js';
import { root } from './helpers/paths.js';

const readme = readFileSync(join(root, 'README.md'), 'utf8');

test('README names every option of a server', () => {
  for (const option of Object.keys(serverOptionsSchema.shape)) {
    assert.ok(readme.includes(`\`${option}\``), `${option} is missing in README's table`);
  }
});

test('every flag that README gives for an option exists', () => {
  const program = new Command();
  register(program);
  const flags = program.commands[0]!.options.map(option => option.long);
  const table = readme.split('\n').filter(line => line.startsWith('| `'));
  const named = table.flatMap(line => line.split('|')[3]?.match(/--[a-z0-9-]+/g) ?? []);
  assert.ok(named.length > 20);
  for (const flag of named) assert.ok(flags.includes(flag), `${flag} is no flag of serve`);
});

test('every file that README links to exists', () => {
  const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map(match => match[1]!);
  assert.ok(links.length > 5);
  for (const link of links) assert.ok(existsSync(join(root, link)), `${link} is missing`);
});
