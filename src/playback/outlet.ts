/** Where what a stream plays goes: it waits here, is sent when it is due, and is heard. */

import { CODECS, type Format } from '../formats.js';
import type { StreamHost, StreamLink } from '../media/host.js';
import { INFO } from '../native/addon.js';
import { CLEAR_TEXT } from '../telnyx/commands.js';
import { queueFull } from './feed.js';
import type { Positions } from './ledger.js';

/** One a stream. Its stream hears of messages that were sent by `afterSend()`. */
export interface Outlet {
  /** Sources are read while less than this waits here, in ms. */
  readonly readAheadMs: number;
  /** Where its audio stands (see ledger.ts). */
  positions(): Positions;
  /** Audio that has not been heard, in ms: what waits here and what the far end still has. */
  queuedMs(): number;
  /**
   * Takes all of some PCM, which it copies, or none. `liveLatencyMaxMs`: see NativeEngine.play().
   * @throws SidetoneError SIDETONE_QUEUE_FULL
   */
  enqueue(samples: Int16Array, sampleRate: number, nowMs: number, liveLatencyMaxMs: number): void;
  /** The playback is complete: what was taken need not wait for more of it. */
  complete(): void;
  /** A mark goes behind this position: a message should end there. */
  cutAt(position: number): void;
  /** The stream hears of its messages by afterSend(): of every one, or of those that leave less than `belowMs` waiting. */
  follow(every: boolean, belowMs: number): void;
  /** Drops what waits here and has the far end drop what it has not played. */
  clear(): void;
  /** The far end has read some of what it was sent, or some time has passed. */
  drained(): void;
  /** Calls `told` with each range of positions that was left out since the last call: it will not be heard. */
  tellSkipped(told: (from: number, to: number) => void): void;
  counters(): Record<string, number>;
  /** The stream has ended: nothing is sent any more. */
  close(): void;
}

export interface EngineOutletSetup {
  host: StreamHost;
  link: StreamLink;
  slot: number;
  outbound: Format;
  /** Pool encodings: what the engine wants encoded now goes to the encoder. */
  encode: (() => void) | undefined;
}

/** RTP mode: the engine queues, encodes and paces. Positions count samples at the outbound encoding's rate. */
export class EngineOutlet implements Outlet {
  readonly readAheadMs = 2000;
  // Fields of its own rather than the object it is made of: those have a shape a stream, and every access would be a miss.
  readonly #host: EngineOutletSetup['host'];
  readonly #slot: number;
  readonly #link: EngineOutletSetup['link'];
  readonly #encode: EngineOutletSetup['encode'];
  readonly #samplesPerMs: number;
  #skipsSeen = 0;

  constructor(setup: EngineOutletSetup) {
    this.#host = setup.host;
    this.#slot = setup.slot;
    this.#link = setup.link;
    this.#encode = setup.encode;
    this.#samplesPerMs = CODECS[setup.outbound.encoding].sampleRate(setup.outbound.sampleRate) / 1000;
  }

  positions(): Positions {
    const info = this.#position();
    return {
      accepted: info[INFO.accepted]!,
      sent: info[INFO.sent]!,
      played: info[INFO.played]!,
      samplesPerMs: this.#samplesPerMs,
    };
  }

  queuedMs(): number {
    const info = this.#position();
    return info[INFO.queuedMs]! + info[INFO.aheadMs]!;
  }

  enqueue(samples: Int16Array, sampleRate: number, nowMs: number, liveLatencyMaxMs: number): void {
    const { path, options } = this.#host;
    const due = path.play(this.#slot, samples, sampleRate, nowMs, liveLatencyMaxMs);
    if (due < 0) {
      throw queueFull((samples.length * 1000) / sampleRate, this.queuedMs(), options.queueMaxMs);
    }
    if (due > 0) path.flush(due);
    this.#encode?.();
  }

  cutAt(position: number): void {
    this.#host.path.engine.native.cutAt(this.#slot, position);
  }

  follow(every: boolean, belowMs: number): void {
    const { native } = this.#host.path.engine;
    native.follow(this.#slot, every);
    native.followBelow(this.#slot, belowMs * this.#samplesPerMs);
  }

  clear(): void {
    this.#host.path.engine.at(this.#host.clock.now()).clear(this.#slot);
    this.#link.sendText(CLEAR_TEXT);
  }

  tellSkipped(told: (from: number, to: number) => void): void {
    const { engine, info } = this.#host.path;
    const { native } = engine;
    if (info[INFO.skips] === this.#skipsSeen) return;
    this.#skipsSeen = info[INFO.skips]!;
    while (native.takeSkipped(this.#slot) === 1) told(info[INFO.skippedFrom]!, info[INFO.skippedTo]!);
  }

  counters(): Record<string, number> {
    return this.#host.path.engine.counters(this.#slot);
  }

  // The tick sends what is due, and the engine's queue ends with the slot.
  complete(): void {}
  drained(): void {}
  close(): void {}

  #position(): Float64Array {
    const { path, clock } = this.#host;
    path.engine.at(clock.now()).position(this.#slot);
    return path.info;
  }
}
