/**
 * One call's stream, as its handler sees it and as its connection drives it: what is known of the call, what the handler
 * plays, and the end. What every frame touches is in stream-audio.ts.
 */

import { SidetoneError } from '../errors.js';
import type { Encoding, Format, OutboundMode } from '../formats.js';
import { type CallFigures, callFields } from '../log/call-log.js';
import type { Logger } from '../log/log.js';
import type { StreamHost } from '../media/host.js';
import { encodedAudio } from '../playback/encoded.js';
import type { Source, SourceOptions } from '../playback/feed.js';
import type { PlaybackEntry } from '../playback/ledger.js';
import { EngineMixing } from '../playback/mixing.js';
import { checkedFade } from '../playback/playable.js';
import { SpeechPlayback } from '../playback/speech.js';
import type { Background, BackgroundOptions, ComfortNoiseOptions } from '../plugin/background.js';
import type { StopReason, StreamHandler } from '../plugin/plugin.js';
import type {
  CallInfo,
  ClearOptions,
  MarkResult,
  Playback,
  Resumption,
  Speech,
  SpeechOptions,
  Stream,
  StreamRequest,
} from '../plugin/stream.js';
import type { CallControl } from '../telnyx/call-control.js';
import { checkMarkName } from '../telnyx/commands.js';
import type { StartFrame } from '../telnyx/frames.js';
import { callInfo } from './call-info.js';
import type { StreamSeat } from './seat.js';
import type { StreamOwner, StreamSetup } from './setup.js';
import { StreamAudio } from './stream-audio.js';

/** What is made when somebody asks, or when it happens: most streams have little of it. */
interface Extras {
  call?: CallInfo;
  log?: Logger;
  callControl?: CallControl;
  mixing?: EngineMixing;
  resumed?: Resumption;
  /** At its end. */
  unheardMs?: number;
}

export class CallStream extends StreamAudio implements Stream {
  #stopReason: StopReason | undefined;
  #extras: Extras | undefined;

  /** Telnyx's stream_id. */
  readonly id: string;
  /** The start frame as it came. */
  readonly start: StartFrame['start'];
  /** The format of inbound audio. */
  readonly inbound: Format;
  /** The format of outbound audio in RTP mode. */
  readonly outbound: Format;
  /** How audio goes out: `rtp` payloads, or `mp3` files. */
  readonly mode: OutboundMode;
  /** @internal On the reactor's clock. */
  readonly startedMs: number;
  /** The HTTP upgrade that asked for it. */
  readonly request: StreamRequest;
  /** What the plugin's accept() gave for it. */
  context: unknown;
  readonly #owner: StreamOwner;
  /** @internal A TeXML document is known to run on the call. */
  runsTexml = false;

  /** @internal Made by a connection at `start`. */
  constructor(setup: StreamSetup) {
    super(setup);
    const { start } = setup;
    this.id = start.stream_id;
    this.start = start.start;
    this.inbound = setup.inbound;
    this.outbound = setup.outbound;
    this.mode = setup.mode;
    this.startedMs = setup.host.clock.now();
    this.request = setup.request;
    this.context = setup.context;
    this.#owner = setup.plugin;
  }

  get #extra(): Extras {
    this.#extras ??= {};
    return this.#extras;
  }

  /** The query of the stream_url. */
  get query(): URLSearchParams {
    return this.request.query;
  }

  /** @internal */
  get plugin(): string {
    return this.#owner.name;
  }

  /** The call's identifiers and parameters. */
  get call(): CallInfo {
    const extra = this.#extra;
    extra.call ??= callInfo(this.start);
    return extra.call;
  }

  /** The server's log, for lines about this call. */
  get log(): Logger {
    const extra = this.#extra;
    extra.log ??= this.#owner.log.child(callFields(this));
    return extra.log;
  }

  get callControl(): CallControl {
    const extra = this.#extra;
    extra.callControl ??= this.host.callControl(this);
    return extra.callControl;
  }

  get resumed(): Resumption | undefined {
    return this.#extras?.resumed;
  }

  /** @internal */
  get callControlId(): string {
    return this.start.call_control_id;
  }

  /** Counters of this stream. */
  get stats(): Record<string, number> {
    return this.closed ? {} : this.player.counters();
  }

  /** @internal How it went: at its end too, until the reactor has let go of its slot. */
  figures(): CallFigures {
    const { heardMs: playedMs, interruptions } = this.player;
    const lengthMs = this.host.clock.now() - this.startedMs;
    return { counters: this.player.counters(), playedMs, interruptions, lengthMs };
  }

  playFile(bytes: Uint8Array): Playback {
    const playback = this.player.playFile(bytes);
    if (this.closed) this.host.count('playsAfterEnd');
    return playback;
  }

  playEncoded(encoding: Encoding, audio: Uint8Array | string): Playback {
    const { bytes, ms } = encodedAudio(encoding, audio, this);
    if (!this.closed) return this.player.playEncoded(bytes, ms);
    this.host.count('playsAfterEnd');
    return this.player.over();
  }

  speak(options: SpeechOptions = {}): Speech {
    const speech = new SpeechPlayback(options, this, this.player, this.host);
    if (this.closed) this.host.count('playsAfterEnd');
    return speech;
  }

  /** @internal PCM whose arguments another thread has checked. */
  playPcm(samples: Int16Array, sampleRate: number, liveLatencyMaxMs: number): Playback {
    if (!this.closed) return this.player.playPcm(samples, sampleRate, liveLatencyMaxMs);
    this.host.count('playsAfterEnd');
    return this.player.over();
  }

  /** @internal A source in another thread. */
  playSource(source: Source, options: SourceOptions): PlaybackEntry {
    return this.closed ? this.player.over(source) : this.player.playSource(source, options);
  }

  background(audio: Int16Array | string | URL, options?: BackgroundOptions): Background {
    return this.mixing.background(audio, options);
  }

  comfortNoise(options?: ComfortNoiseOptions): Background {
    return this.mixing.comfortNoise(options);
  }

  get gainDb(): number {
    return this.#extras?.mixing?.gainDb ?? 0;
  }

  set gainDb(gainDb: number) {
    this.mixing.gainDb = gainDb;
  }

  /** @internal */
  get mixing(): EngineMixing {
    const extra = this.#extra;
    if (!extra.mixing) {
      extra.mixing = new EngineMixing(this.host, this);
      extra.mixing.closed = this.closed;
    }
    return extra.mixing;
  }

  pause(): void {
    if (!this.closed) this.player.pause();
  }

  resume(): void {
    if (!this.closed) this.player.resume();
  }

  get paused(): boolean {
    return !this.closed && this.player.paused;
  }

  mark(name = `mark-${this.host.nextMarkNumber()}`): Promise<MarkResult> {
    checkMarkName(name);
    if (this.closed) {
      this.host.count('playsAfterEnd');
      return Promise.resolve({ name, played: false });
    }
    return this.player.mark(name);
  }

  clear(options?: ClearOptions): Promise<{ playedMs: number; discardedMs: number }> {
    const fadeMs = checkedFade(options);
    if (this.closed) {
      this.host.count('playsAfterEnd');
      return Promise.resolve({ playedMs: 0, discardedMs: 0 });
    }
    const isSeated = this.seat !== undefined;
    if (isSeated && !this.player.hasOwnAudio) return Promise.resolve({ playedMs: 0, discardedMs: 0 });
    this.takenBack();
    this.dropLive();
    return Promise.resolve(this.player.clear(fadeMs, isSeated));
  }

  /** Ends the stream: closes its WebSocket; the call itself goes on. */
  close(): void {
    if (!this.closed) this.link.end('closed');
  }

  // --- driven by its conference ---

  /** @internal The reactor that carries it. */
  get media(): StreamHost {
    return this.host;
  }

  /**
   * @internal It is in a conference from now on, whose room it may enter later.
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT where it cannot be
   */
  sit(seat: StreamSeat): void {
    const problem = this.seat
      ? 'it is in a conference already: leave() that one first'
      : this.mode === 'mp3'
        ? 'files cannot carry a conversation: ask for RTP mode'
        : !this.hearsCaller &&
          "the plugin's audio.tracks leave out the inbound track: ask for inbound or both";
    if (problem) throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `join stream: ${this.id}: ${problem}`);
    this.seat = seat;
  }

  /** @internal False: there is no place in the room. */
  enterRoom(room: number): boolean {
    const { path, clock } = this.host;
    const hasEntered = path.engine.at(clock.now()).join(this.slot, room) === 1;
    path.wake();
    return hasEntered;
  }

  /** @internal Whether the others in its room hear it, and whether it hears them. */
  setSeat(isHeard: boolean, hears: boolean): void {
    this.host.path.engine.native.setSeat(this.slot, isHeard, hears);
  }

  /** @internal It has left the conference. */
  stand(): void {
    if (!this.seat) return;
    this.seat = undefined;
    this.host.path.engine.native.leave(this.slot);
  }

  /** @internal Stops one playback alone. */
  cancel(playback: Playback): { playedMs: number; discardedMs: number } {
    if (!this.closed) return this.player.cancel(playback as PlaybackEntry);
    return { playedMs: playback.playedMs, discardedMs: 0 };
  }

  // --- driven by the connection and the reactor ---

  /** @internal A mark came back from Telnyx. */
  markReturned(name: string): void {
    if (this.player.markReturned(name)) this.tell('onMark', name);
  }

  /** @internal The peer has read what it was sent. */
  drained(): void {
    this.player.drained();
  }

  /** @internal */
  override attach(handler: StreamHandler | undefined): void {
    super.attach(handler);
    if (this.#stopReason !== undefined)
      this.tellStop(this.#stopReason); // onStart closed its own stream
    else if (handler?.onResume) this.host.canResume(this.callControlId);
  }

  /** @internal Takes on the handler of the stream that it continues. */
  continueFrom(before: CallStream, gapMs: number): void {
    const reason = before.#stopReason === 'idle_timeout' ? 'idle_timeout' : 'disconnected';
    const unheardMs = before.#extras?.unheardMs ?? 0;
    this.#extra.resumed = { streamId: before.id, reason, gapMs, unheardMs };
    this.runsTexml = before.runsTexml;
    // Where another thread has the WebSocket, what accept() gave stayed there.
    this.context ??= before.context;
    this.attach(before.giveHandler());
    this.tell('onResume', this);
  }

  /**
   * @internal The end, whatever the reason: settles everything and lets the handler know, once. Where the handler `stays`
   * for a stream that may come back, it is let know later.
   */
  finish(reason: StopReason, stays = false): void {
    if (this.closed) return;
    if (stays) this.#extra.unheardMs = this.queuedMs;
    this.endAudio();
    this.#extras?.mixing?.close();
    this.#stopReason = reason;
    if (stays) this.calls.narrow('onCall', 'onStop');
    else this.tellStop(reason);
  }

  /** @internal Events of the call may still come; nothing else does. */
  tellStop(reason: StopReason): void {
    this.#owner.stopped(this.calls.tell('onStop', [reason]));
    this.calls.narrow('onCall');
    this.forgetHandler();
  }
}
