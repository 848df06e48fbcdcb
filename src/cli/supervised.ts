/** A server that `sidetone serve --supervise` has started: what it and its parent tell each other. */
import type { Server } from '../server/server.js';

export const SUPERVISE_FLAG = '--supervise';
/** Not for people: the parent gives it. `next` is one that takes over from another. */
export const SUPERVISED_FLAG = '--supervised';

/** `alive`: the main thread's event loop turns, and not all reactors are stuck. */
export type ChildMessage = 'ready' | 'admin-closed' | 'alive';
export type ParentMessage = 'open-admin' | 'close-admin';

export interface ObeyOptions {
  hasAdmin: boolean;
  /** Between two signs of life. */
  intervalMs: number;
  /** Called when the parent has gone. */
  orphaned(): void;
}

/** Tells the parent that the server listens and that it lives, and does what the parent says about the admin port. */
export function obeyParent(server: Server, { hasAdmin, intervalMs, orphaned }: ObeyOptions): void {
  const tell = (message: ChildMessage): void => {
    if (process.connected) process.send?.(message, () => {});
  };
  process.on('message', message => {
    if (!hasAdmin) {
      if (message === 'close-admin') tell('admin-closed');
      return;
    }
    if (message === 'close-admin') {
      void server.closeAdmin().then(() => {
        server.log.info('the admin port is left to the next server');
        tell('admin-closed');
      });
    } else if (message === 'open-admin') {
      server.openAdmin().then(
        () => server.log.info({ adminPort: server.adminPort }, 'the admin port is open'),
        error => server.log.error({ err: error }, 'this server has no admin port'),
      );
    }
  });
  process.once('disconnect', orphaned);
  // A server that has closed may end.
  process.channel?.unref();
  tell('ready');
  setInterval(() => isAlive(server) && tell('alive'), intervalMs).unref();
}

/** In a drain reactors end one by one, and the drain has a deadline of its own. */
function isAlive({ draining, reactorHealth }: Server): boolean {
  return reactorHealth.some(({ health }) => (draining ? health !== 'stuck' : health === 'well'));
}
