/**
 * A stream that came back to another reactor than the one where its handler waits. Sockets cannot change threads, so the
 * reactor that has the WebSocket (here) carries its messages to the handler's reactor (adopted.ts) and back.
 */
import type { MessagePort } from 'node:worker_threads';
import type { AcceptResult, StopReason } from '../plugin/plugin.js';
import type { StreamRequest } from '../plugin/stream.js';

/** What the other reactor needs to make the connection its own. */
export interface Adoption {
  port: MessagePort;
  /** The plugin's name. */
  plugin: string;
  /** Without the context: the handler's first stream has it. */
  accepted: Pick<AcceptResult, 'audio' | 'outbound'>;
  request: Omit<StreamRequest, 'query'> & { query: string };
}

/** From the WebSocket to the handler; an ArrayBuffer is a text message. */
export type ToHandler =
  | ArrayBuffer
  | { kind: 'binary'; message: ArrayBuffer }
  /** How much waits to be read by the peer, and whether a message was dropped for it. */
  | { kind: 'backlog'; bytes: number; isDropped: boolean }
  | { kind: 'closed'; reason: StopReason };

/** From the handler to the WebSocket. */
export type ToSocket = string | Uint8Array | { kind: 'end'; code: number; reason: string };

/** The WebSocket's side of the connection. */
export interface RelayedSocket {
  send(message: string | Uint8Array): void;
  end(code: number, reason: string): void;
}

export class Relay {
  readonly #port: MessagePort;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  open(socket: RelayedSocket): void {
    this.#port.on('message', (message: ToSocket) => {
      if (typeof message === 'string' || message instanceof Uint8Array) socket.send(message);
      else socket.end(message.code, message.reason);
    });
    // The other thread has ended, or its reactor has closed.
    this.#port.on('close', () => socket.end(1001, 'server_closed'));
  }

  /** `message` is copied: uWebSockets.js takes its memory back. */
  message(message: ArrayBuffer, isBinary: boolean): void {
    const copy = message.slice(0);
    this.#post(isBinary ? { kind: 'binary', message: copy } : copy, copy);
  }

  backlog(bytes: number, isDropped: boolean): void {
    this.#post({ kind: 'backlog', bytes, isDropped });
  }

  closed(reason: StopReason): void {
    this.#post({ kind: 'closed', reason });
    this.#port.close();
  }

  #post(message: ToHandler, ...transfer: ArrayBuffer[]): void {
    this.#port.postMessage(message, transfer);
  }
}
