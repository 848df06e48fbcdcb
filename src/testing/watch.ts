/** What a test sees of the plugin's side of its call. */
import { checkHandler } from '../plugin/define.js';
import type { PluginInstance, StreamPlugin } from '../plugin/instance.js';
import type { StopReason, StreamHandler } from '../plugin/plugin.js';
import type { Stream } from '../plugin/stream.js';

/** The plugin, with its stream, the reason of its end and what its onStop promised within reach. */
export class Watch {
  stream: Stream | undefined;
  stopReason: StopReason | undefined;
  stopping: Promise<unknown> = Promise.resolve();

  plugin(instance: PluginInstance): StreamPlugin {
    return withOnStart(instance, stream => {
      this.stream = stream;
      this.stopReason = undefined;
      return this.#handler(checkHandler(instance, instance.onStart(stream)));
    });
  }

  #handler(handler: StreamHandler | undefined): StreamHandler {
    const onStop = (reason: StopReason): unknown => {
      this.stopReason = reason;
      const result = handler?.onStop?.(reason);
      this.stopping = Promise.resolve(result).catch(() => {});
      return result;
    };
    if (!handler) return { onStop };
    const resumed = (next: Stream): unknown => {
      this.stream = next;
      return handler.onResume?.(next);
    };
    // A handler may be a class with private fields, or frozen: its methods are called on itself, and nothing is put into it.
    return new Proxy<StreamHandler>(
      {},
      {
        get(_, name) {
          if (name === 'onStop') return onStop;
          const value: unknown = Reflect.get(handler, name);
          if (name === 'onResume' && value !== undefined) return resumed;
          return typeof value === 'function' ? value.bind(handler) : value;
        },
      },
    );
  }
}

/** What a connection sees of an instance, with another onStart. */
function withOnStart(inner: PluginInstance, onStart: StreamPlugin['onStart']): StreamPlugin {
  const { name, audio, outbound, liveLatencyMaxMs, log } = inner;
  return {
    name,
    audio,
    outbound,
    liveLatencyMaxMs,
    log,
    onStart,
    opened: () => inner.opened(),
    closed: () => inner.closed(),
    stopped: result => inner.stopped(result),
  };
}
