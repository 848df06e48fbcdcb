// Compiles the TypeScript into dist/. Output whose source has been deleted is removed first. It would be tested and
// packed otherwise.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

if (existsSync(`${root}dist`)) {
  for (const file of readdirSync(`${root}dist`, { recursive: true })) {
    const source = file.replace(/\.(js|js\.map|d\.ts)$/, '.ts');
    if (source !== file && !existsSync(root + source)) rmSync(`${root}dist/${file}`);
  }
}
const { status } = spawnSync(
  process.execPath,
  ['node_modules/typescript-7/bin/tsc', '-p', 'tsconfig.json', ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' },
);
process.exit(status ?? 1);
