/**
 * The streams of one thread: its engine, its pacing and its counters. A stream lives and dies on one reactor. It knows
 * nothing of sockets: listener.ts feeds it connections, and tests do. What happens to media stands in media/path.ts.
 */
import { availableParallelism } from 'node:os';
import { CaptureDirectory } from '../capture/writer.js';
import type { Clock } from '../clock.js';
import { closeMp3, encodeMp3 } from '../codecs/mp3.js';
import { type OutputCounter, REACTOR_COUNTERS, type ReactorCounter } from '../counters.js';
import { SidetoneError } from '../errors.js';
import type { OutboundOptions } from '../formats.js';
import { callFields, type LoggedStream, logEnd, logStart } from '../log/call-log.js';
import type { Logger } from '../log/log.js';
import type { StreamHost, StreamLink } from '../media/host.js';
import { type MediaLink, MediaPath, type Socket } from '../media/path.js';
import { apiAccess, type ReactorOptions } from '../options/options.js';
import type { StopReason } from '../plugin/plugin.js';
import { CodecPool, type PoolCodec } from '../pool/pool.js';
import { wantSilero } from '../pool/silero.js';
import type { VoicePool, VoicePoolOptions } from '../pool/voice-pool.js';
import type { StreamSetup } from '../stream/setup.js';
import { CallStream } from '../stream/stream.js';
import { CallControl, CommandSender, type CommandSenderSetup } from '../telnyx/call-control.js';
import type { WebhookEvent } from '../telnyx/webhooks.js';
import { Departed } from './departed.js';
import { DroppedCalls } from './dropped-calls.js';
import { LoopDelay } from './loop-delay.js';
import { openSlot } from './slot.js';
import { type ReactorSnapshot, StreamGroups, streamSummaries } from './snapshot.js';
import { Sweeper } from './sweeper.js';
import { openVoices } from './voices.js';

/** What a reactor needs of a connection. */
export interface ReactorLink extends StreamLink, MediaLink {
  /** Its stream has started and not ended. */
  readonly streaming: boolean;
  readonly stream: CallStream | undefined;
  /** Called a few times a second. */
  sweep(nowMs: number): void;
}

/** What a connection settles at `start`. */
export interface OpenStream extends Omit<StreamSetup, 'host' | 'slot'> {
  link: ReactorLink;
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
  /** This call has a handler here that would go on with another stream of it; or has none any more. */
  onHome?: (callControlId: string, isHome: boolean) => void;
  /** A connection came (+1) or went (-1). */
  onConnections?: (change: number) => void;
  /** A stream started (+1) or ended (-1). */
  onStreams?: (change: number) => void;
  /** Starts the thread of the neural voice detector. Tests have their own. */
  startVoices?: VoicePoolOptions['start'];
  /** In place of the REST client for commands to calls. Tests have their own. */
  deliverCommand?: CommandSenderSetup['deliver'];
}

export class Reactor implements StreamHost {
  readonly clock: Clock;
  readonly options: ReactorOptions;
  readonly path: MediaPath;
  /** Undefined unless streams are captured. */
  readonly capture: CaptureDirectory | undefined;
  readonly #log: Logger;
  readonly #expectedOutbound: ReactorEnvironment['expectedOutbound'];
  readonly #onCall: (callControlId: string) => void;
  readonly #onConnections: (change: number) => void;
  readonly #onStreams: (change: number) => void;
  readonly #connections = new Set<ReactorLink>();
  readonly #calls = new Map<string, ReactorLink>();
  readonly #dropped = new DroppedCalls();
  /** Handlers of streams that have ended. */
  readonly departed: Departed;
  /** What carries the commands to this reactor's calls. */
  readonly commands: CommandSender;
  readonly #counters: Record<ReactorCounter, number>;
  /** Counters of MP3 files, which do not go through the engine. */
  readonly outputCounters: Record<OutputCounter, number> = { mediaSent: 0, bytesSent: 0, playsRefused: 0 };
  readonly #refusals = new Map<string, number>();
  readonly #groups = new StreamGroups();
  #pool: CodecPool | undefined;
  #voices: VoicePool | undefined;
  readonly #startVoices: VoicePoolOptions['start'];
  #mp3Used = false;
  #reservedBytes = 0; // for audio queued outside the engine
  #streams = 0;
  #markNumber = 0;
  readonly #loopDelay = new LoopDelay();
  readonly #sweeper: Sweeper<ReactorLink>;

  constructor(environment: ReactorEnvironment) {
    this.clock = environment.clock;
    this.options = environment.options;
    this.#log = environment.log;
    this.#expectedOutbound = environment.expectedOutbound;
    this.#onCall = environment.onCall ?? (() => {});
    this.#onConnections = environment.onConnections ?? (() => {});
    this.#onStreams = environment.onStreams ?? (() => {});
    this.#startVoices = environment.startVoices;
    this.capture = this.#openCapture();
    const { clock, log, options, onHome, deliverCommand: deliver } = environment;
    this.departed = new Departed(clock, options.resumeWindowMs, onHome);
    this.commands = new CommandSender({ clock, log, api: () => apiAccess(options), deliver });
    this.path = new MediaPath(environment.clock, environment.options);
    this.#sweeper = new Sweeper(environment.clock, this.#connections);
    this.#loopDelay.start();
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

  /**
   * Starts the pool's workers and has them measure these codecs. Resolves when a stream need not wait for them, also
   * where it could not be done: the log says so, and streams will too.
   */
  async warmPool(codecs: readonly PoolCodec[]): Promise<void> {
    if (codecs.length === 0) return;
    try {
      await this.pool.warm(codecs);
    } catch (error) {
      this.#log.warn({ err: error }, 'the codec pool could not be prepared');
    }
  }

  /** No thread runs before a stream needs it. */
  get voices(): VoicePool {
    const onError = (error: Error) => this.#log.error({ err: error }, 'voice activity');
    this.#voices ??= openVoices(this.path, this.clock, onError, this.#startVoices);
    return this.#voices;
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
    return this.path.engine.native.queueBytes() + this.#reservedBytes;
  }

  // --- connections ---

  /** Connections that are open, streaming or not. */
  get connections(): ReadonlySet<ReactorLink> {
    return this.#connections;
  }

  get streams(): number {
    return this.#streams;
  }

  admit(connection: ReactorLink): void {
    this.#connections.add(connection);
    this.#onConnections(1);
    this.#counters.connectionsOpened++;
    this.#sweeper.start();
  }

  forget(connection: ReactorLink): void {
    if (this.#connections.delete(connection)) this.#onConnections(-1);
    if (this.#connections.size === 0) this.#sweeper.stop();
  }

  /**
   * A call has one bidirectional stream: a second one for the same call takes over from the first. Returns the stream
   * that it continues, where its handler is to go on.
   */
  takeOver(callControlId: string, connection: ReactorLink, plugin: string): ReturnType<Departed['take']> {
    const running = this.#calls.get(callControlId);
    // Telnyx may come back before the loss of the first WebSocket is noticed here. A handler that can go on must not
    // depend on that.
    if (running?.stream?.plugin === plugin && this.departed.awaits(running.stream, 'disconnected')) {
      running.end('disconnected');
    }
    const before = this.#calls.get(callControlId);
    this.#calls.set(callControlId, connection);
    if (before && before !== connection) {
      this.#counters.takeOvers++;
      before.end('replaced');
    } else this.#resumed(callControlId);
    this.#onCall(callControlId);
    return this.departed.take(callControlId, plugin);
  }

  /** A webhook event, of a call whose stream runs here or has ended here lately. */
  tellCall(event: WebhookEvent): void {
    const { callControlId } = event;
    if (callControlId === undefined) return;
    const stream = this.#calls.get(callControlId)?.stream ?? this.departed.get(callControlId);
    if (!stream) return;
    // Call Control's events name the call otherwise, and come as JSON.
    if ('CallSid' in event.payload) stream.runsTexml = true;
    stream.tell('onCall', event);
    if (event.type === 'call.hangup') this.departed.stop(callControlId);
  }

  callControl(stream: LoggedStream & { readonly runsTexml: boolean }): CallControl {
    const { callControlId, id: streamId } = stream;
    const call = { callControlId, streamId, runsTexml: () => stream.runsTexml };
    return new CallControl(this.commands, call, this.#log);
  }

  /** A stream of this call has started on another reactor. */
  replace(callControlId: string): void {
    this.departed.stop(callControlId, 'replaced');
    const before = this.#calls.get(callControlId);
    if (!before) {
      this.#resumed(callControlId);
      return;
    }
    this.#counters.takeOvers++;
    before.end('replaced');
  }

  /**
   * A stream of this call starts, here or on another reactor, and none is running. Where its last one was dropped here,
   * it is the platform that has come back (TeXML's enableReconnect): no take-over, and no new call.
   */
  #resumed(callControlId: string): void {
    const nowMs = this.clock.now();
    const dropped = this.#dropped.take(callControlId, nowMs);
    if (!dropped) return;
    this.#counters.resumptions++;
    const { streamId: stream, reason, atMs } = dropped;
    this.#log.info(
      { call: callControlId, stream, reason, gapMs: Math.round(nowMs - atMs) },
      'a dropped call came back',
    );
  }

  /** Returns the reason to end the connection when the stream cannot be carried here; the log says more. */
  openStream(open: OpenStream): CallStream | StopReason {
    const slot = openSlot(this.path.engine, this.options, open);
    const stream = this.#makeStream({ host: this, slot, ...open });
    if (typeof stream === 'string') {
      this.path.close(slot);
      return stream;
    }
    this.path.open(slot, stream, open.link, open.socket);
    this.#streams++;
    this.#onStreams(1);
    this.#counters.streamsStarted++;
    this.#groups.count(stream, 1);
    logStart(this.#log, stream);
    return stream;
  }

  /** Returns why it cannot be made: a codec's library is missing or its workers cannot take more. */
  #makeStream(setup: StreamSetup): CallStream | StopReason {
    try {
      if (setup.voice?.detector === 'neural' && !this.#startVoices) wantSilero();
      return new CallStream(setup);
    } catch (error) {
      this.#counters.streamsNotOpened++;
      const isFull = error instanceof SidetoneError && error.code === 'SIDETONE_POOL_FULL';
      const { stream_id: stream, start } = setup.start;
      const ids = { stream, call: start.call_control_id };
      if (isFull)
        this.#log.warn({ ...ids, reason: error.message }, 'a stream was refused: the codec pool is full');
      else this.#log.error({ ...ids, err: error }, 'a stream could not be opened');
      return isFull ? 'overloaded' : 'server_closed';
    }
  }

  /** `isAway`: its handler waits for it to come back. */
  closeStream(stream: CallStream, reason: StopReason, isAway: boolean): void {
    this.#groups.count(stream, -1);
    logEnd(this.#log, stream, reason);
    if (this.#calls.get(stream.callControlId)?.stream === stream) {
      this.#calls.delete(stream.callControlId);
      this.#dropped.ended(stream.callControlId, { streamId: stream.id, reason, atMs: this.clock.now() });
    }
    this.departed.left(stream, reason, isAway);
    this.path.close(stream.slot);
    this.#streams--;
    this.#onStreams(-1);
    this.#counters.streamsStopped++;
  }

  expectedOutbound(callControlId: string): OutboundOptions | undefined {
    return this.#expectedOutbound?.(callControlId);
  }

  // --- what goes wrong ---

  count(counter: ReactorCounter, times = 1): void {
    this.#counters[counter] += times;
  }

  /** A message was refused, of a stream or before there is one. */
  refused(reason: string, detail: string, stream: LoggedStream | undefined): void {
    this.#counters.refusedMessages++;
    this.#refusals.set(reason, (this.#refusals.get(reason) ?? 0) + 1);
    if (!this.#log.isLevelEnabled('debug')) return;
    this.#log.debug({ ...(stream && callFields(stream)), reason, detail }, 'message refused');
  }

  canResume(callControlId: string): void {
    this.departed.canResume(callControlId);
  }

  handlerFailed(stream: LoggedStream, where: string, cause: unknown): void {
    this.#counters.handlerFailures++;
    this.#log.error({ ...callFields(stream), where, err: cause }, "a plugin's handler failed");
  }

  handlerStalled(stream: LoggedStream, where: string, heldMs: number): void {
    this.#counters.handlerStalls++;
    this.#log.warn({ ...callFields(stream), where, heldMs }, "a plugin's handler held the thread");
  }

  // --- figures ---

  nextMarkNumber(): number {
    return ++this.#markNumber;
  }

  /** All counters, the engine's and the reactor's own. */
  counters(): Record<string, number> {
    const counters: Record<string, number> = { ...this.path.engine.counters(), ...this.#counters };
    for (const [name, value] of Object.entries(this.outputCounters)) counters[name]! += value;
    return counters;
  }

  /** Refused messages by reason. */
  refusals(): Record<string, number> {
    return Object.fromEntries(this.#refusals);
  }

  /** The oldest first. */
  *#running(): Generator<CallStream> {
    for (const { stream } of this.#connections) if (stream && !stream.closed) yield stream;
  }

  /** Everything at once, with up to `streamsMax` streams one by one. */
  snapshot(reactor: number, streamsMax = Number.POSITIVE_INFINITY): ReactorSnapshot {
    return {
      reactor,
      groups: this.#groups.list(),
      streams: streamSummaries(this.#running(), this.clock.now(), streamsMax),
      connections: this.#connections.size,
      counters: this.counters(),
      refusals: this.refusals(),
      lateness: [...this.path.engine.native.lateness()],
      queueBytes: this.#queueBytes(),
      pool: this.#pool?.stats,
      eventLoopDelayMs: this.#loopDelay.take(),
      pluginMetrics: [],
    };
  }

  async close(): Promise<void> {
    this.departed.close();
    this.commands.close();
    this.#sweeper.stop();
    this.#loopDelay.stop();
    this.path.destroy();
    await this.capture?.close();
    await this.#pool?.close();
    await this.#voices?.end();
    if (this.#mp3Used) await closeMp3();
  }
}
