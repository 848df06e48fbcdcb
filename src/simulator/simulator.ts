import { randomInt } from 'node:crypto';
import { type Clock, systemClock } from '../clock.js';
import { createDecoder, createEncoder, resample } from '../codecs/create.js';
import { ENCODINGS, isEncoding } from '../formats.js';
import { isPlainObject } from '../objects.js';
import type { SimulatedCall } from './call.js';
import { type ApplicationEnd, type LinkOptions, pairCall } from './memory.js';
import { type CallOptions, check, checkSeed } from './options.js';
import { Random } from './random.js';
import type { CallResult } from './result.js';
import { placeCall, type SocketOptions } from './socket.js';
import {
  type CodecFactory,
  encodeSpeech,
  type Pcm,
  renderHeard,
  type SpeechFormat,
  type SpokenOptions,
} from './speech.js';

/** What all calls of a simulator share. */
export interface SimulatorOptions {
  /** Default: the system's monotonic clock. With a virtual one, use `pair`. */
  clock?: Clock;
  /** Every call's seed follows from it and from the call's place in the order of calls. Default: random. */
  seed?: number;
  /** For `speech` and `render`. Default: this package's own. Codecs of another make test the listener independently. */
  codecs?: CodecFactory;
  /** Wall-clock time, in ms since 1970, at which the simulator is made. Default: now, or 0 with a `clock` given. */
  epochMs?: number;
}

/** A call under way. */
export interface Call {
  /** When the connection is gone. Never rejects: see `ended` and `failure` of the result. */
  readonly result: Promise<CallResult>;
  /** As in `start`. */
  readonly streamId: string;
  /** As in `start`. */
  readonly callControlId: string;
  /** Audio of the application that has not been played yet, in ms. */
  readonly queuedMs: number;
  /**
   * Says these payloads, one every `ptimeMs`, after everything that the caller still has to say. `Simulator.speech`
   * makes them.
   * @throws SidetoneError SIDETONE_BAD_OPTION where the call has no `idle` payload to fill the time before with
   */
  say(payloads: readonly Uint8Array[]): void;
  /** Dials a digit now: 0 to 9, *, #, A to D. */
  dtmf(digit: string): void;
  /** Ends the call now, as its option `ending` says. */
  hangup(): void;
  /**
   * The connection breaks off without a `stop`, as when the network fails. Telnyx comes back with another stream of the
   * same `callControlId`.
   */
  drop(): void;
  /** What the call has come to so far. */
  soFar(): CallResult;
}

/**
 * The Telnyx side of calls: for testing a media-stream server, this project's or any other. Calls go over real
 * WebSockets (`call`) or stay in memory under a virtual clock (`pair`).
 */
export class Simulator {
  /** With the same seed and the same calls in the same order, every random decision is the same. */
  readonly seed: number;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #codecs: CodecFactory;
  readonly #epochMs: number;
  readonly #madeAt: number;

  /** @throws SidetoneError SIDETONE_BAD_OPTION */
  constructor(options: SimulatorOptions = {}) {
    check('options', options, isPlainObject(options), 'an object, or nothing');
    checkSeed(options.seed);
    this.seed = options.seed ?? randomInt(2 ** 32);
    this.#random = new Random(this.seed);
    this.#clock = options.clock ?? systemClock;
    this.#codecs = options.codecs ?? { createDecoder, createEncoder, resample };
    this.#epochMs = options.epochMs ?? (options.clock ? 0 : Date.now());
    this.#madeAt = this.#clock.now();
  }

  /** Calls an application at a ws: or wss: address. Throws SIDETONE_BAD_OPTION on bad options or a bad address. */
  call(url: string, options: CallOptions & SocketOptions = {}): Call {
    const isAddress = typeof url === 'string' && /^wss?:\/\//.test(url) && URL.canParse(url);
    check('url', url, isAddress, 'a ws:// or wss:// address');
    const { call, closed } = placeCall(url, this.#init(options), options);
    return handle(
      call,
      closed.then(() => call.result()),
    );
  }

  /**
   * A call whose application is in the same process: set the handlers of `application`, then `open()`. Without
   * `latencyMs` and `jitterMs` every message is delivered within `send`.
   */
  pair(options: CallOptions & LinkOptions = {}): { call: Call; application: ApplicationEnd; open(): void } {
    let ended!: () => void;
    const over = new Promise<void>(resolve => {
      ended = resolve;
    });
    const { call, application, open } = pairCall({ ...this.#init(options), onEnd: ended }, options);
    const result = over.then(() => call.result());
    return { call: handle(call, result), application, open };
  }

  /**
   * Encodes speech once, to be spread into the options of any number of calls. `callee`: what the other leg says;
   * given, the stream carries both tracks.
   */
  speech(caller: Pcm, format: Partial<SpeechFormat> & { callee?: Pcm } = {}): SpokenOptions {
    checkPcm('caller', caller);
    check('format', format, isPlainObject(format), 'an object, or nothing');
    if (format.callee !== undefined) checkPcm('callee', format.callee);
    const { encoding = 'PCMU', ptimeMs = 20 } = format;
    check('encoding', encoding, isEncoding(encoding), `one of ${ENCODINGS.join(', ')}`);
    const isTime = typeof ptimeMs === 'number' && ptimeMs >= 1 && ptimeMs <= 1000;
    check('ptimeMs', ptimeMs, isTime, 'a number from 1 to 1000');
    const narrow = ['PCMU', 'PCMA', 'G722'].includes(encoding);
    const resolved = {
      encoding,
      sampleRate: format.sampleRate ?? (narrow ? 8000 : 16000),
      ptimeMs,
    };
    const codecs = this.#codecs;
    const { frames, idle } = encodeSpeech(caller, resolved, codecs);
    const outbound = format.callee && encodeSpeech(format.callee, resolved, codecs).frames;
    return { ...resolved, inbound: frames, idle, ...(outbound && { outbound }) };
  }

  /** What the caller of a finished call heard, as one sound that begins at `start`. Not for MP3 mode. */
  render(result: CallResult): Pcm {
    const isResult = isPlainObject(result) && Array.isArray(result.heard);
    check('result', result, isResult, 'what a call has come to');
    const format = { encoding: result.outboundEncoding, sampleRate: result.outboundSampleRate };
    return renderHeard(result.heard, format, this.#codecs);
  }

  #init(options: CallOptions): { clock: Clock; epochMs: number; options: CallOptions } {
    check('options', options, isPlainObject(options), 'an object, or nothing');
    checkSeed(options.seed);
    const seed = options.seed ?? this.#random.uint32();
    const epochMs = this.#epochMs + this.#clock.now() - this.#madeAt;
    return { clock: this.#clock, epochMs, options: { ...options, seed } };
  }
}

function checkPcm(field: string, pcm: Pcm): void {
  const ok = isPlainObject(pcm) && pcm.samples instanceof Int16Array && pcm.sampleRate > 0;
  check(field, pcm, ok, '{ samples: Int16Array, sampleRate }');
}

function handle(call: SimulatedCall, result: Promise<CallResult>): Call {
  return {
    result,
    streamId: call.options.streamId,
    callControlId: call.options.callControlId,
    get queuedMs() {
      return call.queuedMs;
    },
    say: payloads => call.say(payloads),
    dtmf: digit => call.dtmf(digit),
    hangup: () => call.hangup(),
    drop: () => call.drop(),
    soFar: () => call.result(),
  };
}
