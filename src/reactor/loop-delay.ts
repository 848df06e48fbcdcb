/** How late a thread's event loop is. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ReactorSnapshot } from './snapshot.js';

/** The event loop is asked this often how late it is. */
const LOOP_SAMPLE_MS = 10;

export class LoopDelay {
  // Its own sampling timer does not keep the process alive.
  readonly #delay = monitorEventLoopDelay({ resolution: LOOP_SAMPLE_MS });

  start(): void {
    this.#delay.enable();
  }

  stop(): void {
    this.#delay.disable();
  }

  /** The figures since the last call. */
  take(): ReactorSnapshot['eventLoopDelayMs'] {
    const delay = this.#delay;
    const figures = {
      p50: beyondSampling(delay.percentile(50)),
      p99: beyondSampling(delay.percentile(99)),
      max: beyondSampling(delay.max),
    };
    delay.reset();
    return figures;
  }
}

/** Node's histogram holds whole intervals between two samples, in ns: the delay is what they have too much. */
function beyondSampling(intervalNs: number): number {
  return Math.max(0, intervalNs / 1e6 - LOOP_SAMPLE_MS);
}
