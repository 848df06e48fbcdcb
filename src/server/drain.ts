import type { Clock } from '../clock.js';
import type { StopReason } from '../plugin/plugin.js';
import type { Reactor } from '../reactor/reactor.js';

/** A reactor on its way out. */
export interface Drain {
  /** All its connections are closed. */
  done: Promise<void>;
  /** Closes what is left at once. */
  closeNow(): void;
}

const POLL_MS = 50;

/**
 * Lets running calls end by themselves for up to `timeoutMs`, then closes the rest for the reason `late`. Connections without a
 * stream (the call was not answered yet, or is over) are closed at once. New ones must be refused by then.
 */
export function drain(
  reactor: Reactor,
  clock: Clock,
  timeoutMs: number,
  late: StopReason = 'server_closed',
): Drain {
  const { connections } = reactor;
  let closeNow = (): void => {};
  for (const connection of [...connections]) if (!connection.streaming) connection.end('server_closed');
  const emptied = new Promise<StopReason>(resolve => {
    if (connections.size === 0) {
      resolve('server_closed');
      return;
    }
    const stopPolling = clock.every(POLL_MS, () => connections.size === 0 && finish('server_closed'));
    const cancelDeadline = clock.after(timeoutMs, () => finish(late));
    const finish = (reason: StopReason): void => {
      stopPolling();
      cancelDeadline();
      resolve(reason);
    };
    closeNow = () => finish('server_closed');
  });
  const done = emptied.then(async reason => {
    for (const connection of [...connections])
      connection.end(connection.streaming ? reason : 'server_closed');
    // The last messages (close frames, the handlers' goodbyes) leave before the event loop may end.
    await new Promise<void>(resolve => setImmediate(resolve));
  });
  return { done, closeNow: () => closeNow() };
}
