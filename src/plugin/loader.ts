/** Finds plugins: definitions, built-in names, files (TypeScript as it is), npm packages. */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SidetoneError } from '../errors.js';
import { jiti as jitiPackage } from '../packages.js';
import { definePlugin } from './define.js';
import { type Entry, readEntries } from './entries.js';
import { PluginInstance } from './instance.js';
import { type OptionsByName, optionsFor, validated } from './options.js';
import type { Plugin } from './plugin.js';

interface LoadedModule {
  plugin: Plugin;
  /** The file that it was loaded from; undefined for one that was given as a definition. */
  file: string | undefined;
}

/** Where the code of plugins is written: the folders of their files, but for built-in and installed ones. */
export function pluginFolders(plugins: readonly PluginInstance[]): string[] {
  const folders = plugins.flatMap(({ file }) => {
    const isWritten = file !== undefined && !file.startsWith(OWN_FILES) && !isInstalled(file);
    return isWritten ? dirname(file) : [];
  });
  return [...new Set(folders)];
}

const OWN_FILES = fileURLToPath(new URL('..', import.meta.url));
const isInstalled = (file: string): boolean => file.includes(`${sep}node_modules${sep}`);

export const BUILT_IN_PLUGINS = ['echo', 'speak', 'record', 'tone', 'realtime'] as const;

/**
 * Loads what the option `plugins` lists, each with its options, which its schema has validated.
 * @throws SidetoneError SIDETONE_PLUGIN_NOT_FOUND, SIDETONE_PLUGIN_INVALID; SIDETONE_BAD_OPTION for wrong entries, options,
 *   names and paths
 */
export async function loadPlugins(
  plugins: readonly unknown[],
  pluginOptions: OptionsByName = {},
): Promise<PluginInstance[]> {
  const entries = readEntries(plugins);
  // Two entries of one module share its code, so it must not be loaded twice at the same time.
  const modules = new Map<unknown, Promise<LoadedModule>>();
  for (const { module } of entries) if (!modules.has(module)) modules.set(module, loadModule(module));
  const loaded = await Promise.all(entries.map(({ module }) => modules.get(module)!));
  const named = loaded.map(({ plugin, file }, i) => new PluginInstance(plugin, { ...entries[i], file }));
  checkNames(named);
  const byName = optionsFor(
    named.map(({ name }) => name),
    pluginOptions,
  );
  return Promise.all(
    named.map(async ({ plugin, name, file }, i) => {
      const { options: given } = entries[i]!;
      const merged = given && byName[i] ? { ...given, ...byName[i] } : (byName[i] ?? given);
      const options = await validated(name, plugin.options, merged);
      return new PluginInstance(plugin, { ...entries[i], file, options, given: merged });
    }),
  );
}

/**
 * Loads plugins that have been loaded before, from what their files say now. What their folders hold is read again, installed
 * packages are not. `before`: those of before, which go on working.
 * @throws SidetoneError as loadPlugins
 */
export function loadPluginsAnew(
  plugins: readonly unknown[],
  pluginOptions: OptionsByName,
  before: readonly PluginInstance[],
): Promise<PluginInstance[]> {
  const folders = pluginFolders(before);
  const { cache } = jitiPackage().createJiti(import.meta.url);
  for (const file of Object.keys(cache)) {
    const isTheirs = folders.some(folder => file.startsWith(folder + sep));
    if (isTheirs && !isInstalled(file) && !file.startsWith(OWN_FILES)) delete cache[file];
  }
  return loadPlugins(plugins, pluginOptions);
}

function checkNames(plugins: readonly PluginInstance[]): void {
  const fail = (what: string, problem: string): never => {
    throw new SidetoneError('SIDETONE_BAD_OPTION', `plugins: ${what}: ${problem}`);
  };
  const names = plugins.map(plugin => plugin.name);
  const name = names.find((each, i) => names.indexOf(each) !== i);
  if (name !== undefined) fail(name, 'given twice; give each plugin its own name');
  const paths = plugins.map(plugin => plugin.path ?? `/${plugin.name}`);
  const path = paths.find((each, i) => paths.indexOf(each) !== i);
  if (path !== undefined) fail(path, 'two plugins answer this path; give each its own in `path`');
}

function loadModule(module: Entry['module']): Promise<LoadedModule> {
  if (typeof module === 'string') return load(module);
  return Promise.resolve({ plugin: definePlugin(module as Plugin), file: undefined });
}

async function load(name: string): Promise<LoadedModule> {
  if ((BUILT_IN_PLUGINS as readonly string[]).includes(name)) {
    const url = new URL(`../plugins/${name}.js`, import.meta.url);
    return checked(name, await import(url.href), fileURLToPath(url));
  }
  // jiti runs TypeScript on every supported Node.js; `sidetone` inside a plugin is this very package.
  const jiti = jitiPackage().createJiti(pathToFileURL(`${process.cwd()}/`).href, {
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

function checked(name: string, module: unknown, file: string): LoadedModule {
  const exported = (module as { default?: unknown }).default ?? module;
  if (typeof exported !== 'object' || exported === null || !('onStart' in exported)) {
    throw new SidetoneError(
      'SIDETONE_PLUGIN_INVALID',
      `plugin: ${name}: its default export is ${typeof exported}: export default definePlugin({ name, onStart })`,
    );
  }
  return { plugin: definePlugin(exported as Plugin), file };
}
