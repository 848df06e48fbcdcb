import {
  type AmrWbDecoderOptions,
  type AmrWbEncoderOptions,
  AmrWbPayloadDecoder,
  AmrWbPayloadEncoder,
  amrWbDecoderSettings,
  amrWbEncoderSettings,
} from './amrwb.js';
import {
  type OpusDecoderOptions,
  type OpusEncoderOptions,
  OpusPayloadDecoder,
  OpusPayloadEncoder,
  opusDecoderSettings,
  opusEncoderSettings,
} from './opus.js';
import type { PayloadDecoder, PayloadEncoder, PoolEncoding } from './types.js';

export type PoolDecoderOptions = OpusDecoderOptions & AmrWbDecoderOptions;
export type PoolEncoderOptions = OpusEncoderOptions & AmrWbEncoderOptions;

/** A decoder of one of the costly encodings, in this thread. Options of the other encoding are not looked at. */
export function openPayloadDecoder(encoding: PoolEncoding, options: PoolDecoderOptions = {}): PayloadDecoder {
  return encoding === 'OPUS' ? new OpusPayloadDecoder(options) : new AmrWbPayloadDecoder(options);
}

/** An encoder of one of the costly encodings, in this thread. Options of the other encoding are not looked at. */
export function openPayloadEncoder(encoding: PoolEncoding, options: PoolEncoderOptions = {}): PayloadEncoder {
  return encoding === 'OPUS' ? new OpusPayloadEncoder(options) : new AmrWbPayloadEncoder(options);
}

/**
 * The settings of such a codec, with every default filled in. It is not opened. Throws `SIDETONE_BAD_OPTION`, and
 * `SIDETONE_CODEC_UNAVAILABLE` when AMR-WB's libraries are missing.
 */
export function decoderSettings(
  encoding: PoolEncoding,
  options: PoolDecoderOptions = {},
): { sampleRate: number; options: PoolDecoderOptions } {
  if (encoding === 'OPUS') {
    const settings = opusDecoderSettings(options);
    return { sampleRate: settings.sampleRate, options: settings };
  }
  const settings = amrWbDecoderSettings(options);
  new AmrWbPayloadDecoder(settings).close();
  return { sampleRate: 16000, options: settings };
}

/** As `decoderSettings`. */
export function encoderSettings(
  encoding: PoolEncoding,
  options: PoolEncoderOptions = {},
): { sampleRate: number; options: PoolEncoderOptions } {
  if (encoding === 'OPUS') {
    const settings = opusEncoderSettings(options);
    return { sampleRate: settings.sampleRate, options: settings };
  }
  const settings = amrWbEncoderSettings(options);
  new AmrWbPayloadEncoder(settings).close();
  return { sampleRate: 16000, options: settings };
}
