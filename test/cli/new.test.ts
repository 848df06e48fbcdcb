/** `sidetone new`: the project that it writes is checked, tested, served and called as its scripts say. */
import assert from 'node:assert/strict';
import { type SpawnOptions, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readWav } from '../../src/index.js';
import { root } from '../helpers/paths.js';
import { runCli } from '../helpers/serve-child.js';
import { eventually } from '../helpers/servers.js';

const WAIT_MS = 120_000;
const directory = mkdtempSync(join(tmpdir(), 'sidetone-new-'));
after(() => rmSync(directory, { recursive: true }));

/** A process in the project, with the commands of its packages. */
function run(folder: string, command: string, environment: NodeJS.ProcessEnv = {}) {
  const { NODE_TEST_CONTEXT: _, ...outer } = process.env; // a test runner inside of this one has its own
  const path = `${join(folder, 'node_modules/.bin')}:${process.env.PATH}`;
  const options: SpawnOptions = { cwd: folder, env: { ...outer, PATH: path, ...environment } };
  const child = spawn('sh', ['-c', `exec ${command}`], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString();
    });
  }
  const exit = new Promise<number | null>(resolve => child.on('close', resolve));
  return { child, exit, output: () => output };
}

async function succeeds(folder: string, command: string): Promise<string> {
  const { exit, output } = run(folder, command);
  assert.equal(await exit, 0, `${command}: ${output()}`);
  return output();
}

/** As `npm install` leaves it, with this checkout in the place of the package. */
function install(folder: string): void {
  const modules = join(folder, 'node_modules');
  mkdirSync(join(modules, '@types'), { recursive: true });
  mkdirSync(join(modules, '.bin'));
  symlinkSync(root, join(modules, 'sidetone'));
  for (const name of ['jiti', 'typescript', '@types/node']) {
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  const commands = { sidetone: 'dist/src/cli/main.js', tsc: 'node_modules/typescript/bin/tsc' };
  for (const [name, script] of Object.entries(commands)) {
    const file = join(modules, '.bin', name);
    writeFileSync(file, `#!/bin/sh\nexec "${process.execPath}" "${join(root, script)}" "$@"\n`);
    chmodSync(file, 0o755);
  }
}

test('a project is written, type-checks with both compilers, passes its tests and serves a call', async () => {
  const folder = join(directory, 'my-agent');
  const made = runCli(['new', folder, '--dependency', `file:${root}`]);
  assert.deepEqual(await made.exit, { code: 0, signal: null }, made.output());
  const steps = made.output().trim().split('\n');
  assert.equal(steps.length, 3, made.output());
  assert.match(steps[0]!, /^cd \S*my-agent && npm install$/);
  const { scripts, dependencies, name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  assert.equal(name, 'my-agent');
  assert.deepEqual(dependencies, { sidetone: `file:${root}` });
  for (const file of ['agent.ts', 'agent.test.ts', 'README.md', 'tsconfig.json', '.gitignore']) {
    assert.ok(existsSync(join(folder, file)), file);
    assert.doesNotMatch(readFileSync(join(folder, file), 'utf8'), /\{\{/);
  }

  install(folder);
  await succeeds(folder, scripts.check);
  await succeeds(folder, `"${process.execPath}" "${join(root, 'node_modules/typescript-7/bin/tsc')}" -p .`);
  assert.match(await succeeds(folder, scripts.test), /^(#|ℹ) pass 3$/m);

  const server = run(folder, scripts.start, { SIDETONE_PORT: '0', SIDETONE_ADMIN: 'false' });
  try {
    const listening = (): RegExpExecArray | null => /"port":(\d+).*"msg":"listening"/.exec(server.output());
    await eventually(() => listening() !== null || server.child.exitCode !== null, 'listening', WAIT_MS);
    const port = listening()?.[1];
    assert.ok(port, server.output());
    assert.match(scripts.call, /:8080\//);
    await succeeds(folder, scripts.call.replace(':8080/', `:${port}/`));
    const heard = await readWav(join(folder, 'heard.wav'));
    assert.ok(
      heard.channels[0]!.some(sample => Math.abs(sample) > 1000),
      'the caller heard what was said',
    );
    server.child.kill('SIGTERM');
    assert.equal(await server.exit, 0, server.output());
  } finally {
    server.child.kill('SIGKILL');
  }
});

test('the dependency is this version or a later one that fits it', async () => {
  const folder = join(directory, 'plain');
  assert.equal((await runCli(['new', folder]).exit).code, 0);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  assert.deepEqual(dependencies, { sidetone: `^${version}` });
});

test('a folder that is not empty, a file and an odd name are refused with exit code 2, and nothing is written', async () => {
  const full = join(directory, 'full');
  mkdirSync(full);
  writeFileSync(join(full, 'notes.txt'), 'mine');
  writeFileSync(join(directory, 'file'), 'mine');
  for (const [place, message] of [
    [full, /new: ".*full": it is not empty \(notes\.txt is in it\): give a new folder/],
    [join(directory, 'file'), /new: ".*file": it cannot be written: /],
    [join(directory, 'My Agent'), /new: ".*My Agent": name it with 1 to 64 lower-case letters/],
    [join(directory, '-agent'), /name it with/],
    [join(directory, 'a"b'), /name it with/],
    [join(directory, 'sidetone'), /sidetone is taken: give another name/],
  ] as const) {
    const { exit, output } = runCli(['new', '--', place]);
    assert.equal((await exit).code, 2, `${place}: ${output()}`);
    assert.match(output(), message);
  }
  assert.deepEqual(readdirSync(full), ['notes.txt']);
  assert.deepEqual(
    readdirSync(directory)
      .sort()
      .filter(name => !['my-agent', 'plain'].includes(name)),
    ['file', 'full'],
  );
});
