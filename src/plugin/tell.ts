import { eventFields } from '../log/call-log.js';
import type { Logger } from '../log/log.js';
import type { WebhookEvent } from '../telnyx/webhooks.js';
import type { Plugin } from './plugin.js';

/** Tells each plugin; none of them can harm the others. `count` counts one that failed. */
export function tellPlugins(
  plugins: readonly Plugin[],
  event: WebhookEvent,
  log: Logger,
  count: () => void,
): void {
  const failed = (plugin: Plugin, error: unknown): void => {
    count();
    log.error({ ...eventFields(event), plugin: plugin.name, err: error }, "a plugin's onWebhook failed");
  };
  for (const plugin of plugins) {
    try {
      const result = plugin.onWebhook?.(event);
      if (result instanceof Promise) result.catch((error: unknown) => failed(plugin, error));
    } catch (error) {
      failed(plugin, error);
    }
  }
}
