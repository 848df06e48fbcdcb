// Builds the addon with cmake-js. Headers come from the npm package node-api-headers, so nothing is downloaded;
// only Node-API is used, so one binary serves every supported Node.js.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';

const require = createRequire(import.meta.url);
const cmakeJs = require.resolve('cmake-js/bin/cmake-js');
const result = spawnSync(
  process.execPath,
  [cmakeJs, 'build', '--parallel', String(cpus().length), ...process.argv.slice(2)],
  { stdio: 'inherit', cwd: new URL('..', import.meta.url) },
);
process.exit(result.status ?? 1);
