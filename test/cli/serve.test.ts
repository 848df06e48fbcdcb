/** `sidetone serve` over the real command: what it says of its options, its addresses, its signals (row 71). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { root } from '../helpers/paths.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { runCli, serveChild } from '../helpers/serve-child.js';
import { eventually } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';

const directory = mkdtempSync(join(tmpdir(), 'sidetone-serve-'));
after(() => rmSync(directory, { recursive: true }));
afterEach(() => RawSocket.destroyAll());

const pem = (name: string): string => join(root, 'test/fixtures/tls', name);
const HEADER = 'x-telnyx-streaming-auth-token';
const WAIT = { timeout: 240_000 };

type Line = Record<string, unknown>;

function lines(output: string): Line[] {
  return output.split('\n').flatMap(text => (text.startsWith('{') ? [JSON.parse(text) as Line] : []));
}

async function status(port: number, token: string | null): Promise<number | undefined> {
  const socket = await RawSocket.open(port, { path: '/echo', headers: { [HEADER]: token } });
  const { status } = socket;
  await (status === 101 ? socket.destroy() : socket.end());
  return status;
}

test('wrong options give one line and exit code 2', WAIT, async () => {
  const config = join(directory, 'array.json');
  writeFileSync(config, '[]');
  const cases: [string[], Record<string, string>, RegExp][] = [
    [[], { SIDETONE_CAPTURE_PERSONAL: 'maybe' }, /SIDETONE_CAPTURE_PERSONAL: "maybe": give one of true, 1, /],
    [
      [],
      { SIDETONE_MAX_STREAMS: '0' },
      /SIDETONE_MAX_STREAMS: 0: give a whole number from 1 to 1000000, or unset/,
    ],
    [['--pool', '65'], {}, /--pool: 65: give a whole number from 0 to 64/],
    [['--config', config], {}, /config file ".*array\.json": holds an array: write one object/],
    [
      ['--tls-cert', pem('none.pem'), '--tls-key', pem('one.key.pem')],
      {},
      /tls\.cert: .*none\.pem: there is no such file/,
    ],
    [
      ['--tls-cert', pem('one.cert.pem'), '--tls-key', root],
      {},
      /tls\.key: .*: this is a directory \(EISDIR\)/,
    ],
    [
      ['--tls-cert', pem('one.key.pem'), '--tls-key', pem('one.key.pem')],
      {},
      /tls\.cert: .*key\.pem: no certificate in PEM/,
    ],
    [
      ['--tls-cert', pem('one.cert.pem'), '--tls-key', pem('one.cert.pem')],
      {},
      /tls\.key: .*cert\.pem: no private key in PEM/,
    ],
    [
      ['--tls-cert', pem('one.cert.pem'), '--tls-key', pem('two.key.pem')],
      {},
      /tls\.key: .*two\.key\.pem: not the key of the certificate .*cert\.pem/,
    ],
    [['--host', '203.0.113.1'], {}, /host: 203\.0\.113\.1: .*EADDRNOTAVAIL.*--host/],
  ];
  for (const [args, environment, message] of cases) {
    const child = runCli(['serve', '--port', '0', '--no-admin', ...args], { environment });
    assert.deepEqual(await child.exit, { code: 2, signal: null }, child.output());
    assert.match(child.output(), message);
    assert.equal(child.output().trim().split('\n').length, 1, child.output());
  }
});

test(
  'a port in use: the reason, the remedy, exit code 1; so for several reactors and for the admin port',
  WAIT,
  async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    for (const args of [
      ['--port', String(port), '--no-admin'],
      ['--port', String(port), '--no-admin', '--reactors', '2'],
      ['--port', '0', '--admin-port', String(port)],
    ]) {
      const child = runCli(['serve', ...args]);
      assert.deepEqual(await child.exit, { code: 1, signal: null }, child.output());
      assert.match(
        child.output(),
        /ort: \d+: .*\(EADDRINUSE\): in use by another process.*-port.*SIDETONE_PORT_IN_USE/,
      );
    }
    taken.close();
  },
);

test(
  'a certificate and its key serve; SIDETONE_ADMIN=true has an admin port; the listening line has its pid once',
  WAIT,
  async () => {
    const tls = ['--tls-cert', pem('one.cert.pem'), '--tls-key', pem('one.key.pem')];
    const child = runCli(['serve', '--port', '0', ...tls], {
      environment: { SIDETONE_ADMIN: 'true', SIDETONE_MAX_STREAM: '5' },
    });
    try {
      await eventually(() => child.output().includes('"msg":"listening"'), 'the server');
      const text = child
        .output()
        .split('\n')
        .find(line => line.includes('"msg":"listening"'))!;
      assert.ok(Number((JSON.parse(text) as Line).adminPort) > 0);
      assert.equal(text.match(/"pid"/g)?.length, 1);
      const warning = lines(child.output()).find(({ variable }) => variable === 'SIDETONE_MAX_STREAM');
      assert.match(String(warning?.msg), /did you mean SIDETONE_MAX_STREAMS\?/);
    } finally {
      child.process.kill('SIGTERM');
      assert.deepEqual(await child.exit, { code: 0, signal: null });
    }
  },
);

for (const [how, args, environment] of [
  ['flags', ['--auth-token', 'first', '--auth-token', 'second'], {}],
  ['the environment', [], { SIDETONE_AUTH_TOKEN: 'first\nsecond' }],
] as const) {
  test(`several tokens by ${how}: each opens, another is refused and logged without it`, WAIT, async () => {
    const server = await serveChild(args, { environment });
    try {
      assert.equal(await status(server.port, 'first'), 101);
      assert.equal(await status(server.port, 'second'), 101);
      for (const wrong of ['WRONG-TOKEN', null, 'first\tsecond'])
        assert.equal(await status(server.port, wrong), 401);
      await eventually(() => server.output().includes('a stream was refused'), 'the line');
      const [line] = lines(server.output()).filter(({ msg }) =>
        String(msg).startsWith('a stream was refused'),
      );
      assert.deepEqual([line!.address, line!.refused], ['127.0.0.1', 1]);
      assert.doesNotMatch(server.output(), /WRONG-TOKEN|second/);
    } finally {
      await server.stop();
    }
  });
}

test('a second signal is logged as what it is', WAIT, async () => {
  const server = await serveChild();
  try {
    const call = new WireCall();
    const socket = await RawSocket.open(server.port, { path: '/echo' });
    socket.send(call.connected());
    socket.send(call.start());
    socket.send(call.media(payloads(1)[0]!));
    await socket.until(() => socket.audio().length > 0, 'the echo');
    server.process.kill('SIGTERM');
    await eventually(() => server.output().includes('"signal":"SIGTERM"'), 'the first signal');
    server.process.kill('SIGINT');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
    const signals = lines(server.output()).filter(({ signal }) => signal !== undefined);
    assert.deepEqual(
      signals.map(({ signal, msg }) => [signal, msg]),
      [
        ['SIGTERM', 'draining'],
        ['SIGINT', 'closing at once'],
      ],
    );
  } finally {
    await server.kill();
  }
});

test('demo --out that cannot be made, start without an API: one line with what and why', WAIT, async () => {
  const occupied = join(directory, 'occupied');
  writeFileSync(occupied, '');
  for (const out of [occupied, join(occupied, 'deep', 'er'), '/proc/sidetone/deep']) {
    const demo = runCli(['demo', '--out', out]);
    assert.deepEqual(await demo.exit, { code: 2, signal: null }, demo.output());
    assert.match(
      demo.output(),
      /^sidetone: --out: \/.*cannot be made or written to \(E[A-Z]+\): give a directory of yours.*\n$/,
    );
  }
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as { port: number };
  free.close();
  await once(free, 'close');
  const args = [
    'start',
    'v3:abc',
    '--url',
    'wss://voice.example.com/',
    '--api-base',
    `http://127.0.0.1:${port}`,
  ];
  const start = runCli(args, {
    environment: { TELNYX_API_KEY: 'KEY-S3CRET', SIDETONE_AUTH_TOKEN: 'one\ntwo' },
  });
  assert.deepEqual(await start.exit, { code: 1, signal: null }, start.output());
  const said = new RegExp(
    `^sidetone start: .*127\\.0\\.0\\.1:${port}: the connection failed: nobody listens there \\(ECONNREFUSED\\).*\\n$`,
    'm',
  );
  assert.match(start.output(), said);
  assert.doesNotMatch(start.output(), /S3CRET/);
});

test('check counts its findings in words: 1 error, 2 warnings', WAIT, async () => {
  const request = join(directory, 'request.json');
  writeFileSync(request, JSON.stringify({ stream_url: 7 }));
  const check = runCli(['check', request]);
  await check.exit;
  assert.match(check.output(), /streaming_start: (1 error|0 errors|\d+ errors), (1 warning|\d+ warnings)\n/);
  assert.doesNotMatch(check.output(), /\b1 (errors|warnings)\b/);
});
