/** What Telnyx's REST API says when it refuses, and how much of it may be asked. */
import { SidetoneError } from '../errors.js';

/** What `x-ratelimit-limit`, `-remaining` and `-reset` of an answer say. */
export interface RateLimit {
  /** Requests that may be sent in a window. */
  limit?: number;
  /** Requests that may still be sent in this one. */
  remaining?: number;
  /** Until the next one begins, in ms. */
  resetMs?: number;
}

/** What is known of a refusal. */
export interface TelnyxErrorFacts {
  /** HTTP status; undefined where no answer came. */
  status: number | undefined;
  /** Telnyx's own code, such as `90018`. */
  telnyxCode: string | undefined;
  /** Telnyx's own. */
  title: string;
  /** Telnyx's own. */
  detail: string;
  /** JSON pointer to the field that was refused. */
  pointer: string | undefined;
  /** The id that the command was sent with. */
  commandId: string;
  /** Requests sent. */
  attempts: number;
  /** Absent where the answer says nothing of it. */
  rateLimit?: RateLimit;
  /** After 429 and 503: how long to wait before sending again, in ms, as `Retry-After` or `x-ratelimit-reset` says. */
  retryAfterMs?: number;
}

/** Telnyx refused a command, or could not be reached. `code` is SIDETONE_TELNYX_ERROR. */
export class TelnyxError extends SidetoneError {
  /** Made by the commands of this library. */
  constructor(
    message: string,
    /** What is known of the refusal. */
    readonly facts: Readonly<TelnyxErrorFacts>,
  ) {
    super('SIDETONE_TELNYX_ERROR', message);
  }
}
/** 90018: the call has already ended. */
export class CallEndedError extends TelnyxError {}
/** 90046: streaming failed to start. The only code that has to do with the stream_url. */
export class StreamUrlRefusedError extends TelnyxError {}
/** 90045: the command cannot be issued while media streaming is used: a second stream, or what excludes one. */
export class StreamingInUseError extends TelnyxError {}
/** 90048: the command needs media streaming, and none is used. */
export class StreamingNotInUseError extends TelnyxError {}
/** 90015: there is no such call_control_id. */
export class UnknownCallError extends TelnyxError {}
/** 90017: client_state is not base64. */
export class ClientStateRefusedError extends TelnyxError {}
/** 90041, 90042, 90043: as many calls as the account, the outbound profile or the connection may have. */
export class ChannelLimitError extends TelnyxError {
  /** The holder of the limit. */
  get limitOf(): 'account' | 'outbound_profile' | 'connection' {
    const { telnyxCode } = this.facts;
    return telnyxCode === '90041' ? 'account' : telnyxCode === '90042' ? 'outbound_profile' : 'connection';
  }
}
/** 401 and 403: the API key is wrong, or may not do this. */
export class ApiKeyRefusedError extends TelnyxError {}
/** 429, after all retries. */
export class RateLimitedError extends TelnyxError {}
/** 5xx, after all retries. */
export class TelnyxUnavailableError extends TelnyxError {}
/** No answer: the connection failed or took too long. Not sent again, for the command may have been carried out. */
export class TelnyxUnreachableError extends TelnyxError {}

export type ErrorClass = typeof TelnyxError;
const BY_CODE: Readonly<Record<string, [ErrorClass, string]>> = {
  '90018': [CallEndedError, 'the call is over: no command reaches it'],
  '90015': [UnknownCallError, 'copy the call_control_id from the webhook or from the answer to dial'],
  '90017': [
    ClientStateRefusedError,
    "give client_state as base64 with padding: Buffer.from(text).toString('base64')",
  ],
  '90041': [
    ChannelLimitError,
    'the account has as many calls as it may: wait for one to end, or have the limit raised',
  ],
  '90042': [
    ChannelLimitError,
    "the outbound voice profile has as many calls as it may: wait for one to end, or raise the profile's channel limit",
  ],
  '90043': [
    ChannelLimitError,
    "the connection has as many calls as it may: wait for one to end, or raise the connection's channel limit",
  ],
  '90045': [
    StreamingInUseError,
    'this call is streamed already: send streaming_stop first, or keep the stream that runs',
  ],
  '90046': [
    StreamUrlRefusedError,
    'streaming failed to start: stream_url must be a wss:// address that the internet reaches, with a valid certificate, and whose server takes the upgrade',
  ],
  '90048': [StreamingNotInUseError, 'this call is not streamed: send streaming_start first'],
};

export function classOf(
  status: number | undefined,
  code: string | undefined,
  commandId: string,
  retryAfterMs: number | undefined,
): [ErrorClass, string] {
  const again = `send it again with command_id ${commandId}: Telnyx carries it out once`;
  const wait = retryAfterMs === undefined ? 'wait' : `wait ${Math.ceil(retryAfterMs / 1000)} s`;
  const known = code !== undefined && Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
  if (known) return known;
  if (status === undefined) return [TelnyxUnreachableError, again];
  if (status === 401 || status === 403) return [ApiKeyRefusedError, 'check the API key and what it may do'];
  if (status === 429) return [RateLimitedError, `${wait}, then ${again}`];
  if (status >= 500) return [TelnyxUnavailableError, again];
  return [TelnyxError, 'correct the request'];
}

/** A header that is a number from 0 on, or begins with one as RFC drafts of rate limits write them (`50, 50;w=1`). */
function headerNumber(headers: Headers | undefined, name: string): number | undefined {
  const digits = /^\s*([0-9]+(?:\.[0-9]+)?)(?:\s*[,;]|\s*$)/.exec(headers?.get(name) ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

export function rateLimitOf(headers: Headers | undefined): RateLimit | undefined {
  const limit = headerNumber(headers, 'x-ratelimit-limit');
  const remaining = headerNumber(headers, 'x-ratelimit-remaining');
  const resetSeconds = headerNumber(headers, 'x-ratelimit-reset');
  if (limit === undefined && remaining === undefined && resetSeconds === undefined) return undefined;
  return {
    ...(limit !== undefined && { limit }),
    ...(remaining !== undefined && { remaining }),
    ...(resetSeconds !== undefined && { resetMs: resetSeconds * 1000 }),
  };
}

/** How long the other side asks to wait; undefined where it does not say. */
export function askedPauseMs(headers: Headers | undefined): number | undefined {
  const seconds = headerNumber(headers, 'retry-after') ?? headerNumber(headers, 'x-ratelimit-reset');
  return seconds === undefined ? undefined : seconds * 1000;
}
