/** Pages that are made of tables in the code, or that list what the code does, must say the same as the code. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { snakeCase } from '../src/admin/counters.js';
import { REACTOR_COUNTERS } from '../src/counters.js';
import { ERRORS } from '../src/errors.js';
import { CLOSE_CODES, END_COUNTERS } from '../src/server/ends.js';
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

const life = readFileSync(join(root, 'docs/life.md'), 'utf8');
const source = (file: string): string => readFileSync(join(root, 'src/server', file), 'utf8');
/** The ends in docs/life.md: lines of a drawing with what the peer gets and the counters. */
const ends = life.split('\n').filter(line => line.includes('─▶'));

function assertDrawn(status: string, counter: string): void {
  const words = (line: string): string[] =>
    line
      .split('─▶')
      .at(-1)!
      .split(/[^\w]+/);
  const isDrawn = ends.some(line => words(line).includes(status) && words(line).includes(counter));
  assert.ok(isDrawn, `docs/life.md has no end with ${status} and ${counter}`);
}

test('docs/life.md has every refusal of an upgrade', () => {
  const upgrade = source('upgrade.ts');
  const refusals = [...upgrade.matchAll(/\[\s*'(\w+)',\s*'(\d{3}) /g)];
  // All that is written like a status there is part of a refusal that was found.
  assert.equal(refusals.length, [...upgrade.matchAll(/'\d{3} /g)].length);
  assert.ok(refusals.length >= 8, `${refusals.length} refusals`);
  for (const [, counter, status] of refusals) assertDrawn(status!, counter!);
  for (const counter of REACTOR_COUNTERS.filter(name => name.startsWith('upgrades'))) {
    assert.ok(life.includes(`${counter}`), `${counter} is not in docs/life.md`);
  }
});

test('docs/life.md has every answer to a webhook', () => {
  const refusals = [...source('webhook-route.ts').matchAll(/refuse\('(\w+)', (\d{3})/g)];
  assert.ok(refusals.length >= 4, `${refusals.length} refusals`);
  for (const [, counter, status] of refusals) assertDrawn(status!, counter!);
  const statuses = new Map(
    [...source('../telnyx/webhooks.ts').matchAll(/^ {2}(\w+): (\d{3}),$/gm)].map(([, outcome, status]) => [
      outcome,
      status,
    ]),
  );
  const outcomes = [...source('webhooks.ts').matchAll(/^ {2}(\w+): '(webhooks\w+)',$/gm)];
  assert.ok(outcomes.length >= 9, `${outcomes.length} outcomes`);
  for (const [, outcome, counter] of outcomes) assertDrawn(statuses.get(outcome)!, counter!);
});

test('docs/life.md has every end of a stream with its close code and its counter', () => {
  const rows = [...life.matchAll(/^\| `(\w+)` \|.*\| (\d{4}) \| (.*?) \|/gm)];
  const reasons = new Set(rows.map(([, reason]) => reason));
  assert.deepEqual([...reasons].sort(), Object.keys(CLOSE_CODES).sort());
  for (const [line, reason, code, counters] of rows) {
    assert.equal(Number(code), CLOSE_CODES[reason as keyof typeof CLOSE_CODES], line);
    const counter = END_COUNTERS[reason as keyof typeof END_COUNTERS];
    assert.ok(counter === undefined || counters!.includes(`\`${counter}\``), `${line}: ${counter} counts it`);
  }
});

test('docs/life.md names no counter, metric or error code that does not exist', () => {
  const metrics = new Set(REACTOR_COUNTERS.map(name => `sidetone_${snakeCase(name)}_total`));
  for (const [metric] of life.matchAll(/sidetone_\w+_total/g)) {
    assert.ok(metrics.has(metric) || metric === 'sidetone_reactor_restarts_total', metric);
  }
  for (const [code] of life.matchAll(/SIDETONE_\w+/g)) assert.ok(code in ERRORS, code);
  const counters: ReadonlySet<string> = new Set(REACTOR_COUNTERS);
  const counted = [...life.matchAll(/─▶ .*? {2,}(\w+)(?:, (\w+))?/g)].flatMap(([, ...names]) => names);
  const named = counted.filter((name): name is string => name !== undefined && /[a-z][A-Z]/.test(name));
  assert.ok(named.length > 20, `${named.length} counters`);
  for (const name of named) assert.ok(counters.has(name), `${name} is no counter`);
});

test('docs/api is what the docstrings say: every public name has one, and no link is dead', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/api.mjs', '--check'], {
    cwd: root,
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
});
