/** One load run against any Telnyx media server, and the search for the load it can bear. */
import { SidetoneError } from '../errors.js';
import { native } from '../native/addon.js';
import type { LoadProgress, NativeLoadResult } from '../native/load.js';
import { type LoadOptions, resolveOptions, STREAMS_MAX } from './options.js';
import { type LoadResult, resultFrom, type TimelinePoint } from './result.js';

const PROGRESS_INTERVAL_MS = 500;

/**
 * Puts `options.streams` simulated calls on the server at `url` (ws://) and measures for `options.seconds`. The generator is
 * native, on one thread of its own; Linux only. A server's failure is in `problems` of the result.
 * @throws SidetoneError SIDETONE_BAD_OPTION; SIDETONE_CALL_FAILED where no run could be made at all
 */
export async function runLoad(url: string, options: LoadOptions): Promise<LoadResult> {
  const resolved = await resolveOptions(url, options);
  const { onProgress, signal } = options;
  const startedAt = new Date().toISOString();
  const timeline = new Timeline(performance.now());
  const raw = await new Promise<NativeLoadResult>(resolve => {
    const run = native.runLoad(resolved, result => {
      clearInterval(timer);
      signal?.removeEventListener('abort', stop);
      resolve(result);
    });
    const stop = (): void => run.stop();
    const timer = setInterval(() => {
      const progress = run.progress();
      timeline.add(performance.now(), progress);
      onProgress?.(progress);
    }, PROGRESS_INTERVAL_MS);
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop, { once: true });
  });
  if (raw.failure !== '') throw new SidetoneError('SIDETONE_CALL_FAILED', `no load was made: ${raw.failure}`);
  return resultFrom(url, resolved, raw, { startedAt, timeline: timeline.points });
}

/** The course of a run, from what it says of itself. Times are in ms by one clock. */
export class Timeline {
  readonly points: TimelinePoint[] = [];
  #before: { atMs: number; framesSent: number; mediaMessages: number };

  constructor(private readonly startedMs: number) {
    this.#before = { atMs: startedMs, framesSent: 0, mediaMessages: 0 };
  }

  add(atMs: number, { phase, opened, failed, framesSent, mediaMessages }: LoadProgress): void {
    const before = this.#before;
    this.#before = { atMs, framesSent, mediaMessages };
    const seconds = (atMs - before.atMs) / 1000;
    const rate = (grown: number): number => (seconds > 0 ? grown / seconds : 0);
    this.points.push({
      seconds: (atMs - this.startedMs) / 1000,
      phase,
      opened,
      failed,
      sentPerSecond: rate(framesSent - before.framesSent),
      receivedPerSecond: rate(mediaMessages - before.mediaMessages),
    });
  }
}

export interface RampOptions extends Omit<LoadOptions, 'streams'> {
  /** Where the search ends at the latest. Default 5,000. */
  streams?: number;
  /** The limit that p99 must keep: of the latency for echo, of the deadline error for listen, in ms. */
  p99Ms: number;
  /** Makes one step. Default: runLoad; tests have their own. */
  run?: (url: string, options: LoadOptions) => Promise<LoadResult>;
  /** Called after each step. */
  onStep?: (result: LoadResult, held: boolean) => void;
}

export interface RampResult {
  /** The largest load that the server held. 0: it did not hold even the smallest. */
  streams: number;
  p99Ms: number;
  /** In the order in which they were made. */
  steps: { result: LoadResult; held: boolean }[];
}

const RAMP_FIRST = 50;
/** The search ends when the number is known to this share of it. */
const RAMP_PRECISION = 0.05;
/** Audio may fall behind by this share: a server that is slower than real time does not bear its load. */
const RAMP_RATE_MIN = 0.995;

/** p99 of what the mode measures, in ms. */
export function p99Of(result: LoadResult): number {
  return (result.latency ?? result.deadlineError).p99Ms;
}

/**
 * Finds the largest number of streams that the server holds with p99 under `p99Ms`, no failed stream and audio in
 * real time. It doubles from 50 until a step fails, then halves the interval until the number is known to 5 %. Every
 * step is a fresh run of `seconds`.
 */
export async function rampLoad(url: string, options: RampOptions): Promise<RampResult> {
  const { p99Ms, onStep, run = runLoad, ...rest } = options;
  if (!(p99Ms > 0)) {
    throw new SidetoneError('SIDETONE_BAD_OPTION', `p99Ms = ${p99Ms}: give a number of ms above 0`);
  }
  const most = Math.min(options.streams ?? STREAMS_MAX, STREAMS_MAX);
  const steps: RampResult['steps'] = [];
  const holds = async (streams: number): Promise<boolean> => {
    const result = await run(url, { ...rest, streams });
    const held =
      result.problems.length === 0 && p99Of(result) <= p99Ms && result.audioRate.mean >= RAMP_RATE_MIN;
    steps.push({ result, held });
    onStep?.(result, held);
    return held;
  };

  let good = 0;
  let tried = Math.min(RAMP_FIRST, most);
  while (!options.signal?.aborted && (await holds(tried))) {
    good = tried;
    if (tried === most) return { streams: good, p99Ms, steps };
    tried = Math.min(tried * 2, most);
  }
  let failed = tried;
  while (!options.signal?.aborted && good > 0 && failed - good > Math.max(1, good * RAMP_PRECISION)) {
    const middle = Math.round((good + failed) / 2);
    if (await holds(middle)) good = middle;
    else failed = middle;
  }
  return { streams: good, p99Ms, steps };
}
