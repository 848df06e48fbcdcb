/** Certificates: what is wrong with their files is told before uWebSockets.js, which does not say, sees them. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { SidetoneError } from './errors.js';
import type { ResolvedOptions } from './options.js';

/**
 * Reads both files; returns a digest of what is in them.
 * @throws SidetoneError SIDETONE_BAD_OPTION naming the file and what is wrong with it
 */
export function checkTls({ cert, key }: NonNullable<ResolvedOptions['tls']>): string {
  const certText = readPem('tls.cert', cert);
  const keyText = readPem('tls.key', key);
  use('tls.cert', cert, 'give a certificate chain in PEM', () => createSecureContext({ cert: certText }));
  use('tls.key', key, `give the private key of ${cert} in PEM`, () =>
    createSecureContext({ cert: certText, key: keyText }),
  );
  return createHash('sha256').update(certText).update('\0').update(keyText).digest('hex');
}

function readPem(field: string, path: string): Buffer {
  return use(field, path, 'give a readable file', () => readFileSync(path));
}

function use<T>(field: string, path: string, remedy: string, attempt: () => T): T {
  try {
    return attempt();
  } catch (cause) {
    const why = (cause as Error).message;
    throw new SidetoneError('SIDETONE_BAD_OPTION', `${field}: ${path}: ${why}: ${remedy}`, { cause });
  }
}
