import type { Format } from '../formats.js';
import {
  ENCODING_NUMBERS,
  INFO,
  type NativeEngine,
  type NativeEngineBuffers,
  type NativeOutbound,
  native,
  SEND,
} from '../native/addon.js';

export interface EngineOptions {
  messageBytesMax: number;
  /** Memory for held and queued audio of all streams, in bytes. */
  queueBytesMax: number;
  leadMs: number;
  chunkMs: number;
  queueMaxMs: number;
  liveLatencyMaxMs: number;
  l16ByteOrder: 'le' | 'be' | 'auto';
}

export function nativeOutbound(format: Format, options: EngineOptions): NativeOutbound {
  return {
    encoding: ENCODING_NUMBERS[format.encoding],
    sampleRate: format.sampleRate,
    l16BigEndian: options.l16ByteOrder === 'be',
    leadMs: options.leadMs,
    chunkMs: options.chunkMs,
    queueMaxMs: options.queueMaxMs,
    liveLatencyMaxMs: options.liveLatencyMaxMs,
  };
}

/** The native engine of one reactor with the memory it shares. See native/engine/engine.h for the calls. */
export class Engine {
  readonly native: NativeEngine;
  readonly info: Float64Array;
  /** SEND.fields numbers a message. */
  readonly sends: Int32Array;
  readonly gaps: Int32Array;
  readonly encodes: Int32Array;
  readonly #payload: Uint8Array;
  readonly #slab: Uint8Array;
  readonly #slotBytes: number;
  readonly #payloadViews: (Uint8Array | undefined)[] = [];
  readonly #views: Map<number, Uint8Array>[] = [];
  readonly #counterValues = new Float64Array(native.counterNames.length);

  constructor(options: EngineOptions) {
    const config = {
      messageBytesMax: options.messageBytesMax,
      queueBytesMax: options.queueBytesMax,
      largestOutbound: nativeOutbound({ encoding: 'L16', sampleRate: 48000 }, options),
    };
    const sizes = native.engineBufferSizes(config);
    const buffers: NativeEngineBuffers = {
      slab: new Uint8Array(sizes.slotBytes * sizes.sendSlots),
      payload: new Uint8Array(sizes.payloadBytes),
      sends: new Int32Array(sizes.sendSlots * SEND.fields),
      gaps: new Int32Array(sizes.wakes),
      encodes: new Int32Array(sizes.wakes),
      info: new Float64Array(sizes.info),
    };
    this.info = buffers.info;
    this.sends = buffers.sends;
    this.gaps = buffers.gaps;
    this.encodes = buffers.encodes;
    this.#payload = buffers.payload;
    this.#slab = buffers.slab;
    this.#slotBytes = sizes.slotBytes;
    for (let slot = 0; slot < sizes.sendSlots; slot++) this.#views.push(new Map());
    this.native = native.createEngine(config, buffers);
  }

  /** The native engine, whose next call happens at `nowMs` on the reactor's clock. */
  at(nowMs: number): NativeEngine {
    this.info[INFO.nowMs] = nowMs;
    return this.native;
  }

  /**
   * The message in a slot of the send slab. Messages come in a few lengths (whole multiples of 20 ms) and their views
   * are kept; only the tail of an utterance may have a length of its own.
   */
  message(slot: number, bytes: number): Uint8Array {
    const views = this.#views[slot]!;
    let view = views.get(bytes);
    if (view === undefined) {
      const offset = slot * this.#slotBytes;
      view = this.#slab.subarray(offset, offset + bytes);
      if (views.size < VIEWS_PER_SLOT) views.set(bytes, view);
    }
    return view;
  }

  /**
   * The payload that the pool must decode, as the last receive() or next() left it, or that heardPayload() found. Views
   * of the usual lengths are kept: packets of a variable-rate codec come in a few hundred.
   */
  pooledPayload(): Uint8Array {
    const offset = this.info[INFO.payloadOffset]!;
    const bytes = this.info[INFO.payloadBytes]!;
    if (offset !== 0 || bytes >= PAYLOAD_VIEWS) return this.#payload.subarray(offset, offset + bytes);
    this.#payloadViews[bytes] ??= this.#payload.subarray(0, bytes);
    return this.#payloadViews[bytes]!;
  }

  /**
   * The payload of the frame that receive() or next() delivered last, if it was that stream's and not made up. Valid until
   * the engine's next message.
   */
  heardPayload(stream: number): Uint8Array | undefined {
    return this.native.heardPayload(stream) === 1 ? this.pooledPayload() : undefined;
  }

  /** Counters of one stream by name, or of all streams ever when none is given. */
  counters(stream?: number): Record<string, number> {
    if (stream === undefined) this.native.totals(this.#counterValues);
    else this.native.streamCounters(stream, this.#counterValues);
    const named: Record<string, number> = {};
    native.counterNames.forEach((name, i) => {
      named[name] = this.#counterValues[i]!;
    });
    return named;
  }
}

// Six encodings and rates by five or six chunk lengths.
const VIEWS_PER_SLOT = 48;
const PAYLOAD_VIEWS = 512;
