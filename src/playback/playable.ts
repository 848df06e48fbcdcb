/** What `play()` takes, and the checking of it. */

import { SidetoneError, shown } from '../errors.js';
import { SAMPLE_RATES } from '../formats.js';
import { isLiveBound, LIVE_BOUND_REMEDY } from '../options/live-bound.js';
import type { ClearOptions, PlayOptions } from '../plugin/stream.js';

/** How long a source may give nothing while others wait behind it, unless it says so. */
const IDLE_MS = 10_000;

/**
 * The rate in `options`, which are checked.
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT
 */
export function checkedRate(options: PlayOptions, usual: number): number {
  checkOptions('play', options, '{ sampleRate, liveLatencyMaxMs }');
  const { sampleRate = usual, liveLatencyMaxMs, idleMs } = options;
  checkedIdle('play', idleMs);
  if (liveLatencyMaxMs !== undefined && !isLiveBound(liveLatencyMaxMs)) {
    const problem = `play liveLatencyMaxMs: ${shown(liveLatencyMaxMs)}: ${LIVE_BOUND_REMEDY}`;
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
  }
  return checkedSampleRate('play', sampleRate);
}

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
export function checkedSampleRate(method: string, sampleRate: number): number {
  if (SAMPLE_RATES.includes(sampleRate as (typeof SAMPLE_RATES)[number])) return sampleRate;
  throw new SidetoneError(
    'SIDETONE_BAD_ARGUMENT',
    `${method} sampleRate: ${shown(sampleRate)}: use one of ${SAMPLE_RATES.join(', ')} Hz`,
  );
}

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT where they are no object */
export function checkOptions(method: string, options: unknown, wanted: string): void {
  if (typeof options === 'object' && options !== null) return;
  const problem = `${method} options: ${shown(options)}: pass ${wanted}, or nothing`;
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
}

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
export function checkedIdle(method: string, idleMs: number = IDLE_MS): number {
  if (typeof idleMs === 'number' && idleMs >= 500 && idleMs <= 3_600_000) return idleMs;
  const problem = `${method} idleMs: ${shown(idleMs)}: give ms from 500 to 3600000`;
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
}

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
export function checkedFade(options: ClearOptions | undefined): number {
  if (options === undefined) return 0;
  checkOptions('clear', options, '{ fadeMs }');
  const { fadeMs = 0 } = options;
  if (typeof fadeMs === 'number' && fadeMs >= 0 && fadeMs <= 1000) return fadeMs;
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `clear fadeMs: ${shown(fadeMs)}: give ms from 0 to 1000`);
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
