/** The alarm rules of docs/prometheus: they look at what the server tells, and fire when they should and only then. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { root } from '../helpers/paths.js';
import { startServer, stopServer } from '../helpers/servers.js';
import { parseExposition } from './exposition.js';
import { fetchAdmin } from './fake.js';

const RULES = join(root, 'docs/prometheus/alerts.yml');
const CASES = join(root, 'test/admin/alerts.promtool.yml');
/** Labels that Prometheus gives to what it scrapes. */
const PROMETHEUS_LABELS = ['job', 'instance'];

/** Expressions of the rules by the alarm's name: inline, or folded with `>-`. */
function expressions(): Map<string, string> {
  const found = new Map<string, string>();
  let name = '';
  let inExpression = false;
  for (const line of readFileSync(RULES, 'utf8').split('\n')) {
    const [, key, value = ''] = /^ {6}[- ] (\w+): ?(.*)$/.exec(line) ?? [];
    if (key === 'alert') name = value;
    if (key !== undefined) inExpression = key === 'expr';
    if (!inExpression) continue;
    const text = key === undefined ? line.trim() : value.replace('>-', '');
    found.set(name, `${found.get(name) ?? ''} ${text}`.trim());
  }
  return found;
}

function promtool(): string | undefined {
  const fetched = join(root, '.tools/promtool');
  if (existsSync(fetched)) return fetched;
  return spawnSync('promtool', ['--version']).error ? undefined : 'promtool';
}

/** The program, or a skip that is not overlooked; where the tests must be whole, a failure. */
function needsPromtool(context: TestContext): string | undefined {
  const program = promtool();
  if (program !== undefined) return program;
  const problem =
    'promtool is missing, so the alarm rules are NOT tested: run `bash scripts/promtool.sh`, or install it';
  if (process.env.CI === 'true') assert.fail(problem);
  console.error(`\n!!! ${problem}\n`);
  context.skip(problem);
  return undefined;
}

function run(program: string, args: string[]): { ok: boolean; output: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });
  return { ok: status === 0, output: stdout + stderr };
}

test('every metric and every label that a rule names is in what a server tells', async () => {
  const rules = expressions();
  assert.equal(rules.size, [...readFileSync(RULES, 'utf8').matchAll(/- alert:/g)].length);
  const server = await startServer([], { admin: true, reactors: 2 });
  try {
    const families = parseExposition((await fetchAdmin(server.adminPort, '/metrics')).body);
    const samples = [...families.values()].flatMap(family => family.samples);
    for (const [alarm, expression] of rules) {
      const metrics = new Set(expression.match(/\b(?:sidetone|process|nodejs)_\w+/g));
      assert.ok(metrics.size > 0, alarm);
      const known = new Set(PROMETHEUS_LABELS);
      for (const metric of metrics) {
        const of = samples.filter(({ name }) => name === metric);
        assert.ok(of.length > 0, `${alarm}: the server has no ${metric}`);
        for (const label of Object.keys(of[0]!.labels)) known.add(label);
      }
      const grouped = [
        ...expression.matchAll(/\b(?:by|on|without|ignoring|group_left|group_right) \(([^)]*)\)/g),
      ];
      const matched = [...expression.matchAll(/\{([^}]*)\}/g)].map(([, inside]) =>
        inside!.replace(/[=!~]+"[^"]*"/g, ''),
      );
      const labels = [...grouped.map(([, inside]) => inside!), ...matched].flatMap(list =>
        list.split(',').map(one => one.trim()),
      );
      for (const label of labels.filter(Boolean))
        assert.ok(known.has(label), `${alarm}: there is no label ${label}`);
    }
  } finally {
    await stopServer(server);
  }
});

test('each rule fires for the server that it is meant for, and for no other', context => {
  const program = needsPromtool(context);
  if (program === undefined) return;
  const checked = run(program, ['check', 'rules', RULES]);
  assert.ok(checked.ok, checked.output);
  const tested = run(program, ['test', 'rules', CASES]);
  assert.ok(tested.ok, tested.output);
});

test('no rule could be broken without a test of it failing', context => {
  const program = needsPromtool(context);
  if (program === undefined) return;
  const directory = mkdtempSync(join(tmpdir(), 'sidetone-alerts-'));
  try {
    const rules = join(directory, 'rules.json');
    const cases = join(directory, 'cases.yml');
    writeFileSync(
      cases,
      readFileSync(CASES, 'utf8').replace(/^rule_files: .*$/m, 'rule_files: [rules.json]'),
    );
    // JSON is YAML. A rule that never fires, and one that always does, for all that a case looks at.
    for (const alarm of expressions().keys()) {
      for (const expr of ['vector(1) > 1', 'sum by (job, instance) ({job="s"}) * 0 + 1']) {
        writeFileSync(
          rules,
          JSON.stringify({ groups: [{ name: 'broken', rules: [{ alert: alarm, expr }] }] }),
        );
        const { ok, output } = run(program, ['test', 'rules', cases]);
        assert.equal(ok, false);
        assert.match(output, new RegExp(`alertname: ?${alarm}`), `${alarm} is not tested against ${expr}`);
      }
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
