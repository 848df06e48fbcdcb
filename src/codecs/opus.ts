/** Opus (RFC 6716) in mono, one packet a payload (RFC 7587 without its RTP header). */
import { SidetoneError } from '../errors.js';
import { flag, oneOf, wholeNumber } from './options.js';
import { type OpusDecoder, type OpusEncoder, opusLibrary } from './opus-library.js';
import type { PayloadDecoder, PayloadEncoder } from './types.js';

/** Sample rates that libopus takes and gives, in Hz. */
export const OPUS_RATES = [8000, 12000, 16000, 24000, 48000] as const;
export type OpusRate = (typeof OPUS_RATES)[number];

export interface OpusDecoderOptions {
  /** Sample rate of the PCM, in Hz; any rate serves for any packet. Default 16000. */
  sampleRate?: OpusRate;
}

export interface OpusEncoderOptions {
  /** Sample rate of the PCM, in Hz. Default 16000. */
  sampleRate?: OpusRate;
  /** Average bits a second, 6000 to 128000. Default: 16000 at 8 kHz, 24000 at 16 kHz, 32000 above. */
  bitrateBps?: number;
  /** 0 (cheapest) to 10. Default 5. */
  complexity?: number;
  /** Silence becomes one-byte packets. Default false. */
  dtx?: boolean;
  /** In-band forward error correction: each packet also carries the last one, coarsely. Default false. */
  fec?: boolean;
  /** Loss on the way that the encoder is to prepare for, 0 to 100; FEC needs at least 1. Default 5 with FEC, else 0. */
  packetLossPercent?: number;
}

/**
 * A payload came in one RTP packet of at most 1,500 bytes, so no packet is longer. It also is the longest that the
 * test vectors hold.
 */
export const OPUS_PACKET_BYTES_MAX = 1500;

// Requests of opus_encoder_ctl and opus_decoder_ctl (opus_defines.h).
const SET_BITRATE = 4002;
const SET_COMPLEXITY = 4010;
const SET_INBAND_FEC = 4012;
const SET_PACKET_LOSS_PERC = 4014;
const SET_DTX = 4016;
const RESET_STATE = 4028;

/** The options with their defaults; throws `SIDETONE_BAD_OPTION` where one is wrong. */
export function opusDecoderSettings(options: OpusDecoderOptions): Required<OpusDecoderOptions> {
  return { sampleRate: oneOf('OPUS sampleRate', options.sampleRate, 16000, OPUS_RATES) };
}

/** The options with their defaults; throws `SIDETONE_BAD_OPTION` where one is wrong. */
export function opusEncoderSettings(options: OpusEncoderOptions): Required<OpusEncoderOptions> {
  const sampleRate = oneOf('OPUS sampleRate', options.sampleRate, 16000, OPUS_RATES);
  const bitrateDefault = sampleRate <= 12000 ? 16000 : sampleRate === 16000 ? 24000 : 32000;
  const fec = flag('OPUS fec', options.fec, false);
  return {
    sampleRate,
    bitrateBps: wholeNumber('OPUS bitrateBps', options.bitrateBps, bitrateDefault, 6000, 128000),
    complexity: wholeNumber('OPUS complexity', options.complexity, 5, 0, 10),
    dtx: flag('OPUS dtx', options.dtx, false),
    fec,
    packetLossPercent: wholeNumber('OPUS packetLossPercent', options.packetLossPercent, fec ? 5 : 0, 0, 100),
  };
}

/** The longest packet is 120 ms (RFC 6716 section 3.2.5). */
const PACKET_MS_MAX = 120;

// The garbage collector does not see libopus's memory (about 67 KB for an encoder with a decoder), so it would free it
// late. Codecs that streams have closed wait here for the next stream, never more than were open at once.
const freeDecoders = new Map<number, OpusDecoder[]>();
const freeEncoders = new Map<number, OpusEncoder[]>();

function take<T extends OpusDecoder | OpusEncoder>(free: Map<number, T[]>, rate: number, make: () => T): T {
  const codec = free.get(rate)?.pop() ?? make();
  codec.ctl(RESET_STATE);
  return codec;
}

function giveBack<T>(free: Map<number, T[]>, rate: number, codec: T): void {
  const list = free.get(rate);
  if (list) list.push(codec);
  else free.set(rate, [codec]);
}

function closed(): SidetoneError {
  return new SidetoneError('SIDETONE_CODEC_CLOSED', 'OPUS codec: used after close(); open another');
}

/** Frames of a packet whose length has been checked (RFC 6716 section 3.2). */
function frameCount(packet: Uint8Array): number {
  const code = packet[0]! & 3;
  return code === 0 ? 1 : code < 3 ? 2 : packet[1]! & 0x3f;
}

export class OpusPayloadDecoder implements PayloadDecoder {
  readonly sampleRate: number;
  #decoder: OpusDecoder | undefined;
  readonly #pcm: Int16Array;
  readonly #bytes: Uint8Array;
  /** A packet like the last one, but with no byte in any of its frames: libopus conceals each. */
  readonly #empty = new Uint8Array(2);
  #emptyBytes = 0;

  constructor(options: OpusDecoderOptions = {}) {
    this.sampleRate = opusDecoderSettings(options).sampleRate;
    this.#decoder = take(
      freeDecoders,
      this.sampleRate,
      () => new (opusLibrary().Decoder)({ channels: 1, sample_rate: this.sampleRate }),
    );
    this.#pcm = new Int16Array((this.sampleRate / 1000) * PACKET_MS_MAX);
    this.#bytes = new Uint8Array(this.#pcm.buffer);
  }

  decode(payload: Uint8Array): Int16Array {
    if (!this.#decoder) throw closed();
    const bytes = payload.length;
    if (bytes === 0 || bytes > OPUS_PACKET_BYTES_MAX) {
      throw new SidetoneError(
        'SIDETONE_BAD_PAYLOAD',
        `OPUS payload: ${bytes} bytes, but a packet has 1 to ${OPUS_PACKET_BYTES_MAX}`,
      );
    }
    const pcm = this.#decode(this.#decoder, payload);
    const frames = frameCount(payload);
    this.#empty[0] = frames === 1 ? payload[0]! & 0xfc : payload[0]! | 3;
    this.#empty[1] = frames;
    this.#emptyBytes = frames === 1 ? 1 : 2;
    return pcm;
  }

  conceal(): Int16Array {
    if (!this.#decoder) throw closed();
    if (this.#emptyBytes === 0) return this.#pcm.subarray(0, this.sampleRate / 50).fill(0);
    return this.#decode(this.#decoder, this.#empty.subarray(0, this.#emptyBytes));
  }

  #decode(decoder: OpusDecoder, packet: Uint8Array): Int16Array {
    let decoded: Uint8Array;
    try {
      decoded = decoder.decode(packet);
    } catch (cause) {
      throw new SidetoneError(
        'SIDETONE_BAD_PAYLOAD',
        `OPUS payload: libopus refuses these ${packet.length} bytes (${(cause as Error).message}); ` +
          'is the stream really OPUS, one packet a message?',
        { cause },
      );
    }
    this.#bytes.set(decoded);
    return this.#pcm.subarray(0, decoded.length / 2);
  }

  close(): void {
    if (!this.#decoder) return;
    giveBack(freeDecoders, this.sampleRate, this.#decoder);
    this.#decoder = undefined;
  }
}

export class OpusPayloadEncoder implements PayloadEncoder {
  readonly sampleRate: number;
  readonly frameSamples: number;
  #encoder: OpusEncoder | undefined;
  readonly #packet = new Uint8Array(OPUS_PACKET_BYTES_MAX);

  constructor(options: OpusEncoderOptions = {}) {
    const settings = opusEncoderSettings(options);
    const rate = settings.sampleRate;
    this.sampleRate = rate;
    this.frameSamples = rate / 50;
    this.#encoder = take(
      freeEncoders,
      rate,
      () => new (opusLibrary().Encoder)({ channels: 1, sample_rate: rate, application: 'voip' }),
    );
    // All of them, always: a codec that served another stream keeps that stream's settings over a reset.
    this.#encoder.ctl(SET_BITRATE, settings.bitrateBps);
    this.#encoder.ctl(SET_COMPLEXITY, settings.complexity);
    this.#encoder.ctl(SET_DTX, settings.dtx ? 1 : 0);
    this.#encoder.ctl(SET_INBAND_FEC, settings.fec ? 1 : 0);
    this.#encoder.ctl(SET_PACKET_LOSS_PERC, settings.packetLossPercent);
  }

  encode(pcm: Int16Array): Uint8Array {
    if (!this.#encoder) throw closed();
    if (pcm.length !== this.frameSamples) {
      throw new SidetoneError(
        'SIDETONE_BAD_ARGUMENT',
        `OPUS encode: pcm has ${pcm.length} samples; give one frame of ${this.frameSamples} (20 ms)`,
      );
    }
    const packet = this.#encoder.encode(pcm);
    this.#packet.set(packet);
    return this.#packet.subarray(0, packet.length);
  }

  close(): void {
    if (!this.#encoder) return;
    giveBack(freeEncoders, this.sampleRate, this.#encoder);
    this.#encoder = undefined;
  }
}
