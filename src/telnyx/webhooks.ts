/**
 * Webhooks of Telnyx's Call Control: signature, age and repetition are judged on the raw bytes, before anything in them is
 * read. A pure function over headers and bytes; the HTTP server around it is another's.
 */
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { SidetoneError } from '../errors.js';
import { readEvent, type WebhookEvent } from './events.js';

export type * from './events.js';

/** What became of a delivery; stable, fit for a metric's label. */
export const WEBHOOK_OUTCOMES = [
  'accepted',
  /** The same event in another delivery: answered with 200 and not told again. */
  'duplicate',
  'too_large',
  'no_signature',
  'bad_timestamp',
  'stale',
  'bad_signature',
  'replayed',
  /** Signed, and neither JSON nor a form: answered with 200, for it is genuine, and would not be sent again anyway. */
  'bad_body',
  /** `takes` said no: answered with 503, so that it is sent again. */
  'not_now',
] as const;
/** What became of a delivery. */
export type WebhookOutcome = (typeof WEBHOOK_OUTCOMES)[number];

/** What to answer to a delivery. */
export interface WebhookReply {
  /** HTTP status. */
  status: number;
  /** JSON text. */
  body: string;
  /** Why. */
  outcome: WebhookOutcome;
}

/** What `createWebhookHandler()` takes. */
export interface WebhookOptions {
  /** The account's public key from the portal: base64 of 32 bytes (Ed25519, RFC 8032). */
  publicKey: string;
  /** Wall clock in milliseconds since 1970. Default Date.now. */
  now?: () => number;
  /** Told of every event once; runs after the reply is decided, so that Telnyx never waits for it. */
  onEvent: (event: WebhookEvent) => void | Promise<void>;
  /** Answers calls: made by `createAnswerer()`. Runs before `onEvent`. */
  answer?: (event: WebhookEvent) => void | Promise<void>;
  /** Whether the event can be taken now. Telnyx sends again what is answered with 503; a 4xx it takes as final. */
  takes?: (event: WebhookEvent) => boolean;
  /** Told when `onEvent` or `answer` throws or rejects. */
  onError?: (error: unknown, event: WebhookEvent) => void;
  /** How far a timestamp may be from now, either way. Default 300, Telnyx's own. */
  windowSeconds?: number;
  /** Default 262,144. */
  bodyBytesMax?: number;
  /**
   * How many signatures and as many event ids are remembered. Default 50,000: at about 200 bytes each, 20 MB, and 80 events
   * a second for the 600 s in which a signature counts. When full the oldest goes.
   */
  seenMax?: number;
}

/** Judges deliveries; its fields count them. */
export interface WebhookHandler {
  /** `headers` by lower-case name, as Node and uWebSockets.js give them; `body` is the raw bytes. Never throws. */
  (headers: Readonly<Record<string, string | string[] | undefined>>, body: Uint8Array): WebhookReply;
  /** Deliveries by outcome. */
  readonly counts: Readonly<Record<WebhookOutcome, number>>;
  /** Calls of `onEvent` and `answer` that failed. */
  readonly failures: number;
}

export const SIGNATURE_HEADER = 'telnyx-signature-ed25519';
export const TIMESTAMP_HEADER = 'telnyx-timestamp';

/** Base64 of the 64 bytes of an Ed25519 signature. */
const SIGNATURE = /^[A-Za-z0-9+/]{86}==$/;
const WINDOW_SECONDS = 300;
const BODY_BYTES_MAX = 262_144;
const SEEN_MAX = 50_000;

const STATUS: Readonly<Record<WebhookOutcome, number>> = {
  accepted: 200,
  duplicate: 200,
  too_large: 413,
  no_signature: 401,
  bad_timestamp: 401,
  stale: 401,
  bad_signature: 401,
  replayed: 409,
  bad_body: 200,
  not_now: 503,
};

/** Keys seen within the last `keptMs`; bounded. */
class Seen {
  readonly #atMs = new Map<string, number>();
  readonly #keptMs: number;
  readonly #max: number;
  constructor(keptMs: number, max: number) {
    this.#keptMs = keptMs;
    this.#max = max;
  }
  has(key: string, nowMs: number): boolean {
    for (const [oldest, atMs] of this.#atMs) {
      if (nowMs - atMs <= this.#keptMs) break;
      this.#atMs.delete(oldest);
    }
    return this.#atMs.has(key);
  }
  add(key: string, nowMs: number): void {
    if (this.#atMs.size >= this.#max) this.#atMs.delete(this.#atMs.keys().next().value as string);
    this.#atMs.set(key, nowMs);
  }
}

function readPublicKey(base64: string): KeyObject {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length !== 32) {
    const message = `webhook public key decodes to ${bytes.length} bytes: give the base64 text from the portal (Keys & Credentials, Public Key), 32 bytes`;
    throw new SidetoneError('SIDETONE_BAD_OPTION', message);
  }
  const x = bytes.toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
}

/**
 * Makes the handler of `POST /telnyx/webhooks`. In this order: size, headers, the window, the signature over
 * `timestamp|body`, a replay of the same signature; only then is the body read.
 * @throws SIDETONE_BAD_OPTION when the public key is none.
 */
export function createWebhookHandler(options: WebhookOptions): WebhookHandler {
  const key = readPublicKey(options.publicKey);
  const now = options.now ?? Date.now;
  const windowMs = (options.windowSeconds ?? WINDOW_SECONDS) * 1000;
  const bodyBytesMax = options.bodyBytesMax ?? BODY_BYTES_MAX;
  // A timestamp may lie one window ahead and stay valid until one window after it.
  const signatures = new Seen(2 * windowMs, options.seenMax ?? SEEN_MAX);
  const ids = new Seen(2 * windowMs, options.seenMax ?? SEEN_MAX);
  const counts = Object.fromEntries(WEBHOOK_OUTCOMES.map(outcome => [outcome, 0])) as Record<
    WebhookOutcome,
    number
  >;
  let failures = 0;

  /** Runs what the event sets off. Telnyx has its 200 by then, so a failure is the application's to mend. */
  async function tell(event: WebhookEvent): Promise<void> {
    for (const listener of [options.answer, options.onEvent]) {
      try {
        await listener?.(event);
      } catch (error) {
        failures++;
        options.onError?.(error, event);
      }
    }
  }

  function judge(
    headers: Readonly<Record<string, string | string[] | undefined>>,
    body: Uint8Array,
  ): WebhookOutcome {
    if (body.byteLength > bodyBytesMax) return 'too_large';
    const signatureText = headers[SIGNATURE_HEADER];
    const timestamp = headers[TIMESTAMP_HEADER];
    if (typeof signatureText !== 'string' || typeof timestamp !== 'string') return 'no_signature';
    if (!/^[0-9]{1,12}$/.test(timestamp)) return 'bad_timestamp';
    const nowMs = now();
    if (Math.abs(nowMs - Number(timestamp) * 1000) > windowMs) return 'stale';
    if (!SIGNATURE.test(signatureText)) return 'bad_signature';
    const signature = Buffer.from(signatureText, 'base64');
    if (!verify(null, Buffer.concat([Buffer.from(`${timestamp}|`), body]), key, signature))
      return 'bad_signature';
    // The bytes, not the text: the last letter of base64 can be written in more than one way.
    const seenAs = signature.toString('latin1');
    if (signatures.has(seenAs, nowMs)) return 'replayed';
    const event = readEvent(body);
    const isKnown = event !== undefined && ids.has(event.id, nowMs);
    // Neither the signature nor the event counts as seen: this very delivery may come again.
    if (event && !isKnown && options.takes?.(event) === false) return 'not_now';
    signatures.add(seenAs, nowMs);
    if (!event) return 'bad_body';
    if (isKnown) return 'duplicate';
    ids.add(event.id, nowMs);
    setImmediate(() => void tell(event));
    return 'accepted';
  }

  const handler = (
    headers: Readonly<Record<string, string | string[] | undefined>>,
    body: Uint8Array,
  ): WebhookReply => {
    const outcome = judge(headers, body);
    counts[outcome]++;
    const status = STATUS[outcome];
    return { status, body: JSON.stringify(status === 200 ? { ok: true } : { error: outcome }), outcome };
  };
  return Object.defineProperties(handler, {
    counts: { value: counts },
    failures: { get: () => failures },
  }) as WebhookHandler;
}
