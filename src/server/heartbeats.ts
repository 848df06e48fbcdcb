/** Tells which threads turn: each writes a number of its own into shared memory by its own timer, and this looks. */
import type { Clock } from '../clock.js';

/** How often a thread beats. */
export const BEAT_MS = 200;
/** How often it is looked. */
export const LOOK_MS = 250;
/** Looks without a new beat after which a thread is stuck: with the beat before, less than two seconds. */
const LOOKS_STUCK = 6;
/** The same in ms, for whoever looks at other times. */
export const STUCK_MS = 1500;

export interface Watched {
  /** Another number after every beat. */
  beats(): number;
  /** The thread is stuck from now on, or turns again. */
  onChange(isStuck: boolean): void;
  /** Every look, after onChange. */
  onLook?(): void;
}

/** Looks are counted rather than time: where the thread that looks is late itself, nobody else is. */
export function watchHeartbeats(clock: Clock, watched: Watched): () => void {
  let last = watched.beats();
  let still = 0;
  return clock.every(LOOK_MS, () => {
    const beats = watched.beats();
    if (beats === last) {
      if (++still === LOOKS_STUCK) watched.onChange(true);
    } else {
      last = beats;
      const wasStuck = still >= LOOKS_STUCK;
      still = 0;
      if (wasStuck) watched.onChange(false);
    }
    watched.onLook?.();
  });
}
