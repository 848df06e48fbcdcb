/** One playback is taken out of what plays: what waits behind it moves up. */

import type { Ledger, PlaybackEntry } from './ledger.js';
import type { Output } from './output.js';

/** What plays, as far as it must hold while something is taken out. */
interface Pausable {
  readonly paused: boolean;
  pause(goesOn: boolean): void;
  resume(): void;
}

/** Returns how much of `playback` had been heard, and how much of it is not heard any more, in ms. */
export function takeOut(
  playback: PlaybackEntry,
  output: Output,
  ledger: Ledger,
  player: Pausable,
): { playedMs: number; removedMs: number } {
  const { accepted, samplesPerMs } = output.positions();
  const end = Math.min(playback.end, accepted);
  const mustTakeBack = playback.start < output.head() && !player.paused;
  if (mustTakeBack) player.pause(false);
  const from = Math.max(Math.min(playback.start, end), output.head());
  const removed = Math.max(0, end - from);
  output.remove(from, end);
  const playedMs = ledger.cancel(playback, from, removed);
  if (mustTakeBack) player.resume();
  return { playedMs, removedMs: removed / samplesPerMs };
}
