// Before `npm pack`: builds what the package holds and the checkout has not got, the TypeScript and the prebuilt addons.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function build(script) {
  // npm may write its report to stdout as JSON, so the build must not write there.
  const { status } = spawnSync('npm', ['run', '--silent', script], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
}

if (!existsSync(`${root}dist/src/index.js`)) build('build:ts');
for (const platform of ['linux-x64', 'linux-arm64']) {
  if (existsSync(`${root}prebuilds/sidetone-${platform}/node-napi-v8.node`)) continue;
  build('prebuild');
  break;
}

// Output whose source has been deleted does not belong in the package.
for (const file of readdirSync(`${root}dist/src`, { recursive: true })) {
  const source = file.replace(/\.(d\.)?(c?)[jt]s(\.map)?$/, '.$2ts');
  if (source !== file && !existsSync(`${root}src/${source}`)) rmSync(`${root}dist/src/${file}`);
}
