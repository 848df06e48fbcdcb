/**
 * What a plugin is: a module whose default export is `definePlugin({ … })`. A plugin makes one handler a stream; the
 * handler hears PCM and plays PCM.
 */

import type { OutboundOptions } from '../formats.js';
import type { Logger } from '../log/log.js';
import type { Track } from '../telnyx/frames.js';
import type { CallEvent, WebhookEvent } from '../telnyx/webhooks.js';
import type { Conference, ConferenceOptions } from './conference.js';
import type { Isolation } from './isolation.js';
import type { PluginMetrics } from './metrics.js';
import type { OptionsSchema } from './options.js';
import type { SpeechEnd, SpeechStart, VadOptions } from './speech.js';
import type { AudioFrame, PlayedFrame, Stream, StreamRequest } from './stream.js';

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
 * there are methods that need the audio is settled when `onStart` returns: without any, frames are put in order and counted,
 * and not decoded. A method named `on…` that is not one of these is refused, because it would never be called.
 */
// biome-ignore lint/suspicious/noExplicitAny: where handlers are listed, one of any context fits
export interface StreamHandler<Context = any> {
  /**
   * A frame, in order, losses concealed. It and its samples are valid during the call; `frame.copy()` keeps
   * them.
   */
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
  onResume?(stream: Stream<Context>): unknown;
  /** Runs exactly once, last; only `onCall` may come later. */
  onStop?(reason: StopReason): unknown;
  /** Somebody has begun to speak; told before the frame that shows it is heard. Needs `audio: { vad }`. */
  onSpeech?(start: SpeechStart): unknown;
  /** And has been silent for `vad.hangoverMs`. At the stream's end onStop is told, and this is not. */
  onSilence?(end: SpeechEnd): unknown;
}

/** What a handler hears, and at which rate. */
export interface AudioOptions {
  /** Rate at which the handler hears and, unless it says otherwise, plays, in Hz. Default: the inbound codec's. */
  sampleRate?: number;
  /** Which tracks the handler hears. Default: inbound. */
  tracks?: Track | 'both';
  /** Voice activity: `onSpeech`, `onSilence` and `frame.speech`, of each track that is heard. Default: not looked for. */
  vad?: boolean | VadOptions;
  /**
   * Where `onDtmf` has its keys from: `events` are Telnyx's own; `inband` adds those that come as tones in the audio, each
   * key once. Default: events.
   */
  dtmf?: 'events' | 'inband';
}

/** What `accept()` says of a stream that it lets in. */
export interface AcceptResult<Context = unknown> {
  /** Anything: `stream.context` in `onStart` and later. */
  context?: Context;
  /** In place of the plugin's `audio`. */
  audio?: AudioOptions;
  /** In place of the plugin's `outbound`. */
  outbound?: OutboundOptions;
}

/** What `accept()` may return: where a stream must have a context, `true` is not enough. */
export type Accepted<Context> =
  | false
  | ([undefined] extends [Context]
      ? true | AcceptResult<Context>
      : AcceptResult<Context> & { context: Context });

/** What a plugin has in each thread that carries its streams, from `setup` on. */
export interface SetupContext<Options = unknown> {
  /** Its name: that of its entry in the option `plugins`, or its own. */
  readonly name: string;
  /** Its options as its schema gives them; undefined for a plugin without a schema. */
  readonly options: Options;
  /** The server's log, at its level; each line has the field `plugin`. */
  readonly log: Logger;
  /** The plugin's own metrics, on the admin port under `/metrics`. */
  readonly metrics: PluginMetrics;
  /**
   * Aborted at the plugin's end in this thread, just before `teardown`: when its last call is over and its `onStop` has
   * finished. The server's drain alone does not abort it, because calls go on then.
   */
  readonly signal: AbortSignal;
  /** Number of the thread's reactor, from 0; undefined in the main thread of a server with several. */
  readonly reactor: number | undefined;
  /**
   * The conference of this name, which is one in the whole server: streams of all threads and plugins meet in it. It is
   * there as long as somebody is in it.
   * @param name 1 to 200 characters
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for a wrong name or option; where the thread carries no streams
   */
  conference(name: string, options?: ConferenceOptions): Conference;
}

/** The same after `setup`. */
export interface PluginContext<Options = unknown, State = unknown> extends SetupContext<Options> {
  /** What `setup` returned, or what its promise resolved with. */
  readonly state: State;
}

/**
 * A plugin. `Options` are its options after its schema, `State` is what its `setup` gives, `Context` what its `accept` gives
 * for a stream. `definePlugin` infers all three, where `options` and `setup` stand before the methods that use them.
 */
// biome-ignore-start lint/suspicious/noExplicitAny: where plugins are listed, one of any options fits
export interface Plugin<Options = any, State = any, Context = any> {
  // biome-ignore-end lint/suspicious/noExplicitAny: the same
  /** Also its name on the command line and in metrics. */
  name: string;
  /** Path of the stream_url it answers. Default: `/name`; a server's only plugin answers every path. */
  path?: string | undefined;
  /**
   * The schema of its options: anything with the Standard Schema interface, such as a schema of zod, valibot or arktype.
   * Options are validated once, at the server's start. A plugin without a schema takes no options.
   */
  options?: OptionsSchema<Options> | undefined;
  /** What its handlers hear. Default: the inbound track, at the rate of its codec. */
  audio?: AudioOptions | undefined;
  /** What it sends. Default: what Telnyx was told, else what comes in. */
  outbound?: OutboundOptions | undefined;
  /**
   * How late its live audio may be, in ms: 100 to 60000, or 0 for as late as it comes. Default: the server's. Frames
   * that are played (`stream.play(frame)`) are live. With this option an `Int16Array` is live too, where it is played
   * inside `onAudio` and is no longer than the frame.
   */
  liveLatencyMaxMs?: number | undefined;
  /**
   * Where its code runs. `reactor`: in the thread that carries its streams, where it must never block. `thread`: in threads of
   * its own, where what blocks harms its own calls only (docs/isolation.md). Default: the option `isolation`.
   */
  isolation?: Isolation | undefined;
  /**
   * Called once in every thread that carries streams, or in every thread of the plugin's own, before the server listens; with several reactors also in the main
   * thread, where the server takes webhooks and the plugin has `onWebhook`. What it returns is `context.state`. Where it
   * throws, rejects or takes longer than `setupTimeoutMs`, the server does not start; a reload keeps the old code.
   */
  setup?(context: SetupContext<Options>): State | Promise<State>;
  /**
   * Judges an upgrade: false refuses it with 403; an object refines audio and outbound for this stream, and hands a
   * `context` on to it. May be async and take up to 10 s: no audio is lost, because Telnyx sends none before it is let in.
   */
  accept?(
    request: StreamRequest,
    context: PluginContext<Options, State>,
  ): Accepted<Context> | Promise<Accepted<Context>>;
  /** Called at `start`; the handler it returns hears the stream. Without one the stream is put in order and counted. */
  onStart(
    stream: Stream<Context>,
    context: PluginContext<Options, State>,
    // biome-ignore lint/suspicious/noConfusingVoidType: a plugin that only plays has no return statement
  ): StreamHandler<Context> | undefined | void;
  /**
   * Told of every webhook event of the account's calls that this server takes (option `webhooks`), once, whatever
   * call it is: `event.callControlId` is a stream's `call.callControlId`. With one reactor it is told in the thread
   * of the streams. With several, each reactor has its own instance, and the one whose reactor has or had the call's
   * last stream is told. Where no reactor had one (`call.initiated`, `streaming.failed`), an instance without streams
   * is told in the main thread. May be async; a throw or rejection is logged and counted, and harms nothing else.
   * Telnyx has had its reply by then.
   */
  onWebhook?(event: WebhookEvent, context: PluginContext<Options, State>): unknown;
  /**
   * The server has begun to drain: it takes no new streams, and closes those that still run at `deadline`. Called once in
   * every thread that carries streams. May be async; a throw or rejection is logged and counted, and harms nothing else.
   *
   * ```ts
   * onDraining: () => { for (const call of calls) call.sayGoodbye(); }
   * ```
   */
  onDraining?(deadline: Date, context: PluginContext<Options, State>): unknown;
  /**
   * Called once for each `setup` that has succeeded: at the server's close, and after a reload when the last call of the old
   * code is over. It may take 4 s. A throw or rejection is logged and counted.
   */
  teardown?(context: PluginContext<Options, State>): unknown;
}
