/** A stream as a handler in a thread of its own has it: what is played goes to the reactor, which plays it. */

import type { ThreadsStream } from '../conference/conferences.js';
import type { Encoding, Format, OutboundMode } from '../formats.js';
import { callFields } from '../log/call-log.js';
import type { Logger } from '../log/log.js';
import { NOT_LIVE, STREAMS_BOUND } from '../native/addon.js';
import { encodedAudio } from '../playback/encoded.js';
import { mp3File, noFiles, noPause } from '../playback/mp3-file.js';
import { checkedFade, checkedIdle, checkedRate, toIterator } from '../playback/playable.js';
import { SpeechPlayback } from '../playback/speech.js';
import type { Background, BackgroundOptions, ComfortNoiseOptions } from '../plugin/background.js';
import type { Conference } from '../plugin/conference.js';
import type {
  CallInfo,
  ClearOptions,
  MarkResult,
  PlayableAudio,
  Playback,
  PlayOptions,
  Resumption,
  Speech,
  SpeechOptions,
  Stream,
  StreamRequest,
} from '../plugin/stream.js';
import { callInfo } from '../stream/call-info.js';
import { InboundFrame } from '../stream/frame.js';
import type { StreamSeat } from '../stream/seat.js';
import type { CallControl } from '../telnyx/call-control.js';
import { checkMarkName } from '../telnyx/commands.js';
import type { StartFrame } from '../telnyx/frames.js';
import { ASK, COMMAND, type StreamFacts } from './records.js';
import { ThreadMixing } from './thread-mixing.js';
import { ThreadPlayer } from './thread-player.js';
import type { ThreadSide } from './thread-side.js';

export interface ThreadStreamSetup {
  side: ThreadSide;
  handle: number;
  facts: StreamFacts;
  /** What accept() gave for it. */
  context: unknown;
  /** The plugin's own, each line with the plugin's name. */
  log: Logger;
  /** PCM that is played in answer to a frame is live audio too. */
  livePieces: boolean;
  /** A conference without a name, for two streams of this thread. */
  newBridge(): Conference;
  /** Something of the handler has failed. */
  failed(where: string, cause: unknown): void;
}

export class ThreadStream implements Stream, ThreadsStream {
  readonly id: string;
  readonly start: StartFrame['start'];
  readonly query: URLSearchParams;
  readonly request: StreamRequest;
  readonly context: unknown;
  readonly inbound: Format;
  readonly outbound: Format;
  readonly mode: OutboundMode;
  readonly sampleRate: number;
  readonly resumed: Resumption | undefined;
  /** A TeXML document is known to run on the call. */
  runsTexml: boolean;
  /** The frame whose callback is running. */
  hearing: InboundFrame | undefined;
  readonly player: ThreadPlayer;
  /** Its place in a conference. */
  seat: StreamSeat | undefined;
  /** @internal As bridge() wants it. */
  readonly newBridge: () => Conference;
  readonly handle: number;
  readonly #side: ThreadSide;
  readonly #livePieces: boolean;
  readonly #parentLog: Logger;
  #log: Logger | undefined; // these are made when somebody asks
  #call: CallInfo | undefined;
  #callControl: CallControl | undefined;
  #mixing: ThreadMixing | undefined;
  #paused = false;
  #markNumber = 0;

  constructor({ side, handle, facts, context, log, livePieces, newBridge, failed }: ThreadStreamSetup) {
    const { id, start, request } = facts;
    this.id = id;
    this.start = start;
    this.request = { ...request, query: new URLSearchParams(request.query) };
    this.query = this.request.query;
    this.context = context;
    this.inbound = facts.inbound;
    this.outbound = facts.outbound;
    this.mode = facts.mode;
    this.sampleRate = facts.sampleRate;
    this.resumed = facts.resumed;
    this.runsTexml = facts.runsTexml;
    this.player = new ThreadPlayer(side, handle, failed);
    this.#side = side;
    this.handle = handle;
    this.newBridge = newBridge;
    this.#livePieces = livePieces;
    this.#parentLog = log;
  }

  get callControlId(): string {
    return this.start.call_control_id;
  }

  get call(): CallInfo {
    this.#call ??= callInfo(this.start);
    return this.#call;
  }

  get log(): Logger {
    this.#log ??= this.#parentLog.child(callFields(this));
    return this.#log;
  }

  get callControl(): CallControl {
    this.#callControl ??= this.#side.callControl(this);
    return this.#callControl;
  }

  get closed(): boolean {
    return this.player.closed;
  }

  get queuedMs(): number {
    return this.player.queuedMs;
  }

  get paused(): boolean {
    return !this.closed && this.#paused;
  }

  get stats(): Record<string, number> {
    return this.closed ? {} : (this.#side.askJson(ASK.stats, this.handle) as Record<string, number>);
  }

  play(audio: PlayableAudio, options?: PlayOptions): Playback {
    const sampleRate = options === undefined ? this.sampleRate : checkedRate(options, this.sampleRate);
    const { hearing, player } = this;
    const isPcm = audio instanceof Int16Array || audio instanceof InboundFrame;
    if (this.closed) return this.#afterEnd(() => player.over(isPcm ? undefined : toIterator(audio)));
    const isHeard = hearing !== undefined && (audio === hearing || audio === hearing.samples);
    if (isHeard && (player.isLive || !player.isFeeding)) {
      return this.#playLive(hearing, options?.liveLatencyMaxMs ?? STREAMS_BOUND);
    }
    const live = options?.liveLatencyMaxMs ?? this.#usualBound(audio, sampleRate);
    if (audio instanceof Int16Array) return this.#playPcm(audio, sampleRate, live);
    if (audio instanceof InboundFrame) return this.#playPcm(audio.samples, audio.sampleRate, live);
    const idleMaxMs = checkedIdle('play', options?.idleMs);
    return player.playSource(toIterator(audio), { sampleRate, liveLatencyMaxMs: live, idleMaxMs });
  }

  #playLive(frame: InboundFrame, liveLatencyMaxMs: number): Playback {
    const playback = this.player.openLive();
    const { samples, sampleRate } = frame;
    this.#side.samples(COMMAND.playLive, this.handle, samples, playback.id, liveLatencyMaxMs, sampleRate);
    return playback;
  }

  #playPcm(samples: Int16Array, sampleRate: number, liveLatencyMaxMs: number): Playback {
    const ms = (samples.length * 1000) / sampleRate;
    const playback = this.player.open(ms);
    if (samples.byteLength > this.#side.out.ring.bodyBytesMax) {
      const head = { id: playback.id, flags: liveLatencyMaxMs, bytes: sampleRate };
      this.#side.out.attach(COMMAND.play, this.handle, samples, head);
    } else {
      this.#side.samples(COMMAND.play, this.handle, samples, playback.id, liveLatencyMaxMs, sampleRate);
    }
    this.player.wrote(ms);
    return playback;
  }

  /** As StreamAudio's. */
  #usualBound(audio: PlayableAudio, sampleRate: number): number {
    if (audio instanceof InboundFrame) return STREAMS_BOUND;
    const { hearing } = this;
    if (!this.#livePieces || hearing === undefined || !(audio instanceof Int16Array)) return NOT_LIVE;
    const longest = (hearing.samples.length / hearing.sampleRate) * sampleRate + 1;
    return audio.length <= longest ? STREAMS_BOUND : NOT_LIVE;
  }

  playFile(bytes: Uint8Array): Playback {
    if (this.mode !== 'mp3') throw noFiles();
    const { durationMs } = mp3File(bytes);
    if (this.closed) return this.#afterEnd(() => this.player.over());
    const playback = this.player.open(durationMs);
    this.#side.out.attach(COMMAND.playFile, this.handle, bytes, { id: playback.id });
    this.player.wrote(durationMs);
    return playback;
  }

  playEncoded(encoding: Encoding, audio: Uint8Array | string): Playback {
    const { bytes, ms } = encodedAudio(encoding, audio, this);
    if (this.closed) return this.#afterEnd(() => this.player.over());
    const playback = this.player.open(ms);
    this.#side.out.attach(COMMAND.playEncoded, this.handle, { encoding, bytes }, { id: playback.id });
    this.player.wrote(ms);
    return playback;
  }

  speak(options: SpeechOptions = {}): Speech {
    const speech = new SpeechPlayback(options, this, this.player, this.#side);
    return this.closed ? this.#afterEnd(() => speech) : speech;
  }

  pause(): void {
    if (this.closed || this.#paused) return;
    if (this.mode === 'mp3') throw noPause();
    this.#paused = true;
    this.player.changed();
    this.#side.out.send(COMMAND.pause, this.handle);
  }

  resume(): void {
    if (this.closed || !this.#paused) return;
    this.#paused = false;
    this.player.changed();
    this.#side.out.send(COMMAND.resume, this.handle);
  }

  mark(name = `mark-${this.handle}-${++this.#markNumber}`): Promise<MarkResult> {
    checkMarkName(name);
    if (this.closed) return this.#afterEnd(() => Promise.resolve({ name, played: false }));
    return this.player.mark(name);
  }

  clear(options?: ClearOptions): Promise<{ playedMs: number; discardedMs: number }> {
    const fadeMs = checkedFade(options);
    if (this.closed) return this.#afterEnd(() => Promise.resolve({ playedMs: 0, discardedMs: 0 }));
    this.#paused = false;
    return this.player.clear(fadeMs);
  }

  background(audio: Int16Array | string | URL, options?: BackgroundOptions): Background {
    return this.#mixes.background(audio, options);
  }

  comfortNoise(options?: ComfortNoiseOptions): Background {
    return this.#mixes.comfortNoise(options);
  }

  get gainDb(): number {
    return this.#mixing?.gainDb ?? 0;
  }

  set gainDb(gainDb: number) {
    this.#mixes.gainDb = gainDb;
  }

  get #mixes(): ThreadMixing {
    this.#mixing ??= new ThreadMixing(this.#side, this.handle, this);
    return this.#mixing;
  }

  close(): void {
    if (!this.closed) this.#side.out.send(COMMAND.close, this.handle);
  }

  /** It is over. */
  ended(): void {
    this.player.close();
    this.seat?.ended();
  }

  /** What a call after the stream's end gives: it is counted. */
  #afterEnd<T>(result: () => T): T {
    const given = result();
    this.#side.out.send(COMMAND.playAfterEnd, this.handle);
    return given;
  }
}
