import type { Clock } from '../clock.js';

/** Messages are looked for this often; the lead covers what a late tick costs. */
const TICK_MS = 2;
/** Ticks go on for this many without a deadline, so that a stream that hovers about none does not remake the timer. */
const IDLE_TICKS_MAX = 100;
/** A message that comes this long after the last tick brings one with it: its wake-up is paid for. */
const MESSAGE_TICK_MS = 1;
/** Ticks this far apart mean that something held the event loop. */
const BLOCKED_MS = 10;

/** Calls a reactor's tick() for as long as it has deadlines; an echo that keeps up has none, and costs no timer. */
export class Ticker {
  #idleTicks = 0;
  #timerMs = 0; // when the timer came last
  #tickedMs = 0;
  #stop: (() => void) | undefined;
  #stopLateTick: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly tick: () => void,
  ) {}

  start(): void {
    if (this.#stop) return;
    this.#idleTicks = 0;
    this.#timerMs = this.#tickedMs = this.clock.now();
    this.#stop = this.clock.every(TICK_MS, () => {
      const now = this.clock.now();
      const wasBlocked = now - this.#timerMs > BLOCKED_MS;
      this.#timerMs = now;
      this.#stopLateTick?.();
      this.#stopLateTick = undefined;
      // Timers come before sockets: what came while the loop was blocked has not been read yet, and a gap must not
      // be given up whose frame is already here.
      if (wasBlocked) this.#stopLateTick = this.clock.after(0, this.tick);
      else this.tick();
    });
  }

  /** Whether a message that has been read now should bring a tick. Not behind a block: see above. */
  isDue(nowMs: number): boolean {
    return (
      nowMs - this.#tickedMs >= MESSAGE_TICK_MS &&
      this.#stop !== undefined &&
      this.#stopLateTick === undefined &&
      nowMs - this.#timerMs <= BLOCKED_MS
    );
  }

  /** A tick has been at `nowMs`: with `isNeeded`, deadlines wait for the next. */
  ticked(nowMs: number, isNeeded: boolean): void {
    this.#tickedMs = nowMs;
    if (isNeeded) this.#idleTicks = 0;
    else if (++this.#idleTicks === IDLE_TICKS_MAX) this.stop();
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
    this.#stopLateTick?.();
    this.#stopLateTick = undefined;
  }
}
