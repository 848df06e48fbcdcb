/** Counts a connection's pings and pongs: each costs work, and no working peer sends many. */

/** In a second: five times the media messages of a call. One in some seconds keeps a connection alive. */
const CONTROL_FRAMES_MAX = 250;

export class ControlFrames {
  #count = 0;
  #sinceMs = 0;

  /** Counts one. False where there are too many. */
  add(nowMs: number): boolean {
    if (nowMs - this.#sinceMs >= 1000) {
      this.#sinceMs = nowMs;
      this.#count = 0;
    }
    return ++this.#count <= CONTROL_FRAMES_MAX;
  }
}
