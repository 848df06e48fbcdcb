/** Measures how much of its time the thread that makes it uses, and how late its event loop is. */
import { type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Clock } from '../clock.js';
import { GATHER } from '../native/addon.js';
import { type LoadSample, SAMPLE_MS } from './overload.js';

/** The event loop is asked this often how late it is. */
const LOOP_SAMPLE_MS = 10;

export class LoadMeter {
  readonly #clock: Clock;
  readonly #gathering: Float64Array;
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: LOOP_SAMPLE_MS });
  #atMs: number;
  #asleepMs: number;

  /** `gathering`: what the thread's event loop sleeps of its own will (GATHER), which Node.js takes for work. */
  constructor(clock: Clock, gathering: Float64Array) {
    this.#clock = clock;
    this.#gathering = gathering;
    this.#delay.enable();
    this.#atMs = clock.now();
    this.#asleepMs = this.#asleep();
  }

  /** Since the sample before. */
  sample(connections: number): LoadSample {
    const atMs = this.#clock.now();
    const asleepMs = this.#asleep();
    const lengthMs = Math.max(atMs - this.#atMs, 1);
    const share = (asleepMs - this.#asleepMs) / lengthMs;
    this.#atMs = atMs;
    this.#asleepMs = asleepMs;
    const medianMs = this.#delay.percentile(50) / 1e6;
    this.#delay.reset();
    return {
      busy: Math.min(1, Math.max(0, 1 - share)),
      // A loop that turns once a sample tells the histogram nothing. What came while it stood waited for half of that.
      lagMs: Math.max(0, medianMs - LOOP_SAMPLE_MS, (lengthMs - SAMPLE_MS) / 2),
      connections,
    };
  }

  #asleep(): number {
    return performance.eventLoopUtilization().idle + this.#gathering[GATHER.sleptMs]!;
  }

  close(): void {
    this.#delay.disable();
  }
}
