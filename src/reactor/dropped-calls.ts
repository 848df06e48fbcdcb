/** Calls whose stream ended without a `stop`: Telnyx may open another WebSocket for them. */
import type { StopReason } from '../plugin/plugin.js';

export interface DroppedCall {
  /** The id of the stream that ended. */
  streamId: string;
  reason: StopReason;
  atMs: number;
}

/** How long a return counts as one. Telnyx does not document its pauses; it gives up long before this. */
const KEPT_MS = 300_000;
/** About 200 bytes each. When full the oldest goes. */
const CALLS_MAX = 10_000;

/** Ends after which a call has no stream because somebody wanted it so, or has another one already. */
const WANTED: readonly StopReason[] = ['stop', 'replaced', 'overloaded'];

export class DroppedCalls {
  /** The oldest first. */
  readonly #calls = new Map<string, DroppedCall>();

  /** A stream of this call has ended. */
  ended(callControlId: string, call: DroppedCall): void {
    this.#calls.delete(callControlId);
    if (WANTED.includes(call.reason)) return;
    this.#expire(call.atMs);
    if (this.#calls.size >= CALLS_MAX) this.#calls.delete(this.#calls.keys().next().value as string);
    this.#calls.set(callControlId, call);
  }

  /** A stream of this call starts: how its last one ended, if it was dropped lately. It is told once. */
  take(callControlId: string, nowMs: number): DroppedCall | undefined {
    this.#expire(nowMs);
    const call = this.#calls.get(callControlId);
    this.#calls.delete(callControlId);
    return call;
  }

  #expire(nowMs: number): void {
    for (const [id, { atMs }] of this.#calls) {
      if (nowMs - atMs <= KEPT_MS) return;
      this.#calls.delete(id);
    }
  }
}
