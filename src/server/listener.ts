/**
 * The sockets of one reactor: uWebSockets.js on one side, connections on the other. Upgrades are judged here.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { ReactorCounter } from '../counters.js';
import { SidetoneError } from '../errors.js';
import { listenError, probeListen, SERVER_NAMES } from '../listen-error.js';
import type { Logger } from '../log/log.js';
import type { Socket } from '../media/path.js';
import { type UWebSockets, uWS } from '../native/uws.js';
import type { Credentials, ResolvedOptions } from '../options/options.js';
import { checkFormats } from '../plugin/define.js';
import type { AcceptResult, Plugin, StreamRequest } from '../plugin/plugin.js';
import { route } from '../plugin/route.js';
import type { Reactor } from '../reactor/reactor.js';
import { AUTH_TOKEN_HEADER } from '../telnyx/frames.js';
import {
  Connection,
  type ConnectionSetup,
  type KnownToken,
  type Seat,
  type WireFault,
} from './connection.js';
import { answerLast } from './last-answer.js';
import { RefusedTokens } from './refused-tokens.js';
import { type WebhookJudge, WebhookRoute } from './webhook-route.js';

interface UserData extends Seat {
  connection: Connection;
}

export interface ListenerOptions {
  options: ResolvedOptions;
  plugins: readonly Plugin[];
  reactor: Reactor;
  log: Logger;
  /** Whether another stream may come: false when draining or full. */
  admits(): boolean;
  /** Judges a webhook; wanted where `options.webhooks` are. */
  webhook?: WebhookJudge | undefined;
}

/** uWS.LIBUS_LISTEN_EXCLUSIVE_PORT, which its types keep in an enum that does not exist at run time. */
const EXCLUSIVE_PORT = 1;

/** How long a plugin's accept() may think; Telnyx does not wait much longer either. */
const ACCEPT_MAX_MS = 10_000;

/**
 * What uWebSockets.js says in the close event (code 1006) when it closed a connection by itself. 'Received invalid close
 * payload' is no fault: it says so of the codes 1012 to 3999 too, which are registered or free for use, and the peer leaves.
 */
const FAULTS: ReadonlyMap<string, WireFault> = new Map<string, WireFault>([
  ['WebSocket timed out from inactivity', 'idle'],
  ['Received invalid WebSocket frame', 'websocket_frame'],
  ['Received invalid UTF-8', 'websocket_utf8'],
  ['Received too big message', 'websocket_too_big'],
]);

// Shared by all streams that have nothing of their own; nobody writes into them.
const NO_QUERY = new URLSearchParams();
const ACCEPTED: AcceptResult = Object.freeze({});

interface Upgrade {
  key: string;
  protocol: string;
  extensions: string;
}

/** A token the server knows, as a digest: comparing digests takes the same time whatever the guess. */
interface TokenDigest extends KnownToken {
  digest: Buffer;
}

export class Listener {
  readonly #environment: ListenerOptions;
  /** The last one takes new connections; the others keep what they have. */
  readonly #apps: UWebSockets.TemplatedApp[] = [];
  #tokens: readonly TokenDigest[];
  readonly #refusedTokens: RefusedTokens;
  /** Connections with a whole request that did not become WebSockets (yet). */
  #requests = 0;

  constructor(environment: ListenerOptions) {
    this.#environment = environment;
    this.#tokens = tokenDigests(environment.options.authToken);
    this.#refusedTokens = new RefusedTokens(environment.reactor.clock, environment.log);
    this.#apps.push(this.#makeApp(environment.options));
  }

  #makeApp(credentials: Credentials): UWebSockets.TemplatedApp {
    const environment = this.#environment;
    const { options, reactor } = environment;
    const { path } = reactor;
    const app = makeApp(credentials);
    app.ws<UserData>('/*', {
      compression: uWS.DISABLED,
      maxPayloadLength: options.messageBytesMax,
      maxBackpressure: options.backpressureBytesMax,
      idleTimeout: options.idleTimeoutSeconds,
      sendPingsAutomatically: true,
      upgrade: (response, request, context) => this.#upgrade(response, request, context),
      open: ws => {
        const user = ws.getUserData();
        user.connection.open(ws as unknown as Socket, user);
      },
      message: (ws, message, isBinary) => {
        const user = ws.getUserData();
        const { slot } = user;
        if (slot < 0 || isBinary) user.connection.message(message, isBinary);
        else if (!path.receive(slot, message)) user.connection.unusual(message);
      },
      drain: ws => ws.getUserData().connection.drained(),
      ping: ws => ws.getUserData().connection.control(),
      pong: ws => ws.getUserData().connection.control(),
      close: (ws, code, message) => {
        const fault = code === 1006 ? FAULTS.get(Buffer.from(message).toString()) : undefined;
        ws.getUserData().connection.closed(fault);
      },
    });
    const judge = environment.webhook;
    if (options.webhooks && judge) {
      // In a turn of its own, for the same reason as answerLast().
      const route = new WebhookRoute(environment.reactor, async (headers, body) => {
        await new Promise(resolve => setImmediate(resolve));
        return judge(headers, body);
      });
      app.post(options.webhooks.path, (response, request) => {
        this.#requests++;
        route.take(response, request);
      });
    }
    app.any('/*', response => {
      this.#requests++;
      this.#refuse(response, 'upgradesBad', '426 Upgrade Required', 'this is a WebSocket');
    });
    // uWebSockets.js gives a request ten seconds; a WebSocket is no HTTP connection any more and not counted here.
    const httpEnded = (): void => {
      if (this.#requests > 0) this.#requests--;
      else environment.reactor.count('upgradesUnfinished');
    };
    app.filter((_response, change) => (Number(change) < 0 ? httpEnded() : undefined));
    return app;
  }

  /** What an Acceptor needs to deal connections to this listener, whatever thread it runs in. */
  descriptor(): UWebSockets.AppDescriptor {
    return this.#apps.at(-1)!.getDescriptor();
  }

  /** New connections need these; with new TLS they come by another descriptor. */
  reload(credentials: Credentials, isNewTls: boolean): void {
    this.#tokens = tokenDigests(credentials.authToken);
    // A running app cannot take another certificate for those who name no server.
    if (isNewTls) this.#apps.push(this.#makeApp(credentials));
  }

  /** Closes whatever is open. */
  close(): void {
    for (const app of this.#apps) app.close();
  }

  // --- upgrades ---

  #upgrade(
    response: UWebSockets.HttpResponse,
    request: UWebSockets.HttpRequest,
    context: UWebSockets.us_socket_context_t,
  ): void {
    const { plugins, admits } = this.#environment;
    this.#requests++;
    const refuse = (counter: ReactorCounter, status: string, why: string): void =>
      this.#refuse(response, counter, status, why);
    const full = (): void => refuse('upgradesFull', '503 Service Unavailable', 'no more streams are taken');
    if (!admits()) {
      full();
      return;
    }
    // RFC 6455, section 4.2.1. The key's presence is what brought the request here.
    const version = request.getHeader('sec-websocket-version');
    if (version !== '13' || !hasToken(request.getHeader('upgrade'), 'websocket')) {
      refuse('upgradesBad', '426 Upgrade Required', 'this is a WebSocket, version 13');
      return;
    }
    if (!hasToken(request.getHeader('connection'), 'upgrade')) {
      refuse('upgradesBad', '400 Bad Request', 'an upgrade needs the header Connection: Upgrade');
      return;
    }

    let boundCall: string | undefined;
    let onBadToken: (() => void) | undefined;
    if (this.#tokens.length > 0) {
      const address = Buffer.from(response.getRemoteAddressAsText()).toString();
      onBadToken = () => this.#refusedTokens.refused(address);
      const known = this.#known(request.getHeader(AUTH_TOKEN_HEADER));
      if (!known) {
        onBadToken();
        refuse('unauthorized', '401 Unauthorized', `${AUTH_TOKEN_HEADER} is missing or wrong`);
        return;
      }
      boundCall = known.callControlId;
    }
    const path = request.getUrl();
    const plugin = route(plugins, path);
    if (!plugin) {
      refuse('upgradesBad', '404 Not Found', `no plugin answers ${path}`);
      return;
    }

    const queryText = request.getQuery();
    const query = queryText ? new URLSearchParams(queryText) : NO_QUERY;
    const upgrade: Upgrade = {
      key: request.getHeader('sec-websocket-key'),
      protocol: request.getHeader('sec-websocket-protocol'),
      extensions: request.getHeader('sec-websocket-extensions'),
    };
    const setup = (accepted: AcceptResult): ConnectionSetup => ({
      plugin,
      accepted,
      query,
      boundCall,
      knownToken: this.#tokens.length > 0 ? token => this.#known(token) : undefined,
      onBadToken,
    });
    const proceed = (judgement: boolean | AcceptResult): void => {
      const refusal = `plugin ${plugin.name} refused this stream`;
      if (judgement === false) refuse('upgradesForbidden', '403 Forbidden', refusal);
      // Others may have come while accept() was thinking.
      else if (!admits()) full();
      else this.#complete(response, context, upgrade, setup(judgement === true ? ACCEPTED : judgement));
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
    refuse: (counter: ReactorCounter, status: string, why: string) => void,
  ): void {
    const { log, reactor } = this.#environment;
    let over = false;
    const settle = (answer: () => void): void => {
      if (over) return;
      over = true;
      cancel();
      response.cork(answer);
    };
    const failed = (error: unknown): void => {
      log.error({ plugin: plugin.name, err: error }, "a plugin's accept failed");
      reactor.count('handlerFailures');
      settle(() => refuse('upgradesFailed', '500 Internal Server Error', `plugin ${plugin.name} failed`));
    };
    const judged = (judgement: boolean | AcceptResult): void => {
      try {
        checkJudgement(plugin, judgement);
      } catch (error) {
        failed(error);
        return;
      }
      settle(() => proceed(judgement));
    };
    const cancel = reactor.clock.after(ACCEPT_MAX_MS, () =>
      failed(new Error(`accept has not answered for ${ACCEPT_MAX_MS} ms`)),
    );
    response.onAborted(() => {
      if (over) return;
      over = true;
      cancel();
      reactor.count('upgradesAborted');
    });
    try {
      const judgement = plugin.accept!(request);
      if (judgement instanceof Promise) judgement.then(judged, failed);
      else judged(judgement as boolean | AcceptResult);
    } catch (error) {
      failed(error);
    }
  }

  #refuse(response: UWebSockets.HttpResponse, counter: ReactorCounter, status: string, why: string): void {
    const { reactor } = this.#environment;
    reactor.count('upgradesRefused');
    reactor.count(counter);
    answerLast(response, () => {
      // RFC 9110, sections 7.8 and 15.5.22: who names a protocol to upgrade to names it as an option of the connection, too.
      const mustUpgrade = status.startsWith('426');
      response.writeStatus(status).writeHeader('connection', mustUpgrade ? 'upgrade, close' : 'close');
      if (mustUpgrade)
        response.writeHeader('upgrade', 'websocket').writeHeader('sec-websocket-version', '13');
      response.end(`${why}\n`, true);
    });
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
    this.#requests--;
    const userData: UserData = { slot: -1, connection };
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

/** Whether a header's list, parted by commas, has this entry; case means nothing. */
function hasToken(header: string, token: string): boolean {
  return header.split(',').some(entry => entry.trim().toLowerCase() === token);
}

/** @throws SidetoneError SIDETONE_PLUGIN_INVALID */
function checkJudgement(plugin: Plugin, judgement: unknown): void {
  if (typeof judgement === 'boolean') return;
  if (typeof judgement !== 'object' || judgement === null) {
    throw new SidetoneError(
      'SIDETONE_PLUGIN_INVALID',
      `plugin ${plugin.name}: accept gave ${judgement === null ? 'null' : typeof judgement}: give true, false or ` +
        '{ audio, outbound }',
    );
  }
  checkFormats(judgement, `plugin ${plugin.name}: accept's `);
}

/**
 * The listening socket of all listeners of a server, in whatever threads: it deals connections to them in turn, so that
 * they are even however few there are. (Sockets that share a port by SO_REUSEPORT get theirs by a hash of the
 * addresses, which is even only over many.)
 */
export class Acceptor {
  readonly #app: UWebSockets.TemplatedApp;
  readonly #rounds: number;
  #dealt = new Set<UWebSockets.AppDescriptor>();
  /** Refuses what comes while there is no listener to deal it to. */
  #refuser: UWebSockets.TemplatedApp;

  constructor(options: ResolvedOptions) {
    this.#app = makeApp(options);
    this.#refuser = makeRefuser(options);
    this.#rounds = options.webhooks ? SHUFFLED_ROUNDS : 1;
  }

  /** @throws SidetoneError SIDETONE_PORT_IN_USE */
  async listen(host: string, port: number): Promise<number> {
    return uWS.us_socket_local_port(await listenOn(this.#app, host, port));
  }

  /** From now on connections go to these, and to no other. Those that were dealt before are on their way. */
  deal(listeners: readonly UWebSockets.AppDescriptor[]): void {
    const doors = listeners.length > 0 ? listeners : [this.#refuser.getDescriptor()];
    for (const door of this.#dealt) this.#app.removeChildAppDescriptor(door);
    this.#dealt = new Set(doors);
    for (const index of dealingOrder(doors.length, this.#rounds)) {
      this.#app.addChildAppDescriptor(doors[index]!);
    }
  }

  reload(credentials: Credentials, isNewTls: boolean): void {
    if (isNewTls) this.#refuser = makeRefuser(credentials);
  }

  close(): void {
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

/** For two listeners 2,048 deals until they repeat themselves. */
const SHUFFLED_ROUNDS = 1024;

/**
 * Whose turn it is, over and over: each of `count` once a round. With webhooks between the streams every call makes the
 * same few connections, of which only one is its stream: dealt in the same order every round, all streams could go to one
 * thread. In an order that is shuffled anew every round they do not.
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

function makeApp({ tls }: Credentials): UWebSockets.TemplatedApp {
  return tls ? uWS.SSLApp({ cert_file_name: tls.cert, key_file_name: tls.key }) : uWS.App();
}

async function listenOn(
  app: UWebSockets.TemplatedApp,
  host: string,
  port: number,
): Promise<UWebSockets.us_listen_socket> {
  const socket = await new Promise<UWebSockets.us_listen_socket | false>(resolve => {
    // Without the option uWebSockets.js would share the port with any other process.
    (app.listen as (...values: unknown[]) => unknown).call(app, host, port, EXCLUSIVE_PORT, resolve);
  });
  if (socket) return socket;
  throw listenError(host, port, SERVER_NAMES, await probeListen(host, port));
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

function tokenDigests(configured: ResolvedOptions['authToken']): TokenDigest[] {
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
