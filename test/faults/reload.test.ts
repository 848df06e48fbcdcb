/** SIGHUP (row 70): tokens and certificates are read again, and nothing is dropped. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { connect } from 'node:tls';
import { WebSocket } from 'ws';
import { createServer } from '../../src/index.js';
import { fixture } from '../helpers/paths.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { runCli, type ServeChild, serveChild } from '../helpers/serve-child.js';
import { eventually } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';

const WAIT_MS = 30_000;
const directory = mkdtempSync(join(tmpdir(), 'sidetone-reload-'));
const file = (name: string): string => join(directory, name);

afterEach(() => RawSocket.destroyAll());
after(() => rmSync(directory, { recursive: true }));

const count = (child: ServeChild, text: string): number => child.output().split(text).length - 1;

/** SIGHUP, and the line that tells what came of it. */
async function hangup(child: ServeChild, line: 'read again"' | 'could not be read again'): Promise<void> {
  const before = count(child, line);
  child.process.kill('SIGHUP');
  await eventually(() => count(child, line) > before, `"${line}": ${child.output()}`, WAIT_MS);
}

async function status(child: ServeChild, token: string): Promise<number> {
  const headers = { 'x-telnyx-streaming-auth-token': token };
  const socket = await RawSocket.open(child.port, { path: '/echo', headers });
  socket.destroy();
  return socket.status;
}

/** Whose certificate new connections see. */
async function commonName(port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { CN } = socket.getPeerCertificate().subject;
  socket.destroy();
  return String(CN);
}

function useCertificate(name: 'one' | 'two'): void {
  copyFileSync(fixture(`tls/${name}.cert.pem`), file('cert.pem'));
  copyFileSync(fixture(`tls/${name}.key.pem`), file('key.pem'));
}

/** A call over TLS whose audio comes back. */
class SecureCall {
  readonly #wire = new WireCall();
  readonly #payloads = payloads(100);
  readonly #heard: string[] = [];
  #said = 0;
  closed = false;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', data => {
      const message = JSON.parse(String(data)) as { event: string; media: { payload: string } };
      if (message.event === 'media') this.#heard.push(message.media.payload);
    });
    socket.on('close', () => {
      this.closed = true;
    });
  }

  static async start(port: number): Promise<SecureCall> {
    const socket = new WebSocket(`wss://127.0.0.1:${port}/echo`, { rejectUnauthorized: false });
    const call = new SecureCall(socket);
    await once(socket, 'open');
    socket.send(JSON.stringify(call.#wire.connected()));
    socket.send(JSON.stringify(call.#wire.start()));
    return call;
  }

  async echoes(): Promise<void> {
    this.socket.send(JSON.stringify(this.#wire.media(this.#payloads[this.#said++]!)));
    await eventually(() => this.#heard.length === this.#said, 'an echo', WAIT_MS);
    const said = this.#payloads.slice(0, this.#said).map(payload => Buffer.from(payload).toString('base64'));
    assert.deepEqual(this.#heard, said);
    assert.equal(this.closed, false);
  }
}

for (const reactors of ['1', '2']) {
  test(`fault 70: SIGHUP reads tokens again, from the token file and from the configuration; ${reactors} reactor(s)`, async () => {
    writeFileSync(file('tokens'), 'first\nsecond\n');
    writeFileSync(file('config.json'), JSON.stringify({ authToken: ['third'], leadMs: 200 }));
    for (const [args, known, change, bad] of [
      [
        ['--auth-token-file', file('tokens')],
        'first',
        () => writeFileSync(file('tokens'), 'next\n'),
        () => writeFileSync(file('tokens'), '\n'),
      ],
      [
        ['--config', file('config.json')],
        'third',
        () => writeFileSync(file('config.json'), JSON.stringify({ authToken: 'next', leadMs: 300 })),
        () => writeFileSync(file('config.json'), '{ "authToken": '),
      ],
    ] as const) {
      const child = await serveChild([...args, '--reactors', reactors]);
      try {
        const running = await RawSocket.open(child.port, {
          path: '/echo',
          headers: { 'x-telnyx-streaming-auth-token': known },
        });
        assert.equal(running.status, 101);
        change();
        await hangup(child, 'read again"');
        for (let i = 0; i < 2; i++) {
          assert.equal(await status(child, known), 401);
          assert.equal(await status(child, 'next'), 101);
        }
        bad();
        await hangup(child, 'could not be read again');
        assert.ok(child.output().includes(String(args[1])), 'the file is named');
        assert.equal(await status(child, 'next'), 101);
        if (args[0] === '--config') {
          writeFileSync(file('config.json'), '{}');
          await hangup(child, 'could not be read again');
          assert.match(child.output(), /authToken: missing/);
          assert.equal(await status(child, ''), 401);
          assert.match(child.output(), /"options":\["leadMs"\],"msg":"these have changed and need a restart/);
        }
        assert.doesNotMatch(child.output(), /first|second|third|next/);
        const call = new WireCall();
        running.send(call.connected());
        running.send(call.start());
        running.send(call.media(payloads(1)[0]!));
        await running.until(() => running.audio().length === 160, 'the echo of the running call', WAIT_MS);
        running.destroy();
        assert.deepEqual(await child.stop(), { code: 0, signal: null });
      } finally {
        await child.kill();
      }
    }
  });

  test(`fault 70: SIGHUP reads the certificate again, and running calls go on; ${reactors} reactor(s)`, async () => {
    useCertificate('one');
    const tls = ['--tls-cert', file('cert.pem'), '--tls-key', file('key.pem')];
    const child = await serveChild([...tls, '--reactors', reactors]);
    const calls: SecureCall[] = [];
    try {
      for (let i = 0; i < 2; i++) calls.push(await SecureCall.start(child.port));
      assert.equal(await commonName(child.port), 'one.example.com');
      useCertificate('two');
      await hangup(child, 'read again"');
      for (let i = 0; i < 4; i++) assert.equal(await commonName(child.port), 'two.example.com');
      for (let i = 0; i < 2; i++) calls.push(await SecureCall.start(child.port));
      for (const call of calls) await call.echoes();

      // A key that is of another certificate, and no file at all.
      copyFileSync(fixture('tls/one.key.pem'), file('key.pem'));
      await hangup(child, 'could not be read again');
      assert.match(child.output(), /tls\.key: [^"]*key\.pem: [^"]*mismatch/);
      rmSync(file('cert.pem'));
      await hangup(child, 'could not be read again');
      assert.match(child.output(), /tls\.cert: [^"]*cert\.pem: there is no such file \(ENOENT\)/);
      for (let i = 0; i < 2; i++) assert.equal(await commonName(child.port), 'two.example.com');

      // Nothing has changed: that is no fault either.
      useCertificate('two');
      await hangup(child, 'read again"');
      for (let i = 0; i < 2; i++) assert.equal(await commonName(child.port), 'two.example.com');
      for (const call of calls) await call.echoes();
      for (const call of calls) call.socket.close();
      assert.deepEqual(await child.stop(), { code: 0, signal: null });
    } finally {
      for (const call of calls) call.socket.terminate();
      await child.kill();
    }
  });
}

test("fault 70: SIGHUP reads the admin port's token again, and a file without one keeps the old", async () => {
  writeFileSync(file('admin-token'), 'first\n');
  const child = await serveChild(['--admin-port', '0', '--admin-token-file', file('admin-token')], {
    admin: true,
  });
  const status = async (token: string): Promise<number> => {
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`http://127.0.0.1:${child.adminPort}/metrics`, { headers })).status;
  };
  try {
    assert.deepEqual([await status('first'), await status('next')], [200, 401]);
    writeFileSync(file('admin-token'), 'next\n');
    await hangup(child, 'read again"');
    assert.deepEqual([await status('first'), await status('next')], [401, 200]);
    writeFileSync(file('admin-token'), '\n');
    await hangup(child, 'could not be read again');
    assert.deepEqual([await status('first'), await status('next')], [401, 200]);
    assert.doesNotMatch(child.output(), /need a restart|first|next/);
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
  } finally {
    await child.kill();
  }
});

test('fault 70: SIGHUP during the start and during the drain ends nothing', async () => {
  const starting = runCli(['serve', '--port', '0', '--no-admin', '--log-level', 'info', '--reactors', '2']);
  // The signal is caught from the first line of the command on. Before it only Node.js runs.
  const { pid } = starting.process;
  await eventually(() => hasHandler(pid!), 'the handler of SIGHUP', WAIT_MS);
  while (!starting.output().includes('"msg":"listening"')) {
    starting.process.kill('SIGHUP');
    await new Promise(resolve => setTimeout(resolve, 5));
    assert.equal(starting.process.exitCode, null, starting.output());
  }
  await eventually(() => starting.output().includes('read again"'), 'what came during the start', WAIT_MS);
  const line = starting
    .output()
    .split('\n')
    .find(text => text.includes('"msg":"listening"'))!;
  const { port } = JSON.parse(line) as { port: number };
  const running = await RawSocket.open(port, { path: '/echo' });
  const call = new WireCall();
  running.send(call.connected());
  running.send(call.start());
  running.send(call.media(payloads(1)[0]!));
  await running.until(() => running.audio().length === 160, 'the echo', WAIT_MS);
  starting.process.kill('SIGTERM');
  await eventually(() => starting.output().includes('"msg":"draining"'), 'the drain', WAIT_MS);
  starting.process.kill('SIGHUP');
  await eventually(() => starting.output().includes('the server is draining'), 'the line', WAIT_MS);
  running.send(call.stop());
  running.destroy();
  assert.deepEqual(await starting.exit, { code: 0, signal: null });
});

/** Whether a process catches SIGHUP: bit 0 of SigCgt. */
function hasHandler(pid: number): boolean {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const caught = /^SigCgt:\s+([0-9a-f]+)/m.exec(text)?.[1] ?? '0';
  return (BigInt(`0x${caught}`) & 1n) === 1n;
}

test('reload: what must not change while a server runs is refused', async () => {
  const server = await createServer({ port: 0, admin: false, logLevel: 'silent', authToken: 'one' });
  await server.listen();
  try {
    await assert.rejects(server.reload({}), { code: 'SIDETONE_BAD_OPTION', message: /authToken: missing/ });
    await assert.rejects(server.reload({ authToken: 'two', tls: { cert: 'c', key: 'k' } }), {
      code: 'SIDETONE_BAD_OPTION',
      message: /tls: cannot be turned on or off/,
    });
    await assert.rejects(server.reload({ authToken: '' }), {
      code: 'SIDETONE_BAD_OPTION',
      message: /authToken/,
    });
    await server.reload({ authToken: 'two', adminToken: 'admin' });
    await assert.rejects(server.reload({ authToken: 'two', adminToken: undefined }), {
      code: 'SIDETONE_BAD_OPTION',
      message: /adminToken: missing/,
    });
    await server.reload({ authToken: ['two', { token: 'three', callControlId: 'v3:x' }] });
  } finally {
    await server.close();
  }
});
