import type { Plugin } from './plugin.js';

/** A path's plugin: its own path; any path where there is one plugin only; `/` is the first one's. */
export function route(plugins: readonly Plugin[], path: string): Plugin | undefined {
  const exact = plugins.find(plugin => (plugin.path ?? `/${plugin.name}`) === path);
  if (exact) return exact;
  if (plugins.length === 1 && plugins[0]!.path === undefined) return plugins[0];
  return path === '/' ? plugins[0] : undefined;
}
