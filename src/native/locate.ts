/**
 * Where the addon is, and what to do where there is none that loads; scripts/install.mjs asks here too.
 *
 * The loader is pkg-prebuilds, which is made for cmake-js and Node-API. It looks first for an addon that was built
 * here, then for a prebuilt one by platform, processor and libc. It needs no packages for each platform.
 * (node-gyp-build does the same and builds with node-gyp only.)
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Loader {
  /** Its types leave this out. */
  resolve(
    basePath: string,
    options: { name: string; napi_versions: number[] },
    verifies: boolean,
    throwsOnMissing: boolean,
  ): string | null;
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const require = createRequire(import.meta.url);

/** What building needs: any one command of each group, and the Debian package that has it. */
const TOOLS = [
  { commands: ['cmake'], name: 'cmake', debian: 'cmake' },
  { commands: ['g++', 'c++', 'clang++'], name: 'a C++20 compiler (g++)', debian: 'g++' },
  { commands: ['make', 'ninja'], name: 'make or ninja', debian: 'make' },
];

function isInPath(command: string): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const endings = process.platform === 'win32' ? ['.exe', '.cmd'] : [''];
  return folders.some(folder => endings.some(ending => existsSync(join(folder, command + ending))));
}

/** A source tree is built by its scripts; an installed package is not. */
export const isSourceTree = (): boolean => existsSync(join(root, 'tsconfig.json'));

/** What is missing for building the addon here, how to get it, and the command that builds it. */
export function howToBuild(): string {
  const missing = TOOLS.filter(({ commands }) => !commands.some(isInPath));
  const command = isSourceTree() ? 'npm run build:native' : `node ${join(root, 'scripts/install.mjs')}`;
  if (missing.length === 0) return `build it here: ${command}`;
  const names = missing.map(({ name }) => name).join(', ');
  const packages = missing.map(({ debian }) => debian).join(' ');
  return `building it needs ${names}, missing here (on Debian: apt-get install ${packages}); then run: ${command}`;
}

/** The file of the addon, or undefined. SIDETONE_ADDON names another build, such as one with sanitizers. */
function fileOf(): string | undefined {
  if (process.env.SIDETONE_ADDON) return process.env.SIDETONE_ADDON;
  const { resolve } = require('pkg-prebuilds') as Loader;
  const { binary } = require(join(root, 'package.json')) as { binary: { napi_versions: number[] } };
  return resolve(root, { name: 'sidetone', ...binary }, false, false) ?? undefined;
}

/** The loaded addon, or why there is none. */
export function loadAddon(): { addon: unknown } | { problem: string; cause?: unknown } {
  const file = fileOf();
  const here = `${process.platform} ${process.arch}, Node.js ${process.versions.node}`;
  if (file === undefined) {
    return { problem: `the native addon is missing (no prebuilt one is for ${here}); ${howToBuild()}` };
  }
  try {
    return { addon: require(file) as unknown };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    return { problem: `the native addon does not load on ${here} (${why}); ${howToBuild()}`, cause };
  }
}
