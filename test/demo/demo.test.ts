import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readWav } from '../../src/audio/wav.js';
import { VirtualClock } from '../../src/clock.js';
import { Demo, type DemoTarget, isRight } from '../../src/demo/demo.js';
import { writeReport } from '../../src/demo/report.js';
import { summary } from '../../src/demo/summary.js';
import type { Plugin } from '../../src/plugin/plugin.js';
import echo from '../../src/plugins/echo.js';
import { record } from '../../src/plugins/record.js';
import type { CallOptions } from '../../src/simulator/options.js';
import { type Call, Simulator } from '../../src/simulator/simulator.js';
import { root } from '../helpers/paths.js';
import { VirtualServer } from '../helpers/virtual-call.js';
import faultyEcho from './faulty-echo.js';

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'sidetone-demo-'));
});
after(() => rmSync(dir, { recursive: true }));

function demo(...flags: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [join(root, 'dist/src/cli/main.js'), 'demo', ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output += chunk;
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  return new Promise(resolve => child.once('close', code => resolve({ code, output })));
}

/** Calls reach the plugins of a server in virtual time by their paths. */
class VirtualCalls extends Simulator {
  constructor(
    clock: VirtualClock,
    readonly servers: ReadonlyMap<string, VirtualServer>,
  ) {
    super({ clock, seed: 5 });
  }
  override call(url: string, options: CallOptions): Call {
    const { pathname, search } = new URL(url);
    return this.servers.get(pathname.slice(1))!.call(options, search.slice(1)).call;
  }
}

/** The demo of `plugins`, from its beginning to its report, in virtual time. */
async function virtualDemo(directory: string, only: string, plugins: readonly Plugin[]) {
  const clock = new VirtualClock();
  const servers = new Map(plugins.map(plugin => [plugin.name, new VirtualServer(plugin, {}, clock)]));
  const target: DemoTarget = {
    url: 'ws://virtual',
    dashboard: undefined,
    told: [],
    errors: [],
    cpuMs: () => undefined,
    stallMs: 0,
    async stop() {
      for (const server of servers.values()) await server.close();
      return 0;
    },
    kill() {},
  };
  const simulator = new VirtualCalls(clock, servers);
  const startServer = async (): Promise<DemoTarget> => target;
  const demo = new Demo({ directory, seed: 5, only, means: { clock, simulator, startServer } });
  await demo.start();
  demo.place();
  while (demo.progress().over < demo.planned.length) await clock.advanceAsync(500);
  const outcome = await demo.judge();
  await writeReport(directory, outcome);
  return { outcome, output: summary(outcome), page: readFileSync(join(directory, 'index.html'), 'utf8') };
}

test('a server that is right: every caller heard what it should, and the report says so', async () => {
  const directory = join(dir, 'right');
  const recorded = record(echo, { directory: join(directory, 'recordings') });
  const { outcome, output, page } = await virtualDemo(directory, 'echo-L16', [
    echo,
    { ...recorded, name: 'recorded-echo' },
  ]);
  assert.deepEqual(
    outcome.calls.flatMap(({ planned, verdict }) => verdict.problems.map(text => `${planned.name} ${text}`)),
    [],
  );
  assert.ok(isRight(outcome));
  assert.match(output, /calls {4}5 of 5 right, seed 5/);
  assert.match(output, /echo +4\/4\n/m);
  assert.match(output, /every caller heard what it should/);
  assert.match(page, /5 of 5 calls right/);
  assert.match(page, /<svg/);
  // The page fetches nothing. It points only to the sounds beside it.
  const references = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(match => match[1]!);
  assert.ok(references.length >= 5);
  for (const reference of references) assert.ok(existsSync(join(directory, reference)), reference);
  const { channels } = await readWav(join(directory, 'heard/06-echo-L16.wav'));
  assert.ok(channels[0]!.length > 8.5 * 16000);
});

test('a server that loses every tenth frame: the calls are named', async () => {
  const { outcome, output, page } = await virtualDemo(join(dir, 'wrong'), '06-echo-L16', [faultyEcho]);
  assert.ok(!isRight(outcome));
  assert.match(output, /06-echo-L16: is not what it should be from \d+ ms on/);
  assert.match(output, /NOT RIGHT/);
  assert.match(page, /class="bad long"/);
});

test('over real sockets: a report with its sounds, exit 0 or the reason, exit 1 for a server that is wrong', async () => {
  const [right, wrong] = await Promise.all([
    demo('--out', join(dir, 'real'), '--only', '06-echo-L16', '--seed', '5'),
    demo(
      ...['--out', join(dir, 'real-wrong'), '--only', '06-echo-L16', '--seed', '5'],
      ...['--plugin', fileURLToPath(new URL('faulty-echo.js', import.meta.url))],
    ),
  ]);
  assert.match(readFileSync(join(dir, 'real/index.html'), 'utf8'), /06-echo-L16/);
  assert.ok(existsSync(join(dir, 'real/heard/06-echo-L16.wav')));
  if (right.code === 0) assert.match(right.output, /every caller heard what it should/);
  else {
    // A machine that is short of time may make gaps and delays, and no other problem. test/timing asks for exit code
    // 0.
    assert.equal(right.code, 1, right.output);
    const problems = [...right.output.matchAll(/06-echo-L16: (.*)/g)].map(match => match[1]!);
    assert.ok(problems.length > 0, right.output);
    for (const problem of problems)
      assert.match(
        problem,
        /^\d+ gaps|^only \d+ of \d+ ms came back|: \d+ ms, not \d+ to \d+$/,
        right.output,
      );
  }
  assert.equal(wrong.code, 1, wrong.output);
  assert.match(wrong.output, /06-echo-L16: is not what it should be from \d+ ms on/);
  assert.match(wrong.output, /NOT RIGHT/);
  assert.match(readFileSync(join(dir, 'real-wrong/index.html'), 'utf8'), /class="bad long"/);
});

test('a server that does not start, and a name that no call has, say so', async () => {
  const [none, plugin] = await Promise.all([
    demo('--out', join(dir, 'none'), '--only', 'walkie-talkie'),
    demo('--out', join(dir, 'plugin'), '--only', '06', '--plugin', './missing.ts'),
  ]);
  assert.equal(none.code, 2, none.output);
  assert.match(none.output, /--only: walkie-talkie: no call has this in its name/);
  assert.equal(plugin.code, 1, plugin.output);
  assert.match(plugin.output, /the server did not start: .*missing\.ts: no such file/);
});
