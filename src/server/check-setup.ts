/** What must be right before a server is made, and before a running one gets other credentials. */
import { wantMp3Encoder } from '../codecs/mp3.js';
import { SidetoneError } from '../errors.js';
import type { Logger } from '../log/log.js';
import { apiAccess, type Credentials, type ResolvedOptions } from '../options/options.js';
import { checkCloneable } from '../plugin/entries.js';
import { readApiBase, readApiKey } from '../telnyx/rest.js';
import { checkTlsFiles } from './tls-files.js';

/** @throws SidetoneError SIDETONE_BAD_OPTION */
export function checkSetup(options: ResolvedOptions): void {
  if (options.tls) checkTlsFiles(options.tls);
  if (options.drainHandover && !options.sharePort) {
    const problem =
      'drainHandover: true: no other process can take the calls: give sharePort too (--share-port)';
    throw new SidetoneError('SIDETONE_BAD_OPTION', problem);
  }
  checkApi(options);
  if (options.sharePort && options.port === 0) {
    const problem =
      'sharePort: true: port 0 is free for one process only: give the port that is to be shared (--port)';
    throw new SidetoneError('SIDETONE_BAD_OPTION', problem);
  }
  if (options.reactors > 1) checkCloneable(options.plugins);
}

/** A wrong key or base must show now, not with the first command. That there is none may be meant. */
function checkApi(options: ResolvedOptions): void {
  const { apiKey, apiKeyFile, apiBase } = apiAccess(options);
  if (apiKey !== undefined || apiKeyFile !== undefined) readApiKey({ apiKey, apiKeyFile });
  if (apiBase !== undefined) readApiBase(apiBase);
}

/** Files can be played without it. */
export function warnWithoutEncoder(log: Logger): void {
  try {
    wantMp3Encoder();
  } catch (error) {
    log.warn({ err: error }, 'in MP3 mode this server can play MP3 files and no other audio');
  }
}

/** @throws SidetoneError SIDETONE_BAD_OPTION for a change that needs another server */
export function checkChange(before: Credentials, next: Credentials): void {
  const fail = (problem: string): never => {
    throw new SidetoneError(
      'SIDETONE_BAD_OPTION',
      `${problem} while the server runs: start it anew for that`,
    );
  };
  if ((next.tls === undefined) !== (before.tls === undefined)) fail('tls: cannot be turned on or off');
  if (next.authToken === undefined && before.authToken !== undefined) {
    fail('authToken: missing: the door cannot be opened to all');
  }
  if (next.adminToken === undefined && before.adminToken !== undefined) {
    fail('adminToken: missing: the admin port cannot be opened to all');
  }
}
