/** The listening socket of a server. */
import { systemClock } from '../clock.js';
import { listenError, probeListen, SERVER_NAMES } from '../listen-error.js';
import { type UWebSockets, uWS } from '../native/uws.js';
import type { Credentials, ResolvedOptions } from '../options/options.js';

/** uWS.LIBUS_LISTEN_DEFAULT and LIBUS_LISTEN_EXCLUSIVE_PORT: its types keep them in an enum that does not exist at run time. */
const SHARED_PORT = 0;
const EXCLUSIVE_PORT = 1;

/** A turn of the event loop that takes less has accepted connections less than this ago. */
const SHORT_TURN_MS = 0.3;
/** Turns after which a busy event loop is not waited for any longer. */
const TURNS_MAX = 200;

/**
 * The listening socket of all listeners of a server, in whatever threads: it deals connections to them in turn, so that
 * they are even however few there are. (Sockets that share a port by SO_REUSEPORT get theirs by a hash of the
 * addresses, which is even only over many.)
 */
export class Acceptor {
  readonly #app: UWebSockets.TemplatedApp;
  readonly #rounds: number;
  readonly #sharing: number;
  #socket: UWebSockets.us_listen_socket | undefined;
  #dealt = new Set<UWebSockets.AppDescriptor>();
  /** Refuses what comes while there is no listener to deal it to. */
  #refuser: UWebSockets.TemplatedApp;

  constructor(options: ResolvedOptions) {
    this.#app = makeApp(options);
    this.#refuser = makeRefuser(options);
    this.#sharing = options.sharePort ? SHARED_PORT : EXCLUSIVE_PORT;
    this.#rounds = options.webhooks ? SHUFFLED_ROUNDS : 1;
  }

  /** @throws SidetoneError SIDETONE_PORT_IN_USE */
  async listen(host: string, port: number): Promise<number> {
    this.#socket = await listenOn(this.#app, host, port, this.#sharing);
    return uWS.us_socket_local_port(this.#socket);
  }

  /** From now on connections go to these, and to no other. Those that were dealt before are on their way. */
  deal(listeners: readonly UWebSockets.AppDescriptor[]): void {
    const descriptors = listeners.length > 0 ? listeners : [this.#refuser.getDescriptor()];
    for (const descriptor of this.#dealt) this.#app.removeChildAppDescriptor(descriptor);
    this.#dealt = new Set(descriptors);
    for (const index of dealingOrder(descriptors.length, this.#rounds)) {
      this.#app.addChildAppDescriptor(descriptors[index]!);
    }
  }

  /**
   * Listens no more; connections that it has dealt go on. The kernel resets what it has not accepted by then, so this
   * happens right after a turn of the event loop that accepted all there was and had little else to do.
   */
  async stopListening(): Promise<void> {
    for (let turns = 0; turns < TURNS_MAX; turns++) {
      const fromMs = systemClock.now();
      await new Promise(resolve => setImmediate(resolve));
      if (turns > 0 && systemClock.now() - fromMs < SHORT_TURN_MS) break;
    }
    if (this.#socket) uWS.us_listen_socket_close(this.#socket);
    this.#socket = undefined;
  }

  reload(credentials: Credentials, isNewTls: boolean): void {
    if (isNewTls) this.#refuser = makeRefuser(credentials);
  }

  close(): void {
    this.#socket = undefined;
    this.#app.close();
    this.#refuser.close();
  }
}

function makeRefuser(credentials: Credentials): UWebSockets.TemplatedApp {
  return makeApp(credentials).any('/*', response => {
    response.writeStatus('503 Service Unavailable').writeHeader('connection', 'close');
    response.end('no reactor takes streams\n', true);
  });
}

/** With two listeners, the order repeats itself after 2,048 connections. */
const SHUFFLED_ROUNDS = 1024;

/**
 * The order in which `count` listeners get connections, repeated for ever. Each of them has one turn a round. With
 * webhooks, every call makes the same few connections, and only one of them is its stream. A fixed order could deal all
 * streams to one thread, so each round is shuffled.
 */
export function dealingOrder(count: number, rounds: number, random = Math.random): number[] {
  const order: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const turn = Array.from({ length: count }, (_, index) => index);
    for (let left = count; rounds > 1 && left > 1; left--) {
      const picked = Math.floor(random() * left);
      [turn[left - 1], turn[picked]] = [turn[picked]!, turn[left - 1]!];
    }
    order.push(...turn);
  }
  return order;
}

/**
 * uWebSockets.js speaks TLS 1.2 and 1.3, and has no option for the version. Its list of ciphers counts for 1.2 only. The one
 * cipher here needs a key that both sides know beforehand, and there is none: every handshake of 1.2 fails.
 */
const NO_TLS_1_2 = 'PSK-AES128-CBC-SHA';

export function makeApp({ tls }: Pick<Credentials, 'tls'>): UWebSockets.TemplatedApp {
  if (!tls) return uWS.App();
  const files = { cert_file_name: tls.cert, key_file_name: tls.key };
  return uWS.SSLApp(tls.minVersion === '1.3' ? { ...files, ssl_ciphers: NO_TLS_1_2 } : files);
}

async function listenOn(
  app: UWebSockets.TemplatedApp,
  host: string,
  port: number,
  sharing: number,
): Promise<UWebSockets.us_listen_socket> {
  const socket = await new Promise<UWebSockets.us_listen_socket | false>(resolve => {
    // Without an option uWebSockets.js would share the port with any other process.
    (app.listen as (...values: unknown[]) => unknown).call(app, host, port, sharing, resolve);
  });
  if (socket) return socket;
  throw listenError(host, port, SERVER_NAMES, await probeListen(host, port));
}
