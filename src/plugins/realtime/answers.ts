/** The service's answers: which of them is under way, which was cut off, and which it owes. */
import type { Clock } from '../../clock.js';
import { ASIDE, responseCreate, type ServiceEvent, type ServiceResponse } from './events.js';

/** Ids of answers and items that were cut off: their audio may come for some seconds. */
const CUT_MAX = 64;
/** Failed answers in a row, after which there is no service. */
const FAILURES_MAX = 4;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 20_000;

export class Answers {
  readonly #clock: Clock;
  readonly #send: (text: string) => void;
  readonly #isReady: () => boolean;
  /** The answer that the service is giving: '' where it has been asked for and not begun. */
  #active: string | undefined;
  /** One is to be asked for as soon as the one under way is done; the text is its instructions. */
  #wanted: string | undefined;
  #owedSinceMs: number | undefined;
  readonly #asides = new Set<string>();
  readonly #cut = new Set<string>();
  #failures = 0;
  #retryAtMs: number | undefined;
  /** By when the service's limits let it answer again. */
  #limitedUntilMs = 0;

  constructor(clock: Clock, send: (text: string) => void, isReady: () => boolean) {
    this.#clock = clock;
    this.#send = send;
    this.#isReady = isReady;
  }

  /** The service is at an answer, or has been asked for one. */
  get generating(): boolean {
    return this.#active !== undefined;
  }

  /** The service is at an answer that has not been cut off yet. */
  get cutsOff(): boolean {
    return this.#active !== undefined && this.#active !== '' && !this.#cut.has(this.#active);
  }

  /** Since when the caller waits for an answer. */
  get owedSinceMs(): number | undefined {
    return this.#owedSinceMs;
  }

  get givenUp(): boolean {
    return this.#failures >= FAILURES_MAX;
  }

  /** Asks for an answer, now or when the one under way is done. */
  want(instructions = ''): void {
    this.owe();
    if (this.#active !== undefined || !this.#isReady()) {
      this.#wanted = instructions || this.#wanted || '';
      return;
    }
    this.#wanted = undefined;
    this.#active = '';
    this.#send(responseCreate(instructions || undefined));
  }

  /** The service is going to answer of itself. */
  owe(): void {
    this.#owedSinceMs ??= this.#clock.now();
  }

  /** Asks for what is owed: a new session knows nothing of it. */
  retry(): void {
    if (this.#owedSinceMs !== undefined || this.#wanted !== undefined) this.want(this.#wanted);
  }

  /** The session is gone, and the answer under way with it. */
  lost(): void {
    if (this.#active !== undefined) this.owe();
    this.#active = undefined;
    this.#retryAtMs = undefined;
  }

  forget(): void {
    this.#active = undefined;
    this.#wanted = undefined;
    this.#owedSinceMs = undefined;
    this.#retryAtMs = undefined;
    this.#failures = 0;
  }

  created({ id = '', metadata }: ServiceResponse): void {
    if (metadata?.sidetone === ASIDE.sidetone) {
      keep(this.#asides, id);
      return;
    }
    this.#active = id;
    this.#wanted = undefined;
  }

  /** Something of the answer has come. */
  spoke(): void {
    this.#owedSinceMs = undefined;
    this.#failures = 0;
  }

  done({ id = '', status, status_details: details }: ServiceResponse): void {
    if (this.#asides.delete(id)) return;
    this.#active = undefined;
    if (status === 'failed') {
      this.#failures++;
      const isLimited = details?.error?.code === 'rate_limit_exceeded';
      const pauseMs = RETRY_MS_MIN * 2 ** this.#failures;
      const now = this.#clock.now();
      this.#retryAtMs = Math.max(now + pauseMs, isLimited ? this.#limitedUntilMs : 0);
      this.owe();
      return;
    }
    this.#owedSinceMs = undefined;
    if (this.#wanted !== undefined) this.want(this.#wanted);
  }

  /** The service told an error instead of an answer. */
  refused(code: string): void {
    // It is at an answer that has not been told yet: what is wanted comes after it.
    if (code === 'conversation_already_has_active_response') this.#wanted ??= '';
    else if (this.#active === '') this.#active = undefined;
  }

  limits(limits: NonNullable<ServiceEvent['rate_limits']>): void {
    const used = limits.filter(({ remaining = 1 }) => remaining <= 0);
    const resetMs = 1000 * Math.max(0, ...used.map(({ reset_seconds: seconds = 0 }) => seconds));
    this.#limitedUntilMs = this.#clock.now() + Math.min(RETRY_MS_MAX, resetMs);
  }

  /** Cuts off the answer under way, and these items of it or of one before. */
  cut(itemIds: readonly string[]): void {
    for (const id of itemIds) keep(this.#cut, id);
    if (this.#active) keep(this.#cut, this.#active);
  }

  isCut(itemId: string, responseId: string): boolean {
    return this.#cut.size > 0 && (this.#cut.has(itemId) || this.#cut.has(responseId));
  }

  isAside(responseId: string): boolean {
    return this.#asides.has(responseId);
  }

  /** `waits`: the caller speaks, or a tool runs, so that an answer comes of itself. */
  tick(waits: boolean): void {
    if (this.#retryAtMs === undefined || this.#clock.now() < this.#retryAtMs || waits) return;
    this.#retryAtMs = undefined;
    this.want(this.#wanted);
  }
}

function keep(ids: Set<string>, id: string): void {
  if (ids.size >= CUT_MAX) ids.delete(ids.values().next().value!);
  ids.add(id);
}
