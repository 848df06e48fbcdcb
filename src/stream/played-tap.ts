/**
 * What a handler played, as its caller hears it: the stream's messages, each at the time at which the far end plays it,
 * cut where a clear cut them. It exists only for handlers that have `onPlayed`.
 *
 *   message sent ─▶ placed behind what the far end still has ─▶ decode ─▶ (resample) ─▶ heard by now? ─▶ onPlayed
 */

import { createDecoder, type DecoderOptions } from '../codecs/create.js';
import type { PayloadDecoder } from '../codecs/types.js';
import type { Format } from '../formats.js';
import { type NativeResampler, native } from '../native/addon.js';
import type { PlayedFrame } from '../plugin/stream.js';

export interface PlayedSetup {
  outbound: Format;
  /** The sample rate of the frames that are delivered, in Hz. */
  sampleRate: number;
  codec: DecoderOptions;
  deliver(frame: PlayedFrame): void;
}

interface Batch {
  payloads: Uint8Array[];
  /** When the far end will have played it all. */
  endMs: number;
}

interface Piece {
  /** When its first sample is heard. */
  startMs: number;
  samples: Int16Array;
}

/**
 * Longest sound held until the caller's first frame says where time begins and until it has been heard. The lead of the
 * far end (300 ms unless configured) and the 500 ms between two sweeps need a tenth of it. When a caller sends nothing
 * for longer, the oldest sound is dropped.
 */
const HELD_MS_MAX = 10_000;
/** Sound that follows within this belongs to the run before it: only rounding lies between them. */
const JOIN_MS = 0.1;
const NEVER = Number.POSITIVE_INFINITY;

export class PlayedTap {
  readonly #setup: PlayedSetup;
  #fresh: Uint8Array[] = [];
  #batches: Batch[] = [];
  #pieces: Piece[] = [];
  #decoder: PayloadDecoder | undefined;
  #resampler: NativeResampler | undefined;
  /** Samples of the resampler's delay that are still to be left out. */
  #skip = 0;
  /** Where the run that is being decoded ends so far: its messages, and its samples. */
  #messagesEndMs = -NEVER;
  #samplesEndMs = -NEVER;
  /** The clock's time of the stream's 0 ms: as known now, and as it was when the run being delivered began. */
  #originMs = NEVER;
  #runOriginMs = NEVER;
  #deliveredEndMs = -NEVER;

  constructor(setup: PlayedSetup) {
    this.#setup = setup;
  }

  /** One media message was sent; it is copied. */
  sent(message: Uint8Array): void {
    const { buffer, byteOffset, length } = message;
    const text = Buffer.from(buffer, byteOffset, length).toString('latin1');
    const { media } = JSON.parse(text) as { media: { payload: string } };
    this.#fresh.push(Buffer.from(media.payload, 'base64'));
  }

  /** The messages told of since the last call will have been played at `endMs`. */
  placed(endMs: number): void {
    if (this.#fresh.length === 0) return;
    this.#batches.push({ payloads: this.#fresh, endMs });
    this.#fresh = [];
    while (this.#batches[0]!.endMs < endMs - HELD_MS_MAX) this.#batches.shift();
  }

  /**
   * A frame of the caller has come. It cannot come before its last sample was spoken, so the one that came soonest
   * after that tells how the two directions stand to each other.
   */
  anchor(nowMs: number, timestampMs: number, durationMs: number): void {
    this.#originMs = Math.min(this.#originMs, nowMs - timestampMs - durationMs);
  }

  /** Delivers what has been heard by now. */
  heard(nowMs: number): void {
    if (this.#originMs === NEVER) return;
    this.#decodeAll();
    const samplesPerMs = this.#setup.sampleRate / 1000;
    for (let piece = this.#pieces[0]; piece; piece = this.#pieces[0]) {
      const { startMs, samples } = piece;
      const heardSamples = Math.min(samples.length, Math.floor((nowMs - startMs) * samplesPerMs));
      if (heardSamples <= 0) return;
      if (heardSamples === samples.length) this.#pieces.shift();
      else {
        const restMs = startMs + heardSamples / samplesPerMs;
        this.#pieces[0] = { startMs: restMs, samples: samples.subarray(heardSamples) };
      }
      this.#deliver(samples.subarray(0, heardSamples), startMs);
    }
    if (nowMs >= this.#messagesEndMs) this.#endRun();
  }

  /** A clear: what has not been heard by now never is. */
  cleared(nowMs: number): void {
    this.heard(nowMs);
    this.#fresh = [];
    this.#batches = [];
    this.#pieces = [];
    this.#resampler = undefined;
    this.#messagesEndMs = -NEVER;
  }

  /** The stream's end: delivers what was heard, and gives the decoder back. */
  close(nowMs: number): void {
    this.#decodeAll();
    // The caller never sent anything: then time begins with what was played.
    if (this.#originMs === NEVER && this.#pieces[0]) this.#originMs = this.#pieces[0].startMs;
    this.cleared(nowMs);
    this.#decoder?.close();
    this.#decoder = undefined;
  }

  #decodeAll(): void {
    const batches = this.#batches;
    this.#batches = [];
    for (const { payloads, endMs } of batches) {
      const decoder = this.#open();
      // These decoders return arrays that the caller may keep.
      const decoded = payloads.map(payload => decoder.decode(payload));
      const samples = decoded.reduce((sum, pcm) => sum + pcm.length, 0);
      const startMs = endMs - (samples * 1000) / decoder.sampleRate;
      if (Math.abs(startMs - this.#messagesEndMs) > JOIN_MS) this.#startRun(startMs);
      this.#messagesEndMs = endMs;
      for (const pcm of decoded) this.#add(this.#resampler ? this.#resampler.process(pcm) : pcm);
    }
  }

  #open(): PayloadDecoder {
    const { outbound, codec } = this.#setup;
    this.#decoder ??= createDecoder(outbound.encoding, { ...codec, sampleRate: outbound.sampleRate });
    return this.#decoder;
  }

  #startRun(startMs: number): void {
    this.#endRun();
    this.#samplesEndMs = startMs;
    const fromHz = this.#open().sampleRate;
    const toHz = this.#setup.sampleRate;
    if (fromHz === toHz) return;
    this.#resampler = new native.Resampler(fromHz, toHz);
    this.#skip = Math.round((this.#resampler.delayMs * toHz) / 1000);
  }

  /** At the end of a run its last samples are still inside the resampler. */
  #endRun(): void {
    if (this.#resampler) this.#add(this.#resampler.flush());
    this.#resampler = undefined;
    this.#messagesEndMs = -NEVER;
  }

  #add(pcm: Int16Array): void {
    const skipped = Math.min(this.#skip, pcm.length);
    this.#skip -= skipped;
    const samples = pcm.subarray(skipped);
    this.#pieces.push({ startMs: this.#samplesEndMs, samples });
    this.#samplesEndMs += (samples.length * 1000) / this.#setup.sampleRate;
  }

  #deliver(samples: Int16Array, startMs: number): void {
    const { sampleRate, deliver } = this.#setup;
    // A run stays whole: what is learnt about the origin meanwhile holds from the next one on.
    if (Math.abs(startMs - this.#deliveredEndMs) > JOIN_MS) this.#runOriginMs = this.#originMs;
    this.#deliveredEndMs = startMs + (samples.length * 1000) / sampleRate;
    deliver({
      samples,
      sampleRate,
      timestampMs: startMs - this.#runOriginMs,
      copy: () => samples.slice(),
    });
  }
}
