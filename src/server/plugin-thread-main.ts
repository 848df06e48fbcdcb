/** The thread of a plugin that runs in threads of its own: isolation/handler-thread.ts is the reactor's side. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../clock.js';
import { SidetoneError } from '../errors.js';
import { Ring } from '../isolation/ring.js';
import { ThreadConferences } from '../isolation/thread-conferences.js';
import type {
  FromThread,
  Judgement,
  PluginThreadData,
  Questions,
  ToThread,
} from '../isolation/thread-messages.js';
import { ThreadSide } from '../isolation/thread-side.js';
import { ThreadStreams } from '../isolation/thread-streams.js';
import { createLog } from '../log/log.js';
import { loadPlugins } from '../plugin/loader.js';
import { PluginRegistry } from '../plugin/metrics.js';
import { IDLE_MS_MIN } from '../plugin/plugin-set.js';
import { BEAT_MS } from './heartbeats.js';
import { containStrays } from './strays.js';

/** A context whose stream has not started by then is forgotten. */
const CONTEXT_MS_MAX = 120_000;

const port = parentPort!;
const { entry, options, reactor, thread, ...memory } = workerData as PluginThreadData;
const post = (message: FromThread): void => port.postMessage(message);
const log = createLog(options.logLevel).child({ ...(reactor !== undefined && { reactor }), thread });

const refusal = (error: unknown): { code: string | undefined; message: string } => ({
  code: error instanceof SidetoneError ? error.code : undefined,
  message: error instanceof Error ? error.message : String(error),
});

try {
  const [plugin] = await loadPlugins([entry]);
  const metrics = new PluginRegistry();
  const { setupTimeoutMs } = options;
  const side = new ThreadSide({
    clock: systemClock,
    log,
    options,
    commands: new Ring(memory.commands),
    attachments: memory.attachments,
    shared: memory.shared,
    wake: () => post(0),
  });
  const conferences = new ThreadConferences(side);
  await plugin!.start({
    log,
    metrics,
    clock: systemClock,
    reactor,
    setupTimeoutMs,
    // The main thread of a server with several reactors carries no streams.
    conference: reactor === undefined ? undefined : (name, shape) => conferences.get(name, shape),
  });
  const contexts = new Map<number, { context: unknown; untilMs: number }>();
  let nextContext = 1;
  const streams = new ThreadStreams({
    side,
    plugin: plugin!,
    events: new Ring(memory.events),
    attachments: memory.attachments,
    conferences,
    takeContext: number => {
      if (number === undefined) return undefined;
      const kept = contexts.get(number);
      contexts.delete(number);
      return kept?.context;
    },
  });
  const questions: {
    [Name in keyof Questions]: (
      value: Parameters<Questions[Name]>[0],
    ) => ReturnType<Questions[Name]> | Promise<ReturnType<Questions[Name]>>;
  } = {
    async accept({ query, ...request }): Promise<Judgement> {
      const nowMs = systemClock.now();
      for (const [number, { untilMs }] of contexts) {
        if (untilMs > nowMs) break;
        contexts.delete(number);
      }
      const given = await plugin!.accept({ ...request, query: new URLSearchParams(query) });
      // Whether it is a result at all is judged where it would have been without threads.
      if (typeof given !== 'object' || given === null)
        return given === true ? { context: undefined } : (given as false);
      const { context, ...plain } = given;
      if (context === undefined) return { ...plain, context: undefined };
      contexts.set(nextContext, { context, untilMs: nowMs + CONTEXT_MS_MAX });
      return { ...plain, context: nextContext++ };
    },
    webhook: async event => {
      await plugin!.onWebhook(event);
    },
    draining: async deadlineMs => {
      await plugin!.onDraining(new Date(deadlineMs));
    },
    families: () => metrics.families(),
    end: async () => {
      await plugin!.end(IDLE_MS_MIN);
      await side.sender.done();
    },
  };
  containStrays({
    plugins: [plugin!],
    log,
    count: () => post({ kind: 'stray' }),
  });
  setInterval(() => side.beat(), BEAT_MS).unref();
  const answer = async ({ ask, number, value }: Exclude<ToThread, 0>): Promise<void> => {
    try {
      const given = await (questions[ask] as (value: unknown) => unknown)(value);
      post({ kind: 'answer', number, value: given });
    } catch (error) {
      post({ kind: 'refused', number, ...refusal(error) });
    }
  };
  port.on('message', (message: ToThread) => {
    if (message === 0) streams.wake();
    else void answer(message);
  });
  side.sleep(true);
  post({ kind: 'ready' });
} catch (error) {
  post({ kind: 'failed', ...refusal(error) });
  port.close();
}
