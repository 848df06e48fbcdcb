/** What V8's heap takes a message, from the traces of its garbage collector. */
import { setTimeout as wait } from 'node:timers/promises';
import { measure } from './measure.js';
import type { ServerName } from './servers.js';

export interface Garbage {
  server: ServerName;
  bytesPerMessage: number;
  messages: number;
}

interface Collection {
  atMs: number;
  beforeMb: number;
  afterMb: number;
}

/** Lines of `--trace-gc`: `[pid:isolate] 1234 ms: Scavenge 6.2 (7.0) -> 5.5 (8.0) MB, …`. */
export function collections(output: string): Collection[] {
  const line =
    /(\d+) ms: (?:Scavenge|Mark-Compact|Minor)[^\n]*? ([\d.]+) \([\d.]+\) -> ([\d.]+) \([\d.]+\) MB/g;
  return [...output.matchAll(line)].map(([, at, before, after]) => ({
    atMs: Number(at),
    beforeMb: Number(before),
    afterMb: Number(after),
  }));
}

/**
 * Bytes allocated a second between the first and the last collection: what each found, less what the one before left.
 * 0 where there were fewer than two collections.
 */
export function bytesPerSecond(found: Collection[]): number {
  const first = found[0];
  const last = found.at(-1);
  if (!first || !last || first === last) return 0;
  let mb = 0;
  for (let i = 1; i < found.length; i++) mb += found[i]!.beforeMb - found[i - 1]!.afterMb;
  return (mb * 1e6) / ((last.atMs - first.atMs) / 1000);
}

/** An echo of `streams` for `seconds`, its collections after the streams' start alone. */
export async function measureGarbage(server: ServerName, streams: number, seconds: number): Promise<Garbage> {
  let traced = '';
  const { result } = await measure(server, 'echo', {
    streams,
    seconds,
    start: { nodeFlags: ['--trace-gc'], keepOutput: true },
    meanwhile: async (running, measuring) => {
      await measuring;
      const from = running.output().length;
      await wait((seconds - 1) * 1000);
      traced = running.output().slice(from);
    },
  });
  const messagesPerSecond = result.received.messages / result.seconds;
  return {
    server,
    bytesPerMessage: bytesPerSecond(collections(traced)) / messagesPerSecond,
    messages: result.received.messages,
  };
}
