/**
 * Commands to a live call over Telnyx's REST API.
 *
 * The HTTP client is Telnyx's own SDK (`telnyx` on npm, MIT, released every few weeks): it types every field used
 * here, so a field that Telnyx renames fails to compile. It is an optional peer dependency of 37 MB. It is loaded
 * when the first command is sent, because its 440 modules take about 60 ms and 19 MB of memory. Its own retries are
 * off: they include 408, 409 and lost connections, and they sleep on a clock of their own.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import type { APIError, Telnyx } from 'telnyx';
import { type Clock, systemClock } from '../clock.js';
import { SidetoneError } from '../errors.js';
import { importPeer } from '../peer.js';
import { checkRequest, describeFinding, type Finding } from './check.js';
import { unreachable } from './connection-error.js';
import {
  REQUESTED_PARAMETER,
  requestedBy,
  requestedParameter,
  type StreamExpectations,
} from './expectations.js';
import type { AnswerBody, StreamingStartBody } from './requests.js';
import {
  askedPauseMs,
  classOf,
  type RateLimit,
  rateLimitOf,
  type TelnyxError,
  type TelnyxErrorFacts,
} from './rest-errors.js';

export {
  ApiKeyRefusedError,
  CallEndedError,
  ChannelLimitError,
  ClientStateRefusedError,
  type RateLimit,
  RateLimitedError,
  StreamingInUseError,
  StreamingNotInUseError,
  StreamUrlRefusedError,
  TelnyxError,
  type TelnyxErrorFacts,
  TelnyxUnavailableError,
  TelnyxUnreachableError,
  UnknownCallError,
} from './rest-errors.js';

export const TELNYX_API_BASE = 'https://api.telnyx.com/v2';

/** How a command gets to Telnyx. */
export interface TelnyxOptions {
  /** Default: the content of `apiKeyFile`, else the environment's TELNYX_API_KEY. Never logged nor put into an error. */
  apiKey?: string;
  /** A file that holds the key and nothing else. */
  apiKeyFile?: string;
  /** Base of the API; `/v2` is added where it has no path. Plain http only to this machine. Default Telnyx's own. */
  apiBase?: string;
  /** How often a command is sent again after 429 or 5xx. Default 3. */
  retriesMax?: number;
  /** How long one request may take. Default 10,000. */
  timeoutMs?: number;
  /** Measures waits between attempts. Default the system's. */
  clock?: Clock;
  /** 0 to 1, spreads the retries of many callers. Default Math.random. */
  random?: () => number;
  /** Where the server in this process looks up what was asked for. */
  expectations?: StreamExpectations;
  /**
   * Sends what was asked for along as the custom parameter `sidetone_outbound`, for a server in another process or thread.
   * Default: yes, unless `expectations` are given. `streaming_start` only: `answer` has no custom parameters.
   */
  announce?: boolean;
}

/** A command that Telnyx took. */
export interface CommandResult {
  /** The call that it was for. */
  callControlId: string;
  /** The one that was given, else a new UUID: sending it again for the same call does nothing. */
  commandId: string;
  /** Requests sent, the successful one included. */
  attempts: number;
  /** What the checker finds unwise about the request. */
  warnings: Finding[];
  /** How many requests are left, where the answer says so. */
  rateLimit?: RateLimit;
}

const RETRIES_MAX = 3;
const TIMEOUT_MS = 10_000;
const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 8_000;
/** A server that asks for a longer pause than this is sent to again after this long. */
const RETRY_AFTER_MAX_MS = 30_000;
const SHOWN_MAX = 300;

/** The key: given, out of a file, or from the environment. Errors never show it. */
export function readApiKey(options: Pick<TelnyxOptions, 'apiKey' | 'apiKeyFile'>): string {
  let key = options.apiKey;
  let where = 'apiKey';
  if (key === undefined && options.apiKeyFile !== undefined) {
    where = `file ${options.apiKeyFile}`;
    try {
      key = readFileSync(options.apiKeyFile, 'utf8').trim();
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code ?? 'unreadable';
      throw new SidetoneError('SIDETONE_BAD_OPTION', `API key ${where}: ${reason}; give a readable file`);
    }
  }
  if (key === undefined) {
    where = 'TELNYX_API_KEY';
    key = process.env.TELNYX_API_KEY?.trim();
  }
  if (!key) {
    const remedy = 'set TELNYX_API_KEY, or give a file that holds the key';
    throw new SidetoneError('SIDETONE_BAD_OPTION', `API key (${where}) is empty: ${remedy}`);
  }
  if (!/^[\x21-\x7e]+$/.test(key)) {
    const problem = 'holds characters that a header cannot carry';
    throw new SidetoneError('SIDETONE_BAD_OPTION', `API key (${where}) ${problem}: copy it again`);
  }
  return key;
}

/** The base of the API as the SDK wants it. The key travels there, hence no plain http to another machine. */
export function readApiBase(base: string): string {
  const url = URL.canParse(base) ? new URL(base) : undefined;
  const host = url?.hostname ?? '';
  const isLoopback = host === 'localhost' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'));
  const isFit = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback);
  if (!url || !isFit || url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw new SidetoneError(
      'SIDETONE_BAD_OPTION',
      'API base is no https address (or http to this machine) without credentials and query: give one such as https://api.telnyx.com/v2',
    );
  }
  return url.pathname === '/' ? `${url.origin}/v2` : url.origin + url.pathname.replace(/\/+$/, '');
}

function refuseErrors(findings: readonly Finding[]): void {
  const errors = findings.filter(finding => finding.severity === 'error');
  if (errors.length === 0) return;
  // client_state and the numbers stay out of what may be logged.
  const said = errors.map(error =>
    describeFinding(/^(client_state|from|to)\b/.test(error.field) ? { ...error, value: null } : error),
  );
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `the request is not sent: ${said.join('; ')}`);
}

/** One command: what it is called, whose it is, and how the SDK sends it. */
export interface Command {
  command: string;
  callControlId: string;
  commandId: string;
  /** `client` is the SDK's. It has no type here: declarations must hold where that optional package is missing. */
  post(client: unknown, request: { signal?: AbortSignal }): Promise<Response>;
}

interface Sending extends Command {
  /** Where it goes, with the port where it is an unusual one. */
  host: string;
  /** Texts that must not come out again, whatever the other side writes into its answer. */
  secrets: string[];
}

/** How commands of a server's own calls are sent. */
export interface SendOptions extends TelnyxOptions {
  /** Sends again after a lost connection too: Telnyx carries a command_id out once. */
  resendsLost?: boolean;
  /** Nothing is sent once it is aborted, and what is under way is abandoned. */
  signal?: AbortSignal;
}

function asText(value: unknown, secrets: readonly string[]): string {
  let text = typeof value === 'string' ? value : '';
  for (const secret of secrets) text = text.replaceAll(secret, '(hidden)');
  return text.slice(0, SHOWN_MAX);
}

function errorOf(error: APIError, isTimeout: boolean, sending: Sending, attempts: number): TelnyxError {
  const body = error.error as { errors?: unknown } | undefined;
  const list = typeof body === 'object' && body !== null && Array.isArray(body.errors) ? body.errors : [];
  const first = (typeof list[0] === 'object' && list[0] !== null ? list[0] : {}) as Record<string, unknown>;
  const { command, callControlId, commandId, secrets } = sending;
  const status = error.status as number | undefined;
  const code = asText(String(first.code ?? ''), secrets) || undefined;
  const source = first.source as { pointer?: unknown } | undefined;
  const noAnswer = isTimeout ? `no answer from ${sending.host} in time` : unreachable(sending.host, error);
  const rateLimit = rateLimitOf(error.headers);
  const retryAfterMs = status === 429 || status === 503 ? askedPauseMs(error.headers) : undefined;
  const facts: TelnyxErrorFacts = {
    status,
    telnyxCode: code,
    title: asText(first.title, secrets) || (status === undefined ? noAnswer : `HTTP ${status}`),
    detail: asText(first.detail, secrets),
    pointer: asText(source?.pointer, secrets) || undefined,
    commandId,
    attempts,
    ...(rateLimit && { rateLimit }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
  const [ErrorType, remedy] = classOf(status, code, commandId, retryAfterMs);
  const said = [status, code, facts.title].filter(part => part !== undefined).join(' ');
  const where = facts.pointer === undefined ? '' : ` at ${facts.pointer}`;
  const detail = facts.detail === '' ? '' : ` (${facts.detail})`;
  const times = attempts === 1 ? '' : `, ${attempts} attempts`;
  const message = `${command} for call ${callControlId}: ${said}${detail}${where}${times}; ${remedy}`;
  // The SDK's error is no cause of this one: it holds the answer's text, which may hold what was sent.
  return new ErrorType(message, facts);
}

/** The error for a command that was answered with an HTTP status other than success: for tests without the network. */
export function refusal(
  command: Command,
  { status, code, detail }: { status: number; code?: string; detail?: string },
): TelnyxError {
  const error = { status, error: { errors: [{ code, detail }] }, headers: undefined } as unknown as APIError;
  return errorOf(error, false, { ...command, host: 'api.telnyx.com', secrets: [] }, 1);
}

function backoffMs(error: APIError, attempt: number, random: () => number): number {
  // Elsewhere x-ratelimit-reset is only news of the window.
  const isLimited = error.status === 429;
  const askedMs = isLimited
    ? askedPauseMs(error.headers)
    : askedPauseMs(error.headers?.has('retry-after') ? error.headers : undefined);
  if (askedMs !== undefined) return Math.min(askedMs, RETRY_AFTER_MAX_MS);
  return Math.min(BACKOFF_MS * 2 ** (attempt - 1), BACKOFF_MAX_MS) * (0.75 + 0.25 * random());
}

/** The server closes: what is known of a command that was to be sent, or was. */
function abandoned({ command, callControlId, commandId }: Command, attempts: number): SidetoneError {
  const what =
    attempts === 0
      ? 'it was not sent'
      : `after ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'} without an answer (command_id ${commandId}), it may have been carried out`;
  const remedy = 'send commands before the drain ends, from onDraining at the latest';
  const problem = `${command} for call ${callControlId}: the server has closed: ${what}; ${remedy}`;
  return new SidetoneError('SIDETONE_SERVER_CLOSED', problem);
}

/** Resolves after `ms`, or at once where `signal` is aborted meanwhile. */
function pause(ms: number, clock: Clock, signal: AbortSignal | undefined): Promise<void> {
  return new Promise(resolve => {
    const finish = (): void => {
      cancel();
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    let cancel = (): void => {};
    signal?.addEventListener('abort', finish);
    cancel = clock.after(ms, finish);
  });
}

/** Sends until it is answered: again after 429 and 5xx, with growing pauses; anything else is final. */
async function send(
  sending: Sending,
  key: string,
  options: SendOptions,
): Promise<{ attempts: number; rateLimit?: RateLimit }> {
  const { APIConnectionTimeoutError, APIError, Telnyx } = await importPeer(
    'telnyx',
    'commands to live calls',
    () => import('telnyx'),
  );
  const clock = options.clock ?? systemClock;
  const client = new Telnyx({
    apiKey: key,
    baseURL: readApiBase(options.apiBase ?? TELNYX_API_BASE),
    timeout: options.timeoutMs ?? TIMEOUT_MS,
    maxRetries: 0,
    // At level debug, which TELNYX_LOG can set from outside, the SDK logs the body and with it the stream's token.
    logLevel: 'off',
    // A redirected POST would become a GET, and the key has no business elsewhere.
    fetchOptions: { redirect: 'error' },
  });
  const { signal, resendsLost = false } = options;
  for (let attempt = 1; ; attempt++) {
    if (signal?.aborted) throw abandoned(sending, attempt - 1);
    try {
      const response = await sending.post(client, signal ? { signal } : {});
      // Nothing in the answer is needed; reading it frees the connection.
      await response.arrayBuffer().catch(() => undefined);
      const rateLimit = rateLimitOf(response.headers);
      return { attempts: attempt, ...(rateLimit && { rateLimit }) };
    } catch (error) {
      if (signal?.aborted) throw abandoned(sending, attempt);
      if (!(error instanceof APIError)) throw error;
      const status = error.status as number | undefined;
      const isPassing = status === undefined ? resendsLost : status === 429 || status >= 500;
      if (!isPassing || attempt > (options.retriesMax ?? RETRIES_MAX)) {
        throw errorOf(error, error instanceof APIConnectionTimeoutError, sending, attempt);
      }
      const waitMs = backoffMs(error, attempt, options.random ?? Math.random);
      await pause(waitMs, clock, signal);
    }
  }
}

function requireCall(callControlId: string): void {
  if (typeof callControlId === 'string' && /^[\x21-\x7e]{1,1000}$/.test(callControlId)) return;
  const message = 'call_control_id is empty or no id: give the one from the webhook or from dial';
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', message);
}

/**
 * Sends a command whose body needs no check.
 * @throws as {@link startStreaming}; SIDETONE_SERVER_CLOSED where `options.signal` is aborted
 */
export async function sendCommand(command: Command, options: SendOptions): Promise<CommandResult> {
  const { callControlId, commandId } = command;
  requireCall(callControlId);
  const key = readApiKey(options);
  const { host } = new URL(readApiBase(options.apiBase ?? TELNYX_API_BASE));
  const outcome = await send({ ...command, host, secrets: [key] }, key, options);
  return { callControlId, commandId, ...outcome, warnings: [] };
}

/** Runs `work` with the expectation in place: `start` may arrive before the command is answered. */
async function expecting<T>(
  callControlId: string,
  body: StreamingStartBody,
  expectations: StreamExpectations | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (body.stream_url !== undefined) expectations?.expect(callControlId, body);
  try {
    return await work();
  } catch (error) {
    expectations?.forget(callControlId);
    throw error;
  }
}

/**
 * Starts streaming on a live call (`streaming_start`). The body is checked first: errors throw, warnings are given back.
 * Make it by hand or with `buildStreamingStart()`, which cannot go wrong.
 * @throws SIDETONE_BAD_ARGUMENT what the checker refuses; SIDETONE_BAD_OPTION key or base; {@link TelnyxError} and its
 * subclasses what Telnyx refuses.
 */
export async function startStreaming(
  callControlId: string,
  body: StreamingStartBody,
  options: TelnyxOptions = {},
): Promise<CommandResult> {
  requireCall(callControlId);
  const findings = checkRequest(body, { for: 'streaming_start' });
  refuseErrors(findings);
  const key = readApiKey(options);
  const commandId = body.command_id ?? randomUUID();
  const sent: StreamingStartBody = { ...body, command_id: commandId };
  const parameters = body.custom_parameters ?? [];
  const isAnnounced = options.announce ?? options.expectations === undefined;
  if (
    isAnnounced &&
    body.stream_url !== undefined &&
    !parameters.some(({ name }) => name === REQUESTED_PARAMETER)
  ) {
    sent.custom_parameters = [...parameters, requestedParameter(requestedBy(body))];
  }
  const sending: Sending = {
    command: 'streaming_start',
    callControlId,
    commandId,
    host: new URL(readApiBase(options.apiBase ?? TELNYX_API_BASE)).host,
    secrets: [key, body.stream_auth_token].filter((secret): secret is string => !!secret),
    post: client => (client as Telnyx).calls.actions.startStreaming(callControlId, sent).asResponse(),
  };
  const work = () => send(sending, key, options);
  const outcome = await expecting(callControlId, body, options.expectations, work);
  return { callControlId, commandId, ...outcome, warnings: findings };
}

/**
 * Answers an incoming call (`answer`), and starts its stream where the body has the fields.
 * @throws as {@link startStreaming}.
 */
export async function answerCall(
  callControlId: string,
  body: AnswerBody,
  options: TelnyxOptions = {},
): Promise<CommandResult> {
  requireCall(callControlId);
  const findings = checkRequest(body, { for: 'answer' });
  refuseErrors(findings);
  const key = readApiKey(options);
  const commandId = body.command_id ?? randomUUID();
  const sent = { ...body, command_id: commandId };
  const sending: Sending = {
    command: 'answer',
    callControlId,
    commandId,
    host: new URL(readApiBase(options.apiBase ?? TELNYX_API_BASE)).host,
    secrets: [key],
    post: client => (client as Telnyx).calls.actions.answer(callControlId, sent).asResponse(),
  };
  const work = () => send(sending, key, options);
  const outcome = await expecting(callControlId, body, options.expectations, work);
  return { callControlId, commandId, ...outcome, warnings: findings };
}
