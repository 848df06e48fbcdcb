// The package as people have it, on each Node.js: packed, taken into the project that `sidetone new` writes, type-checked,
// tested, served and called. Node.js comes from npm's package `node`. uWebSockets.js for Node.js 24 wants glibc 2.38:
// there the installed project is run in a Debian 13 root.
//   npm run test:package:nodes [-- 20 22 24]
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inRoot, makeRoot, whyNoRoots } from './debian-root.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const versions = process.argv.length > 2 ? process.argv.slice(2) : ['20', '22', '24'];
const home = mkdtempSync(join(tmpdir(), 'sidetone-nodes-'));

/** Runs inside the project, on the Node.js that is tried: no file of this checkout is needed. */
const CHECK = `
import { spawn, spawnSync } from 'node:child_process';
const fail = what => { console.error(what); process.exit(1); };
const node = (...args) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 64e6 });
  if (status !== 0) fail(args.join(' ') + ': exit code ' + status + '\\n' + stdout + stderr);
  return stdout;
};
node('node_modules/typescript/bin/tsc', '--skipLibCheck', 'false');
node('--import', 'jiti/register', '--test', 'agent.test.ts');
const main = 'node_modules/sidetone/dist/src/cli/main.js';
const server = spawn(process.execPath, [main, 'serve', '--plugin', './agent.ts', '--port', '0', '--no-admin']);
let output = '';
for (const stream of [server.stdout, server.stderr]) stream.on('data', data => (output += data));
const ended = new Promise(resolve => server.once('exit', resolve));
const deadline = Date.now() + 120_000;
let port;
while ((port = /"port":(\\d+)/.exec(output)?.[1]) === undefined) {
  if (server.exitCode !== null || Date.now() > deadline) fail('no server: ' + output);
  await new Promise(resolve => setTimeout(resolve, 100));
}
const result = JSON.parse(node(main, 'call', 'ws://127.0.0.1:' + port + '/', '--seconds', '3', '--json'));
if (!result.ok) fail(JSON.stringify(result.errors));
server.kill('SIGTERM');
const code = await ended;
if (code !== 0) fail('the server ended with ' + code + ': ' + output);
console.log(process.version);
`;

function run(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 64e6,
    ...options,
  });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stdout + stderr}`);
  return stdout;
}

// npm puts settings of this checkout into the environment of its scripts.
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_|^SIDETONE_/.test(name)),
);

function install(version, tarball) {
  const folder = join(home, version);
  const tool = join(folder, 'node');
  mkdirSync(tool, { recursive: true });
  run('npm', ['install', '--prefix', tool, '--no-save', '--no-audit', '--no-fund', `node@${version}`], {
    env,
  });
  const binary = join(tool, 'node_modules/node/bin');
  const project = join(folder, 'my-agent');
  run(
    process.execPath,
    [join(root, 'dist/src/cli/main.js'), 'new', '--dependency', `file:${tarball}`, project],
    { env },
  );
  // npm runs on the Node.js that is tried, and so picks the binaries for it.
  const path = `${binary}${delimiter}${process.env.PATH}`;
  run('npm', ['install', '--no-audit', '--no-fund'], { cwd: project, env: { ...env, PATH: path } });
  writeFileSync(join(project, 'check.mjs'), CHECK);
  return { project, node: join(binary, 'node') };
}

/** Copies the project and its Node.js into a fresh Debian 13, which has nothing else of this machine. */
function inDebian13({ project, node }) {
  const debian = join(home, 'trixie');
  makeRoot(debian, 'trixie');
  cpSync(project, join(debian, 'my-agent'), { recursive: true, verbatimSymlinks: true });
  cpSync(node, join(debian, 'usr/local/bin/node'));
  const { status, stdout, stderr } = inRoot(debian, ['node', 'check.mjs'], { cwd: '/my-agent' });
  if (status !== 0) throw new Error(stdout + stderr);
  return stdout.trim();
}

const results = [];
try {
  run('npm', ['pack', '--pack-destination', home], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const tarball = join(
    home,
    readdirSync(home).find(file => file.endsWith('.tgz')),
  );
  for (const version of versions) {
    const needsRoot = Number(version) >= 24 && Number(glibcMinor()) < 38;
    const why = needsRoot ? whyNoRoots() : undefined;
    if (why !== undefined) {
      results.push(
        `Node.js ${version}: skipped: its uWebSockets.js wants glibc 2.38, and there is no Debian 13 root: ${why}`,
      );
      continue;
    }
    try {
      const installed = install(version, tarball);
      const { project, node } = installed;
      const said = needsRoot ? inDebian13(installed) : run(node, ['check.mjs'], { cwd: project, env }).trim();
      const manifest = JSON.parse(readFileSync(join(project, 'node_modules/sidetone/package.json'), 'utf8'));
      const isBuilt = readdirSync(join(project, 'node_modules/sidetone')).includes('build');
      results.push(
        `Node.js ${said}${needsRoot ? ' in a Debian 13 root' : ''}: proved: sidetone ${manifest.version} installs with ${isBuilt ? 'an addon built here' : 'its prebuilt addon'}, a TypeScript plugin is type-checked, tested, and serves a call`,
      );
    } catch (error) {
      results.push(`Node.js ${version}: FAILED: ${error.message}`);
    }
  }
} finally {
  rmSync(home, { recursive: true, force: true });
}
console.log(results.join('\n'));
process.exit(results.some(line => line.includes(': FAILED: ')) ? 1 : 0);

function glibcMinor() {
  return process.report.getReport().header.glibcVersionRuntime?.split('.')[1] ?? '0';
}
