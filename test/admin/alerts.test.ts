/** The alarm rules of docs/prometheus. They use metrics that the server has, and fire only when they should. */
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

/** The path of the program. Without it the test is skipped with a note, or fails where no test may be skipped. */
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
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 300_000 });
  return { ok: status === 0, output: stdout + stderr };
}

test('every metric and every label that a rule or its test names is in what a server tells', async () => {
  const rules = expressions();
  const text = readFileSync(RULES, 'utf8');
  assert.deepEqual(
    [...rules.keys()],
    [...text.matchAll(/- alert: (\w+)/g)].map(([, name]) => name),
  );
  const server = await startServer([], { admin: true, adminPort: 0, reactors: 2 });
  try {
    const families = parseExposition((await fetchAdmin(server.adminPort, '/metrics')).body);
    /** Labels of a metric, apart from those that Prometheus adds. */
    const labelsOf = (metric: string): string[] => {
      if (metric === 'up') return []; // Prometheus makes it
      const sample = [...families.values()]
        .flatMap(({ samples }) => samples)
        .find(({ name }) => name === metric);
      assert.ok(sample, `the server has no ${metric}`);
      return Object.keys(sample.labels).sort();
    };
    for (const [alarm, expression] of rules) {
      const metrics = expression.match(/\b(?:up|(?:sidetone|process|nodejs)_\w+)\b/g) ?? [];
      assert.ok(metrics.length > 0, alarm);
      const known = [...PROMETHEUS_LABELS, ...metrics.flatMap(labelsOf)];
      const grouped = expression.matchAll(
        /\b(?:by|on|without|ignoring|group_left|group_right) ?\(([^)]*)\)|\{([^}]*)\}/g,
      );
      for (const [, names = '', matchers = ''] of grouped) {
        const labels = `${names},${matchers.replace(/[=!~]+"[^"]*"/g, '')}`.split(',').map(one => one.trim());
        for (const label of labels.filter(Boolean)) {
          assert.ok(known.includes(label), `${alarm}: there is no label ${label}`);
        }
      }
    }
    const series = [...readFileSync(CASES, 'utf8').matchAll(/series: '(\w+)\{([^}]*)\}'/g)];
    assert.ok(series.length > 2 * rules.size);
    for (const [, metric, labels] of series) {
      const names = [...labels!.matchAll(/(\w+)="/g)].map(([, name]) => name!);
      const own = names.filter(name => !PROMETHEUS_LABELS.includes(name)).sort();
      assert.deepEqual(own, labelsOf(metric!), `labels of ${metric} in ${CASES}`);
    }
  } finally {
    await stopServer(server);
  }
});

test('docs/admin.md lists every alarm, in the order of the rules', () => {
  const page = readFileSync(join(root, 'docs/admin.md'), 'utf8');
  const listed = [...page.matchAll(/^\| `(Sidetone\w+)` \|/gm)].map(([, name]) => name);
  assert.deepEqual(listed, [...expressions().keys()]);
});

test('each rule fires for the server that it is meant for, and for no other', context => {
  const program = needsPromtool(context);
  if (program === undefined) return;
  const checked = run(program, ['check', 'rules', RULES]);
  assert.ok(checked.ok, checked.output);
  const tested = run(program, ['test', 'rules', CASES]);
  assert.ok(tested.ok, tested.output);
});

test('no rule could fire never, or always, without a test of it failing', context => {
  const program = needsPromtool(context);
  if (program === undefined) return;
  const alarms = [...expressions().keys()];
  const directory = mkdtempSync(join(tmpdir(), 'sidetone-alerts-'));
  /** What the tests say where every rule is `expr`. */
  const broken = (expr: string): string => {
    const rules = alarms.map(alert => ({ alert, expr }));
    // JSON is YAML.
    writeFileSync(join(directory, 'rules.json'), JSON.stringify({ groups: [{ name: 'broken', rules }] }));
    const { ok, output } = run(program, ['test', 'rules', join(directory, 'cases.yml')]);
    assert.equal(ok, false);
    return output;
  };
  try {
    const cases = readFileSync(CASES, 'utf8').replace(/^rule_files: .*$/m, 'rule_files: [rules.json]');
    writeFileSync(join(directory, 'cases.yml'), cases);
    const never = broken('vector(1) > 1');
    const always = broken('sum by (job, instance) ({job="s"}) * 0 + 1');
    for (const alarm of alarms) {
      const head = `alertname: ?${alarm}, time: \\S+\\s+exp:`;
      assert.match(never, new RegExp(`${head}\\[\\s*0:`), `no test wants ${alarm} to fire`);
      assert.match(always, new RegExp(`${head}\\[\\]`), `no test wants ${alarm} to be silent`);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
