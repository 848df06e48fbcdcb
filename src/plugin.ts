/**
 * What a plugin is: a module whose default export is `definePlugin({ … })`. A plugin makes one handler a stream; the
 * handler hears PCM and plays PCM.
 */
import { CODECS, ENCODINGS, type Encoding, isEncoding, SAMPLE_RATES } from './codec.js';
import { SidetoneError, shown } from './errors.js';
import { isLiveBound, LIVE_BOUND_REMEDY } from './live.js';
import type { Stream } from './stream.js';
import type { StartFrame, Track } from './telnyx/frames.js';
import type { WebhookEvent } from './telnyx/webhooks.js';

/** One frame of PCM, mono, at the rate the plugin asked for. In order, with losses concealed. */
export interface AudioFrame {
  /** Valid during the callback only: the same memory holds the next frame. `copy()` keeps it. */
  readonly samples: Int16Array;
  /** In Hz. */
  readonly sampleRate: number;
  readonly track: Track;
  /** Where the frame's first sample stands on its stream's time axis, in ms since the first audio of the stream. */
  readonly timestampMs: number;
  /** Made up for audio that was lost. */
  readonly concealed: boolean;
  /** The samples in memory of their own. */
  copy(): Int16Array;
}

/**
 * Audio that the handler played, as the caller heard it: in order, after the codec, and only what a clear did not cut
 * off. Its `timestampMs` lies on the axis of the caller's frames, below 0 for what was heard before the first of them.
 */
export type PlayedFrame = Omit<AudioFrame, 'track' | 'concealed'>;

/** What `await playback` gives. */
export interface PlaybackResult {
  /** How much of it was heard in the call, in ms of what was played: what was shortened counts in full. */
  playedMs: number;
  /** Whether `clear()`, or the end of the stream, cut it off. */
  interrupted: boolean;
}

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
  | 'server_closed';

/**
 * One stream's audio code. Every method is optional and may be async; a throw or rejection is this call's alone. Whether
 * there are `onAudio` and `onPlayed` is settled when `onStart` returns: without either, frames are put in order and counted,
 * and not decoded.
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

/** How audio is played into the call: what Telnyx was told as stream_bidirectional_mode. */
export type OutboundMode = 'rtp' | 'mp3';

export interface OutboundOptions {
  /** Default: rtp, unless the server's `outboundMode` says otherwise. In `mp3` mode encoding and rate mean nothing. */
  mode?: OutboundMode;
  /** What Telnyx was told as stream_bidirectional_codec. Default: what comes in. */
  encoding?: Encoding;
  /** What Telnyx was told as stream_bidirectional_sampling_rate, in Hz. */
  sampleRate?: number;
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
  /** Called at `start`; the handler it returns hears the stream. */
  onStart(stream: Stream): StreamHandler | undefined;
  /**
   * Told of every webhook event of the account's calls that this server takes (option `webhooks`), once, whatever call it
   * is: `event.callControlId` is a stream's `call.callControlId`. With one reactor in the thread of the streams. With
   * several in the thread that has, or had last, a stream of the event's call, and in the main thread where none did
   * (`call.initiated`, `streaming.failed`): there the plugin is another instance, without streams. May be async; a throw
   * or rejection is logged and counted, and harms nothing else. Telnyx has had its reply by then.
   */
  onWebhook?(event: WebhookEvent): unknown;
}

export type { StartFrame, Stream };

const HANDLER_METHODS = ['onAudio', 'onDtmf', 'onMark', 'onError', 'onStop'];

/**
 * Checks what onStart returned: a handler or nothing.
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID
 */
export function checkHandler(plugin: Plugin, handler: unknown): void {
  const fail = (problem: string): never => {
    throw new SidetoneError('SIDETONE_PLUGIN_INVALID', `plugin ${plugin.name}: ${problem}`);
  };
  if (handler === undefined || handler === null) return;
  if (handler instanceof Promise) {
    fail('onStart returned a promise: return the handler and start what is asynchronous inside it');
  }
  if (typeof handler !== 'object') fail(`onStart returned ${shown(handler)}: return a handler or undefined`);
  for (const name of HANDLER_METHODS) {
    const method = (handler as Record<string, unknown>)[name];
    if (method !== undefined && typeof method !== 'function') {
      fail(`handler's ${name}: ${shown(method)}: give a function, or leave it out`);
    }
  }
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
  checkFormats(plugin);
  return plugin;
}
