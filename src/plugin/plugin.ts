/**
 * What a plugin is: a module whose default export is `definePlugin({ … })`. A plugin makes one handler a stream; the
 * handler hears PCM and plays PCM.
 */

import { SidetoneError, shown } from '../errors.js';
import { CODECS, ENCODINGS, isEncoding, type OutboundOptions, SAMPLE_RATES } from '../formats.js';
import { isLiveBound, LIVE_BOUND_REMEDY } from '../options/live-bound.js';
import { likely } from '../telnyx/check/suggest.js';
import type { Track } from '../telnyx/frames.js';
import type { WebhookEvent } from '../telnyx/webhooks.js';
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
  /** Runs exactly once, last. */
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
}

// The compiler keeps both tables whole: what an interface has and its table has not is an error, and the reverse.
const HANDLER_METHODS: Record<keyof StreamHandler, true> = {
  onAudio: true,
  onDtmf: true,
  onPlayed: true,
  onMark: true,
  onError: true,
  onStop: true,
};
const PLUGIN_FIELDS: Record<keyof Plugin, true> = {
  name: true,
  path: true,
  audio: true,
  outbound: true,
  liveLatencyMaxMs: true,
  accept: true,
  onStart: true,
  onWebhook: true,
};

/** Every name that `object` answers to, its classes' methods among them, without looking at a value. */
function* namesOf(object: object): Generator<string> {
  for (let at: object | null = object; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    yield* Object.getOwnPropertyNames(at);
  }
}

const isEventName = (name: string): boolean => /^on[A-Z]/.test(name);

/** What to do about a name that nobody knows. */
function remedyFor(name: string, known: object, elsewhere: object, where: string): string {
  if (Object.hasOwn(elsewhere, name)) return where;
  const names = Object.keys(known);
  const meant = likely(name, names);
  return meant === undefined ? `use one of ${names.join(', ')}` : `did you mean ${meant}?`;
}

/**
 * Checks what onStart returned, a handler or nothing, and gives it.
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID
 */
export function checkHandler(plugin: Plugin, handler: unknown): StreamHandler | undefined {
  const fail = (problem: string): never => {
    throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `plugin ${plugin.name}: ${problem}`);
  };
  if (handler === undefined || handler === null) return undefined;
  if (handler instanceof Promise) {
    fail('onStart returned a promise: return the handler and start what is asynchronous inside it');
  }
  if (typeof handler !== 'object') fail(`onStart returned ${shown(handler)}: return a handler or undefined`);
  for (const name of namesOf(handler)) {
    if (!isEventName(name) || Object.hasOwn(HANDLER_METHODS, name)) continue;
    const remedy = remedyFor(name, HANDLER_METHODS, PLUGIN_FIELDS, 'it belongs to the plugin itself');
    fail(`handler's ${name}: there is no such event: ${remedy}`);
  }
  for (const name of Object.keys(HANDLER_METHODS)) {
    const method = (handler as Record<string, unknown>)[name];
    if (method !== undefined && typeof method !== 'function') {
      fail(`handler's ${name}: ${shown(method)}: give a function, or leave it out`);
    }
  }
  return handler;
}

/**
 * Checks what a plugin, or its accept(), asks of its streams' audio. `where` stands before the field in messages.
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID
 */
export function checkFormats({ audio, outbound }: AcceptResult, where = 'plugin '): void {
  const check = (ok: boolean, field: string, value: unknown, remedy: string): void => {
    if (!ok) {
      throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `${where}${field}: ${shown(value)}: ${remedy}`);
    }
  };
  const isOptionalObject = (value: unknown): boolean =>
    value === undefined ||
    (typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value));
  check(isOptionalObject(audio), 'audio', audio, 'give { sampleRate, tracks }');
  check(isOptionalObject(outbound), 'outbound', outbound, 'give { mode, encoding, sampleRate }');
  const { sampleRate, tracks } = audio ?? {};
  const rates: readonly unknown[] = SAMPLE_RATES;
  check(
    sampleRate === undefined || rates.includes(sampleRate),
    'audio.sampleRate',
    sampleRate,
    `use one of ${rates.join(', ')} Hz`,
  );
  check(
    tracks === undefined || ['inbound', 'outbound', 'both'].includes(tracks),
    'audio.tracks',
    tracks,
    'use inbound, outbound or both',
  );
  const { mode, encoding, sampleRate: outboundRate } = outbound ?? {};
  check(
    mode === undefined || mode === 'rtp' || mode === 'mp3',
    'outbound.mode',
    mode,
    'use rtp or mp3, as stream_bidirectional_mode says',
  );
  check(
    encoding === undefined || isEncoding(encoding),
    'outbound.encoding',
    encoding,
    `use one of ${ENCODINGS.join(', ')}`,
  );
  const announced = encoding === undefined ? CODECS.L16.announcedRates : CODECS[encoding].announcedRates;
  check(
    outboundRate === undefined || announced.includes(outboundRate),
    'outbound.sampleRate',
    outboundRate,
    `use one of ${announced.join(', ')} Hz`,
  );
}

/**
 * Checks a plugin and returns it.
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID naming the field, the value and the remedy
 */
export function definePlugin(plugin: Plugin): Plugin {
  const fail = (field: string, value: unknown, remedy: string): never => {
    throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `plugin ${field}: ${shown(value)}: ${remedy}`);
  };
  if (typeof plugin !== 'object' || plugin === null)
    fail('definition', plugin, 'pass an object to definePlugin');
  if (typeof plugin.name !== 'string' || !/^[\w.-]{1,64}$/.test(plugin.name)) {
    fail('name', plugin.name, 'give it 1 to 64 letters, digits, dots, dashes or underscores');
  }
  if (plugin.path !== undefined && (typeof plugin.path !== 'string' || !plugin.path.startsWith('/'))) {
    fail('path', plugin.path, 'start it with a slash');
  }
  if (typeof plugin.onStart !== 'function')
    fail('onStart', plugin.onStart, 'give a function (stream) => handler');
  if (plugin.accept !== undefined && typeof plugin.accept !== 'function') {
    fail('accept', plugin.accept, 'give a function (request) => boolean or options');
  }
  if (plugin.onWebhook !== undefined && typeof plugin.onWebhook !== 'function') {
    fail('onWebhook', plugin.onWebhook, 'give a function (event) => {}');
  }
  if (plugin.liveLatencyMaxMs !== undefined && !isLiveBound(plugin.liveLatencyMaxMs)) {
    fail('liveLatencyMaxMs', plugin.liveLatencyMaxMs, LIVE_BOUND_REMEDY);
  }
  // What is written out is known whole; a class may keep fields of its own, but none that looks like an event.
  const isLiteral = Object.getPrototypeOf(plugin) === Object.prototype;
  for (const name of namesOf(plugin)) {
    if (Object.hasOwn(PLUGIN_FIELDS, name) || !(isLiteral || isEventName(name))) continue;
    const where = 'it belongs to the handler that onStart returns';
    const remedy = remedyFor(name, PLUGIN_FIELDS, HANDLER_METHODS, where);
    throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `plugin ${name}: there is no such field: ${remedy}`);
  }
  checkFormats(plugin);
  return plugin;
}
