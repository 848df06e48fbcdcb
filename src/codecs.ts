/** Codecs for tools, tests and plugins: any encoding of the wire, in the thread that asks. */
import { ENCODINGS, type Encoding, isEncoding } from './codec.js';
import type { PoolDecoderOptions, PoolEncoderOptions } from './codecs/open.js';
import { openPayloadDecoder, openPayloadEncoder } from './codecs/open.js';
import { SampledDecoder, SampledEncoder, type SampledOptions } from './codecs/sampled.js';
import type { PayloadDecoder, PayloadEncoder } from './codecs/types.js';
import { SidetoneError } from './errors.js';
import { native } from './native.js';

interface AnnouncedRate {
  /** As announced in `media_format` or asked for, in Hz; which ones there are depends on the encoding. */
  sampleRate?: number;
}
export type DecoderOptions = AnnouncedRate & SampledOptions & Omit<PoolDecoderOptions, 'sampleRate'>;
export type EncoderOptions = AnnouncedRate & SampledOptions & Omit<PoolEncoderOptions, 'sampleRate'>;

/**
 * A decoder of one stream's payloads. What it returns is the caller's to keep.
 * @throws SidetoneError SIDETONE_BAD_OPTION; SIDETONE_CODEC_UNAVAILABLE where a system library is missing (AMR-WB)
 */
export function createDecoder(encoding: Encoding, options: DecoderOptions = {}): PayloadDecoder {
  mustBeKnown(encoding);
  if (encoding !== 'OPUS' && encoding !== 'AMR-WB') return new SampledDecoder(encoding, options);
  return keeping(openPayloadDecoder(encoding, options as PoolDecoderOptions));
}

/** An encoder of one stream's PCM. What it returns is the caller's to keep. Throws as createDecoder does. */
export function createEncoder(encoding: Encoding, options: EncoderOptions = {}): PayloadEncoder {
  mustBeKnown(encoding);
  if (encoding !== 'OPUS' && encoding !== 'AMR-WB') return new SampledEncoder(encoding, options);
  const encoder = openPayloadEncoder(encoding, options as PoolEncoderOptions);
  return {
    sampleRate: encoder.sampleRate,
    frameSamples: encoder.frameSamples,
    encode: pcm => encoder.encode(pcm).slice(),
    close: () => encoder.close(),
  };
}

/** The same sound at another rate, whole: the filter's delay is taken off its beginning. Rates as in SAMPLE_RATES. */
export function resample(pcm: Int16Array, fromHz: number, toHz: number): Int16Array {
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

function keeping(decoder: PayloadDecoder): PayloadDecoder {
  return {
    sampleRate: decoder.sampleRate,
    decode: payload => decoder.decode(payload).slice(),
    conceal: () => decoder.conceal().slice(),
    close: () => decoder.close(),
  };
}

function mustBeKnown(encoding: Encoding): void {
  if (isEncoding(encoding)) return;
  throw new SidetoneError(
    'SIDETONE_BAD_OPTION',
    `encoding: ${JSON.stringify(encoding)}: use one of ${ENCODINGS.join(', ')}`,
  );
}
