import { SidetoneError } from '../errors.js';
import { CODECS, type Encoding } from '../formats.js';
import type { CallOptions } from './options.js';
import type { HeardSegment } from './playback.js';

/** Mono sound: 16-bit samples at `sampleRate` Hz. */
export interface Pcm {
  /** 16 bits, mono. */
  samples: Int16Array;
  /** In Hz. */
  sampleRate: number;
}

/** The codecs a simulated call speaks and listens with. `sampleRate` is the rate that `media_format` announces. */
export interface CodecFactory {
  /** An encoder of one direction of a call; `close()` frees it. */
  createEncoder(
    encoding: Encoding,
    options: { sampleRate: number },
  ): { encode(pcm: Int16Array): Uint8Array; close(): void };
  /** A decoder of one direction of a call, and the rate of what it gives, in Hz; `close()` frees it. */
  createDecoder(
    encoding: Encoding,
    options: { sampleRate: number },
  ): { readonly sampleRate: number; decode(payload: Uint8Array): Int16Array; close(): void };
  /** The same sound at another rate. */
  resample(pcm: Int16Array, fromHz: number, toHz: number): Int16Array;
}

/** How speech is to be put on the wire. */
export interface SpeechFormat {
  /** Default PCMU. */
  encoding: Encoding;
  /** As `start` will announce it, in Hz. */
  sampleRate: number;
  /** Audio of one payload, 1 to 1000 ms. Default 20. */
  ptimeMs: number;
}

/**
 * A codec with a memory still gives sound in the first frames of silence. So the payload of silence is taken from a
 * later frame.
 */
const SETTLE_FRAMES = 25;

/** Encodes `pcm` into payloads of `ptimeMs` each, the last one filled up with silence; `idle` is one of silence. */
export function encodeSpeech(
  pcm: Pcm,
  { encoding, sampleRate, ptimeMs }: SpeechFormat,
  codecs: CodecFactory,
): { frames: Uint8Array[]; idle: Uint8Array } {
  const rate = CODECS[encoding].sampleRate(sampleRate);
  const fits = pcm.sampleRate === rate || pcm.samples.length === 0;
  const samples = fits ? pcm.samples : codecs.resample(pcm.samples, pcm.sampleRate, rate);
  const frameSamples = Math.round((rate * ptimeMs) / 1000);
  const encoder = codecs.createEncoder(encoding, { sampleRate });
  const frames: Uint8Array[] = [];
  for (let at = 0; at < samples.length; at += frameSamples) {
    let frame = samples.subarray(at, at + frameSamples);
    if (frame.length < frameSamples) {
      const filled = new Int16Array(frameSamples);
      filled.set(frame);
      frame = filled;
    }
    frames.push(encoder.encode(frame).slice());
  }
  let idle = encoder.encode(new Int16Array(frameSamples));
  for (let i = 0; i < SETTLE_FRAMES; i++) idle = encoder.encode(new Int16Array(frameSamples));
  idle = idle.slice();
  encoder.close();
  return { frames, idle };
}

/**
 * Decodes what the caller heard into one sound that begins at `start`, with silence where nothing was heard and where
 * the decoder refuses a payload.
 */
export function renderHeard(
  heard: readonly HeardSegment[],
  { encoding, sampleRate }: { encoding: Encoding; sampleRate: number },
  codecs: CodecFactory,
): Pcm {
  const decoder = codecs.createDecoder(encoding, { sampleRate });
  const rate = decoder.sampleRate;
  const last = heard.at(-1);
  const endMs = last ? last.atMs + (last.clearedAfterMs ?? last.durationMs) : 0;
  const samples = new Int16Array(Math.round((endMs * rate) / 1000));
  for (const { atMs, payload, clearedAfterMs } of heard) {
    const at = Math.round((atMs * rate) / 1000);
    const decoded = tryDecode(decoder, payload);
    const heardSamples =
      clearedAfterMs === undefined ? decoded.length : Math.round((clearedAfterMs * rate) / 1000);
    samples.set(decoded.subarray(0, Math.min(heardSamples, samples.length - at)), at);
  }
  decoder.close();
  return { samples, sampleRate: rate };
}

function tryDecode(decoder: { decode(payload: Uint8Array): Int16Array }, payload: Uint8Array): Int16Array {
  try {
    return decoder.decode(payload);
  } catch (error) {
    if (error instanceof SidetoneError) return new Int16Array(0);
    throw error;
  }
}

/** The part of `CallOptions` that `Simulator.speech` fills in. */
export type SpokenOptions = Required<
  Pick<CallOptions, 'encoding' | 'sampleRate' | 'ptimeMs' | 'inbound' | 'idle'>
> &
  Pick<CallOptions, 'outbound'>;
