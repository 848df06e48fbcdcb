/**
 * The HTTP side of webhooks: collects the raw bytes of one POST, has them judged, answers. Every request is the last of
 * its connection, as every other one that does not become a WebSocket.
 */
import { STATUS_CODES } from 'node:http';
import type { UWebSockets } from '../native/uws.js';
import type { Reactor } from '../reactor/reactor.js';
import { SIGNATURE_HEADER, TIMESTAMP_HEADER, type WebhookReply } from '../telnyx/webhooks.js';

/** The headers that a judge needs, by lower-case name. */
export type WebhookHeaders = Readonly<Record<string, string | undefined>>;
export type WebhookJudge = (
  headers: WebhookHeaders,
  body: Uint8Array,
) => Pick<WebhookReply, 'status' | 'body'> | Promise<Pick<WebhookReply, 'status' | 'body'>>;

/** The longest body, as for createWebhookHandler. Telnyx's bodies have a few KB. */
const BODY_BYTES_MAX = 262_144;
/** The bytes of all bodies that are being received in one thread: 64 of the largest, or 4,000 of 4 KB. */
const BODIES_BYTES_MAX = 64 * BODY_BYTES_MAX;
/** The time from the headers to the last byte. Bytes that trickle in do not prolong it. */
const BODY_MAX_MS = 10_000;
/** The time from the last byte to the judgement. Only a main thread that is held by something else takes this long. */
const JUDGE_MAX_MS = 5_000;

export class WebhookRoute {
  /** The bytes of all bodies that are being received. */
  #bytes = 0;

  constructor(
    private readonly reactor: Pick<Reactor, 'clock' | 'count'>,
    private readonly judge: WebhookJudge,
  ) {}

  take(response: UWebSockets.HttpResponse, request: UWebSockets.HttpRequest): void {
    const { reactor } = this;
    const header = (name: string): string | undefined => request.getHeader(name) || undefined;
    // The request is gone when this returns, the bytes of a part when its callback does.
    const headers: WebhookHeaders = {
      [SIGNATURE_HEADER]: header(SIGNATURE_HEADER),
      [TIMESTAMP_HEADER]: header(TIMESTAMP_HEADER),
    };
    const parts: Buffer[] = [];
    let bytes = 0;
    let over = false;
    const finish = (): void => {
      over = true;
      cancel();
      this.#bytes -= bytes;
      parts.length = 0;
    };
    const answer = (status: number, body: string): void => {
      if (over) return;
      finish();
      response.cork(() => {
        response.writeStatus(`${status} ${STATUS_CODES[status]}`);
        response.writeHeader('content-type', 'application/json').writeHeader('connection', 'close');
        response.end(body, true);
      });
    };
    const refuse = (counter: Parameters<Reactor['count']>[0], status: number, error: string): void => {
      reactor.count(counter);
      answer(status, JSON.stringify({ error }));
    };
    let cancel = reactor.clock.after(BODY_MAX_MS, () => refuse('webhooksUnfinished', 408, 'too_slow'));
    const unjudged = (): void => refuse('webhooksUnjudged', 503, 'not_now');
    response.onAborted(() => {
      if (over) return;
      reactor.count('webhooksAborted');
      finish();
    });
    response.onData((part, isLast) => {
      if (over) return;
      bytes += part.byteLength;
      this.#bytes += part.byteLength;
      if (bytes > BODY_BYTES_MAX) refuse('webhooksTooLarge', 413, 'too_large');
      else if (this.#bytes > BODIES_BYTES_MAX) refuse('webhooksOverflow', 503, 'too_many');
      else parts.push(Buffer.from(part.slice(0)));
      if (!isLast || over) return;
      cancel();
      try {
        const reply = this.judge(headers, Buffer.concat(parts));
        if (reply instanceof Promise) {
          cancel = reactor.clock.after(JUDGE_MAX_MS, unjudged);
          reply.then(({ status, body }) => answer(status, body), unjudged);
        } else answer(reply.status, reply.body);
      } catch {
        unjudged();
      }
    });
  }
}
