/** The output of a stream: audio that is played waits there, is sent when it is due, and is heard. */

import { SidetoneError } from '../errors.js';
import type { Positions } from './ledger.js';

/** Whose output it is. */
export interface OutputOwner {
  /** These positions were left out: they will not be heard. */
  skipped(from: number, to: number): void;
}

/** Each stream has one. It calls its stream's `afterSend()` when messages were sent. */
export interface Output {
  /** Sources are read while less than this waits here, in ms. */
  readonly readAheadMs: number;
  /** Where its audio stands (see ledger.ts). */
  positions(): Positions;
  /** Audio that has not been heard, in ms: what waits here and what the far end still has. */
  queuedMs(): number;
  /**
   * Takes all of some PCM, which it copies, or none. `liveLatencyMaxMs`: see NativeEngine.play().
   * @throws SidetoneError SIDETONE_QUEUE_FULL
   */
  enqueue(samples: Int16Array, sampleRate: number, nowMs: number, liveLatencyMaxMs: number): void;
  /**
   * Takes all of some audio in the stream's own encoding, or none of it.
   * @throws SidetoneError SIDETONE_QUEUE_FULL
   */
  enqueueEncoded(bytes: Uint8Array, ms: number): void;
  /** The playback is complete: what was taken need not wait for more of it. */
  complete(): void;
  /** A mark goes behind this position: a message should end there. */
  cutAt(position: number): void;
  /** The stream hears of its messages by afterSend(): of every one, or of those that leave less than `belowMs` waiting. */
  follow(every: boolean, belowMs: number): void;
  /**
   * Drops what waits here and has the far end drop what it has not played. What would have been heard during the next
   * `fadeMs` is heard fading out, as far as fadeLength() says.
   */
  clear(fadeMs: number): void;
  /** How much of what is being heard clear() would fade out, in units of positions. */
  fadeLength(fadeMs: number): number;
  /**
   * What the far end has not played waits here again, and nothing is sent until resume() or clear(). The far end has still
   * to be told to drop it.
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT in MP3 mode
   */
  pause(): void;
  resume(): void;
  /** A background goes on at once behind what the far end was told to drop. */
  goOn(): void;
  /** The first position that waits here and has not been given away. */
  head(): number;
  /** Takes positions from head() on out of what waits here; those behind them move up. */
  remove(from: number, to: number): void;
  /** The far end has read some of what it was sent, or some time has passed: called a few times a second. */
  drained(): void;
  /** Tells `owner` of each range of positions that was left out since the last call. */
  tellSkipped(owner: OutputOwner): void;
  /** Whether something that was played, and not by a conference, has not been heard yet. */
  hasOwnAudio(): boolean;
  counters(): Record<string, number>;
  /** The stream has ended: nothing is sent any more. */
  close(): void;
}

/** The error of a play() that does not fit. */
export function queueFull(ms: number, queuedMs: number, queueMaxMs: number): SidetoneError {
  return new SidetoneError(
    'SIDETONE_QUEUE_FULL',
    `play: ${Math.round(ms)} ms of audio do not fit behind the ${Math.round(queuedMs)} ms that are queued ` +
      `(queueMaxMs ${queueMaxMs}); await the playback, or play an async iterable, which is read as there is room`,
  );
}
