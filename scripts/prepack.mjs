// Before `npm pack`: builds what the package holds, the TypeScript and the prebuilt addons, where it is missing or older
// than its sources.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function build(script) {
  // npm may write its report to stdout as JSON, so the build must not write there.
  const { status } = spawnSync('npm', ['run', '--silent', script], { cwd: root, stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(status ?? 1);
}

/** When the newest file of these folders and files was changed, in ms since 1970. */
function changedMs(...paths) {
  const files = paths.flatMap(path =>
    statSync(root + path).isDirectory()
      ? readdirSync(root + path, { recursive: true }).map(file => `${path}/${file}`)
      : path,
  );
  return Math.max(...files.map(file => statSync(root + file).mtimeMs));
}

/** An output that is older than its sources would not fit the rest of the package. */
function isCurrent(output, sourcesMs) {
  return existsSync(root + output) && statSync(root + output).mtimeMs >= sourcesMs;
}

if (!isCurrent('dist/src/index.js', changedMs('src'))) build('build:ts');
const nativeMs = changedMs('native', 'CMakeLists.txt');
const addons = ['linux-x64', 'linux-arm64'].map(
  platform => `prebuilds/sidetone-${platform}/node-napi-v8.node`,
);
const stale = addons.filter(addon => !isCurrent(addon, nativeMs));
// Where the compiler of a platform is missing, the package does without its addon.
for (const addon of stale) rmSync(root + addon, { force: true });
if (stale.length > 0) build('prebuild');

// Output whose source has been deleted does not belong in the package.
for (const file of readdirSync(`${root}dist/src`, { recursive: true })) {
  const source = file.replace(/\.(d\.)?(c?)[jt]s(\.map)?$/, '.$2ts');
  if (source !== file && !existsSync(`${root}src/${source}`)) rmSync(`${root}dist/src/${file}`);
}
