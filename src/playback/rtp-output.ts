/** The output of RTP mode. */

import { CODECS, type Format } from '../formats.js';
import type { StreamHost, StreamLink } from '../media/host.js';
import { INFO } from '../native/addon.js';
import { CLEAR_TEXT } from '../telnyx/commands.js';
import type { Positions } from './ledger.js';
import { type Output, type OutputOwner, queueFull } from './output.js';

export interface RtpOutputSetup {
  host: StreamHost;
  link: StreamLink;
  slot: number;
  outbound: Format;
  /** Pool encodings: what the engine wants encoded now goes to the encoder. */
  encode: (() => void) | undefined;
}

/** RTP mode: the engine queues, encodes and paces. Positions count samples at the outbound encoding's rate. */
export class RtpOutput implements Output {
  readonly readAheadMs = 2000;
  // Fields of its own rather than the object it is made of: those have a shape a stream, and every access would be a miss.
  readonly #host: RtpOutputSetup['host'];
  readonly #slot: number;
  readonly #link: RtpOutputSetup['link'];
  readonly #encode: RtpOutputSetup['encode'];
  readonly #samplesPerMs: number;
  #skipsSeen = 0;

  constructor(setup: RtpOutputSetup) {
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
    return info[INFO.queuedMs]! + info[INFO.unheardMs]!;
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

  enqueueEncoded(bytes: Uint8Array, ms: number): void {
    const { path, clock, options } = this.#host;
    const due = path.playEncoded(this.#slot, bytes, clock.now());
    if (due < 0) throw queueFull(ms, this.queuedMs(), options.queueMaxMs);
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

  clear(fadeMs: number): void {
    this.#host.path.engine.at(this.#host.clock.now()).clear(this.#slot, fadeMs);
    this.#link.sendText(CLEAR_TEXT);
    this.goOn();
  }

  fadeLength(fadeMs: number): number {
    const { path, clock } = this.#host;
    return fadeMs > 0 ? path.engine.at(clock.now()).fadeSamples(this.#slot, fadeMs) : 0;
  }

  pause(): void {
    this.#host.path.engine.at(this.#host.clock.now()).pause(this.#slot);
  }

  resume(): void {
    const { path, clock } = this.#host;
    const due = path.resume(this.#slot, clock.now());
    if (due > 0) path.flush(due);
    this.#encode?.();
  }

  goOn(): void {
    const { path, clock } = this.#host;
    const due = path.sendNow(this.#slot, clock.now());
    if (due > 0) path.flush(due);
    this.#encode?.();
  }

  head(): number {
    return this.#position()[INFO.head]!;
  }

  remove(from: number, to: number): void {
    this.#host.path.engine.native.remove(this.#slot, from, to);
  }

  drained(): void {
    this.#host.path.engine.at(this.#host.clock.now()).forget(this.#slot);
  }

  tellSkipped(owner: OutputOwner): void {
    const { engine, info } = this.#host.path;
    const { native } = engine;
    if (info[INFO.skips] === this.#skipsSeen) return;
    this.#skipsSeen = info[INFO.skips]!;
    while (native.takeSkipped(this.#slot) === 1)
      owner.skipped(info[INFO.skippedFrom]!, info[INFO.skippedTo]!);
  }

  hasOwnAudio(): boolean {
    return this.#host.path.engine.at(this.#host.clock.now()).hasOwnAudio(this.#slot) === 1;
  }

  counters(): Record<string, number> {
    return this.#host.path.engine.counters(this.#slot);
  }

  // The tick sends what is due, and the engine's queue ends with the slot.
  complete(): void {}
  close(): void {}

  #position(): Float64Array {
    const { path, clock } = this.#host;
    path.engine.at(clock.now()).position(this.#slot);
    return path.info;
  }
}
