/** What the npm package holds, what its public declarations show, and what works of it where a binary does not load. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { root } from '../helpers/paths.js';

const run = promisify(execFile);
const scratch = mkdtempSync(join(tmpdir(), 'sidetone-contents-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

const INDEX = join(root, 'dist/src/index.js');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  dependencies: Record<string, string>;
  exports: Record<string, Record<string, string>>;
};

test('the package holds what a dependent needs, and nothing else', async () => {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const { stdout } = await run('npm', args, { cwd: root, maxBuffer: 64e6 });
  const [packed] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  const files = packed.files.map(({ path }) => path);
  for (const wanted of [
    'dist/src/index.js',
    'dist/src/index.d.ts',
    'dist/src/require.cjs',
    'dist/src/cli/main.js',
    'dist/src/native/locate.js',
    'CMakeLists.txt',
    'native/addon.cpp',
    'scripts/install.mjs',
    'scripts/build-native.mjs',
    'assets/speech.wav',
    'assets/dashboard/dashboard.html',
    'examples/agent.ts',
    'docs/codecs.md',
    'docs/operations.md',
    'deploy/sidetone.service',
    'README.md',
    'LICENSE',
    'NOTICE',
    'CHANGELOG.md',
    'package.json',
  ]) {
    assert.ok(files.includes(wanted), `${wanted} is missing`);
  }
  const known =
    /^(assets|deploy|dist\/src|docs|examples|native|prebuilds\/sidetone-[a-z0-9-]+)\/|^(scripts\/(install|build-native)\.mjs|CMakeLists\.txt|[A-Z]+(\.md)?|package\.json)$/;
  assert.deepEqual(
    files.filter(file => !known.test(file) || /(^|\/)(test|bench)\//.test(file)),
    [],
  );
});

test('publint finds nothing', async () => {
  const { messages } = await publint({ pkgDir: root, pack: false, strict: true });
  assert.deepEqual(
    messages.map(message => formatMessage(message, manifest, { color: false })),
    [],
  );
});

test('the public declarations lead to nothing internal', () => {
  const base = join(root, 'dist/src');
  const seen = new Set<string>();
  const packages = new Set<string>();
  const walk = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(file, 'utf8');
    assert.ok(!text.includes('@internal'), `${relative(base, file)} shows something internal`);
    // Not of the examples in comments.
    const code = text.replace(/\/\*[\s\S]*?\*\//g, '');
    for (const [, target] of code.matchAll(/(?:from |import\(|import )['"]([^'"]+)['"]/g)) {
      if (target!.startsWith('.')) walk(resolve(dirname(file), target!).replace(/\.js$/, '.d.ts'));
      else if (!target!.startsWith('node:')) packages.add(target!);
    }
  };
  walk(join(base, 'index.d.ts'));
  walk(join(base, 'testing/index.d.ts'));
  assert.ok(seen.size > 20, `${seen.size} files`);
  // Types of an optional package are missing where that is not installed.
  const installed = Object.keys(manifest.dependencies);
  assert.deepEqual(
    [...packages].filter(name => !installed.includes(name)),
    [],
  );
  const inner =
    /^((native|media|playback|pool|stream|admin|capture|load|demo|cli)\/|reactor\/reactor|server\/connection)/;
  assert.deepEqual(
    [...seen].map(file => relative(base, file)).filter(file => inner.test(file)),
    [],
  );
});

/** Runs `code` as a module that has this package as `sidetone`, in a process of its own; returns what it prints. */
async function program(
  code: string,
  environment: NodeJS.ProcessEnv = {},
  nodeArgs: string[] = [],
): Promise<unknown> {
  const text = `const sidetone = await import(${JSON.stringify(pathToFileURL(INDEX).href)});
    const said = async work => { try { await work(); return 'nothing'; } catch (e) { return e.code + ': ' + e.message; } };
    console.log(JSON.stringify(await (async () => { ${code} })()));`;
  const args = [...nodeArgs, '--input-type=module', '-e', text];
  const { stdout } = await run(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...environment },
  });
  return JSON.parse(stdout);
}

/** A file for `node --require` in which no package of that name can be loaded. */
function without(name: string, message: string, code: string): string {
  const file = join(scratch, `without-${name}.cjs`);
  writeFileSync(
    file,
    `const Module = require('node:module');
    const load = Module._load;
    Module._load = function (request, ...rest) {
      if (request.startsWith(${JSON.stringify(name)})) {
        throw Object.assign(new Error(${JSON.stringify(message)}), { code: ${JSON.stringify(code)} });
      }
      return load.call(this, request, ...rest);
    };`,
  );
  return file;
}

/** A call in memory under a virtual clock: what the simulator can do by itself. */
const SIMULATED = `
  const clock = new sidetone.VirtualClock();
  const simulator = new sidetone.Simulator({ clock, seed: 1 });
  const { call, application, open } = simulator.pair({ frames: [new Uint8Array(160)] });
  let heard = 0;
  application.onText = () => heard++;
  open();
  for (let i = 0; i < 50; i++) clock.advance(20);
  call.hangup();
  const checked = sidetone.checkRequest({ stream_url: 'x' }, { for: 'streaming_start' }).length;`;

test('without an addon, checks and the simulator work, and what needs it says what to do', async () => {
  const addon = join(scratch, 'no-addon.node');
  const result = (await program(
    `${SIMULATED}
    return {
      heard, checked, now: sidetone.systemClock.now() >= 0,
      codec: await said(() => sidetone.createDecoder('PCMU')),
      resampled: await said(() => sidetone.resample(new Int16Array(160), 8000, 16000)),
      server: await said(async () => (await sidetone.createServer({ port: 0, admin: false })).listen()),
    };`,
    { SIDETONE_ADDON: addon },
  )) as Record<string, string | number>;
  assert.ok(Number(result.heard) > 1, 'the simulated application hears its call');
  assert.ok(Number(result.checked) > 0);
  assert.equal(result.now, true);
  for (const said of [result.codec, result.resampled, result.server]) {
    assert.match(
      String(said),
      /^SIDETONE_CODEC_UNAVAILABLE: the native addon does not load .*no-addon\.node.*npm run build:native/,
    );
  }
});

test('without tools to build the addon, the message names them and their packages', async () => {
  const said = await program(`return said(() => sidetone.createDecoder('PCMU'));`, {
    SIDETONE_ADDON: join(scratch, 'no-addon.node'),
    PATH: scratch,
  });
  assert.match(
    String(said),
    /building it needs cmake, a C\+\+20 compiler \(g\+\+\), make or ninja, missing here \(on Debian: apt-get install cmake g\+\+ make\); then run: npm run build:native$/,
  );
});

test('without uWebSockets.js, all but a server works', async () => {
  const preload = without('uWebSockets.js', 'version GLIBC_2.38 not found', 'ERR_DLOPEN_FAILED');
  const result = (await program(
    `${SIMULATED}
    const decoder = sidetone.createDecoder('PCMU');
    return {
      heard, checked, samples: decoder.decode(new Uint8Array(160)).length,
      server: await said(async () => (await sidetone.createServer({ port: 0, admin: false })).listen()),
    };`,
    {},
    ['--require', preload],
  )) as Record<string, string | number>;
  assert.ok(Number(result.heard) > 1);
  assert.equal(result.samples, 160);
  assert.match(String(result.server), /^SIDETONE_UNSUPPORTED: uWebSockets\.js does not load.*glibc 2\.38/);
});

test("require('sidetone') gives the package, or one clear sentence on a Node.js that cannot", async () => {
  for (const exported of ['.', './testing'].map(name => manifest.exports[name]!)) {
    for (const file of Object.values(exported)) assert.ok(existsSync(join(root, file)), file);
    const old = await run(process.execPath, [join(root, exported.require!)]).catch((error: Error) => error);
    assert.match(String(old), /sidetone is an ES module, and Node\.js [\d.]+ cannot require\(\) those/);
  }
  const canRequire = 'require_module' in process.features;
  const code = `console.log(typeof require('sidetone').createServer, typeof require('sidetone/testing').testCall)`;
  const { stdout } = await run(process.execPath, ['-e', code], { cwd: root }).catch(error => error);
  assert.equal(stdout.trim(), canRequire ? 'function function' : '');
});
