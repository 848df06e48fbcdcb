import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { createServer } from '../../src/index.js';
import { rangesOf } from '../../src/options/ranges.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { growth, withServer } from '../helpers/servers.js';

afterEach(() => RawSocket.destroyAll());

test('an address is in a range of its own family, also where IPv6 writes an IPv4 address', () => {
  const allows = rangesOf(['10.1.0.0/16', '192.0.2.7', '2001:db8::/32']);
  const inside = [
    '10.1.0.0',
    '10.1.255.255',
    '192.0.2.7',
    '::ffff:10.1.2.3',
    '::ffff:0a01:0203',
    '2001:db8:1::1',
  ];
  const outside = [
    '10.2.0.0',
    '10.0.255.255',
    '192.0.2.8',
    '2001:db9::1',
    '::ffff:10.2.0.1',
    '',
    'localhost',
  ];
  for (const address of inside) assert.equal(allows(address), true, address);
  for (const address of outside) assert.equal(allows(address), false, address);
});

test('a peer that is not in allow gets 403, which is counted; one that is in it gets its stream', async () => {
  const cases: [string[], number][] = [
    [['127.0.0.0/8'], 101],
    [['10.0.0.0/8', '127.0.0.1'], 101],
    [['10.0.0.0/8', '2001:db8::/32'], 403],
  ];
  for (const [allow, status] of cases) {
    await withServer([], { allow }, async server => {
      const grown = await growth(server, async () => {
        const socket = await RawSocket.open(server.port, { path: '/echo' });
        assert.equal(socket.status, status, `${allow}`);
      });
      const refused = status === 403 ? 1 : undefined;
      assert.deepEqual([grown.upgradesNotAllowed, grown.upgradesRefused], [refused, refused]);
    });
  }
});

test('what is no range is refused with its value and what to give', async () => {
  for (const wrong of ['10.0.0.0/33', '2001:db8::/129', 'telnyx.com', '10.0.0/8', '']) {
    await assert.rejects(createServer({ allow: [wrong] }), {
      code: 'SIDETONE_BAD_OPTION',
      message: /^allow\.0: .*give addresses or ranges in CIDR form/,
    });
  }
});
