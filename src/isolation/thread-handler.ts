/** Calling a handler in its plugin's thread, whatever it does: the reactor is told of what goes wrong, and judges it. */

import { SidetoneError } from '../errors.js';
import type { StreamHandler } from '../plugin/plugin.js';
import { HANDLER_PENDING_MAX, HANDLER_SLOW_MS } from '../stream/handler-calls.js';
import { toPlain } from './plain-error.js';
import { COMMAND, METHODS, type Method } from './records.js';
import type { ThreadSide } from './thread-side.js';

type Methods = Partial<Record<string, (...values: unknown[]) => unknown>>;

export class ThreadHandler {
  #handler: Methods | undefined;
  #hasFailed = false;
  #pending = 0; // async callbacks that have not finished

  constructor(
    private readonly side: ThreadSide,
    private handle: number,
  ) {}

  attach(handler: StreamHandler | undefined): void {
    this.#handler = handler as Methods | undefined;
  }

  /** It goes on in another stream. */
  moveTo(handle: number): void {
    this.handle = handle;
  }

  /** What it has, as bits of METHODS. */
  get bits(): number {
    const handler = this.#handler;
    if (!handler) return 0;
    return METHODS.reduce((bits, name, i) => bits | (typeof handler[name] === 'function' ? 1 << i : 0), 0);
  }

  hears(method: Method): boolean {
    return typeof this.#handler?.[method] === 'function';
  }

  /** Returns what the method returned. */
  call(method: Method, value: unknown, second?: unknown): unknown {
    const handler = this.#handler;
    const call = handler?.[method];
    if (call === undefined) return undefined;
    // What was on its way when it failed.
    if (this.#hasFailed && method !== 'onError' && method !== 'onStop') return undefined;
    const { side } = this;
    const beganMs = side.clock.now();
    side.calls(this.handle);
    let result: unknown;
    try {
      result = second === undefined ? call.call(handler, value) : call.call(handler, value, second);
      if (result instanceof Promise) this.#watch(method, result);
    } catch (error) {
      this.failed(method, error);
    }
    side.calls(0);
    const heldMs = side.clock.now() - beganMs;
    if (heldMs >= HANDLER_SLOW_MS) side.out.attach(COMMAND.stalled, this.handle, method, { a: heldMs });
    return result;
  }

  #watch(method: string, result: Promise<unknown>): void {
    if (++this.#pending === HANDLER_PENDING_MAX) {
      const problem = `${HANDLER_PENDING_MAX} calls of an async ${method} have not finished: do the work in one task behind a queue`;
      this.failed(method, new SidetoneError('SIDETONE_HANDLER_FAILED', problem));
    }
    result.then(
      () => {
        this.#pending--;
      },
      error => {
        this.#pending--;
        this.failed(method, error);
      },
    );
  }

  failed(where: string, cause: unknown): void {
    if (this.#hasFailed && where !== 'onStop') return;
    this.#hasFailed = true;
    this.side.out.attach(COMMAND.failed, this.handle, { where, error: toPlain(cause) });
  }
}
