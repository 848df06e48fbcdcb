/**
 * Webhooks of a server: one handler with one memory of what has come, in the main thread, whatever thread took the
 * request. Events go to the plugins; incoming calls are answered where the server is to.
 */

import type { Clock } from '../clock.js';
import type { ReactorCounter } from '../counters.js';
import { SidetoneError } from '../errors.js';
import { CODECS, type OutboundOptions } from '../formats.js';
import { eventFields } from '../log/call-log.js';
import type { Logger } from '../log/log.js';
import { apiAccess, type ResolvedOptions } from '../options/options.js';
import { type Told, tellPlugins } from '../plugin/notify.js';
import { type Routed, route } from '../plugin/route.js';
import { createAnswerer } from '../telnyx/answer.js';
import { buildStreamingStart, type StreamingStartRequest } from '../telnyx/build.js';
import { checkRequest, describeFinding } from '../telnyx/check.js';
import type { StreamExpectations } from '../telnyx/expectations.js';
import type { StreamingStartBody } from '../telnyx/requests.js';
import { readApiBase, readApiKey, TELNYX_API_BASE } from '../telnyx/rest.js';
import {
  createWebhookHandler,
  type WebhookEvent,
  type WebhookHandler,
  type WebhookOutcome,
  type WebhookReply,
} from '../telnyx/webhooks.js';
import { queryOutbound } from './outbound-format.js';
import type { WebhookHeaders } from './webhook-route.js';

interface AnsweringPlugin extends Routed {
  readonly outbound?: OutboundOptions | undefined;
}

export interface WebhooksSetup {
  options: ResolvedOptions;
  plugins: readonly (AnsweringPlugin & Told)[];
  expectations: StreamExpectations;
  clock: Clock;
  log: Logger;
  /** Whether a stream would be taken: a call that is answered without one hears nothing. */
  admits(): boolean;
  /** A reactor by its number; a server's only one whatever the number. */
  reactorOf(index: number | undefined): { tell(event: WebhookEvent): void } | undefined;
}

const COUNTERS: Readonly<Record<Exclude<WebhookOutcome, 'too_large'>, ReactorCounter>> = {
  accepted: 'webhooksAccepted',
  duplicate: 'webhooksDuplicate',
  no_signature: 'webhooksNoSignature',
  bad_timestamp: 'webhooksBadTimestamp',
  stale: 'webhooksStale',
  bad_signature: 'webhooksBadSignature',
  replayed: 'webhooksReplayed',
  bad_body: 'webhooksBadBody',
  not_now: 'webhooksNotNow',
};
/** Calls whose reactor is known: those that run and those that ended lately, about 150 bytes each. The oldest goes. */
const CALLS_MAX = 50_000;
/** Anybody can send what is refused: the log gets one line of it in this time. */
const REFUSAL_LOG_MS = 1000;

export class Webhooks {
  readonly #setup: WebhooksSetup;
  readonly #handler: WebhookHandler;
  readonly #answer: ((event: WebhookEvent) => Promise<void>) | undefined;
  readonly #reactors = new Map<string, number>();
  #answered = 0;
  #leftRinging = 0;
  #answersFailed = 0;
  #pluginFailures = 0;
  #refusalLoggedMs = Number.NEGATIVE_INFINITY;

  /** @throws SidetoneError SIDETONE_BAD_OPTION */
  constructor(setup: WebhooksSetup, publicKey: string) {
    this.#setup = setup;
    this.#answer = this.#answerer();
    this.#handler = createWebhookHandler({
      publicKey,
      takes: event => this.#takes(event),
      onEvent: event => this.#event(event),
    });
  }

  /** Judges one delivery. */
  judge(headers: WebhookHeaders, body: Uint8Array): WebhookReply {
    const reply = this.#handler(headers, body);
    if (reply.outcome === 'bad_body') this.#logRefusal(reply.outcome, 'a signed webhook cannot be read');
    else if (reply.status !== 200) this.#logRefusal(reply.outcome, 'webhook refused');
    return reply;
  }

  /** A call that this server is to answer and cannot: it is told of it again, or another server is. */
  #takes(event: WebhookEvent): boolean {
    if (!this.#answer || !isRinging(event) || this.#setup.admits()) return true;
    this.#leftRinging++;
    return false;
  }

  /** A stream of this call has started on this reactor. */
  started(callControlId: string, reactor: number): void {
    this.#reactors.delete(callControlId);
    if (this.#reactors.size >= CALLS_MAX) this.#reactors.delete(this.#reactors.keys().next().value as string);
    this.#reactors.set(callControlId, reactor);
  }

  /** The counters of the main thread, under the reactors' names. */
  counters(): Partial<Record<ReactorCounter, number>> {
    const { counts } = this.#handler;
    return {
      ...Object.fromEntries(
        Object.entries(COUNTERS).map(([outcome, name]) => [name, counts[outcome as keyof typeof COUNTERS]]),
      ),
      callsAnswered: this.#answered,
      callsLeftRinging: this.#leftRinging,
      answersFailed: this.#answersFailed,
      webhookFailures: this.#pluginFailures,
    };
  }

  async #event(event: WebhookEvent): Promise<void> {
    const { log } = this.#setup;
    if (event.type === 'streaming.failed') {
      const reason = event.failureReason?.slice(0, 200);
      log.warn({ ...eventFields(event), reason }, 'Telnyx could not stream');
    } else log.debug(eventFields(event), 'webhook');
    // Plugins first: a command may be tried again for a minute, and later events of the call do not wait for it.
    this.#tell(event);
    await this.#command(event);
  }

  /**
   * Tells the plugins of the reactor where the call's stream runs or ran last, or of the main thread when it had no
   * stream.
   */
  #tell(event: WebhookEvent): void {
    const { reactorOf, plugins, log } = this.#setup;
    const { callControlId } = event;
    const reactor = reactorOf(callControlId === undefined ? undefined : this.#reactors.get(callControlId));
    if (reactor) {
      reactor.tell(event);
      return;
    }
    tellPlugins(plugins, event, log, () => {
      this.#pluginFailures++;
    });
  }

  async #command(event: WebhookEvent): Promise<void> {
    if (!this.#answer) return;
    const { log } = this.#setup;
    try {
      await this.#answer(event);
      if (isRinging(event)) this.#answered++;
    } catch (error) {
      this.#answersFailed++;
      log.error({ ...eventFields(event), err: error }, 'a call could not be answered or streamed');
    }
  }

  #answerer(): ((event: WebhookEvent) => Promise<void>) | undefined {
    const { options, plugins, expectations, log } = this.#setup;
    if (!options.answer) return undefined;
    const { apiKey, apiKeyFile, apiBase } = apiAccess(options);
    const stream = answerStream(options, plugins);
    for (const finding of checkRequest(stream)) log.warn(`answer: ${describeFinding(finding)}`);
    // Wrong options must show now, not with the first call.
    readApiBase(apiBase ?? TELNYX_API_BASE);
    return createAnswerer({
      stream,
      telnyx: { apiKey: readApiKey({ apiKey, apiKeyFile }), apiBase, expectations },
    });
  }

  #logRefusal(outcome: WebhookOutcome, message: string): void {
    const nowMs = this.#setup.clock.now();
    if (nowMs - this.#refusalLoggedMs < REFUSAL_LOG_MS) return;
    this.#refusalLoggedMs = nowMs;
    this.#setup.log.warn({ outcome, total: this.#handler.counts[outcome] }, message);
  }
}

function isRinging(event: WebhookEvent): boolean {
  return event.type === 'call.initiated' && event.direction === 'incoming';
}

/**
 * The stream that every call is answered with. What is sent on it is what the server would send without being told:
 * the address's query before its plugin before `outboundMode` and `outboundCodec`; else PCMU. The token is the server's own.
 * @throws SidetoneError SIDETONE_BAD_OPTION what the checker finds, except that an address may be unencrypted or private
 */
export function answerStream(
  options: ResolvedOptions,
  plugins: readonly AnsweringPlugin[],
): StreamingStartBody {
  const { streamUrl, track, inboundEncoding, customParameters } = options.answer!;
  const url = URL.canParse(streamUrl) ? new URL(streamUrl) : undefined;
  const wanted: OutboundOptions = {
    ...options.outboundCodec,
    ...(url && route(plugins, url.pathname)?.outbound),
    ...(url && queryOutbound(url.searchParams)),
  };
  const { mode = options.outboundMode, encoding = 'PCMU', sampleRate } = wanted;
  const hasRates = encoding === 'L16' || encoding === 'OPUS';
  const hasRate =
    hasRates && sampleRate !== undefined && CODECS[encoding].announcedRates.includes(sampleRate);
  const request = {
    url: streamUrl,
    local: true,
    outbound: mode === 'mp3' ? { mode } : { mode, encoding, ...(hasRate && { sampleRate }) },
    track,
    inboundEncoding,
    customParameters,
    authToken: tokenOf(options.authToken),
  };
  // Options have no types that exclude an L16 of 8 kHz; the builder does, by checking what it has built.
  return buildStreamingStart(request as StreamingStartRequest);
}

function tokenOf(authToken: ResolvedOptions['authToken']): string | undefined {
  if (!Array.isArray(authToken)) return authToken;
  const free = authToken.find(entry => typeof entry === 'string');
  if (free === undefined) {
    const problem = 'all tokens are bound to calls: add one that is not, for calls that are answered';
    throw new SidetoneError('SIDETONE_BAD_OPTION', `answer: authToken: ${problem}`);
  }
  return free;
}
