/** The thread of a ReactorThread: a reactor with its own sockets, dealt to it by the listening app of the main thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../clock.js';
import { engineConferences } from '../conference/conferences.js';
import type { RoomMemory } from '../conference/registry.js';
import { SidetoneError } from '../errors.js';
import { createLog } from '../log/log.js';
import { native } from '../native/addon.js';
import { loadPlugins } from '../plugin/loader.js';
import { PluginRegistry } from '../plugin/metrics.js';
import { PluginSet } from '../plugin/plugin-set.js';
import { BEAT_MS } from './heartbeats.js';
import { LocalReactor } from './local-reactor.js';
import { isolateBy } from './plugin-threads.js';
import type { FromReactor, ReactorThreadData, ToReactor } from './reactor-thread.js';
import { SharedState } from './shared-state.js';
import { containStrays } from './strays.js';
import type { WebhookJudge } from './webhook-route.js';

const port = parentPort!;
const { index, options, state: memory } = workerData as ReactorThreadData;
const state = new SharedState(options.streamsMax, options.reactors, memory);
const log = createLog(options.logLevel).child({ reactor: index });
const post = (message: FromReactor): void => port.postMessage(message);

// Webhooks are judged in the main thread, for it alone knows all that have come.
const judged = new Map<number, (reply: { status: number; body: string }) => void>();
let webhooks = 0;
const webhook: WebhookJudge = (headers, body) =>
  new Promise(resolve => {
    const id = webhooks++;
    judged.set(id, resolve);
    post({ kind: 'webhook', id, headers, body });
  });

native.closeSocketsAtEnd(state.words, state.reactor(index).places);

/** What a plugin's process.exit() throws, because that function must not come back. */
class ThreadEnds extends Error {
  override readonly name = 'ThreadEnds';
}

// At once it would leave the callers without a close frame: the main thread closes this reactor first.
process.exit = (code?: number | string | null): never => {
  post({ kind: 'ending', code: Number(code ?? process.exitCode ?? 0) });
  throw new ThreadEnds('process.exit: ends this reactor, when its calls are closed');
};

// The memory of conferences is kept in the main thread, because all threads share it.
const opening = new Map<number, (room: RoomMemory) => void>();
let rooms = 0;
const conferences = engineConferences(index, {
  open(name, shape, ready) {
    const id = rooms++;
    opening.set(id, ready);
    post({ kind: 'openRoom', id, name, shape });
    return () => {
      opening.delete(id);
      post({ kind: 'closeRoom', name });
    };
  },
});

try {
  const { setupTimeoutMs } = options;
  const plugins: PluginSet = new PluginSet(await loadPlugins(options.plugins, options.pluginOptions), {
    log,
    metrics: new PluginRegistry(),
    clock: systemClock,
    reactor: index,
    setupTimeoutMs,
    isolate: isolateBy(options, (counter, times) => plugins.countThreads(counter, times)),
    conference: (name, shape) => conferences.get(name, shape),
  });
  await plugins.start();
  const reactor = new LocalReactor(
    {
      index,
      options,
      state,
      log,
      onCall: callControlId => post({ kind: 'call', callControlId }),
      onHome: (callControlId, isHome) => post({ kind: 'home', callControlId, isHome }),
      handOver: (home, adoption) => port.postMessage({ kind: 'handOver', home, adoption }, [adoption.port]),
      webhook,
      onOverload: () => post({ kind: 'overload' }),
    },
    plugins,
  );
  containStrays({
    plugins: plugins.running,
    log,
    count: () => reactor.reactor.count('strayErrors'),
    ignore: error => error instanceof ThreadEnds,
  });
  await reactor.warmed;
  setInterval(() => state.reactor(index).beat(), BEAT_MS).unref();
  const answer = async (message: ToReactor): Promise<void> => {
    if (message.command === 'webhookReply') {
      judged.get(message.id)?.(message);
      judged.delete(message.id);
      return;
    }
    if (message.command === 'roomOpened') {
      opening.get(message.id)?.(message.room);
      opening.delete(message.id);
      return;
    }
    const { command, id } = message;
    try {
      const result = await (reactor[command] as (...args: unknown[]) => unknown).apply(reactor, message.args);
      post({ kind: 'result', id, result });
    } catch (error) {
      log.error({ err: error, command }, 'a reactor could not do what it was asked');
      const code = error instanceof SidetoneError ? error.code : undefined;
      post({ kind: 'refused', id, code, message: (error as Error).message });
    }
    // Nothing holds the thread's loop any more, so it ends by itself.
    if (command === 'close') port.close();
  };
  port.on('message', (message: ToReactor) => void answer(message));
  post({ kind: 'ready', descriptor: reactor.listener.descriptor() });
} catch (error) {
  const code = error instanceof SidetoneError ? error.code : 'SIDETONE_PLUGIN_INVALID';
  post({ kind: 'failed', code, message: error instanceof Error ? error.message : String(error) });
  port.close();
}
