/** The thread of a ThreadLane: a reactor with its own sockets, dealt to it by the listening app of the main thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { SidetoneError } from './errors.js';
import { type FromLane, type LaneThreadData, LocalLane, type ToLane } from './lane.js';
import { createLog } from './log.js';
import { loadPlugins } from './plugin-loader.js';
import { SharedState } from './shared-state.js';
import type { WebhookJudge } from './webhook-route.js';

const port = parentPort!;
const { index, options, state } = workerData as LaneThreadData;
const post = (message: FromLane): void => port.postMessage(message);

// Webhooks are judged in the main thread, for it alone knows all that have come.
const judged = new Map<number, (reply: { status: number; body: string }) => void>();
let webhooks = 0;
const webhook: WebhookJudge = (headers, body) =>
  new Promise(resolve => {
    const id = webhooks++;
    judged.set(id, resolve);
    post({ kind: 'webhook', id, headers, body });
  });

try {
  const lane = new LocalLane(
    {
      index,
      options,
      state: new SharedState(options.streamsMax, state),
      log: createLog(options.logLevel).child({ reactor: index }),
      onCall: callControlId => post({ kind: 'call', callControlId }),
      webhook,
    },
    await loadPlugins(options.plugins),
  );
  port.on('message', async (message: ToLane) => {
    switch (message.kind) {
      case 'snapshot':
        post({ kind: 'snapshot', id: message.id, snapshot: await lane.snapshot(message.streamsMax) });
        break;
      case 'drain':
        await lane.drain();
        post({ kind: 'drained' });
        break;
      case 'close':
        // Connections that were dealt before this was sent arrive in this turn of the loop.
        await new Promise(resolve => setImmediate(resolve));
        await lane.close();
        post({ kind: 'last', snapshot: await lane.snapshot(0) });
        // Nothing holds the thread's loop any more, so it ends by itself: ending it by force while a socket of
        // uWebSockets.js is open would abort the whole process.
        port.close();
        break;
      case 'hurry':
        lane.hurry();
        break;
      case 'replace':
        lane.replace(message.callControlId);
        break;
      case 'expect':
        lane.expect(message.callControlId, message.wishes);
        break;
      case 'event':
        lane.tell(message.event);
        break;
      case 'webhookReply':
        judged.get(message.id)?.(message);
        judged.delete(message.id);
        break;
    }
  });
  await lane.warmed;
  post({ kind: 'ready', descriptor: lane.listener.descriptor() });
} catch (error) {
  const code = error instanceof SidetoneError ? error.code : 'SIDETONE_PLUGIN_INVALID';
  post({ kind: 'failed', code, message: error instanceof Error ? error.message : String(error) });
  port.close();
}
