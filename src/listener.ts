/**
 * The sockets of one reactor: uWebSockets.js on one side, connections on the other. Upgrades are judged here.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { Connection, type ConnectionSetup, type Socket } from './connection.js';
import { SidetoneError } from './errors.js';
import type { Logger } from './log.js';
import type { ResolvedOptions } from './options.js';
import type { AcceptResult, Plugin, StreamRequest } from './plugin.js';
import type { Reactor } from './reactor.js';
import { AUTH_TOKEN_HEADER } from './telnyx/frames.js';
import { type UWebSockets, uWS } from './uws.js';

interface UserData {
  connection: Connection;
  openedMs: number;
}

export interface ListenerOptions {
  options: ResolvedOptions;
  plugins: readonly Plugin[];
  reactor: Reactor;
  log: Logger;
  /** Whether another stream may come: false when draining or full. */
  admits(): boolean;
}

/** uWS.LIBUS_LISTEN_EXCLUSIVE_PORT, which its types keep in an enum that does not exist at run time. */
const EXCLUSIVE_PORT = 1;

interface Upgrade {
  key: string;
  protocol: string;
  extensions: string;
}

/** A token the server knows, as a digest: comparing digests takes the same time whatever the guess. */
interface KnownToken {
  digest: Buffer;
  callControlId: string | undefined;
}

export class Listener {
  readonly #app: UWebSockets.TemplatedApp;
  readonly #tokens: readonly KnownToken[];
  readonly #environment: ListenerOptions;
  #socket: UWebSockets.us_listen_socket | undefined;

  constructor(environment: ListenerOptions) {
    this.#environment = environment;
    const { options } = environment;
    this.#tokens = knownTokens(options.authToken);
    this.#app = makeApp(options);
    this.#app.ws<UserData>('/*', {
      compression: uWS.DISABLED,
      maxPayloadLength: options.maxMessageBytes,
      maxBackpressure: options.maxBackpressureBytes,
      idleTimeout: options.idleTimeoutSeconds,
      sendPingsAutomatically: true,
      upgrade: (response, request, context) => this.#upgrade(response, request, context),
      open: ws => ws.getUserData().connection.open(ws as unknown as Socket),
      message: (ws, message, isBinary) => ws.getUserData().connection.message(message, isBinary),
      drain: ws => ws.getUserData().connection.drained(),
      close: (ws, code, message) => {
        // uWebSockets.js reports its own timeout as an abnormal closure with this text.
        const idle =
          code === 1006 && Buffer.from(message).toString() === 'WebSocket timed out from inactivity';
        ws.getUserData().connection.closed(idle);
      },
    });
    this.#app.any('/*', response => {
      response
        .writeStatus('426 Upgrade Required')
        .writeHeader('upgrade', 'websocket')
        .end('this is a WebSocket\n');
    });
  }

  /**
   * Listens; resolves with the port.
   * @throws SidetoneError SIDETONE_PORT_IN_USE
   */
  async listen(host: string, port: number): Promise<number> {
    this.#socket = await listenOn(this.#app, host, port);
    return uWS.us_socket_local_port(this.#socket);
  }

  /** What an Acceptor needs to deal connections to this listener, whatever thread it runs in. */
  descriptor(): UWebSockets.AppDescriptor {
    return this.#app.getDescriptor();
  }

  /** Takes no more connections; open ones go on. */
  stopListening(): void {
    if (this.#socket) uWS.us_listen_socket_close(this.#socket);
    this.#socket = undefined;
  }

  /** Closes whatever is open. */
  close(): void {
    this.#socket = undefined;
    this.#app.close();
  }

  // --- upgrades ---

  #upgrade(
    response: UWebSockets.HttpResponse,
    request: UWebSockets.HttpRequest,
    context: UWebSockets.us_socket_context_t,
  ): void {
    const { reactor, plugins, admits } = this.#environment;
    const refuse = (status: string, why: string): void => {
      reactor.count('upgradesRefused');
      response.writeStatus(status).writeHeader('connection', 'close').end(`${why}\n`, true);
    };
    if (!admits()) {
      refuse('503 Service Unavailable', 'no more streams are taken');
      return;
    }

    let boundCall: string | undefined;
    if (this.#tokens.length > 0) {
      const known = this.#known(request.getHeader(AUTH_TOKEN_HEADER));
      if (!known) {
        reactor.count('unauthorized');
        refuse('401 Unauthorized', `${AUTH_TOKEN_HEADER} is missing or wrong`);
        return;
      }
      boundCall = known.callControlId;
    }
    const path = request.getUrl();
    const plugin = route(plugins, path);
    if (!plugin) {
      refuse('404 Not Found', `no plugin answers ${path}`);
      return;
    }

    const query = new URLSearchParams(request.getQuery() ?? '');
    const upgrade: Upgrade = {
      key: request.getHeader('sec-websocket-key'),
      protocol: request.getHeader('sec-websocket-protocol'),
      extensions: request.getHeader('sec-websocket-extensions'),
    };
    if (upgrade.key === '') {
      refuse('400 Bad Request', 'sec-websocket-key is missing');
      return;
    }
    const setup = (accepted: AcceptResult): ConnectionSetup => ({
      plugin,
      accepted,
      query,
      boundCall,
      checkToken: this.#tokens.length > 0 ? token => this.#known(token) !== undefined : undefined,
    });
    const proceed = (judgement: boolean | AcceptResult): void => {
      if (judgement === false) refuse('403 Forbidden', `plugin ${plugin.name} refused this stream`);
      else this.#complete(response, context, upgrade, setup(judgement === true ? {} : judgement));
    };
    if (!plugin.accept) {
      proceed(true);
      return;
    }
    this.#judge(plugin, streamRequest(request, response, path, query), response, proceed, refuse);
  }

  /** accept() may be asynchronous; the peer may go away meanwhile, after which the response must not be touched. */
  #judge(
    plugin: Plugin,
    request: StreamRequest,
    response: UWebSockets.HttpResponse,
    proceed: (judgement: boolean | AcceptResult) => void,
    refuse: (status: string, why: string) => void,
  ): void {
    const { log } = this.#environment;
    let aborted = false;
    response.onAborted(() => {
      aborted = true;
    });
    const failed = (error: unknown): void => {
      log.error({ plugin: plugin.name, err: error }, "a plugin's accept failed");
      if (!aborted) response.cork(() => refuse('500 Internal Server Error', `plugin ${plugin.name} failed`));
    };
    try {
      const judgement = plugin.accept!(request);
      if (typeof judgement === 'object' && typeof (judgement as PromiseLike<unknown>).then === 'function') {
        (judgement as Promise<boolean | AcceptResult>).then(result => {
          if (!aborted) response.cork(() => proceed(result));
        }, failed);
      } else {
        proceed(judgement as boolean | AcceptResult);
      }
    } catch (error) {
      failed(error);
    }
  }

  #complete(
    response: UWebSockets.HttpResponse,
    context: UWebSockets.us_socket_context_t,
    upgrade: Upgrade,
    setup: ConnectionSetup,
  ): void {
    const { reactor } = this.#environment;
    const connection = new Connection(reactor, setup);
    reactor.admit(connection);
    const userData: UserData = { connection, openedMs: reactor.clock.now() };
    response.upgrade(userData, upgrade.key, upgrade.protocol, upgrade.extensions, context);
  }

  #known(guess: string): KnownToken | undefined {
    const digest = sha256(guess);
    let found: KnownToken | undefined;
    for (const token of this.#tokens) {
      if (timingSafeEqual(digest, token.digest)) found = token;
    }
    return found;
  }
}

/**
 * The listening socket of several listeners, in threads of their own: it deals connections to them in turn, so that
 * they are even however few there are. (Sockets that share a port by SO_REUSEPORT get theirs by a hash of the
 * addresses, which is even only over many.)
 */
export class Acceptor {
  readonly #app: UWebSockets.TemplatedApp;

  constructor(options: ResolvedOptions) {
    this.#app = makeApp(options);
  }

  /** @throws SidetoneError SIDETONE_PORT_IN_USE */
  async listen(listeners: UWebSockets.AppDescriptor[], host: string, port: number): Promise<number> {
    for (const descriptor of listeners) this.#app.addChildAppDescriptor(descriptor);
    return uWS.us_socket_local_port(await listenOn(this.#app, host, port));
  }

  close(): void {
    this.#app.close();
  }
}

function makeApp({ tls }: ResolvedOptions): UWebSockets.TemplatedApp {
  return tls ? uWS.SSLApp({ cert_file_name: tls.cert, key_file_name: tls.key }) : uWS.App();
}

function listenOn(
  app: UWebSockets.TemplatedApp,
  host: string,
  port: number,
): Promise<UWebSockets.us_listen_socket> {
  return new Promise((resolve, reject) => {
    const listening = (socket: UWebSockets.us_listen_socket | false): void => {
      if (socket) {
        resolve(socket);
        return;
      }
      const why = `cannot listen on ${host}: in use or not allowed; choose another with --port`;
      reject(new SidetoneError('SIDETONE_PORT_IN_USE', `port: ${port}: ${why}`));
    };
    // Without the option uWebSockets.js would share the port with any other process.
    (app.listen as (...values: unknown[]) => unknown).call(app, host, port, EXCLUSIVE_PORT, listening);
  });
}

/** A path's plugin: its own path; any path where there is one plugin only; `/` is the first one's. */
function route(plugins: readonly Plugin[], path: string): Plugin | undefined {
  const exact = plugins.find(plugin => (plugin.path ?? `/${plugin.name}`) === path);
  if (exact) return exact;
  if (plugins.length === 1 && plugins[0]!.path === undefined) return plugins[0];
  return path === '/' ? plugins[0] : undefined;
}

function streamRequest(
  request: UWebSockets.HttpRequest,
  response: UWebSockets.HttpResponse,
  path: string,
  query: URLSearchParams,
): StreamRequest {
  const headers: Record<string, string> = {};
  request.forEach((name, value) => {
    if (name !== AUTH_TOKEN_HEADER) headers[name] = value;
  });
  return { path, query, headers, remoteAddress: Buffer.from(response.getRemoteAddressAsText()).toString() };
}

function knownTokens(configured: ResolvedOptions['authToken']): KnownToken[] {
  if (configured === undefined) return [];
  return (Array.isArray(configured) ? configured : [configured]).map(entry =>
    typeof entry === 'string'
      ? { digest: sha256(entry), callControlId: undefined }
      : { digest: sha256(entry.token), callControlId: entry.callControlId },
  );
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
