/** Calls to a plugin on a reactor without sockets, in virtual time. */
import { VirtualClock } from '../clock.js';
import { localConference } from '../conference/conferences.js';
import { RoomRegistry } from '../conference/registry.js';
import { createLog } from '../log/log.js';
import { resolveOptions, type ServerOptions } from '../options/options.js';
import { bareInstance, type StreamPlugin } from '../plugin/instance.js';
import type { AcceptResult, Plugin } from '../plugin/plugin.js';
import type { StreamRequest } from '../plugin/stream.js';
import { Reactor } from '../reactor/reactor.js';
import { Connection } from '../server/connection.js';
import type { LinkOptions } from '../simulator/memory.js';
import type { CallOptions } from '../simulator/options.js';
import { type Call, Simulator } from '../simulator/simulator.js';
import type { LoggedFailure } from './told.js';

/** One way of the network between the simulated Telnyx and the server, in ms. */
export const LATENCY_MS = 5;

/** A message of a WebSocket, with the clock's time. */
export interface TimedMessage {
  atMs: number;
  text: string;
}

export interface VirtualCall {
  call: Call;
  connection: Connection;
  /** Every message of the server, when it left. */
  sent: TimedMessage[];
  /** Every message of the simulated Telnyx, when it came. */
  received: TimedMessage[];
}

/** The upgrade of a call that has none. */
export function virtualRequest(
  { name, path }: { readonly name: string; readonly path?: string | undefined },
  query = '',
  headers: Readonly<Record<string, string>> = {},
): StreamRequest {
  const remoteAddress = '127.0.0.1';
  return { path: path ?? `/${name}`, query: new URLSearchParams(query), headers, remoteAddress };
}

export class VirtualServer {
  readonly simulator: Simulator;
  readonly reactor: Reactor;
  /** What went to the log as an error: failing handlers, streams that could not be opened. */
  readonly logged: LoggedFailure[] = [];
  readonly #plugin: StreamPlugin;

  /** `instance` has been set up; without one the definition runs as it is, without options and setup. */
  constructor(
    plugin: Plugin,
    options: ServerOptions = {},
    readonly clock = new VirtualClock(),
    instance?: StreamPlugin,
  ) {
    this.#plugin = instance ?? bareInstance(plugin, clock, undefined, localConference(new RoomRegistry()));
    this.simulator = new Simulator({ clock, seed: 1 });
    const log = createLog('silent');
    log.error = (({ err, where }: { err?: unknown; where?: string }) =>
      this.logged.push({ where, error: err })) as typeof log.error;
    this.reactor = new Reactor({ clock: this.clock, log, options: resolveOptions(options) });
  }

  /** The errors alone. */
  get failures(): unknown[] {
    return this.logged.map(({ error }) => error);
  }

  /** `query`: of the stream_url; `accepted`: what the plugin's accept() gave. */
  call(
    options: CallOptions & LinkOptions = {},
    query = '',
    accepted: AcceptResult = {},
    headers: Readonly<Record<string, string>> = {},
  ): VirtualCall {
    const { call, application, open } = this.simulator.pair({ latencyMs: LATENCY_MS, ...options });
    const connection = new Connection(this.reactor, {
      plugin: this.#plugin,
      accepted,
      request: virtualRequest(this.#plugin, query, headers),
      knownToken: undefined,
      boundCall: undefined,
    });
    const sent: TimedMessage[] = [];
    const received: TimedMessage[] = [];
    this.reactor.admit(connection);
    connection.open({
      send: message => {
        const text = typeof message === 'string' ? message : Buffer.from(message).toString('latin1');
        sent.push({ atMs: this.clock.now(), text });
        application.send(text);
        return 1;
      },
      end: (code, reason) => application.close(code, reason),
      getBufferedAmount: () => 0,
    });
    application.onText = text => {
      received.push({ atMs: this.clock.now(), text });
      connection.message(new Uint8Array(Buffer.from(text, 'utf8')).buffer as ArrayBuffer, false);
    };
    application.onClose = () => connection.closed();
    open();
    return { call, connection, sent, received };
  }

  close(): Promise<void> {
    return this.reactor.close();
  }
}
