/** An HTTP upgrade: its fields, and the answers to one that is refused. docs/life.md lists them all. */
import type { Clock } from '../clock.js';
import type { ReactorCounter } from '../counters.js';
import { SidetoneError } from '../errors.js';
import type { UWebSockets } from '../native/uws.js';
import { checkFormats } from '../plugin/define.js';
import type { PluginInstance } from '../plugin/instance.js';
import type { AcceptResult } from '../plugin/plugin.js';
import type { StreamRequest } from '../plugin/stream.js';
import { AUTH_TOKEN_HEADER } from '../telnyx/frames.js';

/** How long a plugin's accept() may think; Telnyx does not wait much longer either. */
const ACCEPT_MAX_MS = 10_000;

// Shared by all streams that have none of their own; nobody writes into it.
const NO_QUERY = new URLSearchParams();
export const ACCEPTED: AcceptResult = Object.freeze({});

/** An upgrade whose headers have been read: the request is gone when its callback has returned. */
export interface Upgrade {
  plugin: PluginInstance;
  request: StreamRequest;
  /** The call that its token is bound to. */
  boundCall: string | undefined;
  key: string;
  protocol: string;
  extensions: string;
}

export type Refusal = readonly [counter: ReactorCounter, status: string, why: string];

export const NO_UPGRADE: Refusal = ['upgradesBad', '426 Upgrade Required', 'this is a WebSocket'];
export const FULL: Refusal = ['upgradesFull', '503 Service Unavailable', 'no more streams are taken'];
export const NOT_ALLOWED: Refusal = [
  'upgradesNotAllowed',
  '403 Forbidden',
  'streams are not taken from this address',
];
export const TOO_MANY: Refusal = [
  'upgradesTooMany',
  '429 Too Many Requests',
  'too many streams a second from this address: try again in a second',
];
export const OVERLOADED: Refusal = [
  'upgradesOverloaded',
  '503 Service Unavailable',
  'overloaded: the running streams take all the time of their thread; try again in a second, or elsewhere',
];
export const UNAUTHORIZED: Refusal = [
  'unauthorized',
  '401 Unauthorized',
  `${AUTH_TOKEN_HEADER} is missing or wrong`,
];

export function noPlugin(path: string): Refusal {
  return ['upgradesBad', '404 Not Found', `no plugin answers ${path}`];
}

export function pluginRefused({ name }: PluginInstance): Refusal {
  return ['upgradesForbidden', '403 Forbidden', `plugin ${name} refused this stream`];
}

export function pluginFailed({ name }: PluginInstance): Refusal {
  return ['upgradesFailed', '500 Internal Server Error', `plugin ${name} failed`];
}

/** The fault of the handshake (RFC 6455, section 4.2.1), if it has one. The request is here because it has the key. */
export function handshakeFault(request: UWebSockets.HttpRequest): Refusal | undefined {
  const version = request.getHeader('sec-websocket-version');
  if (version !== '13' || !hasToken(request.getHeader('upgrade'), 'websocket')) {
    return ['upgradesBad', '426 Upgrade Required', 'this is a WebSocket, version 13'];
  }
  if (!hasToken(request.getHeader('connection'), 'upgrade')) {
    return ['upgradesBad', '400 Bad Request', 'an upgrade needs the header Connection: Upgrade'];
  }
  return undefined;
}

/** Whether a header's list, parted by commas, has this entry; case means nothing. */
function hasToken(header: string, token: string): boolean {
  return header.split(',').some(entry => entry.trim().toLowerCase() === token);
}

/** Reads what is needed later. */
export function readUpgrade(
  request: UWebSockets.HttpRequest,
  plugin: PluginInstance,
  remoteAddress: string,
  boundCall: string | undefined,
): Upgrade {
  const query = request.getQuery();
  return {
    plugin,
    boundCall,
    request: new UpgradeRequest(
      keptOnce('path', request.getUrl()),
      query ? new URLSearchParams(query) : NO_QUERY,
      keptOnce('remoteAddress', remoteAddress),
      keptOnce('headers', headerLines(request)),
    ),
    key: request.getHeader('sec-websocket-key'),
    protocol: request.getHeader('sec-websocket-protocol'),
    extensions: request.getHeader('sec-websocket-extensions'),
  };
}

/**
 * What a plugin sees of an upgrade. Each stream keeps one for as long as it runs, so its headers are one text until
 * somebody asks for them.
 */
class UpgradeRequest implements StreamRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly remoteAddress: string;
  #headers: string | Readonly<Record<string, string>>;

  constructor(path: string, query: URLSearchParams, remoteAddress: string, headers: string) {
    this.path = path;
    this.query = query;
    this.remoteAddress = remoteAddress;
    this.#headers = headers;
  }

  get headers(): Readonly<Record<string, string>> {
    if (typeof this.#headers === 'string') this.#headers = parsedHeaders(this.#headers);
    return this.#headers;
  }
}

/** A secret, and what the handshake alone needed: every stream keeps the rest. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  AUTH_TOKEN_HEADER,
  'connection',
  'upgrade',
  'sec-websocket-key',
  'sec-websocket-version',
  'sec-websocket-extensions',
]);

/** Texts of the last upgrade. */
const LAST = { path: '', remoteAddress: '', headers: '' };

/** All upgrades in a row that have the same text keep one copy of it. */
function keptOnce(of: keyof typeof LAST, text: string): string {
  if (text !== LAST[of]) LAST[of] = text;
  return LAST[of];
}

/** A name or a value holds no line break (RFC 9110, section 5.5). */
function headerLines(request: UWebSockets.HttpRequest): string {
  const lines: string[] = [];
  request.forEach((name, value) => {
    if (!LEFT_OUT.has(name)) lines.push(name, value);
  });
  return lines.join('\n');
}

function parsedHeaders(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  const lines = text.split('\n');
  for (let at = 0; at + 1 < lines.length; at += 2) headers[lines[at]!] = lines[at + 1]!;
  return headers;
}

/** `accepted` refines the stream; it is undefined where the plugin refused it. */
export type Judgement =
  | { failed: false; accepted: AcceptResult | undefined }
  | { failed: true; error: unknown };

/** Asks the plugin's accept(), which may take its time. */
export async function judge(
  plugin: PluginInstance,
  request: StreamRequest,
  clock: Clock,
): Promise<Judgement> {
  let cancel = (): void => {};
  const late = new Promise<never>((_, reject) => {
    cancel = clock.after(ACCEPT_MAX_MS, () =>
      reject(new Error(`accept has not answered for ${ACCEPT_MAX_MS} ms`)),
    );
  });
  try {
    const judgement: unknown = await Promise.race([plugin.accept(request), late]);
    checkJudgement(plugin, judgement);
    if (typeof judgement === 'object') return { failed: false, accepted: judgement as AcceptResult };
    return { failed: false, accepted: judgement ? ACCEPTED : undefined };
  } catch (error) {
    return { failed: true, error };
  } finally {
    cancel();
  }
}

/** @throws SidetoneError SIDETONE_PLUGIN_INVALID */
function checkJudgement(plugin: PluginInstance, judgement: unknown): void {
  if (typeof judgement === 'boolean') return;
  if (typeof judgement !== 'object' || judgement === null) {
    throw new SidetoneError(
      'SIDETONE_PLUGIN_INVALID',
      `plugin ${plugin.name}: accept gave ${judgement === null ? 'null' : typeof judgement}: give true, false or ` +
        '{ context, audio, outbound }',
    );
  }
  checkFormats(judgement, `plugin ${plugin.name}: accept's `);
}
