/**
 * What a plugin is: a module whose default export is `definePlugin({ … })`. A plugin makes one handler a stream; the
 * handler hears PCM and plays PCM.
 */

import type { OutboundOptions } from '../formats.js';
import type { Track } from '../telnyx/frames.js';
import type { CallEvent, WebhookEvent } from '../telnyx/webhooks.js';
import type { AudioFrame, PlayedFrame, Stream } from './stream.js';

/** Why a stream ended. */
export type StopReason =
  /** Telnyx sent `stop`. */
  | 'stop'
  /** The WebSocket closed without a `stop`. */
  | 'disconnected'
  /** Nothing came for the idle timeout. */
  | 'idle_timeout'
  /** Another stream of the same call took over. */
  | 'replaced'
  /** The plugin called `stream.close()`. */
  | 'closed'
  /** The plugin's own code threw or rejected. */
  | 'handler_failed'
  /** The peer broke the protocol too often, or read too slowly. */
  | 'protocol_error'
  /** The server is shutting down. */
  | 'server_closed'
  /** The codec pool could not have carried it in time. It never started, so no handler hears this. */
  | 'overloaded';

/**
 * One stream's audio code. Every method is optional and may be async; a throw or rejection is this call's alone. Whether
 * there are `onAudio` and `onPlayed` is settled when `onStart` returns: without either, frames are put in order and counted,
 * and not decoded. A method named `on…` that is not one of these is refused, because it would never be called.
 */
export interface StreamHandler {
  onAudio?(frame: AudioFrame): unknown;
  /** `at` is the telephony engine's time of the key, or the time of arrival where it gave none. */
  onDtmf?(digit: string, at: Date): unknown;
  /**
   * What the caller has heard of this handler, told when it has been heard: for recording and for echo cancellation.
   * A handler that has it pays for decoding its own audio. Not in MP3 mode.
   */
  onPlayed?(frame: PlayedFrame): unknown;
  /** A mark set with `stream.mark(name)` whose audio has been heard. Not called for marks that a clear sent back. */
  onMark?(name: string): unknown;
  /** An error frame from Telnyx, audio that had to be dropped, or a failure of this handler. */
  onError?(error: Error): unknown;
  /**
   * A webhook event of this stream's call, once its stream has started: `call.hangup` with its quality figures,
   * `call.machine.…`, `call.dtmf.received`, recordings. Wants the option `webhooks`. Events that come up to 60 s after the
   * end of the stream are told too, after `onStop`: `call.hangup` is often one of them.
   */
  onCall?(event: CallEvent): unknown;
  /**
   * The stream was dropped, and Telnyx has opened another one for the same call: from now on this handler hears and plays
   * on `stream`. A handler that has this method is kept for `resumeWindowMs` after a drop (`disconnected`,
   * `idle_timeout`); its `onStop` runs when the window has passed, or the call has been hung up. `stream.resumed` tells of
   * the gap and of what was not heard.
   */
  onResume?(stream: Stream): unknown;
  /** Runs exactly once, last; only `onCall` may come later. */
  onStop?(reason: StopReason): unknown;
}

/** An HTTP upgrade that asks for a stream. */
export interface StreamRequest {
  /** Path without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Header names in lower case; without the auth token. */
  readonly headers: Readonly<Record<string, string>>;
  readonly remoteAddress: string;
}

export interface AudioOptions {
  /** Rate at which the handler hears and, unless it says otherwise, plays, in Hz. Default: the inbound codec's. */
  sampleRate?: number;
  /** Which tracks the handler hears. Default: inbound. */
  tracks?: Track | 'both';
}

export interface AcceptResult {
  audio?: AudioOptions;
  outbound?: OutboundOptions;
}

export interface Plugin {
  /** Also its name on the command line and in metrics. */
  name: string;
  /** Path of the stream_url it answers. Default: `/name`; a server's only plugin answers every path. */
  path?: string;
  audio?: AudioOptions;
  outbound?: OutboundOptions;
  /**
   * How late its live audio may be, in ms: 100 to 60000, or 0 for as late as it comes. Default: the server's. Live are
   * frames that are played (`stream.play(frame)`), and with this option also an `Int16Array` that is played inside
   * `onAudio` and is no longer than the frame: what a handler makes of each frame.
   */
  liveLatencyMaxMs?: number;
  /** Judges an upgrade: false refuses it with 403; an object refines audio and outbound for this stream. */
  accept?(request: StreamRequest): boolean | AcceptResult | Promise<boolean | AcceptResult>;
  /** Called at `start`; the handler it returns hears the stream. Without one the stream is put in order and counted. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a plugin that only plays has no return statement
  onStart(stream: Stream): StreamHandler | undefined | void;
  /**
   * Told of every webhook event of the account's calls that this server takes (option `webhooks`), once, whatever call it
   * is: `event.callControlId` is a stream's `call.callControlId`. With one reactor in the thread of the streams. With
   * several in the thread that has, or had last, a stream of the event's call, and in the main thread where none did
   * (`call.initiated`, `streaming.failed`): there the plugin is another instance, without streams. May be async; a throw
   * or rejection is logged and counted, and harms nothing else. Telnyx has had its reply by then.
   */
  onWebhook?(event: WebhookEvent): unknown;
  /**
   * The server has begun to drain: it takes no new streams, and closes those that still run at `deadline`. Called once in
   * every thread that carries streams. May be async; a throw or rejection is logged and counted, and harms nothing else.
   *
   * ```ts
   * onDraining: () => { for (const call of calls) call.sayGoodbye(); }
   * ```
   */
  onDraining?(deadline: Date): unknown;
}
