import type { Plugin } from '../../src/plugin/plugin.js';
import type { Stream } from '../../src/plugin/stream.js';

export { LATENCY_MS, type VirtualCall, VirtualServer } from '../../src/testing/virtual-server.js';

/** The plugin, with its streams within reach. */
export function watched(plugin: Plugin): { plugin: Plugin; streams: Stream[] } {
  const streams: Stream[] = [];
  const onStart: Plugin['onStart'] = (stream, context) => {
    streams.push(stream);
    return plugin.onStart(stream, context);
  };
  return { plugin: { ...plugin, onStart }, streams };
}
