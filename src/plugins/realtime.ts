import { type Clock, systemClock } from '../clock.js';
import { definePlugin } from '../plugin/define.js';
import type { Plugin } from '../plugin/plugin.js';
import { Conversation } from './realtime/conversation.js';
import { createMeters } from './realtime/meters.js';
import { type RealtimeOptions, settingsSchema } from './realtime/options.js';

export type { RealtimeOptions, RealtimeSound, TokenPrices } from './realtime/options.js';
export { type RealtimeTool, realtimeTool, type ToolContext } from './realtime/tools.js';

/**
 * Lets callers talk with a speech-to-speech service that speaks the OpenAI Realtime protocol. What the service needs is in
 * `options`, in the plugin's options of the server, or in the environment (`SIDETONE_REALTIME_URL` and so on).
 *
 * ```ts
 * export default realtime({ instructions: 'You take orders for pizza.', greeting: 'Greet the caller.', tools: [order] });
 * ```
 */
export function realtime(options: RealtimeOptions = {}, clock: Clock = systemClock): Plugin {
  return definePlugin({
    name: 'realtime',
    options: settingsSchema(options),
    setup: ({ options: settings, metrics }) => ({ settings, meters: createMeters(metrics) }),
    accept: (_request, { options: { vad } }) => ({ audio: { vad: vad ?? false } }),
    onStart: (stream, { state: { settings, meters } }) => new Conversation(stream, settings, meters, clock),
  });
}

export default realtime();
