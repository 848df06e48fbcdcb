import type { Clock } from '../clock.js';
import type { TelnyxErrorCode, TelnyxFrame, Track } from '../telnyx/frames.js';
import { EchoMatcher, latencies } from './echo.js';
import {
  connectedFrame,
  dtmfFrame,
  errorFrame,
  markFrame,
  mediaFrame,
  startFrame,
  stopFrame,
} from './frames.js';
import { FrameJudge, type Verdict } from './judge.js';
import { Impairments } from './network.js';
import {
  type CallOptions,
  check,
  checkDigit,
  type ResolvedCallOptions,
  resolveCallOptions,
  timestampStep,
} from './options.js';
import { PlaybackQueue } from './playback.js';
import { Random } from './random.js';
import type { CallResult, SentError } from './result.js';

/** Where a call's frames go. `close` without a code breaks the connection without a closing handshake. */
export interface CallTransport {
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export interface SimulatedCallInit {
  clock: Clock;
  transport: CallTransport;
  options?: CallOptions;
  /** Wall-clock time, in ms since 1970, at which the call is made: for `occurred_at`. */
  epochMs: number;
  /** Called once, when the call is over. */
  onEnd?: () => void;
}

interface NumberedMedia {
  text: string;
  sequence: number;
  payloadBytes: number;
  /** The echo matcher's number; undefined for idle frames and for the outbound track. */
  echoFrame: number | undefined;
}

const ERRORS_KEPT_MAX = 1000;

/**
 * Telnyx's side of one media stream, to the letter of the specification. It owns neither socket nor clock: tell it
 * `opened`, `receive`, `receiveBinary` and `closed`, and it writes to the transport as time passes on the clock.
 *
 * ```
 * connecting ─opened→ connected ─startDelayMs→ streaming ─durationMs, hangup, closed→ ended
 * ```
 */
export class SimulatedCall {
  readonly options: ResolvedCallOptions;
  #state: 'connecting' | 'connected' | 'streaming' | 'ended' = 'connecting';
  readonly #clock: Clock;
  readonly #transport: CallTransport;
  readonly #init: SimulatedCallInit;
  readonly #cancel: (() => void)[] = [];
  readonly #judge: FrameJudge;
  readonly #impairments: Impairments<NumberedMedia>;
  readonly #echo: EchoMatcher;
  readonly #createdAt: number;
  #playback: PlaybackQueue | undefined;
  #startedAt: number | undefined;
  #endedAt: number | undefined;
  #sequence = 0;
  #tick = 0;
  #cancelTick: (() => void) | undefined;
  #chunks: Record<Track, number>;
  #highestMediaSequence = 0;
  #firstMediaMs: number | undefined;
  #ended: CallResult['ended'] = 'running';
  #end: Pick<CallResult, 'failure' | 'httpStatus' | 'closeCode' | 'closeReason'> = {};
  #frames = { sent: 0, received: 0, mediaSent: 0, mediaReceived: 0, clearsReceived: 0, overtaken: 0 };
  #bytes = { sent: 0, received: 0 };
  #marks = { received: 0, returned: 0 };
  #errors: SentError[] = [];
  #errorsSent = 0;
  #echoFramesSent = 0;
  /** What say() brought and is not said yet. */
  readonly #said: Uint8Array[] = [];

  /** Throws SIDETONE_BAD_OPTION where the options make no sense. */
  constructor(init: SimulatedCallInit) {
    const random = new Random(init.options?.seed ?? 0);
    this.options = resolveCallOptions(init.options ?? {}, random);
    const { options } = this;
    this.#init = init;
    this.#clock = init.clock;
    this.#transport = init.transport;
    this.#createdAt = init.clock.now();
    this.#impairments = new Impairments(options, random.fork('network'));
    this.#echo = new EchoMatcher(options.encoding === 'PCMU' && options.outboundEncoding === 'PCMU');
    this.#chunks = { inbound: options.chunkOrigin, outbound: options.chunkOrigin };
    this.#judge = new FrameJudge(init.clock, {
      mode: options.mode,
      format: {
        encoding: options.outboundEncoding,
        sampleRate: options.outboundSampleRate,
        amrWbFraming: options.amrWbFraming,
      },
      messageRateMax: options.messageRateMax,
      messageBurstMax: options.messageBurstMax,
      extraKeys: options.extraKeys,
    });
  }

  get state(): 'connecting' | 'connected' | 'streaming' | 'ended' {
    return this.#state;
  }

  /** Audio of the application that has not been played yet, in ms. */
  get queuedMs(): number {
    return this.#playback?.queuedMs ?? 0;
  }

  // ── What the connection tells ──

  /** The WebSocket is open: sends `connected`, and `start` after `startDelayMs`. */
  opened(): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'connected';
    const { startDelayMs } = this.options;
    this.#send(connectedFrame(this.options));
    // An application in the same process may close the connection from within `send`.
    if (this.#isOver()) return;
    if (startDelayMs > 0) this.#after(startDelayMs, () => this.#start());
    else this.#start();
  }

  /** A text message of the application. */
  receive(text: string): void {
    if (this.#state === 'ended') return;
    this.#frames.received++;
    this.#follow(this.#judge.judge(text));
  }

  /** A binary message of the application: never allowed. */
  receiveBinary(bytes: Uint8Array): void {
    if (this.#state === 'ended') return;
    this.#frames.received++;
    this.#follow(this.#judge.judgeBinary(bytes));
  }

  /** The application has closed the WebSocket. */
  closed(code?: number, reason?: string): void {
    if (this.#state === 'ended') return;
    this.#end = { ...(code !== undefined && { closeCode: code }), ...(reason && { closeReason: reason }) };
    this.#finish(this.#state === 'streaming' ? 'by the application' : 'unanswered');
  }

  /** The WebSocket could not be opened, or broke. */
  failed(failure: string, httpStatus?: number): void {
    if (this.#state === 'ended') return;
    this.#end = { failure, ...(httpStatus !== undefined && { httpStatus }) };
    this.#finish('failed');
  }

  // ── What the caller does ──

  /** Says these payloads, one every `ptimeMs`, behind all that the caller still has to say. Wants `idle`. */
  say(payloads: readonly Uint8Array[]): void {
    check(
      'idle',
      this.options.idle,
      this.options.idle !== undefined,
      'a payload of silence, or use `inbound`',
    );
    for (const payload of payloads) this.#said.push(payload);
  }

  /** Dials a digit: 0 to 9, *, #, A to D. Ignored where the call is not answered or over. */
  dtmf(digit: string): void {
    checkDigit(digit);
    if (this.#state !== 'streaming') return;
    const occurred = new Date(this.#init.epochMs + this.#clock.now() - this.#createdAt);
    this.#send(dtmfFrame(this.options, this.#nextSequence(), digit, occurred));
  }

  /** The network loses the connection: neither `stop` nor a closing handshake. The caller is still there. */
  drop(): void {
    if (this.#state === 'ended') return;
    this.#finish(this.#state === 'streaming' ? 'by the caller' : 'unanswered');
    this.#transport.close();
  }

  /** Ends the call now: as `ending` says after `start`, with a plain close before it. */
  hangup(): void {
    if (this.#state === 'ended') return;
    const wasStreaming = this.#state === 'streaming';
    const abrupt = this.options.ending === 'abrupt';
    if (wasStreaming && !abrupt) {
      for (const media of this.#impairments.flush()) this.#sendMedia(media);
      this.#send(stopFrame(this.options, this.#nextSequence()));
    }
    this.#finish(wasStreaming ? 'by the caller' : 'unanswered');
    if (abrupt) this.#transport.close();
    else this.#transport.close(1000);
  }

  // ── What goes out ──

  #start(): void {
    this.#state = 'streaming';
    this.#startedAt = this.#clock.now();
    const { options } = this;
    this.#playback = new PlaybackQueue(this.#clock, this.#startedAt, options, name => this.#returnMark(name));
    this.#send(startFrame(options, this.#nextSequence()));
    if (this.#isOver()) return;
    for (const { atMs, digit } of options.dtmf) this.#after(atMs, () => this.dtmf(digit));
    if (Number.isFinite(options.durationMs)) this.#after(options.durationMs, () => this.hangup());
    this.#sendDueMedia();
  }

  /** Frame k of every track is due k * ptimeMs after `start`, however late the timer for the frame before it fired. */
  #sendDueMedia(): void {
    const { ptimeMs, durationMs, inbound, outbound, idle } = this.options;
    const spoken = idle ? Number.POSITIVE_INFINITY : Math.max(inbound.length, outbound?.length ?? 0);
    // A frame that would begin where the call ends does not belong to it, whichever timer fires first.
    const frames = Math.min(spoken, Math.ceil(durationMs / ptimeMs));
    while (this.#state === 'streaming' && this.#tick < frames && this.#tick * ptimeMs <= this.#nowMs + 1e-6) {
      this.#sendFrame('inbound', inbound[this.#tick] ?? this.#said.shift());
      if (outbound) this.#sendFrame('outbound', outbound[this.#tick]);
      this.#tick++;
    }
    if (this.#state !== 'streaming' || this.#tick >= frames) return;
    this.#cancelTick = this.#clock.after(this.#tick * ptimeMs - this.#nowMs, () => this.#sendDueMedia());
  }

  #sendFrame(track: Track, speech: Uint8Array | undefined): void {
    const payload = speech ?? this.options.idle;
    if (!payload || this.#state !== 'streaming') return;
    const { chunkCounting, timestampOrigin } = this.options;
    const counter: Track = chunkCounting === 'stream' ? 'inbound' : track;
    const sequence = this.#nextSequence();
    const chunk = this.#chunks[counter]++;
    const timestamp = (timestampOrigin + Math.round(this.#tick * timestampStep(this.options))) % 2 ** 32;
    const frame = mediaFrame(this.options, sequence, { track, chunk, timestamp, payload });
    const leaving = this.#impairments.push({
      text: JSON.stringify(frame),
      sequence: Number(sequence),
      payloadBytes: payload.length,
      echoFrame: track === 'inbound' && speech ? this.#echo.add(payload) : undefined,
    });
    for (const media of leaving) this.#sendMedia(media);
  }

  #sendMedia(media: NumberedMedia): void {
    if (this.#state !== 'streaming') return;
    this.#frames.mediaSent++;
    this.#bytes.sent += media.payloadBytes;
    if (media.sequence < this.#highestMediaSequence) this.#frames.overtaken++;
    this.#highestMediaSequence = Math.max(this.#highestMediaSequence, media.sequence);
    this.#firstMediaMs ??= this.#nowMs;
    if (media.echoFrame !== undefined && this.#echo.left(media.echoFrame, this.#nowMs))
      this.#echoFramesSent++;
    this.#sendText(media.text);
  }

  #returnMark(name: string): void {
    if (this.#isOver()) return;
    this.#marks.returned++;
    this.#send(markFrame(this.options, this.#nextSequence(), name));
  }

  // ── What comes in ──

  #follow(verdict: Verdict): void {
    const playback = this.#playback;
    if (verdict.kind === 'error') {
      this.#sendError(verdict.code, verdict.detail);
    } else if (!playback) {
      this.#sendError(100002, `A ${verdict.kind} frame came before the stream started`);
    } else if (verdict.kind === 'media') {
      this.#play(playback, verdict.payload, verdict.durationMs);
    } else if (verdict.kind === 'mark') {
      this.#marks.received++;
      playback.mark(verdict.name);
    } else {
      this.#frames.clearsReceived++;
      playback.clear();
    }
  }

  #play(playback: PlaybackQueue, payload: Uint8Array, durationMs: number): void {
    const nowMs = this.#nowMs;
    const heardAtMs = nowMs + playback.queuedMs;
    if (!playback.play(payload, durationMs)) {
      this.#sendError(100005, `More than ${this.options.queueMsMax} ms of audio are waiting to be played`);
      return;
    }
    this.#frames.mediaReceived++;
    this.#bytes.received += payload.length;
    this.#echo.came(payload, durationMs, nowMs, heardAtMs);
  }

  #sendError(code: TelnyxErrorCode, detail: string): void {
    const frame = errorFrame(this.options, code, detail);
    this.#errorsSent++;
    if (this.#errors.length < ERRORS_KEPT_MAX)
      this.#errors.push({ atMs: this.#nowMs, code, title: frame.payload.title, detail });
    this.#send(frame);
  }

  // ── Plumbing ──

  /** Ms since `start`; before it, since the call was made. */
  get #nowMs(): number {
    return (this.#endedAt ?? this.#clock.now()) - (this.#startedAt ?? this.#createdAt);
  }

  #isOver(): boolean {
    return this.#state === 'ended';
  }

  #nextSequence(): string {
    return String(++this.#sequence);
  }

  #send(frame: TelnyxFrame): void {
    this.#sendText(JSON.stringify(frame));
  }

  #sendText(text: string): void {
    if (this.#state === 'ended') return;
    this.#frames.sent++;
    this.#transport.send(text);
  }

  #after(delayMs: number, callback: () => void): void {
    this.#cancel.push(this.#clock.after(delayMs, callback));
  }

  #finish(ended: CallResult['ended']): void {
    this.#ended = ended;
    this.#endedAt = this.#clock.now();
    this.#state = 'ended';
    for (const cancel of this.#cancel) cancel();
    this.#cancelTick?.();
    this.#playback?.end();
    this.#init.onEnd?.();
  }

  /** What the call came to, or has come to so far. */
  result(): CallResult {
    const { options } = this;
    const playback = this.#playback;
    const heard = playback?.heard() ?? [];
    const gaps = playback?.gaps ?? [];
    const counted = gaps.filter(gap => gap.durationMs >= 1);
    const arrival = latencies(this.#echo.arrivalMs);
    const echoHeard = latencies(this.#echo.heardMs);
    const first = heard[0];
    return {
      seed: options.seed,
      streamId: options.streamId,
      callControlId: options.callControlId,
      encoding: options.encoding,
      sampleRate: options.sampleRate,
      outboundEncoding: options.outboundEncoding,
      outboundSampleRate: options.outboundSampleRate,
      ended: this.#ended,
      ...this.#end,
      durationMs: this.#startedAt === undefined ? 0 : this.#nowMs,
      frames: { ...this.#frames, lost: this.#impairments.lost, duplicated: this.#impairments.duplicated },
      bytes: { ...this.#bytes },
      marks: { ...this.#marks },
      errors: [...this.#errors],
      errorsSent: this.#errorsSent,
      warnings: [...this.#judge.warnings],
      heard,
      heardMs: heard.reduce((sum, segment) => sum + (segment.clearedAfterMs ?? segment.durationMs), 0),
      discardedMs: playback?.discardedMs ?? 0,
      underruns: {
        count: counted.length,
        totalMs: counted.reduce((sum, gap) => sum + gap.durationMs, 0),
        maxMs: counted.reduce((max, gap) => Math.max(max, gap.durationMs), 0),
      },
      gaps,
      latencies: {
        ...(first && this.#firstMediaMs !== undefined && { firstHeardMs: first.atMs - this.#firstMediaMs }),
        ...(arrival && { echoArrivalMs: arrival }),
        ...(echoHeard && { echoHeardMs: echoHeard }),
      },
      echo: { sent: this.#echoFramesSent, matched: this.#echo.arrivalMs.length },
    };
  }
}
