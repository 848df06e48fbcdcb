/** The streams of a test's call: the first, and those with which Telnyx comes back after a drop. */
import type { HeardSegment } from '../simulator/playback.js';
import type { CallResult } from '../simulator/result.js';
import type { CallMark } from './marks.js';
import type { TimedMessage, VirtualCall } from './virtual-server.js';

interface Leg {
  virtual: VirtualCall;
  /** From the first stream's `start` to this one's, in ms. */
  atMs: number;
}

/** Who the call is, as every `start` of it says. */
export interface CallIdentity {
  userId: string;
  callControlId: string;
  callSessionId: string;
}

export class Legs {
  readonly #legs: Leg[] = [];
  /** The clock's time of the first `start`. */
  readonly #startedAt: number;

  constructor(startedAt: number) {
    this.#startedAt = startedAt;
  }

  get count(): number {
    return this.#legs.length;
  }

  /** Its `start` comes at `startsAt` of the clock. */
  add(virtual: VirtualCall, startsAt: number): void {
    this.#legs.push({ virtual, atMs: startsAt - this.#startedAt });
  }

  /** The stream that runs, or ran last. */
  get last(): VirtualCall['call'] {
    return this.#legs.at(-1)!.virtual.call;
  }

  /** Undefined where no `start` has come. */
  get identity(): CallIdentity | undefined {
    for (const { text } of this.#legs[0]!.virtual.received) {
      const { event, start } = JSON.parse(text) as { event: string; start: Record<string, string> };
      if (event !== 'start') continue;
      const { user_id: userId, call_control_id: callControlId, call_session_id: callSessionId } = start;
      return { userId: userId!, callControlId: callControlId!, callSessionId: callSessionId! };
    }
    return undefined;
  }

  /** Of the last stream, with what was heard of all of them on the first one's axis of time. */
  get result(): CallResult {
    const heard: HeardSegment[] = [];
    for (const { virtual, atMs } of this.#legs) {
      for (const segment of virtual.call.soFar().heard) {
        heard.push({ ...segment, atMs: segment.atMs + atMs, arrivedMs: segment.arrivedMs + atMs });
      }
    }
    return { ...this.last.soFar(), heard };
  }

  get marks(): CallMark[] {
    return this.#legs.flatMap(({ virtual }) => {
      const returned = named(virtual.received, 'mark');
      return named(virtual.sent, 'mark').map(({ name, atMs }) => {
        const back = returned.findIndex(mark => mark.name === name);
        const returnedAt = back < 0 ? undefined : returned.splice(back, 1)[0]!.atMs;
        const returnedMs = returnedAt === undefined ? undefined : returnedAt - this.#startedAt;
        return { name, sentMs: atMs - this.#startedAt, returnedMs };
      });
    });
  }

  get clears(): number[] {
    return this.#legs.flatMap(({ virtual }) =>
      named(virtual.sent, 'clear').map(({ atMs }) => atMs - this.#startedAt),
    );
  }
}

/** Messages of one event, with the mark's name where they have one. */
function named(messages: readonly TimedMessage[], event: 'mark' | 'clear'): { name: string; atMs: number }[] {
  return messages
    .map(({ atMs, text }) => ({ atMs, ...(JSON.parse(text) as { event: string; mark?: { name: string } }) }))
    .filter(message => message.event === event)
    .map(({ atMs, mark }) => ({ name: mark?.name ?? '', atMs }));
}
