/**
 * The streams of one thread: its engine, its pacing and its counters. A stream lives and dies on one reactor. It knows
 * nothing of sockets: listener.ts feeds it connections, and tests do.
 */
import { availableParallelism } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { callFields, logEnd, logStart } from './call-log.js';
import { CaptureDirectory } from './capture/writer.js';
import type { Clock } from './clock.js';
import { encodingNumber } from './codec.js';
import { closeMp3, encodeMp3 } from './codecs/mp3.js';
import type { Connection, Socket } from './connection.js';
import { Engine, type Format, nativeOutbound, SEND_FIELDS } from './engine.js';
import type { Logger } from './log.js';
import { GATHER, INFO, NOT_RECOGNISED, NOTHING } from './native.js';
import type { ReactorOptions } from './options.js';
import type { AudioFrame, OutboundMode, OutboundOptions, StopReason } from './plugin.js';
import { CodecPool } from './pool/pool.js';
import { type OutletCounter, REACTOR_COUNTERS, type ReactorCounter } from './reactor-counters.js';
import { type ReactorSnapshot, StreamGroups, streamSummaries } from './snapshot.js';
import { Stream, type StreamSetup } from './stream.js';
import { Sweeper } from './sweeper.js';
import type { StartFrame, Track } from './telnyx/frames.js';
import { Ticker } from './ticker.js';

/** The event loop is asked this often how late it is. */
const LOOP_SAMPLE_MS = 10;

interface OpenStream {
  link: Connection;
  start: StartFrame;
  inbound: Format;
  outbound: Format;
  mode: OutboundMode;
  handlerRate: number;
  tracks: readonly Track[];
  query: URLSearchParams;
  /** Media are sent to it at once; undefined where the connection wants to see them. */
  socket: Socket | undefined;
}

export interface ReactorEnvironment {
  clock: Clock;
  log: Logger;
  options: ReactorOptions;
  /** What a call's stream was started with, where this server knows. */
  expectedOutbound?: ((callControlId: string) => OutboundOptions | undefined) | undefined;
  /** A stream of this call has started here. */
  onCall?: (callControlId: string) => void;
  /** A connection came (+1) or went (-1). */
  onConnections?: (change: number) => void;
  /** A stream started (+1) or ended (-1). */
  onStreams?: (change: number) => void;
}

export class Reactor {
  readonly clock: Clock;
  readonly options: ReactorOptions;
  readonly engine: Engine;
  /** Writes the time to the engine's `info[INFO.nowMs]`. */
  readonly stamp: () => void;
  /** What the event loop's gathering goes by: see GATHER. */
  readonly gathering = new Float64Array(Object.keys(GATHER).length);
  /** Undefined unless streams are captured. */
  readonly capture: CaptureDirectory | undefined;
  readonly #log: Logger;
  readonly #expectedOutbound: ReactorEnvironment['expectedOutbound'];
  readonly #onCall: (callControlId: string) => void;
  readonly #onConnections: (change: number) => void;
  readonly #onStreams: (change: number) => void;
  readonly #connections = new Set<Connection>();
  // By engine slot:
  readonly #streamAt: (Stream | undefined)[] = [];
  readonly #socketAt: (Socket | undefined)[] = [];
  readonly #links: (Connection | undefined)[] = [];
  readonly #calls = new Map<string, Connection>();
  readonly #counters: Record<ReactorCounter, number>;
  /**
   * When the message came, or the tick, that is being worked on. (Not an argument from function to function: what is
   * not inlined would allocate for it.)
   */
  nowMs = 0;
  /** What went out past the engine: MP3 files. */
  readonly outletCounters: Record<OutletCounter, number> = { mediaSent: 0, bytesSent: 0, playsRefused: 0 };
  readonly #refusals = new Map<string, number>();
  readonly #groups = new StreamGroups();
  #pool: CodecPool | undefined;
  #mp3Used = false;
  #reservedBytes = 0; // for audio queued outside the engine
  #streams = 0;
  #sending = false;
  #isHearing = false; // a frame that has just come
  #markNumber = 0;
  // Its own sampling timer does not keep the process alive.
  readonly #loopDelay = monitorEventLoopDelay({ resolution: LOOP_SAMPLE_MS });
  readonly #ticker: Ticker;
  readonly #sweeper: Sweeper<Connection>;

  constructor(environment: ReactorEnvironment) {
    this.clock = environment.clock;
    this.options = environment.options;
    this.#log = environment.log;
    this.#expectedOutbound = environment.expectedOutbound;
    this.#onCall = environment.onCall ?? (() => {});
    this.#onConnections = environment.onConnections ?? (() => {});
    this.#onStreams = environment.onStreams ?? (() => {});
    this.capture = this.#openCapture();
    this.engine = new Engine(environment.options);
    const { info } = this.engine;
    this.stamp =
      environment.clock.stamper?.(info, INFO.nowMs) ??
      (() => {
        info[INFO.nowMs] = environment.clock.now();
      });
    this.#sweeper = new Sweeper(environment.clock, this.#connections);
    this.#ticker = new Ticker(environment.clock, () => this.tick());
    this.#loopDelay.enable();
    this.#counters = Object.fromEntries(REACTOR_COUNTERS.map(name => [name, 0])) as Record<
      ReactorCounter,
      number
    >;
  }

  #openCapture(): CaptureDirectory | undefined {
    const { captureDir, capturePersonal } = this.options;
    if (captureDir === undefined) return undefined;
    return new CaptureDirectory(captureDir, {
      clock: this.clock,
      keepPersonal: capturePersonal,
      onDropped: messages => {
        this.#counters.captureDropped += messages;
      },
      onError: (error, started) =>
        this.#log.error({ ...started, err: error }, 'a capture could not be written'),
    });
  }

  /** Workers for the costly codecs; no thread runs before a stream needs one. */
  get pool(): CodecPool {
    this.#pool ??= new CodecPool({
      threads: this.options.pool || Math.max(1, availableParallelism() - 1),
      clock: this.clock,
      onError: error => this.#log.error({ err: error }, 'codec pool'),
    });
    return this.#pool;
  }

  /** `encodeMp3`, whose thread ends with this reactor. */
  encodeMp3(pcm: Int16Array, sampleRate: number): Promise<Uint8Array> {
    this.#mp3Used = true;
    return encodeMp3(pcm, sampleRate);
  }

  /** Takes memory for queued audio, if there is as much of it left. */
  reserve(bytes: number): boolean {
    if (this.#queueBytes() + bytes > this.options.queueBytesMax) return false;
    this.#reservedBytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#reservedBytes -= bytes;
  }

  #queueBytes(): number {
    return this.engine.native.queueBytes() + this.#reservedBytes;
  }

  // --- connections ---

  /** Connections that are open, streaming or not. */
  get connections(): ReadonlySet<Connection> {
    return this.#connections;
  }

  get streams(): number {
    return this.#streams;
  }

  admit(connection: Connection): void {
    this.#connections.add(connection);
    this.#onConnections(1);
    this.#counters.connectionsOpened++;
    this.#sweeper.start();
  }

  forget(connection: Connection): void {
    if (this.#connections.delete(connection)) this.#onConnections(-1);
    if (this.#connections.size === 0) this.#sweeper.stop();
  }

  /** A call has one bidirectional stream: a second one for the same call takes over from the first. */
  takeOver(callControlId: string, connection: Connection): void {
    const before = this.#calls.get(callControlId);
    this.#calls.set(callControlId, connection);
    if (before && before !== connection) {
      this.#counters.takeOvers++;
      before.end('replaced');
    }
    this.#onCall(callControlId);
  }

  /** A stream of this call has started on another reactor. */
  replace(callControlId: string): void {
    const before = this.#calls.get(callControlId);
    if (!before) return;
    this.#counters.takeOvers++;
    before.end('replaced');
  }

  /** Undefined: the stream cannot be carried here, which the log says. */
  openStream(open: OpenStream): Stream | undefined {
    const { start, inbound, outbound, handlerRate, tracks } = open;
    const { options } = this;
    const slot = this.engine.native.open({
      streamId: start.stream_id,
      startSequence: Number(start.sequence_number),
      wantsInbound: tracks.includes('inbound'),
      wantsOutbound: tracks.includes('outbound'),
      inbound: {
        encoding: encodingNumber(inbound.encoding),
        sampleRate: inbound.sampleRate,
        handlerRate,
        l16BigEndian: options.l16ByteOrder === 'be',
        reorderWaitMs: options.reorderWaitMs,
        gapFillMaxMs: options.gapFillMaxMs,
        l16OrderAuto: options.l16ByteOrder === 'auto',
        conceals: options.concealment === 'on',
      },
      outbound: nativeOutbound(outbound, options),
    });
    const stream = this.#makeStream({ reactor: this, slot, ...open });
    if (!stream) {
      this.engine.native.close(slot);
      return undefined;
    }
    this.#streamAt[slot] = stream;
    this.#socketAt[slot] = open.socket;
    this.#links[slot] = open.link;
    this.#streams++;
    this.#onStreams(1);
    this.#counters.streamsStarted++;
    this.#groups.count(stream, open.link.plugin.name, 1);
    logStart(this.#log, stream, open.link.plugin.name);
    return stream;
  }

  /** Undefined where a codec's library is missing or its workers hold as many streams as they can. */
  #makeStream(setup: StreamSetup): Stream | undefined {
    try {
      return new Stream(setup);
    } catch (error) {
      this.#counters.streamsNotOpened++;
      const { stream_id: stream, start } = setup.start;
      this.#log.error({ stream, call: start.call_control_id, err: error }, 'a stream could not be opened');
      return undefined;
    }
  }

  closeStream(stream: Stream, reason: StopReason): void {
    const connection = this.#links[stream.slot];
    const plugin = connection!.plugin.name;
    this.#groups.count(stream, plugin, -1);
    logEnd(this.#log, stream, plugin, reason);
    if (this.#calls.get(stream.callControlId) === connection) this.#calls.delete(stream.callControlId);
    this.engine.native.close(stream.slot);
    this.#streamAt[stream.slot] = undefined;
    this.#socketAt[stream.slot] = undefined;
    this.#links[stream.slot] = undefined;
    this.#streams--;
    this.#onStreams(-1);
    this.#counters.streamsStopped++;
  }

  expectedOutbound(callControlId: string): OutboundOptions | undefined {
    return this.#expectedOutbound?.(callControlId);
  }

  // --- the media path ---

  /** A text message of an open stream. False: it is no plain media frame, and its connection must judge it. */
  receive(slot: number, message: ArrayBuffer): boolean {
    const { native, info } = this.engine;
    this.stamp();
    this.nowMs = info[INFO.nowMs]!;
    const outcome = native.receive(slot, message);
    if (outcome === NOT_RECOGNISED) return false;
    this.gathering[GATHER.messages]!++;
    this.wake();
    if (outcome !== NOTHING) {
      this.#isHearing = true;
      this.#streamAt[slot]!.deliver(outcome);
      this.#isHearing = false;
    }
    if (this.#ticker.isDue(this.nowMs)) this.tick();
    return true;
  }

  /**
   * Queues PCM for a stream. Returns how many messages are due now, to be sent by flush(): none while sends are under
   * way; -1 where the queue was full.
   */
  play(slot: number, samples: Int16Array, sampleRate: number, nowMs: number): number {
    const due = this.engine.at(nowMs).play(slot, samples, sampleRate, !this.#sending);
    this.wake();
    return due;
  }

  /** The same of the frame that the stream's handler is hearing. */
  playHeard(slot: number, frame: AudioFrame): number {
    if (this.#sending) return this.play(slot, frame.samples, frame.sampleRate, this.nowMs);
    const due = this.engine.at(this.nowMs).playHeard(slot);
    this.wake();
    return due;
  }

  /** The engine may have a new deadline. */
  wake(): void {
    if (this.engine.info[INFO.scheduled] !== 0) this.#ticker.start();
  }

  /** Sends the first `count` messages of the send slab. */
  flush(count: number): void {
    const { sends } = this.engine;
    let followed = false;
    if (this.#isHearing) this.gathering[GATHER.answeredMs] = this.nowMs;
    this.#sending = true;
    for (let i = 0; i < count; i++) {
      const at = i * SEND_FIELDS;
      const slot = sends[at]!;
      const message = this.engine.message(i, sends[at + 1]!);
      const isFollowed = sends[at + 2] === 1;
      const socket = isFollowed ? undefined : this.#socketAt[slot];
      followed ||= isFollowed;
      if (socket === undefined) this.#links[slot]?.sendMedia(message, isFollowed);
      else if (socket.send(message, false, false) === 2) this.#links[slot]!.notSent();
    }
    if (followed) this.#follow(count);
    this.#sending = false;
  }

  /** Marks go behind all of a stream's messages, and sources are read for what the sending made room for. */
  #follow(count: number): void {
    const { sends } = this.engine;
    let last = -1;
    for (let at = 0; at < count * SEND_FIELDS; at += SEND_FIELDS) {
      const slot = sends[at]!;
      if (sends[at + 2] === 1 && slot !== last) this.#streamAt[slot]?.afterSend();
      last = slot;
    }
  }

  /** Sends what is due, gives up gaps whose wait is over, feeds the encoders in the pool. */
  tick(): void {
    const { engine } = this;
    const { info, gaps, encodes } = engine;
    let more = true;
    while (more) {
      this.nowMs = this.clock.now();
      this.flush(engine.at(this.nowMs).tick());
      more = info[INFO.tickHasMore] === 1;
      const gapCount = info[INFO.gapCount]!;
      const encodeCount = info[INFO.encodeCount]!;
      for (let i = 0; i < gapCount; i++) {
        const slot = gaps[i]! >> 1;
        const stream = this.#streamAt[slot];
        if (stream && !stream.closed) stream.deliver(engine.at(this.nowMs).next(slot, gaps[i]! & 1));
      }
      for (let i = 0; i < encodeCount; i++) this.#streamAt[encodes[i]!]?.encode();
    }
    this.#ticker.ticked(this.nowMs, info[INFO.scheduled]! > 0);
  }

  // --- what goes wrong ---

  count(counter: ReactorCounter, times = 1): void {
    this.#counters[counter] += times;
  }

  /** A message was refused, of a stream or before there is one. */
  refused(reason: string, detail: string, stream: Stream | undefined): void {
    this.#counters.refusedMessages++;
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + 1);
    if (!this.#log.isLevelEnabled('debug')) return;
    this.#log.debug({ ...(stream && callFields(stream)), reason, detail }, 'message refused');
  }

  handlerFailed(stream: Stream, where: string, cause: unknown): void {
    this.#counters.handlerFailures++;
    this.#log.error({ ...callFields(stream), where, err: cause }, "a plugin's handler failed");
  }

  handlerStalled(stream: Stream, where: string, heldMs: number): void {
    this.#counters.handlerStalls++;
    this.#log.warn({ ...callFields(stream), where, heldMs }, "a plugin's handler held the thread");
  }

  // --- figures ---

  nextMarkNumber(): number {
    return ++this.#markNumber;
  }

  /** All counters, the engine's and the reactor's own. */
  counters(): Record<string, number> {
    const counters: Record<string, number> = { ...this.engine.counters(), ...this.#counters };
    for (const [name, value] of Object.entries(this.outletCounters)) counters[name]! += value;
    return counters;
  }

  /** Refused messages by reason. */
  refusals(): Record<string, number> {
    return Object.fromEntries(this.#refusals);
  }

  /** Everything at once, with up to `streamsMax` streams one by one. */
  snapshot(reactor: number, streamsMax = Number.POSITIVE_INFINITY): ReactorSnapshot {
    const delay = this.#loopDelay;
    const snapshot: ReactorSnapshot = {
      reactor,
      groups: this.#groups.list(),
      streams: streamSummaries(this.#connections, this.clock.now(), streamsMax),
      connections: this.#connections.size,
      counters: this.counters(),
      refusals: this.refusals(),
      lateness: [...this.engine.native.lateness()],
      queueBytes: this.#queueBytes(),
      pool: this.#pool?.stats,
      eventLoopDelayMs: {
        p50: beyondSampling(delay.percentile(50)),
        p99: beyondSampling(delay.percentile(99)),
        max: beyondSampling(delay.max),
      },
    };
    delay.reset();
    return snapshot;
  }

  async close(): Promise<void> {
    this.#ticker.stop();
    this.#sweeper.stop();
    this.#loopDelay.disable();
    this.engine.native.destroy();
    await this.capture?.close();
    await this.#pool?.close();
    if (this.#mp3Used) await closeMp3();
  }
}

/** Node's histogram holds whole intervals between two samples, in ns: the delay is what they have too much. */
function beyondSampling(intervalNs: number): number {
  return Math.max(0, intervalNs / 1e6 - LOOP_SAMPLE_MS);
}
