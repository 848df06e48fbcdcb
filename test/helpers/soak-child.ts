/**
 * A server in a process of its own that tells what it holds (run by `node --expose-gc`, with an IPC channel). Everything
 * it tells is a count of what is live after a collection, so nothing of it depends on when V8 collects.
 */
import { createHook } from 'node:async_hooks';
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { getHeapStatistics, queryObjects } from 'node:v8';
import { createServer } from '../../src/index.js';
import { Connection } from '../../src/server/connection.js';

/** What the process holds while no call runs. */
export interface Figures {
  /** Connections that the collector cannot take. A stream holds its connection, and its codecs in the pool hold the stream. */
  live: number;
  /** Streams that the codec pool holds. */
  poolStreams: number;
  /** Audio that is queued, in bytes. */
  queueBytes: number;
  descriptors: number;
  /** What keeps the event loop alive, by kind; timers by where they were set. */
  resources: Record<string, number>;
  /** Bytes of V8's heap in use. */
  heapBytes: number;
  /** Bytes of the C heap; with MALLOC_ARENA_MAX=1 and without mmap that is all of malloc, every thread's. */
  nativeBytes: number;
}

process.removeAllListeners('warning'); // that queryObjects is experimental
const collect = (globalThis as { gc?: () => void }).gc!;
const timers = recordTimers();
const server = await createServer({
  port: 0,
  admin: false,
  logLevel: 'silent',
  plugins: ['echo'],
  // What is heard, and who is let in, must not depend on the machine.
  liveLatencyMaxMs: 0,
  overload: { refuse: false },
});
await server.listen();

function cHeapBytes(): number {
  const lines = readFileSync('/proc/self/maps', 'utf8').split('\n');
  return lines
    .filter(text => text.endsWith('[heap]'))
    .reduce((sum, text) => {
      const [from, to] = text
        .split(' ')[0]!
        .split('-')
        .map(address => Number.parseInt(address, 16));
      return sum + to! - from!;
    }, 0);
}

async function figures(): Promise<Figures> {
  // Things that have just ended still have promises and finalizers in the event loop. (queryObjects collects several
  // times.)
  await turn();
  collect();
  await turn();
  const live = queryObjects(Connection, { format: 'count' });
  const resources: Record<string, number> = {};
  const kinds = process.getActiveResourcesInfo().filter(kind => kind !== 'Timeout');
  for (const kind of [...kinds, ...timers()]) resources[kind] = (resources[kind] ?? 0) + 1;
  const [snapshot] = await server.snapshot(0);
  return {
    live,
    poolStreams: snapshot!.pool?.streams ?? 0,
    queueBytes: snapshot!.queueBytes,
    descriptors: readdirSync('/proc/self/fd').length,
    resources,
    heapBytes: getHeapStatistics().used_heap_size,
    nativeBytes: cHeapBytes(),
  };
}

/** Notes where each timer is set; returns what tells of those that are set now and hold the event loop. */
function recordTimers(): () => string[] {
  const origins = new Map<number, { timer: NodeJS.Timeout; origin: string }>();
  createHook({
    init(id, type, _trigger, timer) {
      if (type !== 'Timeout') return;
      const frame = new Error().stack?.split('\n').filter(line => !/node:|soak-child/.test(line));
      const origin = `timer set ${
        frame
          ?.slice(1, 3)
          .map(line => line.trim())
          .join(' ') ?? 'somewhere'
      }`;
      origins.set(id, { timer: timer as NodeJS.Timeout, origin });
    },
    destroy: id => void origins.delete(id),
  }).enable();
  return () => [...origins.values()].filter(({ timer }) => timer.hasRef()).map(({ origin }) => origin);
}

const restingTimers = timers().length;

process.on('message', async (message: 'busy' | 'figures' | 'close') => {
  // The timers are asked for first and often, because taking the figures blocks the thread and delays every timer.
  if (message === 'busy') {
    process.send!(server.connections + server.streams > 0 || timers().length > restingTimers);
  } else if (message === 'figures') process.send!(await figures());
  else {
    await server.close();
    process.disconnect();
  }
});
process.send!(server.port);
