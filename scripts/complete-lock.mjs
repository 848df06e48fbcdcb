// After `npm install`: adds the optional packages of other platforms that npm leaves out of package-lock.json when the
// registry in use does not carry them. Without them `npm ci` refuses the lock file on every platform.
import { readFileSync, writeFileSync } from 'node:fs';

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8'));
const { packages } = lock;

for (const [path, entry] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const platform = /(linux|darwin|win32|android|freebsd)-(x64|arm64|arm|ia32)\b(?:.*(musl))?/.exec(name);
    if (!platform) continue;
    const top = `node_modules/${name}`;
    const key = !packages[top] || packages[top].version === version ? top : `${path}/node_modules/${name}`;
    if (packages[key]) continue;
    const [, os, cpu, libc] = platform;
    packages[key] = {
      version,
      cpu: [cpu],
      ...(entry.dev ? { dev: true } : {}),
      ...(libc ? { libc: [libc] } : {}),
      optional: true,
      os: [os],
    };
  }
}
lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
