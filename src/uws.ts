/**
 * The only loader of uWebSockets.js. Its binaries are built for one Node.js ABI each: the release under the alias
 * `uWebSockets.js` knows Node 18 to 23, the one under `uWebSockets.js-24` Node 22 to 26.
 */

// The newer release's types: the older one has the same functions and declares fewer of them.
import type * as UWebSockets from 'uWebSockets.js-24';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

// Its limit for all headers of a request, 4096 bytes, is read when it is loaded; a token of Telnyx alone may have 4000.
process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= '16384';

const nodeMajor = Number(process.versions.node.split('.')[0]);

export const uWS = require(nodeMajor >= 24 ? 'uWebSockets.js-24' : 'uWebSockets.js') as typeof UWebSockets;
export type { UWebSockets };
