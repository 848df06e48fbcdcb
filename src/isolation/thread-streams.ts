/** All streams whose handlers run in one thread of a plugin: what their reactor writes is read here and told to them. */
import type { MessagePort } from 'node:worker_threads';
import { checkHandler } from '../plugin/define.js';
import { checkListens } from '../plugin/hearing.js';
import type { PluginInstance } from '../plugin/instance.js';
import type { StopReason } from '../plugin/plugin.js';
import type { PlayedFrame } from '../plugin/stream.js';
import { InboundFrame, type PayloadSource } from '../stream/frame.js';
import type { Track } from '../telnyx/frames.js';
import { attached } from './outlet.js';
import { fromPlain, toPlain } from './plain-error.js';
import {
  COMMAND,
  EVENT,
  FRAME,
  type Method,
  type PlainError,
  SPEECH_SCALE,
  type StreamFacts,
  type Told,
} from './records.js';
import { HEAD, type Ring } from './ring.js';
import type { ThreadConferences } from './thread-conferences.js';
import { ThreadHandler } from './thread-handler.js';
import type { ThreadSide } from './thread-side.js';
import { ThreadStream } from './thread-stream.js';

/** So often it is looked for what the reactor has written, … */
const READ_MS = 4;
/** … until so many times in a row there was nothing. */
const IDLE_READS_MAX = 50;
/** Records that are read before other work of the thread gets its turn. */
const BATCH = 64;
/** How long a call's last events may come after its stream's end. */
const LATE_EVENTS_MS = 70_000;
/** And what became of its playbacks. */
const SETTLING_MS = 2000;
const NO_BYTES = new Uint8Array(0);
const TRACKS: readonly Track[] = ['inbound', 'outbound'];

class Carried implements PayloadSource {
  readonly frames: (InboundFrame | undefined)[] = [];
  /** The record of the frame that is being heard; -1: none. */
  cell = -1;

  constructor(
    readonly stream: ThreadStream,
    readonly handler: ThreadHandler,
    private readonly events: Ring,
  ) {}

  frame(track: number, samples: number): InboundFrame {
    let frame = this.frames[track];
    if (!frame) {
      frame = new InboundFrame(TRACKS[track]!, this.stream.sampleRate, samples, this);
      this.frames[track] = frame;
    } else if (frame.memory.length < samples) frame.makeRoom(samples);
    return frame;
  }

  payloadOf(frame: InboundFrame): Uint8Array {
    if (this.stream.hearing !== frame || frame.concealed || this.cell < 0) return NO_BYTES;
    const { words } = this.events;
    const at = this.events.head(this.cell);
    return this.events.copyBytes(this.cell, words[at + HEAD.bytes]!, words[at + HEAD.samples]! * 2);
  }
}

export interface ThreadStreamsSetup {
  side: ThreadSide;
  /** It has been set up. */
  plugin: PluginInstance;
  events: Ring;
  attachments: MessagePort;
  conferences: ThreadConferences;
  /** What accept() gave, by number; each is taken once. */
  takeContext(context: number | undefined): unknown;
}

export class ThreadStreams {
  readonly #setup: ThreadStreamsSetup;
  readonly #streams = new Map<number, Carried>();
  #isReading = false;
  #stopReading: (() => void) | undefined;
  #idleReads = 0;

  constructor(setup: ThreadStreamsSetup) {
    this.#setup = setup;
  }

  /** There is something to read: from now on it is looked for again and again. A message for each batch would cost more. */
  wake(): void {
    const { clock } = this.#setup.side;
    this.#setup.side.sleep(false);
    this.#idleReads = 0;
    this.#stopReading ??= clock.every(READ_MS, () => this.#readOnTime());
    this.#read();
  }

  #readOnTime(): void {
    const { events, side } = this.#setup;
    if (this.#read() > 0) this.#idleReads = 0;
    else this.#idleReads++;
    if (this.#idleReads < IDLE_READS_MAX) return;
    this.#stopReading?.();
    this.#stopReading = undefined;
    side.sleep(true);
    // What came meanwhile was written by somebody who saw this thread awake.
    if (!events.empty) this.wake();
  }

  /** Reads what the reactor has written. Returns how many records there were. */
  #read(): number {
    if (this.#isReading) return 0;
    const { events, side } = this.#setup;
    side.beat();
    this.#isReading = true;
    let records = 0;
    while (records < BATCH) {
      const cell = events.take();
      if (cell < 0) break;
      this.#dispatch(cell);
      records++;
    }
    this.#isReading = false;
    if (records === BATCH) setImmediate(() => this.#read());
    return records;
  }

  /** A frame stays on the ring while it is heard, for the sake of its payload. */
  #dispatch(cell: number): void {
    const { events, attachments } = this.#setup;
    const { words } = events;
    const at = events.head(cell);
    const handle = words[at + HEAD.handle]!;
    const id = words[at + HEAD.id]!;
    const flags = words[at + HEAD.flags]!;
    const a = events.doubles[events.figures(cell)]!;
    const b = events.doubles[events.figures(cell) + 1]!;
    const type = words[at + HEAD.type]!;
    const carried = this.#streams.get(handle);
    if (type === EVENT.frame) {
      if (carried) this.#hear(cell, at, carried);
      else events.release();
      return;
    }
    const hasAttachment = words[at + HEAD.extra] === 1;
    const played =
      type === EVENT.played ? events.samples(cell, words[at + HEAD.samples]!).slice() : undefined;
    events.release();
    const player = carried?.stream.player;
    const value = hasAttachment ? attached(attachments) : undefined;
    if (handle === 0) this.#setup.conferences.told(type, id, a, value);
    else if (type === EVENT.start) this.#start(handle, value as StreamFacts);
    else if (type === EVENT.tell) this.#tell(carried, value as Told);
    else if (type === EVENT.resume) this.#resume(carried, handle, id, value as StreamFacts);
    else if (type === EVENT.stop) this.#stop(carried, handle, value as StopReason);
    else if (type === EVENT.failed) player?.failed(id, fromPlain(value as PlainError));
    else if (type === EVENT.closed) this.#close(carried, handle, flags === 1);
    else if (type === EVENT.settled) player?.settled(id, a, flags === 1);
    else if (type === EVENT.marked) player?.marked(id, flags === 1);
    else if (type === EVENT.cleared) player?.cleared(id, a, b);
    else if (type === EVENT.progress) player?.progressed(id, a);
    else if (type === EVENT.pull) player?.pull(id);
    else if (type === EVENT.stopSource) player?.stopSource(id);
    else if (played && carried) this.#heard(carried, played, a);
  }

  #hear(cell: number, at: number, carried: Carried): void {
    const { events } = this.#setup;
    const { words, doubles } = events;
    const samples = words[at + HEAD.samples]!;
    const flags = words[at + HEAD.flags]!;
    const lost = words[at + HEAD.extra]!;
    const figures = events.figures(cell);
    const timestampMs = doubles[figures]!;
    const speech = words[at + HEAD.id]! / SPEECH_SCALE;
    const atMs = doubles[figures + 1]!;
    const queuedMs = doubles[figures + 2]!;
    const takenMs = doubles[figures + 3]!;
    const { stream } = carried;
    if (!Number.isNaN(queuedMs)) stream.player.told(queuedMs, takenMs, atMs);
    const frame = carried.frame(flags & FRAME.outbound ? 1 : 0, samples);
    if (lost > 0) this.#hearSilence(carried, frame, samples, lost, timestampMs);
    const view = events.samples(cell, samples);
    frame.memory.set(view);
    frame.show(samples, timestampMs, (flags & FRAME.concealed) !== 0);
    frame.speech = speech;
    carried.cell = cell;
    this.#tellFrame(carried, frame);
    carried.cell = -1;
    events.release();
  }

  /** Stands for frames that were lost because this thread did not take them: the handler's time goes on without a hole. */
  #hearSilence(
    carried: Carried,
    frame: InboundFrame,
    samples: number,
    lost: number,
    timestampMs: number,
  ): void {
    const frameMs = (samples * 1000) / frame.sampleRate;
    for (let left = lost; left > 0; left--) {
      frame.memory.fill(0);
      frame.show(samples, timestampMs - left * frameMs, true);
      frame.speech = 0;
      this.#tellFrame(carried, frame);
    }
  }

  #tellFrame(carried: Carried, frame: InboundFrame): void {
    const { stream, handler } = carried;
    if (stream.closed) return;
    stream.hearing = frame;
    handler.call('onAudio', frame);
    stream.hearing = undefined;
  }

  #heard({ stream, handler }: Carried, samples: Int16Array, timestampMs: number): void {
    const { sampleRate } = stream;
    const frame: PlayedFrame = { samples, sampleRate, timestampMs, copy: () => samples.slice() };
    handler.call('onPlayed', frame);
  }

  #start(handle: number, facts: StreamFacts): void {
    const { side, plugin } = this.#setup;
    const handler = new ThreadHandler(side, handle);
    const stream = this.#make(handle, facts, handler, undefined);
    const carried = new Carried(stream, handler, this.#setup.events);
    this.#streams.set(handle, carried);
    side.calls(handle);
    try {
      const made = checkHandler(plugin, plugin.onStart(stream));
      checkListens(plugin, made, facts.audio);
      handler.attach(made);
    } catch (error) {
      side.out.attach(COMMAND.failed, handle, { where: 'onStart', error: toPlain(error) });
    }
    side.calls(0);
    side.out.send(COMMAND.started, handle, { flags: handler.bits });
  }

  #make(handle: number, facts: StreamFacts, handler: ThreadHandler, context: unknown): ThreadStream {
    const { side, plugin, takeContext, conferences } = this.#setup;
    return new ThreadStream({
      side,
      handle,
      facts,
      context: takeContext(facts.context) ?? context,
      log: plugin.log,
      livePieces: plugin.liveLatencyMaxMs !== undefined,
      newBridge: () => conferences.newBridge(),
      failed: (where, cause) => handler.failed(where, cause),
    });
  }

  #tell(carried: Carried | undefined, { method, values }: Told): void {
    if (!carried) return;
    if (method === 'onError') values = [fromPlain(values[0] as PlainError)];
    // As a reactor learns it.
    const event = values[0] as { payload?: object } | undefined;
    if (method === 'onCall' && event?.payload && 'CallSid' in event.payload) carried.stream.runsTexml = true;
    // None of them takes more than two.
    carried.handler.call(method as Method, values[0], values[1]);
  }

  #resume(carried: Carried | undefined, handle: number, next: number, facts: StreamFacts): void {
    if (!carried) return;
    const { handler } = carried;
    carried.stream.ended();
    this.#streams.delete(handle);
    handler.moveTo(next);
    const stream = this.#make(next, facts, handler, carried.stream.context);
    this.#streams.set(next, new Carried(stream, handler, this.#setup.events));
    handler.call('onResume', stream);
  }

  #stop(carried: Carried | undefined, handle: number, reason: StopReason): void {
    const { side } = this.#setup;
    const stopped = (): void => side.out.send(COMMAND.stopped, handle);
    if (!carried) {
      stopped();
      return;
    }
    carried.stream.ended();
    const result = carried.handler.call('onStop', reason);
    if (result instanceof Promise) result.then(stopped, stopped);
    else stopped();
    const forget = (): void => void this.#streams.delete(handle);
    setTimeout(forget, carried.handler.hears('onCall') ? LATE_EVENTS_MS : SETTLING_MS).unref();
  }

  /** `isAll`: nothing is told of it any more. */
  #close(carried: Carried | undefined, handle: number, isAll: boolean): void {
    carried?.stream.ended();
    if (isAll) setTimeout(() => this.#streams.delete(handle), SETTLING_MS).unref();
  }
}
