/** What is said when a port cannot be had: the system's reason, and the remedy that fits. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { ADMIN_NAMES, listenError, probeListen, SERVER_NAMES } from '../src/listen-error.js';

const failure = (code: string): NodeJS.ErrnoException => Object.assign(new Error(code), { code });

test('the probe gives the reason of the system, and none where the port is free', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  assert.equal((await probeListen('127.0.0.1', port))?.code, 'EADDRINUSE');
  taken.close();
  await once(taken, 'close');
  assert.equal(await probeListen('127.0.0.1', port), undefined);
  assert.equal((await probeListen('203.0.113.1', 0))?.code, 'EADDRNOTAVAIL');
});

test('each reason has its own remedy', () => {
  const cases: [string | undefined, number, RegExp, string][] = [
    [
      'EADDRINUSE',
      8080,
      /^port: 8080: .*127\.0\.0\.1 \(EADDRINUSE\): in use.*ss -ltnp.*--port/,
      'SIDETONE_PORT_IN_USE',
    ],
    [
      'EACCES',
      443,
      /^port: 443: .*EACCES.*below 1024 needs root or CAP_NET_BIND_SERVICE.*--port/,
      'SIDETONE_PORT_IN_USE',
    ],
    ['EACCES', 8080, /^port: 8080: .*EACCES.*does not allow/, 'SIDETONE_PORT_IN_USE'],
    [
      'EADDRNOTAVAIL',
      80,
      /^host: 127\.0\.0\.1: .*EADDRNOTAVAIL.*no address of this machine.*--host/,
      'SIDETONE_BAD_OPTION',
    ],
    ['ENOTFOUND', 80, /^host: 127\.0\.0\.1: .*ENOTFOUND.*no address: .*--host/, 'SIDETONE_BAD_OPTION'],
    [undefined, 80, /^port: 80: .*try again/, 'SIDETONE_PORT_IN_USE'],
  ];
  for (const [reason, port, message, code] of cases) {
    const error = listenError(
      '127.0.0.1',
      port,
      SERVER_NAMES,
      reason === undefined ? undefined : failure(reason),
    );
    assert.match(error.message, message);
    assert.equal(error.code, code);
  }
  const admin = listenError('127.0.0.1', 9090, ADMIN_NAMES, failure('EADDRINUSE'));
  assert.match(admin.message, /^adminPort: 9090: .*--admin-port \(--no-admin/);
});
