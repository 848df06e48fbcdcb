/** A connection whose WebSocket is on another reactor (relay.ts): a handler waited here for its stream to come back. */
import type { MessagePort } from 'node:worker_threads';
import type { Socket } from '../media/path.js';
import type { StreamPlugin } from '../plugin/instance.js';
import type { Reactor } from '../reactor/reactor.js';
import { Connection } from './connection.js';
import type { Adoption, ToHandler, ToSocket } from './relay.js';

/** The WebSocket, as far away as the port reaches. */
class FarSocket implements Socket {
  backlogBytes = 0;

  constructor(private readonly port: MessagePort) {}

  send(message: string | ArrayBufferView | ArrayBuffer): number {
    // Media lie in a slab that the next tick writes to.
    this.#post(typeof message === 'string' ? message : Uint8Array.from(message as Uint8Array));
    return 1;
  }

  end(code = 1000, reason = ''): void {
    this.#post({ kind: 'end', code, reason: String(reason) });
  }

  getBufferedAmount(): number {
    return this.backlogBytes;
  }

  #post(message: ToSocket): void {
    this.port.postMessage(message);
  }
}

/** Makes the connection that the other reactor has handed over; its first message is `start`. */
export function adopt(reactor: Reactor, plugin: StreamPlugin, { port, accepted, request }: Adoption): void {
  const connection = new Connection(reactor, {
    plugin,
    accepted,
    request: { ...request, query: new URLSearchParams(request.query) },
    // Its token was judged where it came in.
    gate: undefined,
    boundCall: undefined,
  });
  const socket = new FarSocket(port);
  reactor.admit(connection);
  connection.open(socket);
  port.on('message', (message: ToHandler) => {
    if (message instanceof ArrayBuffer) connection.message(message, false);
    else if (message.kind === 'binary') connection.message(message.message, true);
    else if (message.kind === 'backlog') {
      socket.backlogBytes = message.bytes;
      if (message.isDropped) connection.notSent();
      else if (message.bytes === 0) connection.drained();
    } else if (message.reason === 'disconnected' || message.reason === 'idle_timeout') {
      connection.closed(message.reason === 'idle_timeout' ? 'idle' : undefined);
    } else connection.end(message.reason);
  });
  // Also where the other thread has ended without a word.
  port.on('close', () => connection.closed());
}
