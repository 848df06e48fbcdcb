/** PCMU, PCMA, L16 and G722: encodings whose payloads may be cut anywhere. Concealment by the addon's concealer. */

import { SidetoneError } from '../errors.js';
import { CODECS, type Encoding } from '../formats.js';
import { type LawKernel, type NativeConcealer, native } from '../native/addon.js';
import { oneOf } from './options.js';
import type { PayloadDecoder, PayloadEncoder } from './types.js';

export type SampledEncoding = Exclude<Encoding, 'OPUS' | 'AMR-WB'>;

export interface SampledOptions {
  /** The rate as it is announced: L16's own rate, 8000 for the others. Default: 8000, for L16 16000. */
  sampleRate?: number;
  /** Byte order of L16. Default 'le', which Telnyx sends. A decoder with 'auto' finds it by listening. */
  l16ByteOrder?: 'le' | 'be' | 'auto';
}

interface Pair {
  decode(payload: Uint8Array): Int16Array;
  encode(pcm: Int16Array): Uint8Array;
}

function law(byName: Record<string, LawKernel>): Pair {
  const kernel = Object.values(byName).at(-1)!;
  return {
    decode(payload) {
      const pcm = new Int16Array(payload.length);
      kernel.decode(payload, pcm);
      return pcm;
    },
    encode(pcm) {
      const payload = new Uint8Array(pcm.length);
      kernel.encode(pcm, payload);
      return payload;
    },
  };
}

function l16(order: ByteOrder, sampleRate: number): Pair {
  const finder = order === 'auto' ? new native.L16OrderFinder(sampleRate) : undefined;
  const copy = (from: ArrayBufferView, bytes: number, bigEndian: boolean): Buffer => {
    if (bytes === 0) return Buffer.alloc(0); // its memory may be gone
    const buffer = Buffer.from(Buffer.from(from.buffer, from.byteOffset, bytes));
    return bigEndian === HOST_BIG_ENDIAN ? buffer : buffer.swap16();
  };
  return {
    // An odd last byte is no sample: it is dropped.
    decode(payload) {
      const bigEndian = finder ? finder.isBigEndian(payload) : order === 'be';
      const bytes = copy(payload, payload.length - (payload.length % 2), bigEndian);
      return new Int16Array(Uint8Array.from(bytes).buffer);
    },
    encode: pcm => Uint8Array.from(copy(pcm, pcm.byteLength, order === 'be')),
  };
}

const HOST_BIG_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 0;

function g722(): Pair {
  const decoder = new native.G722Decoder();
  const encoder = new native.G722Encoder();
  return { decode: payload => decoder.decode(payload), encode: pcm => encoder.encode(pcm) };
}

type ByteOrder = NonNullable<SampledOptions['l16ByteOrder']>;

const PAIRS: Record<SampledEncoding, (order: ByteOrder, sampleRate: number) => Pair> = {
  PCMU: () => law(native.kernels.ulaw),
  PCMA: () => law(native.kernels.alaw),
  L16: l16,
  G722: g722,
};

function open(
  encoding: SampledEncoding,
  options: SampledOptions,
  orders: readonly ByteOrder[],
): { pair: Pair; sampleRate: number } {
  const rates = CODECS[encoding].announcedRates;
  const announced = oneOf('sampleRate', options.sampleRate, encoding === 'L16' ? 16000 : 8000, rates);
  const order = oneOf('l16ByteOrder', options.l16ByteOrder, 'le', orders);
  const sampleRate = CODECS[encoding].sampleRate(announced);
  return { pair: PAIRS[encoding](order, sampleRate), sampleRate };
}

function closedError(): SidetoneError {
  return new SidetoneError('SIDETONE_CODEC_CLOSED', 'this codec is closed: make a new one');
}

export class SampledDecoder implements PayloadDecoder {
  readonly sampleRate: number;
  #pair: Pair | undefined;
  readonly #concealer: NativeConcealer;
  #frameSamples: number;

  constructor(encoding: SampledEncoding, options: SampledOptions = {}) {
    const { pair, sampleRate } = open(encoding, options, ['le', 'be', 'auto']);
    this.#pair = pair;
    this.sampleRate = sampleRate;
    this.#concealer = new native.Concealer(sampleRate);
    this.#frameSamples = sampleRate / 50;
  }

  decode(payload: Uint8Array): Int16Array {
    if (!this.#pair) throw closedError();
    const pcm = this.#pair.decode(payload);
    if (pcm.length > 0) {
      this.#frameSamples = pcm.length;
      this.#concealer.receive(pcm);
    }
    return pcm;
  }

  conceal(): Int16Array {
    if (!this.#pair) throw closedError();
    return this.#concealer.conceal(this.#frameSamples);
  }

  close(): void {
    this.#pair = undefined;
  }
}

export class SampledEncoder implements PayloadEncoder {
  readonly sampleRate: number;
  readonly frameSamples: number;
  #pair: Pair | undefined;

  constructor(
    private readonly encoding: SampledEncoding,
    options: SampledOptions = {},
  ) {
    const { pair, sampleRate } = open(encoding, options, ['le', 'be']);
    this.#pair = pair;
    this.sampleRate = sampleRate;
    this.frameSamples = sampleRate / 50;
  }

  /** Any number of samples; for G722, which makes one byte of two, an even one. */
  encode(pcm: Int16Array): Uint8Array {
    if (!this.#pair) throw closedError();
    if (!(pcm instanceof Int16Array) || (this.encoding === 'G722' && pcm.length % 2 !== 0)) {
      const what = pcm instanceof Int16Array ? `${pcm.length} samples` : typeof pcm;
      throw new SidetoneError(
        'SIDETONE_BAD_ARGUMENT',
        `pcm: ${what}: pass an Int16Array, for G722 of even length`,
      );
    }
    return this.#pair.encode(pcm);
  }

  close(): void {
    this.#pair = undefined;
  }
}
