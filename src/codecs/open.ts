import {
  type AmrWbDecoderOptions,
  type AmrWbEncoderOptions,
  AmrWbPayloadDecoder,
  AmrWbPayloadEncoder,
} from './amrwb.js';
import {
  type OpusDecoderOptions,
  type OpusEncoderOptions,
  OpusPayloadDecoder,
  OpusPayloadEncoder,
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
