/** Which versions of TLS are spoken: real handshakes of node:tls. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, type SecureVersion } from 'node:tls';
import { createServer } from '../../src/index.js';
import { fixture } from '../helpers/paths.js';

const VERSIONS = ['TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
const tls = (minVersion?: '1.2' | '1.3') => ({
  cert: fixture('tls/one.cert.pem'),
  key: fixture('tls/one.key.pem'),
  ...(minVersion && { minVersion }),
});

/** What a client that speaks one version only gets: that version, or no connection. */
function handshake(port: number, version: SecureVersion): Promise<string> {
  return new Promise(resolve => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
      // OpenSSL refuses to speak TLS 1.1 at its usual level.
      ciphers: 'DEFAULT:@SECLEVEL=0',
    });
    socket.once('secureConnect', () => {
      resolve(String(socket.getProtocol()));
      socket.destroy();
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(`refused: ${error.code}`));
  });
}

async function spoken(port: number): Promise<string[]> {
  const outcomes = await Promise.all(VERSIONS.map(version => handshake(port, version)));
  for (const outcome of outcomes) assert.match(outcome, /^TLSv|^refused: ERR_SSL_/);
  return outcomes.filter(outcome => !outcome.startsWith('refused'));
}

for (const reactors of [1, 2]) {
  test(`TLS 1.2 and 1.3 are spoken, or 1.3 alone, and a reload changes it; ${reactors} reactor(s)`, async () => {
    const server = await createServer({ port: 0, admin: false, logLevel: 'silent', reactors, tls: tls() });
    await server.listen();
    try {
      assert.deepEqual(await spoken(server.port), ['TLSv1.2', 'TLSv1.3']);
      await server.reload({ tls: tls('1.3') });
      for (let i = 0; i < 2; i++) assert.deepEqual(await spoken(server.port), ['TLSv1.3']);
      await server.reload({ tls: tls('1.2') });
      for (let i = 0; i < 2; i++) assert.deepEqual(await spoken(server.port), ['TLSv1.2', 'TLSv1.3']);
    } finally {
      await server.close();
    }
  });
}

test('an older version than 1.2 cannot be asked for', async () => {
  await assert.rejects(createServer({ tls: { ...tls(), minVersion: '1.1' as '1.2' } }), {
    code: 'SIDETONE_BAD_OPTION',
    message: /tls\.minVersion.*1\.2/,
  });
});
