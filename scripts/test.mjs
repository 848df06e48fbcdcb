// Runs every test: the compiled *.test.js under dist/test with node's own runner, several files at a time, and beside
// them the native unit tests, as they ship and under sanitizers. The last line says how many tests passed and failed.
//   npm test -- NAME…          only the files whose path holds one of the names, without the native tests
//   npm test -- --durations    how long each file's tests took, the longest first
//   npm run test:timing        what is claimed of speed: the files of test/timing, one at a time, on a machine at rest
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { relative } from 'node:path';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec as SpecReporter } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { inspect, parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
/** A test file that takes longer than this is ended and counts as failed. */
const FILE_MS_MAX = process.env.SIDETONE_TEST_PACKAGE === '1' ? 1_800_000 : 900_000;
/** How much of a failure's error stands at the end of the report. */
const FAILURE_CHARS_MAX = 2000;
/** Tests spend most of their time waiting, so more of them run at once than there are cores. */
const FILES_A_CORE = 2;
const FILES_MIN = 4;
/** The slowest files start first. Otherwise the last of them would run alone at the end. */
const LONGEST = ['demo/', 'faults/'];

const { values: flags, positionals: names } = parseArgs({
  allowPositionals: true,
  options: { durations: { type: 'boolean' }, timing: { type: 'boolean' } },
});

function testFiles() {
  const compiled = new URL('../dist/test', import.meta.url);
  if (!existsSync(compiled)) return [];
  const rank = file => Number(!LONGEST.some(part => file.includes(part)));
  return (
    readdirSync(compiled, { recursive: true })
      .map(file => `dist/test/${file}`)
      // The source of a compiled test may have been deleted. Such a test is not run.
      .filter(
        file =>
          file.endsWith('.test.js') && existsSync(root + file.replace(/^dist\//, '').replace(/js$/, 'ts')),
      )
      .filter(file => file.startsWith('dist/test/timing/') === (flags.timing === true))
      .filter(file => names.length === 0 || names.some(name => file.includes(name)))
      .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
  );
}

/**
 * Runs the native tests and keeps their output until they end. Otherwise it would mix with the output of the other
 * tests.
 */
function nativeTests(...args) {
  const child = spawn(process.execPath, ['scripts/test-native.mjs', ...args], { cwd: root });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', data => (output += data));
  return new Promise(resolve => {
    child.on('close', (code, signal) => {
      const counts = /test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed/.exec(output);
      const failed = Number(counts?.[2] ?? 0);
      resolve({
        name: ['native tests', ...args].join(' '),
        output,
        passed: Number(counts?.[1] ?? 0),
        // doctest does not count a broken build or a sanitizer's report, so each counts here as one failure.
        failed: code === 0 ? failed : Math.max(failed, 1),
        end: signal ? `ended by ${signal}` : `exit code ${code}`,
        skipped: code === 0 && !counts,
      });
    });
  });
}

async function nativeRuns() {
  const runs = [];
  for (const args of [[], ['--sanitize']]) runs.push(await nativeTests(...args));
  return runs;
}

async function fileTests(files) {
  const count = { passed: 0, failed: 0, skipped: 0 };
  const durations = new Map();
  const failures = [];
  const took = ({ file, nesting, details }) => {
    if (nesting > 0 || !file) return;
    durations.set(file, (durations.get(file) ?? 0) + details.duration_ms);
  };
  const events = run({
    files: files.map(file => root + file),
    concurrency: flags.timing ? 1 : Math.max(FILES_MIN, FILES_A_CORE * cpus().length),
    timeout: FILE_MS_MAX,
  });
  events.on('test:pass', test => {
    took(test);
    if (test.details.type === 'suite') return;
    if (test.skip !== undefined || test.todo !== undefined) count.skipped++;
    else count.passed++;
  });
  events.on('test:fail', test => {
    took(test);
    // A suite is not counted, because the tests in it are.
    const within = ['subtestsFailed', 'cancelledByParent'].includes(test.details.error?.failureType);
    if (test.details.type === 'suite' && within) return;
    if (test.todo !== undefined) {
      count.skipped++;
      return;
    }
    count.failed++;
    failures.push(test);
  });
  const report = events.compose(new SpecReporter());
  report.pipe(process.stdout, { end: false });
  await finished(report, { writable: false });
  return { ...count, durations, failures };
}

const files = testFiles();
if (files.length === 0) {
  console.error(
    existsSync(`${root}dist/test`)
      ? `no test file matches ${names.join(', ')}`
      : 'nothing is built: `npm run setup` does it, or `npm run compile`',
  );
  process.exit(2);
}

const began = performance.now();
const [tests, native] = await Promise.all([
  fileTests(files),
  names.length === 0 && !flags.timing ? nativeRuns() : [],
]);

if (flags.durations) {
  console.log('\nms of its tests, by file:');
  for (const [file, ms] of [...tests.durations].sort((a, b) => b[1] - a[1])) {
    console.log(`${ms.toFixed(0).padStart(8)} ${relative(root, file)}`);
  }
}
for (const { name, output, passed, failed, end, skipped } of native) {
  if (failed > 0) console.log(`\n✖ ${name} (${end})\n${output}`);
  else console.log(skipped ? `${name}: ${output.trim()}` : `✔ ${name}: ${passed} passed`);
}
// Once more, because a log is often cut to its last lines.
for (const { name, file, details } of tests.failures) {
  const error = inspect(details.error?.cause ?? details.error).slice(0, FAILURE_CHARS_MAX);
  console.log(`\n✖ ${name} (${relative(root, file ?? '')})\n${error}`);
}
const sum = key => native.reduce((total, one) => total + one[key], tests[key]);
console.log(`${((performance.now() - began) / 1000).toFixed(1)} s, ${tests.skipped} skipped`);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exitCode = sum('failed') > 0 ? 1 : 0;
