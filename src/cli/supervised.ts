/** A server that `sidetone serve --supervise` has started: what it and its parent tell each other. */
import type { Server } from '../server/server.js';

export const SUPERVISE_FLAG = '--supervise';
/** Not for people: the parent gives it. `next` is one that takes over from another. */
export const SUPERVISED_FLAG = '--supervised';

export type ChildMessage = 'ready' | 'admin-closed';
export type ParentMessage = 'open-admin' | 'close-admin';

/** Tells the parent that the server listens, and does what it says about the admin port. `orphaned` is called when it has gone. */
export function obeyParent(server: Server, hasAdmin: boolean, orphaned: () => void): void {
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
}
