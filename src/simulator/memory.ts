import type { Clock } from '../clock.js';
import { SimulatedCall, type SimulatedCallInit } from './call.js';
import { Random } from './random.js';

/** How long messages are on their way. */
export interface LinkOptions {
  /** How long a message is under way, in each direction, in ms. Default 0: delivered within `send`. */
  latencyMs?: number;
  /** Up to how much longer, drawn for each message from the call's seed. Messages never overtake each other. Default 0. */
  jitterMs?: number;
}

/** The application's end of a connection that lives in memory. Set the handlers before the call is opened. */
export interface ApplicationEnd {
  /** A frame from Telnyx. */
  onText: (text: string) => void;
  /** Telnyx closed the connection; 1006: it broke. */
  onClose: (code: number, reason: string) => void;
  /** A text message to Telnyx. */
  send(text: string): void;
  /** A binary message, which Telnyx refuses. */
  sendBinary(bytes: Uint8Array): void;
  /** Closes the WebSocket from the application's side. */
  close(code?: number, reason?: string): void;
}

/** One direction of a connection: delivers in order, after its latency. */
class Link {
  readonly #queue: (() => void)[] = [];
  #lastAt = 0;

  constructor(
    private readonly clock: Clock,
    private readonly options: LinkOptions,
    private readonly random: Random,
  ) {}

  deliver(action: () => void): void {
    const { latencyMs = 0, jitterMs = 0 } = this.options;
    if (latencyMs === 0 && jitterMs === 0) {
      action();
      return;
    }
    const now = this.clock.now();
    this.#lastAt = Math.max(this.#lastAt, now + latencyMs + this.random.float() * jitterMs);
    this.#queue.push(action);
    // A timer tells only that a message is due. The queue tells which one, so rounding cannot swap two messages.
    this.clock.after(this.#lastAt - now, () => this.#queue.shift()!());
  }
}

/** A simulated call and an application end in the same process, for tests in virtual time. */
export function pairCall(
  init: Omit<SimulatedCallInit, 'transport'>,
  link: LinkOptions = {},
): { call: SimulatedCall; application: ApplicationEnd; open(): void } {
  const random = new Random(init.options?.seed ?? 0);
  const toApplication = new Link(init.clock, link, random.fork('to application'));
  const toTelnyx = new Link(init.clock, link, random.fork('to telnyx'));
  let closedByApplication = false;
  const call = new SimulatedCall({
    ...init,
    transport: {
      send: text =>
        toApplication.deliver(() => {
          if (!closedByApplication) application.onText(text);
        }),
      close: (code = 1006, reason = '') =>
        toApplication.deliver(() => {
          if (!closedByApplication) application.onClose(code, reason);
        }),
    },
  });
  const application: ApplicationEnd = {
    onText() {},
    onClose() {},
    send(text) {
      if (!closedByApplication) toTelnyx.deliver(() => call.receive(text));
    },
    sendBinary(bytes) {
      if (!closedByApplication) toTelnyx.deliver(() => call.receiveBinary(bytes));
    },
    close(code = 1000, reason = '') {
      if (closedByApplication) return;
      closedByApplication = true;
      toTelnyx.deliver(() => call.closed(code, reason));
    },
  };
  return { call, application, open: () => toApplication.deliver(() => call.opened()) };
}
