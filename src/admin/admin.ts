/**
 * The admin port: health for supervisors and load balancers, metrics for Prometheus, figures and a page for people.
 * It changes nothing and shows nothing that names a caller. The address that it listens on, and a token, decide who reads it.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../clock.js';
import { ADMIN_NAMES, listenError } from '../listen-error.js';
import { HISTORY_INTERVALS_MS, History } from './history.js';
import { Metrics } from './metrics.js';
import { dashboardPage } from './page.js';
import { type AdminSource, Figures, serverState } from './source.js';
import { statusReport, streamsReport } from './status.js';

export type { AdminSource } from './source.js';

export interface AdminOptions {
  host: string;
  /** 0 picks a free one. */
  port: number;
  /** Wanted by every path but the probes'. Without one, all who reach the port are answered. */
  token?: string | undefined;
  /** The system's unless given. */
  clock?: Clock;
}

export interface Admin {
  readonly port: number;
  /** Whether other machines may reach it and it wants no token. */
  readonly isOpen: boolean;
  /** Requests need this token from now on. */
  setToken(token: string | undefined): void;
  /** Takes no more requests; running ones have a second to end. */
  close(): Promise<void>;
}

const STREAMS_DEFAULT = 1000;
const STREAMS_MAX = 10_000;
const CLOSE_MS_MAX = 1000;
/** Enough for scrapers, probes and a few open pages. More would take file descriptors from calls. */
const CONNECTIONS_MAX = 128;

/** Probes of a container carry no token, and learn only what a load balancer must know. */
const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz']);

interface Answer {
  status: number;
  type: string;
  body: string | Buffer;
  headers?: Record<string, string | string[]>;
}

type Handler = (query: URLSearchParams) => Answer | Promise<Answer>;

const text = (status: number, body: string, headers: Answer['headers'] = {}): Answer => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${body}\n`,
  headers,
});
const json = (value: unknown): Answer => ({
  status: 200,
  type: 'application/json; charset=utf-8',
  body: JSON.stringify(value),
});

/**
 * Opens the admin port.
 * @throws SidetoneError SIDETONE_PORT_IN_USE, SIDETONE_BAD_OPTION for an address that is not this machine's
 */
export async function createAdmin(source: AdminSource, options: AdminOptions): Promise<Admin> {
  const { host, port, clock } = options;
  let { token } = options;
  let permits = permission(token);
  const figures = new Figures(source, clock);
  const history = new History(figures);
  const routes = adminRoutes(figures, history);
  let loopback = true;
  const server = createServer(
    {
      maxHeaderSize: 8192,
      headersTimeout: 5000,
      requestTimeout: 10_000,
      keepAliveTimeout: 10_000,
      connectionsCheckingInterval: 1000,
    },
    (request, response) => {
      judge(request, routes, { loopback, permits }).then(
        answer => send(response, answer),
        error => send(response, text(503, `no figures: ${(error as Error).message}`)),
      );
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  await listen(server, host, port);
  const address = server.address() as AddressInfo;
  loopback = isLoopback(address.address);
  history.start();
  return {
    port: address.port,
    get isOpen() {
      return !loopback && token === undefined;
    },
    setToken(next) {
      token = next;
      permits = permission(next);
    },
    close: () => {
      history.stop();
      return close(server);
    },
  };
}

function adminRoutes(figures: Figures, history: History): ReadonlyMap<string, Handler> {
  const { source } = figures;
  const metrics = new Metrics(figures);
  const page = dashboardPage();
  return new Map<string, Handler>([
    ['/healthz', () => text(200, 'ok')],
    [
      '/readyz',
      () => {
        const state = serverState(source);
        const unwell = source.reactorHealth.filter(({ health }) => health !== 'well');
        const lines = unwell.map(({ reactor, health }) => `reactor ${reactor}: ${health}`);
        return text(state === 'ready' ? 200 : 503, [state, ...lines].join('\n'));
      },
    ],
    ['/metrics', async () => ({ status: 200, type: metrics.contentType, body: await metrics.text() })],
    ['/api/status', async () => json(await statusReport(figures, history))],
    [
      '/api/history',
      query => {
        const intervalMs = Number(query.get('interval') || HISTORY_INTERVALS_MS[0]);
        if (!HISTORY_INTERVALS_MS.includes(intervalMs)) {
          return text(400, `interval: give ${HISTORY_INTERVALS_MS.join(' or ')}, in ms`);
        }
        const sinceMs = Number(query.get('since') || 0);
        if (!Number.isFinite(sinceMs)) return text(400, 'since: give a time in ms since 1970');
        return json(history.report(intervalMs, sinceMs));
      },
    ],
    [
      '/api/streams',
      async query => {
        const limit = Number(query.get('limit') || STREAMS_DEFAULT);
        if (!Number.isInteger(limit) || limit < 1 || limit > STREAMS_MAX) {
          return text(400, `limit: give a whole number from 1 to ${STREAMS_MAX}`);
        }
        return json(await streamsReport(figures, limit));
      },
    ],
    [
      '/',
      () => ({
        status: 200,
        type: 'text/html; charset=utf-8',
        body: page.html,
        headers: { 'Content-Security-Policy': page.contentSecurityPolicy },
      }),
    ],
  ]);
}

async function judge(
  request: IncomingMessage,
  routes: ReadonlyMap<string, Handler>,
  access: { loopback: boolean; permits(authorization: string | undefined): boolean },
): Promise<Answer> {
  if (access.loopback && !namesLoopback(request.headers.host)) {
    return text(403, 'Host: this port answers to localhost only; set adminHost to open it to others');
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return text(405, 'only GET and HEAD', { Allow: 'GET, HEAD' });
  }
  const [path, query] = splitTarget(request.url ?? '/');
  if (!PROBES.has(path) && !access.permits(request.headers.authorization)) {
    return text(401, 'a token is wanted: as bearer token, or as the password of any user', {
      // Browsers know only the second.
      'WWW-Authenticate': ['Bearer realm="sidetone"', 'Basic realm="sidetone"'],
    });
  }
  const handler = routes.get(path);
  if (!handler) return text(404, `not found; there are ${[...routes.keys()].join(' ')}`);
  return handler(new URLSearchParams(query));
}

/** Whether an Authorization header has the token. The time that this takes tells nothing of it. */
function permission(token: string | undefined): (authorization: string | undefined) => boolean {
  if (token === undefined) return () => true;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const wanted = digest(token);
  return authorization => {
    const [, scheme = '', given = ''] = /^(bearer|basic) +(\S+)$/i.exec(authorization ?? '') ?? [];
    const isBasic = scheme.toLowerCase() === 'basic';
    const found = isBasic
      ? Buffer.from(given, 'base64')
          .toString()
          .replace(/^[^:]*:/, '')
      : given;
    return timingSafeEqual(digest(found), wanted);
  };
}

function send(response: ServerResponse, { status, type, body, headers }: Answer): void {
  // node:http leaves the body away where the request was HEAD.
  response.writeHead(status, {
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    ...headers,
  });
  response.end(body);
}

function splitTarget(target: string): [path: string, query: string] {
  const mark = target.indexOf('?');
  return mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark + 1)];
}

/**
 * A page of another site can have its own name resolve to 127.0.0.1 and then read what is there as its own (DNS
 * rebinding); its requests carry that name. Only browsers do such things, and they always send the header.
 */
function namesLoopback(host: string | undefined): boolean {
  if (host === undefined) return true;
  const address = `http://${host}/`;
  if (!URL.canParse(address)) return false;
  const { hostname } = new URL(address);
  return hostname === 'localhost' || hostname.endsWith('.localhost') || isLoopback(hostname);
}

function isLoopback(address: string): boolean {
  return /^127\.\d+\.\d+\.\d+$/.test(address) || address === '::1' || address === '[::1]';
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void =>
      reject(listenError(host, port, ADMIN_NAMES, error));
    server.once('error', failed);
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', failed);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise(resolve => {
    const deadline = setTimeout(() => server.closeAllConnections(), CLOSE_MS_MAX);
    server.close(() => {
      clearTimeout(deadline);
      resolve();
    });
    server.closeIdleConnections();
  });
}
