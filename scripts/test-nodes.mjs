// Runs the tests on every supported Node.js with the one addon binary that is built: `npm run test:nodes [22 24 …]`.
// The binaries come from the npm package `node`. Each version gets a copy of the built files with its own
// node_modules, because npm installs the uWebSockets.js binary for the Node.js that runs it.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const versions = process.argv.length > 2 ? process.argv.slice(2) : ['20', '22', '24', '26'];
const COPIED = [
  'package.json',
  '.dependency-cruiser.cjs',
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'NOTICE',
  'LICENSE',
  'CMakeLists.txt',
  'package-lock.json',
  'dist',
  'build',
  'src',
  'test',
  'assets',
  'examples',
  'scripts',
  'docs',
  'native',
  'bench',
];
const results = [];

function run(command, args, options) {
  return spawnSync(command, args, { stdio: 'inherit', ...options }).status === 0;
}

for (const version of versions) {
  const home = join(root, '.nodes', version);
  const copy = join(home, 'sidetone');
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { recursive: true });
  for (const name of COPIED) {
    try {
      cpSync(join(root, name), join(copy, name), { recursive: true });
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
  }
  const installed = run('npm', [
    'install',
    '--prefix',
    home,
    '--no-save',
    '--no-audit',
    '--no-fund',
    `node@${version}`,
  ]);
  const node = join(home, 'node_modules', 'node', 'bin');
  const env = { ...process.env, PATH: `${node}${delimiter}${process.env.PATH}` };
  env.SIDETONE_VECTORS ??= join(root, '../shared/vectors');
  const passed =
    installed &&
    run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: copy, env }) &&
    run(join(node, 'node'), ['--version'], { env }) &&
    // The native unit tests do not use Node.js, so they run only once.
    run(join(node, 'node'), ['scripts/test.mjs', 'test'], { cwd: copy, env });
  results.push(`Node ${version}: ${passed ? 'passed' : 'FAILED'}`);
}
console.log(results.join('\n'));
process.exit(results.some(line => line.endsWith('FAILED')) ? 1 : 0);
