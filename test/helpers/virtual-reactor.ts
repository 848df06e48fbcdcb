/** A reactor on a virtual clock, with connections whose WebSocket is the test itself or a simulated call. */
import { VirtualClock } from '../../src/clock.js';
import { localConference } from '../../src/conference/conferences.js';
import { RoomRegistry } from '../../src/conference/registry.js';
import type { Plugin, ServerOptions, Simulator } from '../../src/index.js';
import { createLog } from '../../src/log/log.js';
import type { Socket } from '../../src/media/path.js';
import { resolveOptions } from '../../src/options/options.js';
import { bareInstance } from '../../src/plugin/instance.js';
import { Reactor, type ReactorEnvironment } from '../../src/reactor/reactor.js';
import { Connection } from '../../src/server/connection.js';
import { virtualRequest } from '../../src/testing/virtual-server.js';

export interface FakeSocket extends Socket {
  readonly sent: string[];
  /** Code of end(), once it was called. */
  ended: number | undefined;
  /** What send() returns: 1 sent, 0 buffered, 2 dropped. */
  status: number;
  onSend: ((text: string) => void) | undefined;
}

const buffer = (text: string): ArrayBuffer => {
  const bytes = Buffer.from(text);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
};

export class VirtualReactor {
  readonly reactor: Reactor;

  constructor(
    options: ServerOptions = {},
    readonly clock = new VirtualClock(1000),
    log = createLog('silent'),
    /** Reactors that share a registry share conferences. */
    private readonly conference = localConference(new RoomRegistry()),
    more: Pick<ReactorEnvironment, 'startVoices'> = {},
  ) {
    this.reactor = new Reactor({ clock: this.clock, log, options: resolveOptions(options), ...more });
  }

  /**
   * An open WebSocket. Like uWebSockets.js it throws on every call after its end. A received message is detached when
   * the message callback has returned.
   */
  connect(plugin: Plugin) {
    const connection = new Connection(this.reactor, {
      plugin: bareInstance(plugin, this.clock, undefined, this.conference),
      accepted: {},
      request: virtualRequest(plugin),
      boundCall: undefined,
      knownToken: undefined,
    });
    const alive = (): void => {
      if (socket.ended !== undefined) throw new Error('Invalid access of closed uWS.WebSocket/SSLWebSocket.');
    };
    const socket: FakeSocket = {
      sent: [],
      ended: undefined,
      status: 1,
      onSend: undefined,
      send(message) {
        alive();
        const text = Buffer.from(message as string).toString();
        if (socket.status !== 2) {
          socket.sent.push(text);
          socket.onSend?.(text);
        }
        return socket.status;
      },
      end(code) {
        alive();
        socket.ended = code ?? 1005;
        connection.closed();
      },
      getBufferedAmount() {
        alive();
        return 0;
      },
    };
    this.reactor.admit(connection);
    connection.open(socket);
    const receive = (message: string | object): void => {
      const bytes = buffer(typeof message === 'string' ? message : JSON.stringify(message));
      connection.message(bytes, false);
      structuredClone(bytes, { transfer: [bytes] });
    };
    /** The peer has gone. */
    const drop = (): void => {
      socket.ended = 1006;
      connection.closed();
    };
    return { connection, socket, receive, drop };
  }

  /** A simulated call (of a simulator on `clock`) whose application is `plugin`. */
  call(simulator: Simulator, plugin: Plugin, options: Parameters<Simulator['pair']>[0]) {
    const { call, application, open } = simulator.pair(options);
    const { socket, receive, drop, connection } = this.connect(plugin);
    socket.onSend = text => application.send(text);
    application.onText = receive;
    application.onClose = drop;
    open();
    return { call, connection, socket };
  }

  close(): Promise<void> {
    return this.reactor.close();
  }
}
