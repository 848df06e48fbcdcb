/** What `play()` takes, and the checking of it. */
import { SAMPLE_RATES } from './codec.js';
import { SidetoneError, shown } from './errors.js';
import { isLiveBound, LIVE_BOUND_REMEDY } from './live.js';
import type { AudioFrame } from './plugin.js';

/** Anything `play()` takes: PCM, a frame, or a source of PCM. */
export type PlayableAudio =
  | Int16Array
  | AudioFrame
  | AsyncIterable<Int16Array>
  | Iterable<Int16Array>
  | ReadableStream<Int16Array>;

export interface PlayOptions {
  /** Rate of the samples, in Hz. Default: the rate at which the handler hears. */
  sampleRate?: number;
  /**
   * This audio is live, and shortened where it is later than this, in ms: 100 to 60000, or 0 for as late as it comes.
   * Default: frames have their plugin's or the server's bound; anything else is not live and is heard whole.
   */
  liveLatencyMaxMs?: number;
}

/**
 * The rate in `options`, which are checked.
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT
 */
export function checkedRate(options: PlayOptions, usual: number): number {
  if (typeof options !== 'object' || options === null) {
    const problem = `play options: ${shown(options)}: pass { sampleRate, liveLatencyMaxMs }`;
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
  }
  const { sampleRate = usual, liveLatencyMaxMs } = options;
  if (liveLatencyMaxMs !== undefined && !isLiveBound(liveLatencyMaxMs)) {
    const problem = `play liveLatencyMaxMs: ${shown(liveLatencyMaxMs)}: ${LIVE_BOUND_REMEDY}`;
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
  }
  if (SAMPLE_RATES.includes(sampleRate as (typeof SAMPLE_RATES)[number])) return sampleRate;
  throw new SidetoneError(
    'SIDETONE_BAD_ARGUMENT',
    `play sampleRate: ${shown(sampleRate)}: use one of ${SAMPLE_RATES.join(', ')} Hz`,
  );
}

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is no source of PCM */
export function toIterator(audio: unknown): AsyncIterator<Int16Array> | Iterator<Int16Array> {
  if (typeof audio === 'object' && audio !== null && !ArrayBuffer.isView(audio)) {
    const source = audio as Partial<AsyncIterable<Int16Array> & Iterable<Int16Array>>;
    if (typeof source[Symbol.asyncIterator] === 'function') return source[Symbol.asyncIterator]!();
    if (typeof source[Symbol.iterator] === 'function') return source[Symbol.iterator]!();
  }
  const kind = ArrayBuffer.isView(audio) ? (audio as object).constructor.name : typeof audio;
  throw new SidetoneError(
    'SIDETONE_BAD_ARGUMENT',
    `play audio: ${kind}: pass an Int16Array of mono PCM, a frame, or an (async) iterable or web stream of Int16Array`,
  );
}
