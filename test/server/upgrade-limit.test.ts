/** Whose address an upgrade has behind proxies, and how many upgrades a second it may ask for. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { VirtualClock } from '../../src/clock.js';
import { definePlugin } from '../../src/index.js';
import { createLog } from '../../src/log/log.js';
import { resolveOptions } from '../../src/options/options.js';
import { rangesOf } from '../../src/options/ranges.js';
import { Acceptor } from '../../src/server/acceptor.js';
import { clientAddress } from '../../src/server/forwarded.js';
import { Listener } from '../../src/server/listener.js';
import { UpgradeLimit } from '../../src/server/upgrade-limit.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { growth, withServer } from '../helpers/servers.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

afterEach(() => RawSocket.destroyAll());

test('X-Forwarded-For is read from its end, as far as the proxies are trusted', () => {
  const trusts = rangesOf(['10.0.0.0/8', '2001:db8::/32']);
  const cases: [peer: string, header: string, address: string][] = [
    ['192.0.2.1', '203.0.113.9', '192.0.2.1'],
    ['10.0.0.1', '', '10.0.0.1'],
    ['10.0.0.1', '203.0.113.9', '203.0.113.9'],
    // The caller wrote the first one itself.
    ['10.0.0.1', '198.51.100.7, 203.0.113.9', '203.0.113.9'],
    ['10.0.0.1', '198.51.100.7, 203.0.113.9, 10.0.0.2,2001:db8::5', '203.0.113.9'],
    ['10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['10.0.0.1', '203.0.113.9, unknown', '10.0.0.1'],
    ['10.0.0.1', '203.0.113.9, unknown, 10.0.0.2', '10.0.0.2'],
    ['0000:0000:0000:0000:0000:ffff:0a00:0001', '203.0.113.9:4711', '203.0.113.9'],
    ['10.0.0.1', '[2001:db9::7]:4711', '2001:db9::7'],
  ];
  for (const [peer, header, address] of cases) {
    assert.equal(clientAddress(peer, header, trusts), address, `${peer} ${header}`);
  }
});

test('an address has the upgrades of one second at once, and then as many as time gives', () => {
  const clock = new VirtualClock();
  const limit = new UpgradeLimit(clock, 2);
  const ask = (): boolean => limit.admits('192.0.2.1');
  assert.deepEqual([ask(), ask(), ask()], [true, true, false]);
  assert.equal(limit.admits('192.0.2.2'), true, 'another address');
  clock.advance(499);
  assert.equal(ask(), false);
  clock.advance(1);
  assert.deepEqual([ask(), ask()], [true, false]);
  clock.advance(3600e3);
  assert.deepEqual([ask(), ask(), ask()], [true, true, false]);
});

test('a limit below one a second still lets one come', () => {
  const clock = new VirtualClock();
  const limit = new UpgradeLimit(clock, 0.5);
  assert.deepEqual([limit.admits('192.0.2.1'), limit.admits('192.0.2.1')], [true, false]);
  clock.advance(2000);
  assert.equal(limit.admits('192.0.2.1'), true);
});

test('the addresses of an IPv6 network count as one; IPv4 in IPv6 is a host', () => {
  const limit = new UpgradeLimit(new VirtualClock(), 1);
  const admitted = (address: string): boolean => limit.admits(address);
  assert.equal(admitted('2001:db8:0:1::1'), true);
  for (const same of ['2001:db8:0:1::2', '2001:0db8:0000:0001:ffff:0000:0000:0001', '2001:db8:0:1:2:3:4:5']) {
    assert.equal(admitted(same), false, same);
  }
  for (const other of ['2001:db8:0:2::1', '2001:db8::1', '::1', '::ffff:192.0.2.1', '::ffff:192.0.2.2']) {
    assert.equal(admitted(other), true, other);
  }
});

test('however many addresses ask, only the last ones are remembered', () => {
  const limit = new UpgradeLimit(new VirtualClock(), 1);
  for (let i = 0; i < 10_000; i++) limit.admits(`10.0.${i >> 8}.${i & 255}`);
  assert.equal(limit.size, 4096);
  assert.equal(limit.admits('10.0.39.15'), false, 'the last one');
});

test('over sockets: 429 beyond the limit, counted, by the address that a trusted proxy tells', async () => {
  const virtual = new VirtualReactor();
  const options = resolveOptions({ port: 0, upgradesPerSecondMax: 2, trustedProxies: ['127.0.0.0/8'] });
  const listener = new Listener({
    options,
    plugins: [],
    reactor: virtual.reactor,
    log: createLog('silent'),
    admits: () => true,
    hasRoom: () => true,
  });
  const acceptor = new Acceptor(options);
  const port = await acceptor.listen('127.0.0.1', 0);
  acceptor.deal([listener.descriptor()]);
  // No plugin answers, so one that is let in gets 404.
  const ask = async (address: string): Promise<RawSocket> =>
    RawSocket.open(port, { path: '/echo', headers: { 'X-Forwarded-For': address } });
  const statuses = async (address: string, count: number): Promise<number[]> => {
    const all: number[] = [];
    for (let i = 0; i < count; i++) all.push((await ask(address)).status);
    return all;
  };
  try {
    assert.deepEqual(await statuses('203.0.113.9', 4), [404, 404, 429, 429]);
    assert.deepEqual(await statuses('203.0.113.10', 1), [404]);
    assert.match((await ask('203.0.113.9')).headers, /\r\nretry-after: 1\r\n/i);
    virtual.clock.advance(500);
    assert.deepEqual(await statuses('203.0.113.9', 2), [404, 429]);
  } finally {
    RawSocket.destroyAll();
    acceptor.close();
    listener.close();
  }
});

test('allow, plugins and wrong tokens see the address that a trusted proxy tells, and no other', async () => {
  const seen: string[] = [];
  const plugin = definePlugin({
    name: 'who',
    accept(request) {
      seen.push(request.remoteAddress);
      return true;
    },
    onStart: () => ({}),
  });
  const ask = async (port: number, address: string): Promise<number> =>
    (await RawSocket.open(port, { path: '/who', headers: { 'X-Forwarded-For': address } })).status;
  const allow = ['203.0.113.0/24'];
  await withServer([plugin], { allow, trustedProxies: ['127.0.0.1'] }, async server => {
    const grown = await growth(server, async () => {
      assert.equal(await ask(server.port, '203.0.113.9'), 101);
      assert.equal(await ask(server.port, '203.0.113.9, 198.51.100.7'), 403);
    });
    assert.equal(grown.upgradesNotAllowed, 1);
  });
  await withServer([plugin], { trustedProxies: ['10.0.0.0/8'] }, async server => {
    assert.equal(await ask(server.port, '203.0.113.9'), 101);
  });
  assert.deepEqual(seen, ['203.0.113.9', '127.0.0.1']);
});
