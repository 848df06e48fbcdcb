/** What a plugin says of where it is found. */
export interface Routed {
  readonly name: string;
  readonly path?: string | undefined;
}

/** A path's plugin: its own path; any path where there is one plugin only; `/` is the first one's. */
export function route<P extends Routed>(plugins: readonly P[], path: string): P | undefined {
  const exact = plugins.find(plugin => (plugin.path ?? `/${plugin.name}`) === path);
  if (exact) return exact;
  if (plugins.length === 1 && plugins[0]!.path === undefined) return plugins[0];
  return path === '/' ? plugins[0] : undefined;
}
