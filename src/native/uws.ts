/**
 * The only loader of uWebSockets.js. Its binaries are built for one Node.js ABI each: the release under the alias
 * `uWebSockets.js` knows Node 18 to 23, the one under `uWebSockets.js-24` Node 22 to 26.
 */

// The newer release's types: the older one has the same functions and declares fewer of them.
import type * as UWebSockets from 'uWebSockets.js-24';
import { createRequire } from 'node:module';
import { SidetoneError } from '../errors.js';

const require = createRequire(import.meta.url);

// Its limit for all headers of a request, 4096 bytes, is read when it is loaded; a token of Telnyx alone may have 4000.
process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= '16384';

const nodeMajor = Number(process.versions.node.split('.')[0]);

function load(): typeof UWebSockets {
  try {
    return require(nodeMajor >= 24 ? 'uWebSockets.js-24' : 'uWebSockets.js') as typeof UWebSockets;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n')[0]! : String(cause);
    const remedy = why.includes('GLIBC')
      ? 'its binaries for Node.js 24 and later need glibc 2.38 (Debian 13, Ubuntu 24.04): use Node.js 20 or 22 here'
      : 'run npm ci with the Node.js that is going to run it, one of 20, 22, 24 and 26, on Linux, macOS or Windows';
    const problem = `uWebSockets.js does not load on Node.js ${process.versions.node} (${process.platform} ${process.arch})`;
    // The rest of the package works without it: the first use throws, not the import.
    return new Proxy({} as typeof UWebSockets, {
      get() {
        throw new SidetoneError('SIDETONE_UNSUPPORTED', `${problem}: ${remedy}. It said: ${why}`, { cause });
      },
    });
  }
}

export const uWS = load();
export type { UWebSockets };
