/** Keys of one call that come twice: as tones in its audio, and as Telnyx's own events. */

type Source = 'tone' | 'event';

/** The second report of a key comes within this time of the first, in ms. */
const TWIN_MS = 2000;
/** More keys than anybody presses in that time. */
const WAITING_MAX = 32;

export class KeyReports {
  /** Told, and not yet told of by the other source; the oldest first. */
  readonly #waiting: { digit: string; source: Source; atMs: number }[] = [];

  /** Whether this report is of a key that nobody has told of. Pressed twice, a key is reported twice by each source. */
  isNew(digit: string, source: Source, nowMs: number): boolean {
    const waiting = this.#waiting;
    while (waiting.length > 0 && nowMs - waiting[0]!.atMs > TWIN_MS) waiting.shift();
    const twin = waiting.findIndex(key => key.digit === digit && key.source !== source);
    if (twin >= 0) {
      waiting.splice(twin, 1);
      return false;
    }
    waiting.push({ digit, source, atMs: nowMs });
    if (waiting.length > WAITING_MAX) waiting.shift();
    return true;
  }
}
