// Runs every test: the native unit tests, then every compiled *.test.js under dist/test with node's own runner.
// `npm test -- NAME…` runs only the files whose path holds one of the names.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const names = process.argv.slice(2);

const files = readdirSync(new URL('../dist/test', import.meta.url), { recursive: true })
  .map(file => `dist/test/${file}`)
  // A compiled test whose source has gone is not a test.
  .filter(
    file => file.endsWith('.test.js') && existsSync(root + file.replace(/^dist\//, '').replace(/js$/, 'ts')),
  )
  .filter(file => names.length === 0 || names.some(name => file.includes(name)))
  .sort();

if (names.length === 0) {
  // The native tests as they ship, and once more under AddressSanitizer and UndefinedBehaviorSanitizer.
  for (const args of [[], ['--sanitize']]) {
    const native = spawnSync(process.execPath, ['scripts/test-native.mjs', ...args], {
      cwd: root,
      stdio: 'inherit',
    });
    if (native.status !== 0) process.exit(native.status ?? 1);
  }
}
if (files.length === 0) {
  console.error(`no test file matches ${names.join(', ')}`);
  process.exit(2);
}
// Two test files at a time would fight for the two cores that the timing tests need.
const node = spawnSync(
  process.execPath,
  ['--test', '--test-concurrency=1', '--test-reporter=spec', ...files],
  { cwd: root, stdio: 'inherit' },
);
process.exit(node.status ?? 1);
