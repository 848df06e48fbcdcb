/**
 * The package as a dependent has it: packed, installed from npm's registry into an empty folder with production
 * dependencies only, type-checked, called. It takes minutes and a registry: `npm run test:package`.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { root } from '../helpers/paths.js';
import { eventually } from '../helpers/servers.js';

const run = promisify(execFile);

const AGENT = `import { type AudioFrame, definePlugin, type Stream } from 'sidetone';

export default definePlugin({
  name: 'agent',
  audio: { sampleRate: 16000 },
  onStart: (stream: Stream) => ({
    onAudio(frame: AudioFrame) {
      const loudest: number = frame.samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
      if (loudest >= 0) stream.play(frame);
    },
    onDtmf: (digit: string) => {
      if (digit === '#') void stream.clear();
    },
  }),
});
`;

/** What else a program may want of the package; every name must have a type that holds. */
const PROGRAM = `import {
  checkRequest, createDecoder, createEncoder, createServer, type Finding, type Server, SidetoneError, Simulator, VirtualClock,
} from 'sidetone';
import { type LoggedFailure, testCall } from 'sidetone/testing';
import agent from './agent.js';

export async function failures(): Promise<readonly LoggedFailure[]> {
  const call = await testCall(agent);
  await call.hangup();
  return call.failures;
}

export async function main(): Promise<number> {
  const server: Server = await createServer({ port: 0, plugins: ['echo'], opus: { dtx: true } });
  const findings: Finding[] = checkRequest({ stream_url: 'wss://example.com/' }, { for: 'streaming_start' });
  const pcm: Int16Array = createDecoder('G722').decode(createEncoder('G722').encode(new Int16Array(320)));
  const { call } = new Simulator({ clock: new VirtualClock() }).pair();
  try {
    await server.listen();
  } catch (error) {
    if (error instanceof SidetoneError && error.code === 'SIDETONE_PORT_IN_USE') return 1;
    throw error;
  }
  // @ts-expect-error: no such option
  await createServer({ prot: 0 });
  return findings.length + pcm.length + call.queuedMs;
}
`;

const { peerDependencies: PEERS } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  peerDependencies: Record<string, string>;
};
const MODULES = { nodenext: 'nodenext', bundler: 'esnext' };
const COMPILERS = { 'TypeScript 5.9': 'typescript', 'TypeScript 7': 'typescript-7' };

describe('the package, installed', {
  skip: process.env.SIDETONE_TEST_PACKAGE !== '1' && 'npm run test:package',
}, () => {
  const home = mkdtempSync(join(tmpdir(), 'sidetone-dependent-'));
  // npx and npm put their own settings into the environment, which are this checkout's.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_|^SIDETONE_/.test(name)),
  );
  let tarball = '';
  let installing = '';

  before(async () => {
    const packed = await run('npm', ['pack', '--json', '--pack-destination', home], {
      cwd: root,
      maxBuffer: 64e6,
    });
    const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
    tarball = join(home, filename);
    writeFileSync(join(home, 'package.json'), '{ "name": "dependent", "private": true, "type": "module" }\n');
    const install = ['install', '--omit=dev', '--no-audit', '--no-fund', '--foreground-scripts', tarball];
    const { stdout, stderr } = await run('npm', install, { cwd: home, env, maxBuffer: 64e6 });
    installing = stdout + stderr;
    writeFileSync(join(home, 'agent.ts'), AGENT);
    writeFileSync(join(home, 'program.ts'), PROGRAM);
  });
  after(() => rmSync(home, { recursive: true, force: true }));

  test('its production dependencies and its own files take less than 40 MB of the disk', async () => {
    for (const name of Object.keys(PEERS)) {
      assert.ok(!readdirSync(join(home, 'node_modules')).includes(name), name);
    }
    // As a person measures it: whole blocks, with folders.
    const { stdout } = await run('du', ['-sm', 'node_modules'], { cwd: home });
    const megabytes = Number.parseInt(stdout, 10);
    assert.ok(megabytes < 40, `${megabytes} MB`);
  });

  test('its addon is the prebuilt one', async () => {
    assert.doesNotMatch(installing, /building one|does not load/);
    const folders = readdirSync(join(home, 'node_modules/sidetone'));
    assert.ok(folders.includes('prebuilds') && !folders.includes('build'), folders.join(' '));
    const code = `import { createDecoder } from 'sidetone';
      console.log(createDecoder('PCMU').decode(new Uint8Array(160)).length);`;
    const args = ['--input-type=module', '-e', code];
    assert.equal((await run(process.execPath, args, { cwd: home, env })).stdout.trim(), '160');
  });

  test("are the types wrong? Not for whoever imports it, and there is only require('sidetone') of an ES module", async () => {
    const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
    // esm-only: there is no CommonJS part; what an old Node.js can require() only throws, hence its types are others.
    const { stdout } = await run(
      process.execPath,
      [attw, tarball, '--profile', 'esm-only', '--ignore-rules', 'false-esm', 'no-resolution', '--no-color'],
      {
        cwd: home,
        env,
      },
    );
    assert.match(stdout, /No problems found/);
  });

  test('its types hold under strict, without skipLibCheck', async () => {
    const types = { typeRoots: [join(root, 'node_modules/@types')], types: ['node'] };
    for (const [moduleResolution, module] of Object.entries(MODULES)) {
      const compilerOptions = {
        ...types,
        module,
        moduleResolution,
        target: 'es2022',
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        noEmit: true,
      };
      const project = join(home, `tsconfig.${moduleResolution}.json`);
      writeFileSync(project, JSON.stringify({ compilerOptions, files: ['agent.ts', 'program.ts'] }));
      for (const [name, compiler] of Object.entries(COMPILERS)) {
        const tsc = join(root, 'node_modules', compiler, 'bin/tsc');
        const { stdout } = await run(process.execPath, [tsc, '-p', project], { cwd: home, env }).catch(
          (error: { stdout: string }) => error,
        );
        assert.equal(stdout, '', `${name}, ${moduleResolution}: ${stdout}`);
      }
    }
  });

  test('it serves a call with a TypeScript plugin', async () => {
    const command = join(home, 'node_modules/.bin/sidetone');
    const serve = ['serve', '--plugin', './agent.ts', '--port', '0', '--no-admin'];
    const server = spawn(command, serve, { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [server.stdout, server.stderr]) stream.on('data', data => (output += data));
    const ended = new Promise<number | null>(resolve => server.once('exit', resolve));
    try {
      const portOf = (): string | undefined =>
        /"msg":"listening".*?"port":(\d+)|"port":(\d+).*?"msg":"listening"/
          .exec(output)
          ?.slice(1)
          .find(Boolean);
      await eventually(() => {
        assert.equal(server.exitCode, null, output);
        return portOf() !== undefined;
      }, 'a listening server');
      const call = ['sidetone', 'call', `ws://127.0.0.1:${portOf()}/`, '--seconds', '2', '--json'];
      const { stdout } = await run('npx', ['--no', '--', ...call], { cwd: home, env, maxBuffer: 64e6 });
      const result = JSON.parse(stdout) as { ok: boolean; errors: unknown[] };
      assert.deepEqual(result.errors, []);
      assert.equal(result.ok, true, stdout);
    } finally {
      server.kill('SIGTERM');
    }
    assert.equal(await ended, 0, output);
  });

  test('what needs an optional package names it, its versions and the command, and exits with 1', async () => {
    const body = join(home, 'start.json');
    writeFileSync(body, '{}');
    const commands = {
      echarts: ['demo'],
      telnyx: ['start', 'v3:call', '--url', 'wss://example.com/'],
    };
    for (const [name, args] of Object.entries(commands)) {
      const cli = join(home, 'node_modules/sidetone/dist/src/cli/main.js');
      const failure = await run(process.execPath, [cli, ...args], {
        cwd: home,
        env: { ...env, TELNYX_API_KEY: 'KEY0' },
      }).then(
        () => assert.fail(`${args[0]} works without ${name}`),
        (error: { code: number; stderr: string }) => error,
      );
      assert.equal(failure.code, 1, failure.stderr);
      const said = `the package ${name} (${PEERS[name]}) is not installed`;
      assert.ok(failure.stderr.includes(said), failure.stderr);
      assert.ok(failure.stderr.includes(`npm install ${name}@"${PEERS[name]}"`), failure.stderr);
    }
  });

  test('where no prebuilt addon is, it is built; where that cannot be, installing goes on and says what is missing', async () => {
    const folder = join(home, 'node_modules/sidetone');
    const install = join(folder, 'scripts/install.mjs');
    rmSync(join(folder, 'prebuilds'), { recursive: true });
    const poor = await run(process.execPath, [install], { cwd: folder, env: { ...env, PATH: home } });
    assert.match(poor.stderr, /building it needs cmake, .* missing here .*then run: node .*install\.mjs/);
    const rich = await run(process.execPath, [install], { cwd: folder, env, maxBuffer: 64e6 });
    assert.equal(rich.stderr, '');
    assert.ok(readdirSync(join(folder, 'build/Release')).includes('sidetone.node'));
  });
});
