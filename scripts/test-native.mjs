// Builds and runs the native unit tests with ctest. `--sanitize`: under AddressSanitizer and
// UndefinedBehaviorSanitizer, every report fatal.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const sanitize = process.argv.includes('--sanitize');
const build = sanitize ? 'build-sanitize' : 'build-test';

function run(command, args) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

if (!existsSync('/usr/include/doctest/doctest.h')) {
  console.log(
    'native tests skipped: doctest/doctest.h is not installed (npm run setup installs doctest-dev)',
  );
  process.exit(0);
}
// The addon's own core is what ships, and it need not be compiled a second time.
const isBuilt = !sanitize && existsSync(`${root}build/CMakeCache.txt`);
if (isBuilt)
  run('cmake', ['--build', 'build', '--parallel', String(cpus().length), '--target', 'sidetone_core']);
run('cmake', [
  '-S',
  '.',
  '-B',
  build,
  '-DSIDETONE_NATIVE_TESTS=ON',
  // CMakeLists.txt sets the optimisation of a sanitized build.
  `-DCMAKE_BUILD_TYPE=${sanitize ? 'None' : 'Release'}`,
  `-DSIDETONE_ASAN=${sanitize ? 'ON' : 'OFF'}`,
  `-DSIDETONE_UBSAN=${sanitize ? 'ON' : 'OFF'}`,
  `-DSIDETONE_CORE=${isBuilt ? `${root}build/libsidetone_core.a` : 'sidetone_core'}`,
  '-Wno-dev',
]);
run('cmake', ['--build', build, '--parallel', String(cpus().length), '--target', 'sidetone_test']);
// --verbose, because doctest tells how many test cases passed.
run('ctest', ['--test-dir', build, '--verbose']);
