// Types (tsc), style and correctness of the TypeScript (biome), style of the C++ (clang-format). The C++ build
// itself runs with -Wall -Wextra -Wconversion -Wshadow -Werror. `--fix-native` rewrites the C++ in place.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const native = readdirSync(`${root}native`, { recursive: true })
  .map(file => `native/${file}`)
  .filter(file => /\.(cpp|h)$/.test(file));

let failed = false;
function run(command, args) {
  const { status } = spawnSync(`node_modules/.bin/${command}`, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) failed = true;
}

if (process.argv.includes('--fix-native')) {
  run('clang-format', ['-i', ...native]);
} else {
  run('tsc', ['-p', 'tsconfig.json', '--noEmit']);
  run('biome', ['check', '.']);
  run('clang-format', ['--dry-run', '--Werror', ...native]);
}
process.exit(failed ? 1 : 0);
