/** Codecs for tools, tests and plugins: any encoding of the wire, in the thread that asks. */

import { SidetoneError, shown } from '../errors.js';
import { ENCODINGS, type Encoding, isEncoding, SAMPLE_RATES } from '../formats.js';
import { native } from '../native/addon.js';
import {
  openPayloadDecoder,
  openPayloadEncoder,
  type PoolDecoderOptions,
  type PoolEncoderOptions,
} from './open.js';
import { SampledDecoder, SampledEncoder, type SampledOptions } from './sampled.js';
import type { PayloadDecoder, PayloadEncoder } from './types.js';

interface AnnouncedRate {
  /** As announced in `media_format` or asked for, in Hz; which ones there are depends on the encoding. */
  sampleRate?: number;
}
/** Which options a decoder takes depends on its encoding: docs/codecs.md. */
export type DecoderOptions = AnnouncedRate & SampledOptions & Omit<PoolDecoderOptions, 'sampleRate'>;
/** Which options an encoder takes depends on its encoding: docs/codecs.md. */
export type EncoderOptions = AnnouncedRate & SampledOptions & Omit<PoolEncoderOptions, 'sampleRate'>;

/**
 * A decoder of one stream's payloads. What it returns is the caller's to keep.
 * @throws SidetoneError SIDETONE_BAD_OPTION; SIDETONE_CODEC_UNAVAILABLE where a system library is missing (AMR-WB)
 */
export function createDecoder(encoding: Encoding, options: DecoderOptions = {}): PayloadDecoder {
  mustBeKnown(encoding, options);
  const decoder =
    encoding === 'OPUS' || encoding === 'AMR-WB'
      ? openPayloadDecoder(encoding, options as PoolDecoderOptions)
      : new SampledDecoder(encoding, options);
  return {
    sampleRate: decoder.sampleRate,
    decode(payload) {
      mustBe(payload instanceof Uint8Array, 'payload', payload, 'a Uint8Array');
      return decoder.decode(payload).slice();
    },
    conceal: () => decoder.conceal().slice(),
    close: () => decoder.close(),
  };
}

/** An encoder of one stream's PCM. What it returns is the caller's to keep. Throws as createDecoder does. */
export function createEncoder(encoding: Encoding, options: EncoderOptions = {}): PayloadEncoder {
  mustBeKnown(encoding, options);
  const encoder =
    encoding === 'OPUS' || encoding === 'AMR-WB'
      ? openPayloadEncoder(encoding, options as PoolEncoderOptions)
      : new SampledEncoder(encoding, options);
  return {
    sampleRate: encoder.sampleRate,
    frameSamples: encoder.frameSamples,
    encode(pcm) {
      mustBe(pcm instanceof Int16Array, 'pcm', pcm, 'an Int16Array');
      return encoder.encode(pcm).slice();
    },
    close: () => encoder.close(),
  };
}

/**
 * The same sound at another rate, whole: the filter's delay is taken off its beginning.
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT unless both rates are of SAMPLE_RATES
 */
export function resample(pcm: Int16Array, fromHz: number, toHz: number): Int16Array {
  mustBe(pcm instanceof Int16Array, 'pcm', pcm, 'an Int16Array');
  const rates: readonly number[] = SAMPLE_RATES;
  const remedy = `one of ${rates.join(', ')} Hz`;
  mustBe(rates.includes(fromHz), 'fromHz', fromHz, remedy);
  mustBe(rates.includes(toHz), 'toHz', toHz, remedy);
  if (pcm.length === 0) return new Int16Array();
  if (fromHz === toHz) return pcm.slice();
  const resampler = new native.Resampler(fromHz, toHz);
  const body = resampler.process(pcm);
  const tail = resampler.flush();
  const skip = Math.round((resampler.delayMs * toHz) / 1000);
  const length = Math.round((pcm.length * toHz) / fromHz);
  const whole = new Int16Array(body.length + tail.length);
  whole.set(body);
  whole.set(tail, body.length);
  return whole.slice(skip, skip + length);
}

function mustBeKnown(encoding: Encoding, options: object): void {
  if (!isEncoding(encoding)) {
    const problem = `encoding: ${shown(encoding)}: use one of ${ENCODINGS.join(', ')}`;
    throw new SidetoneError('SIDETONE_BAD_OPTION', problem);
  }
  if (typeof options !== 'object' || options === null) {
    throw new SidetoneError('SIDETONE_BAD_OPTION', `options: ${shown(options)}: pass an object, or nothing`);
  }
}

function mustBe(ok: boolean, field: string, value: unknown, remedy: string): void {
  if (!ok) throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${field}: ${shown(value)}: pass ${remedy}`);
}
