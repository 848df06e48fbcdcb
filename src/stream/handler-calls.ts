/** Calling a handler, whatever it does: throw, reject, never finish, hold the thread. Its own call suffers, no other. */

import { SidetoneError } from '../errors.js';
import type { LoggedStream } from '../log/call-log.js';
import type { StreamHost } from '../media/host.js';
import type { StreamHandler } from '../plugin/plugin.js';

export type HandlerMethod =
  | 'onDtmf'
  | 'onMark'
  | 'onError'
  | 'onPlayed'
  | 'onCall'
  | 'onResume'
  | 'onStop'
  | 'onSpeech'
  | 'onSilence';

/** A callback that held the thread for longer than the far end is kept ahead has been heard in other calls. */
export const HANDLER_SLOW_MS = 200;
/** A handler that held the thread this long has failed. */
const HANDLER_STALL_MS = 1000;
/** Unfinished async callbacks of one handler: 20 s of audio whose work does not get done. */
export const HANDLER_PENDING_MAX = 1000;

type Methods = Record<string, ((...values: unknown[]) => unknown) | undefined>;

/** The stream whose handler it is. */
export interface HandlerOwner extends LoggedStream {
  /** The handler has failed: frames pass by it, or the stream ends. */
  bypass(ends: boolean): void;
}

export class HandlerCalls {
  #handler: Methods | undefined;
  #bypassed = false;
  #pending = 0; // async callbacks that have not finished

  constructor(
    private readonly host: StreamHost,
    private readonly stream: HandlerOwner,
  ) {}

  attach(handler: StreamHandler | undefined): void {
    this.#handler = handler as Methods | undefined;
  }

  /** Whether the handler has the method and would be told. */
  handles(method: HandlerMethod): boolean {
    return !this.#bypassed && typeof this.#handler?.[method] === 'function';
  }

  /** From now on the handler is told of nothing else. */
  narrow(...methods: HandlerMethod[]): void {
    const handler = this.#handler;
    const kept = methods.filter(method => typeof handler?.[method] === 'function');
    this.#handler =
      kept.length === 0
        ? undefined
        : Object.fromEntries(kept.map(method => [method, handler![method]!.bind(handler)]));
  }

  /** Returns what the method returned. */
  tell(method: HandlerMethod, values: unknown[]): unknown {
    const handler = this.#handler;
    if (handler === undefined || (this.#bypassed && method !== 'onStop')) return undefined;
    const beganMs = this.host.clock.now();
    let result: unknown;
    try {
      result = handler[method]?.(...values);
      this.watch(method, result);
    } catch (error) {
      this.failed(method, error);
    }
    const heldMs = this.host.clock.now() - beganMs;
    if (heldMs >= HANDLER_SLOW_MS) this.held(method, heldMs);
    return result;
  }

  /**
   * Watches what a method returned, if it is a true promise. A playback is thenable too, but awaiting it would ask
   * Telnyx for a mark.
   */
  watch(where: string, result: unknown): void {
    if (!(result instanceof Promise)) return;
    if (++this.#pending === HANDLER_PENDING_MAX) {
      const problem = `${HANDLER_PENDING_MAX} calls of an async ${where} have not finished: do the work in one task behind a queue`;
      this.failed(where, new SidetoneError('SIDETONE_HANDLER_FAILED', problem));
    }
    result.then(
      () => {
        this.#pending--;
      },
      error => {
        this.#pending--;
        this.failed(where, error);
      },
    );
  }

  /** A method held the thread for HANDLER_SLOW_MS or more. */
  held(where: string, heldMs: number): void {
    this.host.handlerStalled(this.stream, where, heldMs);
    if (heldMs < HANDLER_STALL_MS) return;
    const problem = `${where} held the thread, and with it every stream of it, for ${Math.round(heldMs)} ms: hand such work to a worker`;
    this.failed(where, new SidetoneError('SIDETONE_HANDLER_FAILED', problem));
  }

  failed(where: string, cause: unknown): void {
    if (this.#bypassed && where !== 'onStop') return;
    this.host.handlerFailed(this.stream, where, cause);
    const bypass = this.host.options.handlerErrors === 'bypass';
    if (where !== 'onError' && where !== 'onStop') {
      const error = new SidetoneError('SIDETONE_HANDLER_FAILED', `handler's ${where} failed`, { cause });
      this.tell('onError', [error]);
    }
    this.#bypassed = bypass;
    if (bypass || where !== 'onStop') this.stream.bypass(!bypass);
  }
}
