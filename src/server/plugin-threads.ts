/** Plugins that run in threads of their own: what their instances are given to do so. */
import type { ReactorCounter } from '../counters.js';
import { IsolatedPlugin } from '../isolation/isolated-plugin.js';
import type { PluginThreadData } from '../isolation/thread-messages.js';
import type { ResolvedOptions } from '../options/options.js';
import type { PluginHost } from '../plugin/host.js';
import type { PluginInstance, PluginThread } from '../plugin/instance.js';
import { threadIsolation } from '../plugin/isolation.js';
import { LOOK_MS, watchHeartbeats } from './heartbeats.js';

type PluginThreadOptions = PluginThreadData['options'];

export type Isolate = (plugin: PluginInstance, thread: PluginThread) => PluginHost | undefined;

/** Makes the threads of each plugin that is to have some. `count` may be set later. */
export function isolateBy(
  options: ResolvedOptions,
  count: (counter: ReactorCounter, times?: number) => void,
): Isolate {
  return (plugin, { clock, log, reactor, conference }) => {
    const isolation = threadIsolation(plugin.plugin.isolation ?? options.isolation);
    if (!isolation) return undefined;
    const { module, given, name, path } = plugin;
    // createServer has refused definitions.
    const entry = { module: module as string, options: given, name, path };
    return new IsolatedPlugin({
      clock,
      log: log.child({ plugin: name }),
      isolation,
      main: new URL('./plugin-thread-main.js', import.meta.url),
      data: { entry, options: forThread(options), reactor },
      judges: plugin.judges,
      conference,
      count,
      watch: watchHeartbeats,
      lookMs: LOOK_MS,
    });
  };
}

/** A thread needs no more secrets than commands to its calls want. */
function forThread(options: ResolvedOptions): PluginThreadOptions {
  const { plugins, pluginOptions, authToken, adminToken, tls, webhooks, ...others } = options;
  return others;
}
