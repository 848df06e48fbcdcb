/** What a test sees of the marks of a call. */

/** A mark that the application has set, its own or that of an awaited playback. Times are in ms since `start`. */
export interface CallMark {
  /** As it was sent. */
  name: string;
  /** When it was sent. */
  sentMs: number;
  /** When it came back; undefined while it has not. */
  returnedMs: number | undefined;
}
