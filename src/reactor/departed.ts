/**
 * Handlers of streams that have ended and may be wanted again: the stream comes back, or an event of its call is late.
 *
 *   running ──dropped, has onResume──▶ away ──window, hangup──▶ stopped ──late events, has onCall──▶ forgotten
 *      ▲                                │
 *      └────────── same call ───────────┘
 */
import type { Clock } from '../clock.js';
import type { StopReason } from '../plugin/plugin.js';
import type { CallStream } from '../stream/stream.js';

/** Ends that nobody intended, after which the platform may open another WebSocket. */
const UNINTENDED: readonly StopReason[] = ['disconnected', 'idle_timeout'];
/** How long events of a call still reach the handler of its stream that has ended. */
const LATE_EVENTS_MS = 60_000;
/** As many as streams may run by default. A stream that has ended keeps its handler and about 10 KB. The oldest goes. */
const STREAMS_MAX = 10_000;

interface Departure {
  stream: CallStream;
  atMs: number;
  /** Set while it may come back: onStop has not been called. */
  away: StopReason | undefined;
  cancel(): void;
}

export class Departed {
  readonly #clock: Clock;
  readonly #windowMs: number;
  /** The oldest first. */
  readonly #streams = new Map<string, Departure>();
  readonly #onHome: (callControlId: string, isHome: boolean) => void;
  /** Calls whose handler here would go on with another stream. */
  readonly #homes = new Set<string>();
  #draining = false;

  /** `onHome`: told of each call whose handler here would go on with another stream, and of the end of that. */
  constructor(
    clock: Clock,
    windowMs: number,
    onHome: (callControlId: string, isHome: boolean) => void = () => {},
  ) {
    this.#clock = clock;
    this.#onHome = onHome;
    this.#windowMs = windowMs;
  }

  /** Whether a stream that ends so may come back to its handler, which then is not stopped. */
  awaits(stream: CallStream, reason: StopReason): boolean {
    return !this.#draining && this.#windowMs > 0 && UNINTENDED.includes(reason) && stream.handles('onResume');
  }

  /** The handler of a stream that runs here has onResume. */
  canResume(callControlId: string): void {
    if (this.#homes.has(callControlId) || this.#windowMs === 0) return;
    this.#homes.add(callControlId);
    this.#onHome(callControlId, true);
  }

  /** A stream has ended. `isAway`: its handler has not been stopped. */
  left(stream: CallStream, reason: StopReason, isAway: boolean): void {
    if (isAway) {
      this.#keep(stream, reason, this.#windowMs);
      return;
    }
    if (this.#homes.delete(stream.callControlId)) this.#onHome(stream.callControlId, false);
    if (stream.handles('onCall')) this.#keep(stream, undefined, LATE_EVENTS_MS);
  }

  #keep(stream: CallStream, away: StopReason | undefined, ms: number): void {
    const { callControlId } = stream;
    this.stop(callControlId);
    this.#forget(callControlId);
    if (this.#streams.size >= STREAMS_MAX) {
      const oldest = this.#streams.keys().next().value as string;
      this.stop(oldest);
      this.#forget(oldest);
    }
    const cancel = this.#clock.after(ms, () => {
      const isAway = this.#streams.get(callControlId)?.away !== undefined;
      if (isAway) this.stop(callControlId);
      else this.#forget(callControlId);
    });
    this.#streams.set(callControlId, { stream, atMs: this.#clock.now(), away, cancel });
  }

  #forget(callControlId: string): void {
    this.#streams.get(callControlId)?.cancel();
    this.#streams.delete(callControlId);
  }

  /** A stream of this call starts at `plugin`: the one that it continues, with how long ago that one ended, in ms. */
  take(callControlId: string, plugin: string): { stream: CallStream; gapMs: number } | undefined {
    const departure = this.#streams.get(callControlId);
    if (!departure) return undefined;
    const { stream, atMs, away } = departure;
    if (away === undefined || stream.plugin !== plugin) {
      this.stop(callControlId, 'replaced');
      this.#forget(callControlId);
      return undefined;
    }
    this.#forget(callControlId);
    return { stream, gapMs: this.#clock.now() - atMs };
  }

  /** Nobody comes back to this handler any more. */
  stop(callControlId: string, reason?: StopReason): void {
    const departure = this.#streams.get(callControlId);
    if (departure?.away === undefined) return;
    const { stream, away } = departure;
    this.#forget(callControlId);
    stream.tellStop(reason ?? away);
    this.left(stream, away, false);
  }

  /** The stream of this call that has ended lately. */
  get(callControlId: string): CallStream | undefined {
    return this.#streams.get(callControlId)?.stream;
  }

  /** No stream comes back to this reactor any more: its handlers are stopped. */
  drain(): void {
    this.#draining = true;
    for (const callControlId of [...this.#streams.keys()]) this.stop(callControlId);
  }

  close(): void {
    this.drain();
    for (const callControlId of [...this.#streams.keys()]) this.#forget(callControlId);
  }
}
