import { eventFields } from '../log/call-log.js';
import type { Logger } from '../log/log.js';
import type { WebhookEvent } from '../telnyx/webhooks.js';

/** What is told of a webhook event and of a drain. */
export interface Told {
  readonly name: string;
  onWebhook?(event: WebhookEvent): unknown;
  onDraining?(deadline: Date): unknown;
}

/** Tells each plugin of a webhook event; `count` counts one that failed. */
export function tellPlugins(
  plugins: readonly Told[],
  event: WebhookEvent,
  log: Logger,
  count: () => void,
): void {
  const failed = (plugin: Told, error: unknown): void => {
    count();
    log.error({ ...eventFields(event), plugin: plugin.name, err: error }, "a plugin's onWebhook failed");
  };
  tellEach(plugins, plugin => plugin.onWebhook?.(event), failed);
}

/** Tells each plugin that its calls may run until `deadline`; `count` counts one that failed. */
export function tellDraining(plugins: readonly Told[], deadline: Date, log: Logger, count: () => void): void {
  const failed = (plugin: Told, error: unknown): void => {
    count();
    log.error({ plugin: plugin.name, err: error }, "a plugin's onDraining failed");
  };
  tellEach(plugins, plugin => plugin.onDraining?.(deadline), failed);
}

/** None of them can harm the others. */
function tellEach(
  plugins: readonly Told[],
  tell: (plugin: Told) => unknown,
  failed: (plugin: Told, error: unknown) => void,
): void {
  for (const plugin of plugins) {
    try {
      const result = tell(plugin);
      if (result instanceof Promise) result.catch((error: unknown) => failed(plugin, error));
    } catch (error) {
      failed(plugin, error);
    }
  }
}
