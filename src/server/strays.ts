/**
 * Errors that no callback of a handler is there to catch: thrown in a plugin's own timer or socket, or rejected in a promise
 * that nobody watches. They end no call and no thread.
 */
import { dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Logger } from '../log/log.js';
import type { PluginInstance } from '../plugin/instance.js';

export interface StraysSetup {
  plugins: readonly PluginInstance[];
  log: Logger;
  count(): void;
  /** True for an error that is to be ignored. */
  ignore?(error: unknown): boolean;
}

/** From now on they are logged and counted in this thread. */
export function containStrays({ plugins, log, count, ignore }: StraysSetup): void {
  const contain = (where: string, error: unknown): void => {
    if (ignore?.(error)) return;
    count();
    const plugin = pluginOf(error, plugins);
    const whose = plugin ? { plugin: plugin.name } : { plugins: plugins.map(({ name }) => name) };
    log.error({ ...whose, where, err: error }, "an error in a plugin's own timer, socket or promise");
  };
  process.on('uncaughtException', error => contain('uncaught exception', error));
  process.on('unhandledRejection', error => contain('unhandled rejection', error));
}

/**
 * The plugin that the error's stack leads to: by the innermost frame that lies in a plugin's file, or else in the
 * folder of one plugin only. Undefined when the stack names none.
 */
export function pluginOf(error: unknown, plugins: readonly PluginInstance[]): PluginInstance | undefined {
  const frames = stackFiles(error);
  const known = plugins.flatMap(plugin => {
    const { file } = plugin;
    return file === undefined ? [] : [{ plugin, file }];
  });
  for (const frame of frames) {
    const found = known.find(({ file }) => file === frame);
    if (found) return found.plugin;
  }
  for (const frame of frames) {
    const near = known.filter(({ file }) => frame.startsWith(dirname(file) + sep));
    if (near.length === 1) return near[0]!.plugin;
  }
  return undefined;
}

/** The files of the stack's frames, the innermost first. */
function stackFiles(error: unknown): string[] {
  const stack = error instanceof Error ? error.stack : undefined;
  if (typeof stack !== 'string') return [];
  return stack.split('\n').flatMap(line => {
    const place = /^\s+at (?:.*\()?(.+?):\d+:\d+\)?$/.exec(line)?.[1];
    if (place === undefined) return [];
    return place.startsWith('file:') ? fileURLToPath(place) : place;
  });
}
