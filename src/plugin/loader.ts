/** Finds plugins: definitions, built-in names, files (TypeScript as it is), npm packages. */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createJiti } from 'jiti';
import { SidetoneError } from '../errors.js';
import { definePlugin } from './define.js';
import type { Plugin } from './plugin.js';

const files = new WeakMap<Plugin, string>();

/** The file that a plugin was loaded from; undefined for one that was given as a definition. */
export function pluginFile(plugin: Plugin): string | undefined {
  return files.get(plugin);
}

/** Where the code of plugins is written: the folders of their files, but for built-in and installed ones. */
export function pluginFolders(plugins: readonly Plugin[]): string[] {
  const folders = plugins.flatMap(plugin => {
    const file = pluginFile(plugin);
    const isWritten = file !== undefined && !file.startsWith(OWN_FILES) && !isInstalled(file);
    return isWritten ? dirname(file) : [];
  });
  return [...new Set(folders)];
}

const OWN_FILES = fileURLToPath(new URL('..', import.meta.url));
const isInstalled = (file: string): boolean => file.includes(`${sep}node_modules${sep}`);

export const BUILT_IN_PLUGINS = ['echo', 'speak', 'record', 'tone'] as const;

/**
 * @throws SidetoneError SIDETONE_PLUGIN_NOT_FOUND, SIDETONE_PLUGIN_INVALID
 */
export function loadPlugins(plugins: readonly unknown[]): Promise<Plugin[]> {
  return Promise.all(
    plugins.map(plugin => (typeof plugin === 'string' ? load(plugin) : definePlugin(plugin as Plugin))),
  );
}

/**
 * Loads plugins that have been loaded before, from what their files say now. What their folders hold is read again, installed
 * packages are not. `plugins` are those of before: they go on working.
 * @throws SidetoneError as loadPlugins
 */
export function loadPluginsAnew(names: readonly unknown[], plugins: readonly Plugin[]): Promise<Plugin[]> {
  const folders = pluginFolders(plugins);
  const { cache } = createJiti(import.meta.url);
  for (const file of Object.keys(cache)) {
    const isTheirs = folders.some(folder => file.startsWith(folder + sep));
    if (isTheirs && !isInstalled(file) && !file.startsWith(OWN_FILES)) delete cache[file];
  }
  return loadPlugins(names);
}

/** @throws SidetoneError SIDETONE_BAD_OPTION */
export function checkNames(plugins: readonly Plugin[]): void {
  const names = plugins.map(plugin => plugin.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return;
  throw new SidetoneError(
    'SIDETONE_BAD_OPTION',
    `plugins: ${twice}: given twice; give each plugin its own name`,
  );
}

async function load(name: string): Promise<Plugin> {
  if ((BUILT_IN_PLUGINS as readonly string[]).includes(name)) {
    const url = new URL(`../plugins/${name}.js`, import.meta.url);
    return checked(name, await import(url.href), fileURLToPath(url));
  }
  // jiti runs TypeScript on every supported Node.js; `sidetone` inside a plugin is this very package.
  const jiti = createJiti(pathToFileURL(`${process.cwd()}/`).href, {
    alias: { sidetone: fileURLToPath(new URL('../index.js', import.meta.url)) },
  });
  const isFile = /^[./]/.test(name) || isAbsolute(name) || /\.[cm]?[jt]s$/.test(name);
  const target = isFile ? resolve(name) : name;
  if (isFile && !existsSync(target)) {
    throw new SidetoneError(
      'SIDETONE_PLUGIN_NOT_FOUND',
      `plugin: ${name}: no such file (looked for ${target}); built-in plugins are ${BUILT_IN_PLUGINS.join(', ')}`,
    );
  }
  try {
    const url = isFile ? undefined : jiti.esmResolve(target, { try: true });
    return checked(name, await jiti.import(target), url?.startsWith('file:') ? fileURLToPath(url) : target);
  } catch (error) {
    if (error instanceof SidetoneError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (!isFile && (code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND')) {
      throw new SidetoneError(
        'SIDETONE_PLUGIN_NOT_FOUND',
        `plugin: ${name}: neither a built-in plugin (${BUILT_IN_PLUGINS.join(', ')}) nor an installed package; ` +
          'for a file, write ./ in front of it',
        { cause: error },
      );
    }
    throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `plugin: ${name}: does not load: ${String(error)}`, {
      cause: error,
    });
  }
}

function checked(name: string, module: unknown, file: string): Plugin {
  const exported = (module as { default?: unknown }).default ?? module;
  if (typeof exported !== 'object' || exported === null || !('onStart' in exported)) {
    throw new SidetoneError(
      'SIDETONE_PLUGIN_INVALID',
      `plugin: ${name}: its default export is ${typeof exported}: export default definePlugin({ name, onStart })`,
    );
  }
  const plugin = definePlugin(exported as Plugin);
  files.set(plugin, file);
  return plugin;
}
