/** The files of certificate and key: read before the server starts, for uWebSockets.js does not say what is wrong. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { SidetoneError } from '../errors.js';

const READ_FAULTS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'this is a directory',
  EACCES: 'this process may not read it',
};

/**
 * Judges a certificate and its key; returns a digest of what is in their files, and of the version.
 * @throws SidetoneError SIDETONE_BAD_OPTION naming the file: missing, unreadable, no PEM, not the certificate's key
 */
export function checkTlsFiles(tls: { cert: string; key: string; minVersion: string }): string {
  const cert = readFile('cert', tls.cert);
  const key = readFile('key', tls.key);
  attempt(
    { cert },
    `tls.cert: ${tls.cert}: no certificate in PEM: give the file of the certificate chain (--tls-cert)`,
  );
  attempt(
    { key },
    `tls.key: ${tls.key}: no private key in PEM without a passphrase: give the certificate's (--tls-key)`,
  );
  attempt(
    { cert, key },
    `tls.key: ${tls.key}: not the key of the certificate ${tls.cert}: give two files that belong together (--tls-cert, --tls-key)`,
  );
  return createHash('sha256').update(cert).update('\0').update(key).update(tls.minVersion).digest('hex');
}

function readFile(field: 'cert' | 'key', path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const { code = 'unknown' } = cause as NodeJS.ErrnoException;
    const fault = `${READ_FAULTS[code] ?? 'it cannot be read'} (${code})`;
    const problem = `tls.${field}: ${path}: ${fault}: give a readable PEM file (--tls-${field})`;
    throw new SidetoneError('SIDETONE_BAD_OPTION', problem, { cause });
  }
}

function attempt(options: SecureContextOptions, problem: string): void {
  try {
    createSecureContext(options);
  } catch (cause) {
    throw new SidetoneError('SIDETONE_BAD_OPTION', problem, { cause });
  }
}
