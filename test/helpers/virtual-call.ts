import { VirtualClock } from '../../src/clock.js';
import { createLog } from '../../src/log/log.js';
import { resolveOptions, type ServerOptions } from '../../src/options/options.js';
import type { Plugin } from '../../src/plugin/plugin.js';
import type { Stream } from '../../src/plugin/stream.js';
import { Reactor } from '../../src/reactor/reactor.js';
import { Connection } from '../../src/server/connection.js';
import type { CallOptions } from '../../src/simulator/options.js';
import { type Call, Simulator } from '../../src/simulator/simulator.js';

/** One way of the network between the simulated Telnyx and the server, in ms. */
export const LATENCY_MS = 5;

export interface VirtualCall {
  call: Call;
  connection: Connection;
  /** Every message of the server, with its time. */
  sent: { atMs: number; text: string }[];
}

/** Calls to a plugin on a reactor without sockets, in virtual time. */
export class VirtualServer {
  readonly simulator: Simulator;
  readonly reactor: Reactor;
  /** What went to the log about failing handlers. */
  readonly failures: unknown[] = [];

  constructor(
    readonly plugin: Plugin,
    options: ServerOptions = {},
    readonly clock = new VirtualClock(),
  ) {
    this.simulator = new Simulator({ clock, seed: 1 });
    const log = createLog('silent');
    log.error = ((fields: { err?: unknown }) => this.failures.push(fields.err)) as typeof log.error;
    this.reactor = new Reactor({ clock: this.clock, log, options: resolveOptions(options) });
  }

  call(options: CallOptions = {}, query = ''): VirtualCall {
    const { call, application, open } = this.simulator.pair({ latencyMs: LATENCY_MS, ...options });
    const connection = new Connection(this.reactor, {
      plugin: this.plugin,
      accepted: {},
      query: new URLSearchParams(query),
      knownToken: undefined,
      boundCall: undefined,
    });
    const sent: VirtualCall['sent'] = [];
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
    application.onText = text =>
      connection.message(new Uint8Array(Buffer.from(text, 'utf8')).buffer as ArrayBuffer, false);
    application.onClose = () => connection.closed();
    open();
    return { call, connection, sent };
  }

  close(): Promise<void> {
    return this.reactor.close();
  }
}

/** The plugin, with its streams within reach. */
export function watched(plugin: Plugin): { plugin: Plugin; streams: Stream[] } {
  const streams: Stream[] = [];
  const onStart: Plugin['onStart'] = stream => {
    streams.push(stream);
    return plugin.onStart(stream);
  };
  return { plugin: { ...plugin, onStart }, streams };
}
