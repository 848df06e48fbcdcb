/** Answers incoming calls with a stream: what `--answer` does, and what `createWebhookHandler({ answer })` takes. */

import { FIELDS } from './check/fields.js';
import type { StreamingStartBody } from './requests.js';
import { answerCall, startStreaming, type TelnyxOptions } from './rest.js';
import type { CallInitiatedEvent, WebhookEvent } from './webhooks.js';

/** How `createAnswerer()` answers calls. */
export interface AnswererOptions {
  /** The stream of every call; or of this one, undefined to leave it ringing. Made with `buildStreamingStart()`. */
  stream: StreamingStartBody | ((call: CallInitiatedEvent) => StreamingStartBody | undefined);
  /** How its commands get to Telnyx. */
  telnyx?: TelnyxOptions;
  /** Calls that were answered and whose stream is yet to be started. Default 10,000; when full the oldest goes. */
  pendingMax?: number;
}

const PENDING_MAX = 10_000;

/**
 * Makes a function to be given every webhook event. An incoming call is answered and its stream started:
 * - in one command, where `answer` has all fields of the stream and the server in this process knows what was asked for
 *   (`telnyx.expectations`);
 * - else in two, `answer` and, once the call is up (`call.answered`), `streaming_start`: the only way to send a token, a
 *   sampling rate or custom parameters.
 * The webhook event's id is the command_id, so a repeated delivery does nothing. Rejects as the commands do.
 */
export function createAnswerer(options: AnswererOptions): (event: WebhookEvent) => Promise<void> {
  const pending = new Map<string, StreamingStartBody>();
  const telnyx = options.telnyx ?? {};

  async function answer(call: CallInitiatedEvent): Promise<void> {
    const stream = typeof options.stream === 'function' ? options.stream(call) : options.stream;
    if (!stream) return;
    const { callControlId, id } = call;
    const isWhole = Object.keys(stream).every(field => FIELDS.answer[field]);
    if (isWhole && telnyx.expectations) {
      await answerCall(callControlId, { ...stream, command_id: id }, telnyx);
      return;
    }
    if (pending.size >= (options.pendingMax ?? PENDING_MAX)) {
      pending.delete(pending.keys().next().value as string);
    }
    // Before the command: the call may be up before its answer is read.
    pending.set(callControlId, stream);
    try {
      await answerCall(callControlId, { command_id: id }, telnyx);
    } catch (error) {
      pending.delete(callControlId);
      throw error;
    }
  }

  return async event => {
    if (event.type === 'call.initiated') {
      if (event.direction === 'incoming') await answer(event);
    } else if (event.type === 'call.answered') {
      const stream = pending.get(event.callControlId);
      if (!stream) return;
      pending.delete(event.callControlId);
      await startStreaming(event.callControlId, { ...stream, command_id: event.id }, telnyx);
    } else if (event.type === 'call.hangup') {
      pending.delete(event.callControlId);
      telnyx.expectations?.forget(event.callControlId);
    }
  };
}
