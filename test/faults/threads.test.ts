/** Threads that end, are stuck, or have stray errors (rows 66 and 67): as processes of their own, with calls under way. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { root } from '../helpers/paths.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { type ServeChild, serveChild } from '../helpers/serve-child.js';
import { eventually } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';

const WAIT_MS = 30_000;
const ROGUE = ['--plugin', join(root, 'dist/test/fixtures/rogue-plugin.js'), '--plugin', 'echo'];
const TWO = [...ROGUE, '--reactors', '2'];
const directory = mkdtempSync(join(tmpdir(), 'sidetone-threads-'));

afterEach(() => RawSocket.destroyAll());
after(() => rmSync(directory, { recursive: true }));

/** A call of the plugin `rogue`, whose audio comes back as long as it lives. */
class RogueCall {
  readonly #wire = new WireCall();
  readonly #payloads = payloads(1000);
  #said = 0;

  private constructor(readonly socket: RawSocket) {}

  static async start(port: number): Promise<RogueCall> {
    const socket = await RawSocket.open(port, { path: '/rogue' });
    assert.equal(socket.status, 101, socket.headers);
    const call = new RogueCall(socket);
    socket.send(call.#wire.connected());
    socket.send(call.#wire.start());
    await call.echoes();
    return call;
  }

  /** One more frame comes back, and everything before it has, byte for byte. */
  async echoes(): Promise<void> {
    const { socket } = this;
    socket.send(this.#wire.media(this.#payloads[this.#said++]!));
    await socket.until(() => socket.audio().length >= 160 * this.#said, 'an echo', WAIT_MS);
    assert.deepEqual(socket.audio(), Buffer.concat(this.#payloads.slice(0, this.#said)));
  }

  press(digit: string): void {
    this.socket.send(this.#wire.dtmf(digit));
  }
}

async function ask(child: ServeChild, path: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${child.adminPort}${path}`);
  return { status: response.status, body: await response.text() };
}

/** The lines of a metric, each with its labels and value. */
async function metric(child: ServeChild, name: string): Promise<string[]> {
  const { status, body } = await ask(child, '/metrics');
  assert.equal(status, 200, body);
  return body.split('\n').filter(line => line.startsWith(name));
}

const lines = (child: ServeChild): Record<string, unknown>[] =>
  child
    .output()
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line) as Record<string, unknown>);
const logged = (child: ServeChild, msg: RegExp): Promise<void> =>
  eventually(() => lines(child).some(line => msg.test(String(line.msg))), `a line like ${msg}`, WAIT_MS);

for (const reactors of ['1', '2']) {
  test(`fault 66: stray errors of a plugin end no call, are logged with its name and counted; ${reactors} reactor(s)`, async () => {
    const child = await serveChild([...ROGUE, '--reactors', reactors], { admin: true });
    try {
      const calls = [await RogueCall.start(child.port), await RogueCall.start(child.port)];
      calls[0]!.press('1');
      calls[1]!.press('2');
      calls[1]!.press('3');
      const strays = (): Record<string, unknown>[] =>
        lines(child).filter(({ msg }) => /an error in a plugin's own/.test(String(msg)));
      await eventually(() => strays().length === 3, 'three lines', WAIT_MS);
      const [thrown] = strays().filter(({ where }) => where === 'uncaught exception');
      assert.equal(thrown!.plugin, 'rogue');
      assert.match(JSON.stringify(thrown!.err), /thrown in a timer/);
      const rejected = strays().filter(({ where }) => where === 'unhandled rejection');
      // An error without a stack could come from anywhere.
      assert.deepEqual(rejected.map(({ plugin, plugins }) => plugin ?? plugins).sort(), [
        'rogue',
        ['rogue', 'echo'],
      ]);
      assert.deepEqual(await metric(child, 'sidetone_stray_errors_total'), ['sidetone_stray_errors_total 3']);
      for (const call of calls) await call.echoes();
      RawSocket.destroyAll();
      assert.deepEqual(await child.stop(), { code: 0, signal: null });
    } finally {
      await child.kill();
    }
  });
}

/** The code is 1006, because nothing is left that could send a close frame. */
const ENDS: [string, string, number, readonly string[]][] = [
  ['a plugin calls process.exit()', '4', 1001, []],
  ['its memory runs out', '5', 1006, ['--max-old-space-size=48']],
];
for (const [what, digit, closeCode, nodeArgs] of ENDS) {
  test(`fault 67: a reactor's thread ends (${what}): its calls close, the others' go on, a new one takes its place`, async () => {
    const child = await serveChild(TWO, { admin: true, nodeArgs });
    try {
      const [rogue, other] = [await RogueCall.start(child.port), await RogueCall.start(child.port)];
      const counted = await metric(child, 'sidetone_media_received_total');
      assert.deepEqual(counted, ['sidetone_media_received_total 2']);
      rogue.press(digit);
      await rogue.socket.until(() => rogue.socket.closed, 'its end', WAIT_MS);
      assert.equal(rogue.socket.closeCode, closeCode);
      await logged(child, /a reactor ended/);
      await other.echoes();
      await logged(child, /a reactor runs in the place/);
      assert.deepEqual(
        (await metric(child, 'sidetone_reactor_up')).map(line => line.split(' ')[1]),
        ['1', '1'],
      );
      const restarts = await metric(child, 'sidetone_reactor_restarts_total');
      assert.deepEqual(restarts.map(line => line.split(' ')[1]).sort(), ['0', '1']);
      assert.deepEqual(await ask(child, '/readyz'), { status: 200, body: 'ready\n' });
      // Each of both gets some.
      const calls: RogueCall[] = [];
      for (let i = 0; i < 4; i++) calls.push(await RogueCall.start(child.port));
      for (const call of calls) await call.echoes();
      const streams = await metric(child, 'sidetone_reactor_streams');
      assert.deepEqual(streams.map(line => line.split(' ')[1]).sort(), ['2', '3']);
      // What only grows has not shrunk: 2 before, 1 of the other, 8 of the new ones.
      assert.deepEqual(await metric(child, 'sidetone_media_received_total'), [
        'sidetone_media_received_total 11',
      ]);
      RawSocket.destroyAll();
      assert.deepEqual(await child.stop(), { code: 0, signal: null });
    } finally {
      await child.kill();
    }
  });
}

test('fault 67: a reactor that is stuck gets no connections until it turns; figures and readiness tell', async () => {
  const blocks = join(directory, 'blocks');
  writeFileSync(blocks, '');
  const child = await serveChild(TWO, { admin: true, environment: { ROGUE_BLOCKS: blocks } });
  try {
    const [rogue, other] = [await RogueCall.start(child.port), await RogueCall.start(child.port)];
    await ask(child, '/metrics');
    rogue.press('6');
    await logged(child, /a reactor is stuck/);
    const { status, body } = await ask(child, '/readyz');
    assert.equal(status, 200);
    assert.match(body, /^ready\nreactor [01]: stuck\n$/);
    const stuck = /reactor (\d)/.exec(body)![1]!;
    for (let i = 0; i < 4; i++) await RogueCall.start(child.port);
    await other.echoes();
    assert.ok(
      (await metric(child, 'sidetone_reactor_up')).includes(`sidetone_reactor_up{reactor="${stuck}"} 0`),
    );
    const listed = JSON.parse((await ask(child, '/api/streams')).body) as { streams: { reactor: number }[] };
    assert.deepEqual(
      listed.streams.map(({ reactor }) => String(reactor)),
      Array.from({ length: 5 }, () => String(1 - Number(stuck))),
    );
    rmSync(blocks);
    await logged(child, /a reactor turns again/);
    // A handler that held its thread for that long has failed.
    await rogue.socket.until(() => rogue.socket.closed, 'the end of the call that held it', WAIT_MS);
    assert.equal(rogue.socket.closeCode, 1011);
    assert.deepEqual(await ask(child, '/readyz'), { status: 200, body: 'ready\n' });
    for (let i = 0; i < 4; i++) await RogueCall.start(child.port);
    const streams = await metric(child, 'sidetone_reactor_streams');
    assert.deepEqual(streams.map(line => line.split(' ')[1]).sort(), ['2', '7']);
    RawSocket.destroyAll();
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
  } finally {
    rmSync(blocks, { force: true });
    await child.kill();
  }
});

test('fault 67: where all reactors are stuck, connections are refused and readiness says so', async () => {
  const child = await serveChild(TWO, { admin: true });
  try {
    const calls = [await RogueCall.start(child.port), await RogueCall.start(child.port)];
    for (const call of calls) call.press('7');
    const stuck = async (): Promise<boolean> => (await ask(child, '/readyz')).status === 503;
    await eventually(stuck, 'the readiness', WAIT_MS);
    assert.deepEqual(await ask(child, '/readyz'), {
      status: 503,
      body: 'stuck\nreactor 0: stuck\nreactor 1: stuck\n',
    });
    const refused = await RawSocket.open(child.port, { path: '/rogue' });
    assert.equal(refused.status, 503);
    assert.deepEqual((await ask(child, '/metrics')).status, 200);
  } finally {
    await child.kill();
  }
});

const ENDINGS: [string, readonly string[], RegExp][] = [
  ['a reactor', ['--reactors', '2'], /a reactor is stuck at the deadline of the drain/],
  ['the main thread', [], /the process is ended by force/],
];
for (const [what, args, line] of ENDINGS) {
  for (const signals of [1, 2]) {
    test(`fault 67: ${what} is stuck: the drain's deadline or a second SIGTERM ends the process; ${signals} signal(s)`, async () => {
      const timeout = signals === 1 ? '0.2' : '3600';
      const child = await serveChild([...ROGUE, ...args, '--drain-timeout', timeout]);
      try {
        const rogue = await RogueCall.start(child.port);
        // A loop that computes, and ones that wait.
        rogue.press(signals === 1 && args.length > 0 ? '8' : '7');
        await logged(child, /is stuck/);
        child.process.kill('SIGTERM');
        // Two that come at once may be one to the kernel: the first is heard of, or the second one is repeated.
        let again: NodeJS.Timeout | undefined;
        if (signals === 2 && args.length > 0) {
          await logged(child, /^draining/);
          child.process.kill('SIGTERM');
        } else if (signals === 2) again = setInterval(() => child.process.kill('SIGTERM'), 100);
        const exit = await child.exit;
        clearInterval(again);
        assert.deepEqual(exit, { code: 1, signal: null });
        await logged(child, line);
        assert.equal(lines(child).find(({ msg }) => line.test(String(msg)))!.level, 60);
      } finally {
        await child.kill();
      }
    });
  }
}
