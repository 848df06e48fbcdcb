// Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer, every report fatal, into a directory of its own
// and runs compiled tests with it: `npm run test:sanitize:addon -- NAME…` those whose path holds one of the names,
// without names the codecs' (3,000 hostile payloads each among them), the native parts' and the conformance data.
// Leaks are not looked for: Node itself never frees what lives as long as the process.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const OUT = 'build-addon-sanitize';
const DEFAULT = ['codecs/', 'native/', 'conformance'];
const TEST_TIMEOUT_MS = 600_000;

function run(args, env = {}) {
  const { status, signal } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (status !== 0) {
    console.error(signal ? `ended by ${signal}` : `ended with ${status}`);
    process.exit(status || 1);
  }
}

/** The sanitizer's run-time library must be loaded before Node. The one that the addon names is loaded too late. */
function gccLibrary(name) {
  const { stdout } = spawnSync('gcc', [`-print-file-name=${name}`], { encoding: 'utf8' });
  const path = stdout?.trim();
  if (!path?.startsWith('/')) {
    console.error(`${name} not found: install gcc with its sanitizers, or use \`npm run test:sanitize\``);
    process.exit(1);
  }
  return path;
}

const preload = [gccLibrary('libasan.so'), gccLibrary('libubsan.so')].join(' ');
run(['scripts/build-native.mjs', '-O', OUT, '--CDSIDETONE_ASAN=ON', '--CDSIDETONE_UBSAN=ON'], {
  CXX: 'g++',
});
const addon = `${root}${OUT}/Release/sidetone.node`;
if (!readFileSync(addon).includes('__asan_report_store')) {
  console.error(`${addon} was built without AddressSanitizer`);
  process.exit(1);
}

const names = process.argv.length > 2 ? process.argv.slice(2) : DEFAULT;
const files = readdirSync(`${root}dist/test`, { recursive: true })
  .map(file => `dist/test/${file}`)
  .filter(file => file.endsWith('.test.js') && names.some(name => file.includes(name)))
  .sort();
if (files.length === 0) {
  console.error(`no test file matches ${names.join(', ')}`);
  process.exit(2);
}
run(
  [
    ...['--test', '--test-concurrency=1', '--test-reporter=spec', `--test-timeout=${TEST_TIMEOUT_MS}`],
    ...files,
  ],
  {
    SIDETONE_ADDON: addon,
    LD_PRELOAD: preload,
    ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  },
);
