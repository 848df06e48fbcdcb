import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { type Admin, type AdminSource, createAdmin } from '../../src/admin/admin.js';
import { Figures } from '../../src/admin/source.js';
import { type Clock, VirtualClock } from '../../src/clock.js';
import { FakeSource, fakeSnapshot, fakeStream, fetchAdmin } from './fake.js';

async function withAdmin(
  run: (port: number, source: FakeSource, admin: Admin) => Promise<void>,
  host = '127.0.0.1',
  clock: Clock = new VirtualClock(),
): Promise<void> {
  const source = new FakeSource();
  const admin = await createAdmin(source, { host, port: 0, clock });
  try {
    await run(admin.port, source, admin);
  } finally {
    await admin.close();
  }
}

test('health says that the process lives, readiness whether it takes another stream', () =>
  withAdmin(async (port, source) => {
    const ask = async (path: string) => {
      const { status, body } = await fetchAdmin(port, path);
      return [status, body];
    };
    assert.deepEqual(await ask('/readyz'), [200, 'ready\n']);
    source.ready = false;
    assert.deepEqual(await ask('/readyz'), [503, 'full\n']);
    source.draining = true;
    assert.deepEqual(await ask('/readyz'), [503, 'draining\n']);
    assert.deepEqual(await ask('/healthz'), [200, 'ok\n']);
    source.draining = false;
    source.port = 0;
    assert.deepEqual(await ask('/readyz'), [503, 'starting\n']);
    assert.deepEqual(source.asked, [], 'a probe costs the reactors nothing');
  }));

test('metrics have the type that Prometheus asks for', () =>
  withAdmin(async port => {
    const { status, headers, body } = await fetchAdmin(port, '/metrics');
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    assert.match(body, /^sidetone_media_received_total 1$/m);
  }));

test('streams: all fields of a summary and no other, the oldest first over all reactors, bounded', () =>
  withAdmin(async (port, source) => {
    const group = (streams: number) =>
      [{ plugin: 'echo', inbound: 'PCMU', outbound: 'PCMU', streams }] as const;
    const secret = { from: '+13125550100', clientState: 'c2VjcmV0', token: 'hush', call: { to: '+1' } };
    source.answer = async () => [
      fakeSnapshot(0, 1, {
        groups: [...group(3)],
        streams: [
          fakeStream('a', { ageMs: 300.4, queuedMs: 19.6, counters: { framesLost: 2 }, ...secret }),
          fakeStream('b', { ageMs: 100 }),
        ],
      }),
      fakeSnapshot(1, 1, { groups: [...group(1)], streams: [fakeStream('c', { ageMs: 200 })] }),
    ];
    const { status, headers, body } = await fetchAdmin(port, '/api/streams?limit=2');
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'application/json; charset=utf-8');
    const report = JSON.parse(body);
    assert.deepEqual(source.asked, [2]);
    assert.equal(report.total, 4);
    assert.equal(report.limit, 2);
    assert.deepEqual(
      report.streams.map(({ id }: { id: string }) => id),
      ['a', 'c'],
    );
    assert.deepEqual(report.streams[0], {
      id: 'a',
      reactor: 0,
      plugin: 'echo',
      inbound: { encoding: 'PCMU', sampleRate: 8000 },
      mode: 'rtp',
      outbound: { encoding: 'PCMU', sampleRate: 8000 },
      ageMs: 300,
      queuedMs: 20,
      counters: { framesLost: 2 },
    });
    await fetchAdmin(port, '/api/streams');
    assert.equal(source.asked.at(-1), 1000);
    for (const limit of ['0', '-1', '1.5', 'all', '10001', '1e9']) {
      const refused = await fetchAdmin(port, `/api/streams?limit=${limit}`);
      assert.equal(refused.status, 400, limit);
      assert.match(refused.body, /limit: .*1 to 10000/);
    }
    assert.equal(source.asked.length, 2);
  }));

test('status: the sums, each reactor, and no stream asked for', () =>
  withAdmin(async (port, source) => {
    const lateness = [1, 2, 3];
    const echo = { plugin: 'echo', inbound: 'PCMU', outbound: 'PCMU' } as const;
    source.answer = async () => [
      fakeSnapshot(0, 1, {
        lateness,
        connections: 2,
        groups: [{ ...echo, streams: 1 }],
        refusals: { bad_json: 1 },
      }),
      fakeSnapshot(1, 2, {
        lateness,
        connections: 3,
        groups: [{ ...echo, streams: 2 }],
        refusals: { bad_json: 1 },
      }),
    ];
    const report = JSON.parse((await fetchAdmin(port, '/api/status')).body);
    assert.deepEqual(source.asked, [0]);
    assert.equal(report.state, 'ready');
    assert.equal(report.streams, 3);
    assert.equal(report.streamsMax, 100);
    assert.equal(report.connections, 5);
    assert.equal(report.counters.mediaReceived, 3);
    assert.deepEqual(report.refusals, { bad_json: 2 });
    assert.deepEqual(report.lateness, [2, 4, 6]);
    assert.deepEqual(report.groups, [{ ...echo, streams: 3 }]);
    assert.deepEqual(
      report.reactors.map(({ reactor, streams }: Record<string, number>) => [reactor, streams]),
      [
        [0, 1],
        [1, 2],
      ],
    );
    assert.ok(report.cpuSeconds > 0 && report.rssBytes > 1e7);
  }));

test('the page is whole in itself, and its policy lets nothing else run', () =>
  withAdmin(async port => {
    const { status, headers, body } = await fetchAdmin(port, '/');
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/html; charset=utf-8');
    const policy = String(headers['content-security-policy']);
    assert.match(
      policy,
      /^default-src 'none'; style-src 'sha256-\S+'; script-src 'sha256-\S+'; connect-src 'self'/,
    );
    assert.doesNotMatch(policy, /unsafe/);
    assert.doesNotMatch(body, /\/\* (style|script) \*\//);
    assert.doesNotMatch(body, /<[^>]+\s(on\w+|style|src)=/i);
    const addresses = body.match(/(https?:)?\/\/[a-z0-9.-]+\.[a-z]+/gi) ?? [];
    assert.deepEqual(
      addresses.filter(address => !address.includes('www.w3.org')),
      [],
    );
    assert.match(body, /<html lang="en">/);
  }));

test('every answer: no sniffing, no framing, no cache, nothing for other origins', () =>
  withAdmin(async port => {
    for (const path of ['/', '/healthz', '/metrics', '/api/streams', '/api/status', '/nothing']) {
      const { headers } = await fetchAdmin(port, path);
      assert.equal(headers['x-content-type-options'], 'nosniff', path);
      assert.match(String(headers['content-security-policy']), /frame-ancestors 'none'/);
      assert.equal(headers['cache-control'], 'no-store');
      assert.equal(headers['cross-origin-resource-policy'], 'same-origin');
      assert.equal(headers['access-control-allow-origin'], undefined);
    }
  }));

test('only GET and HEAD, only what is there', () =>
  withAdmin(async port => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const { status, headers } = await fetchAdmin(port, '/healthz', { method });
      assert.equal(status, 405, method);
      assert.equal(headers.allow, 'GET, HEAD');
    }
    for (const path of [
      '/nothing',
      '/healthz/',
      '//',
      '/../etc/passwd',
      '/api',
      '/__proto__',
      'http://other/',
    ]) {
      assert.equal((await fetchAdmin(port, path)).status, 404, path);
    }
    const whole = await fetchAdmin(port, '/');
    const head = await fetchAdmin(port, '/', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.body, '');
    assert.equal(head.headers['content-length'], whole.headers['content-length']);
  }));

test('on loopback, names that are not loopback are refused: DNS rebinding', () =>
  withAdmin(async port => {
    const status = async (host: string) => (await fetchAdmin(port, '/healthz', { host })).status;
    for (const host of [
      'localhost',
      `localhost:${port}`,
      '127.0.0.1',
      '127.1.2.3:99',
      '[::1]:8',
      'a.localhost',
    ]) {
      assert.equal(await status(host), 200, host);
    }
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      '10.0.0.1',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      'notlocalhost',
      'a b',
      '[',
    ]) {
      assert.equal(await status(host), 403, host);
    }
  }));

test('a probe of HTTP/1.0 without a Host header is answered', () =>
  withAdmin(async port => {
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /healthz HTTP/1.0\r\n\r\n');
    let reply = '';
    for await (const chunk of socket.setEncoding('utf8')) reply += chunk;
    assert.match(reply, /^HTTP\/1\.1 200 /);
  }));

test('on other addresses any name will do', () =>
  withAdmin(
    async port => assert.equal((await fetchAdmin(port, '/healthz', { host: 'pod.example' })).status, 200),
    '0.0.0.0',
  ));

test('headers beyond the bound are refused', () =>
  withAdmin(async port => {
    const socket = connect(port, '127.0.0.1');
    socket.write(`GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(9000)}\r\n\r\n`);
    let reply = '';
    for await (const chunk of socket.setEncoding('utf8')) reply += chunk;
    assert.match(reply, /^HTTP\/1\.1 431 /);
  }));

test('figures that cannot be had are a 503, and health still answers', () =>
  withAdmin(async (port, source) => {
    source.answer = async () => {
      throw new Error('reactor 1 is gone');
    };
    for (const path of ['/metrics', '/api/streams', '/api/status']) {
      const { status, body } = await fetchAdmin(port, path);
      assert.deepEqual([status, body], [503, 'no figures: reactor 1 is gone\n']);
    }
    assert.equal((await fetchAdmin(port, '/healthz')).status, 200);
  }));

test('a reactor that never answers does not hold a request for ever', async () => {
  const source = new FakeSource();
  const clock = new VirtualClock();
  source.answer = () => new Promise(() => {});
  const taken = assert.rejects(new Figures(source, clock).take(0), /did not answer within 2000 ms/);
  await clock.advanceAsync(2000);
  await taken;
});

test('a port in use names the option; an address that is not here too', () =>
  withAdmin(async port => {
    await assert.rejects(createAdmin(new FakeSource() as AdminSource, { host: '127.0.0.1', port }), {
      code: 'SIDETONE_PORT_IN_USE',
      message: new RegExp(`^adminPort: ${port}: .*in use.*--admin-port`),
    });
    await assert.rejects(createAdmin(new FakeSource(), { host: '192.0.2.1', port: 0 }), {
      code: 'SIDETONE_BAD_OPTION',
      message: /^adminHost: 192\.0\.2\.1: .*--admin-host/,
    });
  }));

test('closing ends idle connections at once and lets a running request end', () =>
  withAdmin(async (port, source, admin) => {
    const idle = connect(port, '127.0.0.1');
    idle.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(idle, 'data');
    let answer = (): void => {};
    const asked = new Promise<void>(resolve => {
      source.answer = () => {
        resolve();
        return new Promise(done => {
          answer = () => done([fakeSnapshot(0)]);
        });
      };
    });
    const running = fetchAdmin(port, '/api/status');
    await asked;
    const closed = admin.close();
    await once(idle, 'close');
    answer();
    assert.equal((await running).status, 200);
    await closed;
    await assert.rejects(fetchAdmin(port, '/healthz'), { code: 'ECONNREFUSED' });
  }));

test('with a token all but the probes want it, as bearer token or as a password', async () => {
  const admin = await createAdmin(new FakeSource(), { host: '127.0.0.1', port: 0, token: 's3cret:x' });
  const ask = (path: string, authorization?: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${admin.port}${path}`, {
      headers: { connection: 'close', ...(authorization && { authorization }) },
    });
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
  try {
    for (const path of ['/healthz', '/readyz']) assert.equal((await ask(path)).status, 200, path);
    const wrong = [
      undefined,
      'Bearer s3cret',
      'Bearer',
      's3cret:x',
      'Bearer s3cret:x y',
      basic('s3cret:x'),
      basic(''),
    ];
    for (const path of ['/', '/metrics', '/api/status', '/api/history', '/api/streams', '/nothing']) {
      for (const authorization of wrong) {
        const { status, headers } = await ask(path, authorization);
        assert.equal(status, 401, `${path} ${authorization}`);
        assert.match(headers.get('www-authenticate') ?? '', /Bearer.*Basic/);
      }
    }
    for (const right of ['Bearer s3cret:x', 'bearer s3cret:x', basic('me:s3cret:x')]) {
      assert.equal((await ask('/metrics', right)).status, 200, right);
    }
    assert.equal(admin.isOpen, false);
  } finally {
    await admin.close();
  }
});

test('a port that other machines reach is open unless it wants a token', async () => {
  for (const [host, token, isOpen] of [
    ['127.0.0.1', undefined, false],
    ['0.0.0.0', undefined, true],
    ['0.0.0.0', 'token', false],
  ] as const) {
    const admin = await createAdmin(new FakeSource(), { host, port: 0, token });
    await admin.close();
    assert.equal(admin.isOpen, isOpen, `${host} ${token}`);
  }
});
