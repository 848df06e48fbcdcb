/**
 * The sockets of one reactor: uWebSockets.js on one side, connections on the other. Upgrades are judged here.
 */
import type { Logger } from '../log/log.js';
import type { Socket } from '../media/path.js';
import { native } from '../native/addon.js';
import { type UWebSockets, uWS } from '../native/uws.js';
import type { Credentials, ResolvedOptions } from '../options/options.js';
import { rangesOf } from '../options/ranges.js';
import type { PluginInstance } from '../plugin/instance.js';
import type { AcceptResult } from '../plugin/plugin.js';
import { route } from '../plugin/route.js';
import type { Reactor } from '../reactor/reactor.js';
import { AUTH_TOKEN_HEADER } from '../telnyx/frames.js';
import { makeApp } from './acceptor.js';
import { answerLast } from './closing-response.js';
import { Connection, receive, type SocketData } from './connection.js';
import type { WireFault } from './ends.js';
import { clientAddress } from './forwarded.js';
import { upgradeLate } from './late-upgrade.js';
import { RefusedTokens } from './refused-tokens.js';
import type { Relay } from './relay.js';
import type { ConnectionSetup, Gate } from './stream-start.js';
import { type KnownToken, Tokens } from './tokens.js';
import {
  ACCEPTED,
  FULL,
  handshakeFault,
  judge,
  NO_UPGRADE,
  NOT_ALLOWED,
  noPlugin,
  OVERLOADED,
  pluginFailed,
  pluginRefused,
  type Refusal,
  readUpgrade,
  TOO_MANY,
  UNAUTHORIZED,
  type Upgrade,
} from './upgrade.js';
import { UpgradeLimit } from './upgrade-limit.js';
import { type WebhookJudge, WebhookRoute } from './webhook-route.js';

export interface ListenerOptions {
  options: ResolvedOptions;
  plugins: readonly PluginInstance[];
  reactor: Reactor;
  log: Logger;
  /** Whether another stream may come: false when draining or full. */
  admits(): boolean;
  /** The way to the reactor where a call's handler waits, if that is another one. */
  relay?(callControlId: string, setup: ConnectionSetup): Relay | undefined;
  /** Whether this reactor's thread has time for another stream. */
  hasRoom(): boolean;
  /** Judges a webhook; wanted where `options.webhooks` are. */
  webhook?: WebhookJudge | undefined;
}

/**
 * Messages of uWebSockets.js in the close event (code 1006) when it closed a connection by itself. 'Received invalid
 * close payload' is no fault: it also stands for the codes 1012 to 3999, which are allowed, and the peer leaves anyway.
 */
const FAULTS: ReadonlyMap<string, WireFault> = new Map<string, WireFault>([
  ['WebSocket timed out from inactivity', 'idle'],
  ['Received invalid WebSocket frame', 'websocket_frame'],
  ['Received invalid UTF-8', 'websocket_utf8'],
  ['Received too big message', 'websocket_too_big'],
]);

/** How long a peer may take to answer the closing handshake when the server ends. */
const CLOSE_GRACE_MS = 3000;
const CLOSE_POLL_MS = 20;
/** An overloaded reactor takes streams again this long after its load has gone; an address's limit is by the second. */
const RETRY_AFTER_SECONDS = 1;
const RETRIED: ReadonlySet<string> = new Set([OVERLOADED[0], TOO_MANY[0]]);

export class Listener implements Gate {
  readonly #environment: ListenerOptions;
  /** The last one takes new connections; the others keep what they have. */
  readonly #apps: UWebSockets.TemplatedApp[] = [];
  #tokens: Tokens;
  readonly #refusedTokens: RefusedTokens;
  /** Undefined where all addresses may come. */
  readonly #allows: ((address: string) => boolean) | undefined;
  /** Undefined where no proxy is believed. */
  readonly #trusts: ((address: string) => boolean) | undefined;
  readonly #limit: UpgradeLimit | undefined;
  /** Connections with a whole request that did not become WebSockets (yet). */
  #requests = 0;

  constructor(environment: ListenerOptions) {
    this.#environment = environment;
    this.#tokens = new Tokens(environment.options.authToken);
    this.#refusedTokens = new RefusedTokens(environment.reactor.clock, environment.log);
    const { allow, trustedProxies, upgradesPerSecondMax, reactors } = environment.options;
    this.#allows = allow && rangesOf(allow);
    this.#trusts = trustedProxies && rangesOf(trustedProxies);
    // Connections are dealt to the reactors in turn, so each has its share of an address's.
    if (upgradesPerSecondMax !== undefined) {
      this.#limit = new UpgradeLimit(environment.reactor.clock, upgradesPerSecondMax / reactors);
    }
    this.#apps.push(this.#makeApp(environment.options));
  }

  #makeApp(credentials: Credentials): UWebSockets.TemplatedApp {
    const environment = this.#environment;
    const { options, reactor } = environment;
    const { path } = reactor;
    const app = makeApp(credentials);
    app.ws<SocketData>('/*', {
      compression: uWS.DISABLED,
      maxPayloadLength: options.messageBytesMax,
      maxBackpressure: options.backpressureBytesMax,
      idleTimeout: options.idleTimeoutSeconds,
      sendPingsAutomatically: true,
      upgrade: (response, request, context) => this.#upgrade(response, request, context),
      open: ws => {
        const data = ws.getUserData();
        data.connection.open(ws as unknown as Socket, data);
      },
      message: reactor.capture
        ? (ws, message, isBinary) => ws.getUserData().connection.message(message, isBinary)
        : (ws, message, isBinary) => receive(path, ws.getUserData(), message, isBinary),
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
      // The judge runs in a turn of its own, for the same reason as answerLast().
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
      this.#refuse(response, NO_UPGRADE);
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
    this.#tokens = new Tokens(credentials.authToken);
    // A running app cannot take another certificate for those who name no server.
    if (isNewTls) this.#apps.push(this.#makeApp(credentials));
  }

  /**
   * Resolves when the peers of all WebSockets at `port` have closed too, or after three seconds. A process that ends
   * before would reset sockets that it has not read to their end, and their peers would not see the close code.
   */
  peersGone(port: number): Promise<void> {
    const { clock } = this.#environment.reactor;
    // uWebSockets.js calls its close handler when a close frame is sent, not when the socket is closed.
    const areGone = (): boolean => native.unfinishedConnections(port) === 0;
    if (areGone()) return Promise.resolve();
    return new Promise(resolve => {
      const finish = (): void => {
        stopPolling();
        cancel();
        resolve();
      };
      const stopPolling = clock.every(CLOSE_POLL_MS, () => areGone() && finish());
      const cancel = clock.after(CLOSE_GRACE_MS, finish);
    });
  }

  // --- Gate: what its connections ask ---

  get wantsToken(): boolean {
    return this.#tokens.wanted;
  }

  knownToken(token: string): KnownToken | undefined {
    return this.#tokens.known(token);
  }

  tokenRefused(remoteAddress: string): void {
    this.#refusedTokens.refused(remoteAddress);
  }

  relay(callControlId: string, setup: ConnectionSetup): Relay | undefined {
    return this.#environment.relay?.(callControlId, setup);
  }

  /** Closes whatever is open. */
  close(): void {
    for (const app of this.#apps) app.close();
  }

  /**
   * An upgrade, from its headers to its WebSocket:
   *   address? ─▶ its limit? ─▶ room and time? ─▶ RFC 6455? ─▶ token? ─▶ plugin of the path? ─▶ the plugin's accept()? ─▶ still room? ─▶ connected
   */
  #upgrade(
    response: UWebSockets.HttpResponse,
    request: UWebSockets.HttpRequest,
    context: UWebSockets.us_socket_context_t,
  ): void {
    const { plugins } = this.#environment;
    this.#requests++;
    const remoteAddress = this.#addressOf(response, request);
    if (this.#allows && !this.#allows(remoteAddress)) {
      this.#refuse(response, NOT_ALLOWED);
      return;
    }
    if (this.#limit && !this.#limit.admits(remoteAddress)) {
      this.#refuse(response, TOO_MANY);
      return;
    }
    const full = this.#fullness();
    if (full) {
      this.#refuse(response, full);
      return;
    }
    const fault = handshakeFault(request);
    if (fault) {
      this.#refuse(response, fault);
      return;
    }
    const token = this.#tokens.known(request.getHeader(AUTH_TOKEN_HEADER));
    if (this.#tokens.wanted && !token) {
      this.#refusedTokens.refused(remoteAddress);
      this.#refuse(response, UNAUTHORIZED);
      return;
    }
    const plugin = route(plugins, request.getUrl());
    if (!plugin) {
      this.#refuse(response, noPlugin(request.getUrl()));
      return;
    }
    const upgrade = readUpgrade(request, plugin, remoteAddress, token?.callControlId);
    if (plugin.judges) void this.#askPlugin(response, context, upgrade);
    else this.#connect(response, context, upgrade, ACCEPTED);
  }

  #addressOf(response: UWebSockets.HttpResponse, request: UWebSockets.HttpRequest): string {
    const peer = Buffer.from(response.getRemoteAddressAsText()).toString();
    if (!this.#trusts?.(peer)) return peer;
    const lines: string[] = [];
    // getHeader would give one line, and every proxy may have added its own.
    request.forEach((name, value) => {
      if (name === 'x-forwarded-for') lines.push(value);
    });
    return clientAddress(peer, lines.join(), this.#trusts);
  }

  /** accept() may be asynchronous. The peer may go away meanwhile, and then the response must not be touched. */
  async #askPlugin(
    response: UWebSockets.HttpResponse,
    context: UWebSockets.us_socket_context_t,
    upgrade: Upgrade,
  ): Promise<void> {
    const { log, reactor } = this.#environment;
    const { plugin } = upgrade;
    let isPending = true;
    response.onAborted(() => {
      if (isPending) reactor.count('upgradesAborted');
      isPending = false;
    });
    // A reload meanwhile must not end the code that judges, and whose stream it will be.
    plugin.opened();
    const judgement = await judge(plugin, upgrade.request, reactor.clock);
    if (judgement.failed) {
      log.error({ plugin: plugin.name, err: judgement.error }, "a plugin's accept failed");
      reactor.count('handlerFailures');
    }
    if (!isPending) {
      plugin.closed();
      return;
    }
    isPending = false;
    if (judgement.failed) this.#refuse(response, pluginFailed(plugin));
    else if (!judgement.accepted) this.#refuse(response, pluginRefused(plugin));
    // Others may have come while accept() was thinking.
    else {
      const { accepted } = judgement;
      const full = this.#fullness();
      if (full) this.#refuse(response, full);
      else upgradeLate(response, () => this.#connect(response, context, upgrade, accepted));
    }
    plugin.closed();
  }

  /** Why no stream at all would be taken now; undefined where one would. */
  #fullness(): Refusal | undefined {
    const { admits, hasRoom } = this.#environment;
    if (!admits()) return FULL;
    return hasRoom() ? undefined : OVERLOADED;
  }

  /** Answers a request that becomes no WebSocket. */
  #refuse(response: UWebSockets.HttpResponse, [counter, status, why]: Refusal): void {
    const { reactor } = this.#environment;
    reactor.count('upgradesRefused');
    reactor.count(counter);
    answerLast(response, () => {
      // RFC 9110, sections 7.8 and 15.5.22: a protocol to upgrade to is named as an option of the connection, too.
      const mustUpgrade = status.startsWith('426');
      response.writeStatus(status).writeHeader('connection', mustUpgrade ? 'upgrade, close' : 'close');
      if (mustUpgrade)
        response.writeHeader('upgrade', 'websocket').writeHeader('sec-websocket-version', '13');
      if (RETRIED.has(counter)) response.writeHeader('retry-after', String(RETRY_AFTER_SECONDS));
      response.end(`${why}\n`, true);
    });
  }

  /** The WebSocket of an upgrade that was let in. */
  #connect(
    response: UWebSockets.HttpResponse,
    context: UWebSockets.us_socket_context_t,
    upgrade: Upgrade,
    accepted: AcceptResult,
  ): void {
    const { reactor } = this.#environment;
    const { plugin, request, boundCall } = upgrade;
    const connection = new Connection(reactor, {
      plugin,
      accepted,
      request,
      boundCall,
      gate: this,
    });
    reactor.admit(connection);
    this.#requests--;
    response.upgrade(connection.data, upgrade.key, upgrade.protocol, upgrade.extensions, context);
  }
}
