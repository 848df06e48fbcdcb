// Builds the addons that the package brings along, one a platform, into prebuilds/, and checks that they load on
// systems older than this one.
//
//   npm run prebuild                     every platform that this machine has a compiler for
//   npm run prebuild -- linux-arm64      these platforms; an error where the compiler is missing
//   npm run prebuild -- --test           runs the tests of the native kernels with each of them
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** The oldest symbol versions. Every supported Node.js needs them too. */
const LIMITS = { GLIBC: '2.17', GLIBCXX: '3.4.22', CXXABI: '1.3.9' };

const TARGETS = {
  'linux-x64': { arch: 'x64', compiler: 'g++', tools: '', cmake: [], node: [process.execPath] },
  'linux-arm64': {
    arch: 'arm64',
    compiler: 'aarch64-linux-gnu-g++',
    tools: 'aarch64-linux-gnu-',
    cmake: [`--CDCMAKE_TOOLCHAIN_FILE=${join(root, 'native/compat/linux-arm64.cmake')}`],
    packages: 'g++-aarch64-linux-gnu qemu-user',
  },
};

function run(command, args, options = {}) {
  const { status, stdout, error } = spawnSync(command, args, { cwd: root, encoding: 'utf8', ...options });
  if (status !== 0) fail(`${command} ${args.join(' ')}: ${error?.message ?? `exit code ${status}`}`);
  return stdout;
}

function fail(problem) {
  console.error(`prebuild: ${problem}`);
  process.exit(1);
}

const has = command => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;

const newer = (a, b) => a.localeCompare(b, 'en', { numeric: true }) > 0;

/** The newest version of each library that the addon needs. */
function versionsOf(file, tools) {
  const newest = {};
  const symbols = run(`${tools}objdump`, ['-T', file]);
  for (const [, library, version] of symbols.matchAll(/\((GLIBC|GLIBCXX|CXXABI)_([\d.]+)\)/g)) {
    if (newest[library] === undefined || newer(version, newest[library])) newest[library] = version;
  }
  return newest;
}

function build(name, { arch, tools, cmake }) {
  const out = `build-prebuilt-${name}`;
  const cmakeJs = require.resolve('cmake-js/bin/cmake-js');
  const parallel = String(availableParallelism());
  const options = [
    '--out',
    out,
    '--arch',
    arch,
    '--CDSIDETONE_PREBUILT=ON',
    ...cmake,
    '--parallel',
    parallel,
  ];
  run(process.execPath, [cmakeJs, 'build', ...options], { stdio: ['ignore', 'ignore', 'inherit'] });
  const folder = join(root, 'prebuilds', `sidetone-${name}`);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'node-napi-v8.node');
  copyFileSync(join(root, out, 'Release/sidetone.node'), file);
  run(`${tools}strip`, ['--strip-unneeded', file]);
  const versions = versionsOf(file, tools);
  for (const [library, limit] of Object.entries(LIMITS)) {
    if (versions[library] !== undefined && newer(versions[library], limit)) {
      fail(`${file} wants ${library} ${versions[library]}; ${limit} is the limit (see native/compat)`);
    }
  }
  const needs = Object.entries(versions).map(([library, version]) => `${library} ${version}`);
  console.log(`prebuild: ${name}: needs ${needs.join(', ')}`);
  return file;
}

/** Node.js for another architecture. It comes from npm and runs under qemu-user. */
function emulated(arch) {
  const folder = mkdtempSync(join(tmpdir(), 'sidetone-node-'));
  const npm = ['install', '--no-save', '--force', '--prefix', folder, `node-linux-${arch}@20`];
  run('npm', npm, { stdio: ['ignore', 'ignore', 'inherit'] });
  const node = join(folder, `node_modules/node-linux-${arch}/bin/node`);
  return { folder, node: ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu', node] };
}

function test(name, target, file) {
  const { folder, node } = target.node ? { node: target.node } : emulated(target.arch);
  const [command, ...args] = node;
  const tests = ['dist/test/native/kernels.test.js', 'dist/test/native/resampler.test.js'];
  for (const path of tests) {
    run(command, [...args, path], {
      env: { ...process.env, SIDETONE_ADDON: file },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }
  if (folder) rmSync(folder, { recursive: true });
  console.log(`prebuild: ${name}: ${tests.length} test files passed`);
}

const names = process.argv.slice(2).filter(argument => !argument.startsWith('--'));
for (const name of names) {
  if (!TARGETS[name]) fail(`${name}: no such platform: use ${Object.keys(TARGETS).join(', ')}`);
}
for (const [name, target] of Object.entries(TARGETS)) {
  if (names.length > 0 && !names.includes(name)) continue;
  if (!has(target.compiler)) {
    const missing = `${name}: ${target.compiler} is missing (apt-get install ${target.packages ?? 'g++'})`;
    if (names.length > 0) fail(missing);
    console.log(`prebuild: ${missing}: left out`);
    continue;
  }
  const file = build(name, target);
  if (process.argv.includes('--test')) test(name, target, file);
}
if (!existsSync(join(root, 'prebuilds'))) fail('nothing was built');
