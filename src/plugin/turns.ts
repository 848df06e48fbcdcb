/** Who speaks when: the caller's turns, and speech into an answer, on top of voice activity. */
import { type Clock, systemClock } from '../clock.js';
import { SidetoneError, shown } from '../errors.js';
import type { StreamHandler } from './plugin.js';
import type { SpeechEnd, SpeechStart } from './speech.js';
import type { AudioFrame } from './stream.js';

/** What is being answered with, and can be held: a stream, or what stands before it. */
export interface HeldAnswer {
  /** Holds what is playing. */
  pause(): unknown;
  /** Goes on where it was held. */
  resume(): unknown;
  /** Drops what is held or playing. */
  clear(): unknown;
}

/** One turn of the caller. Times lie on the axis of the frames' `timestampMs`. */
export interface Turn {
  /** Where its first speech began. */
  readonly startMs: number;
  /** Where its last speech ended. */
  readonly endMs: number;
  /** Speech in it, without the pauses. */
  readonly speechMs: number;
}

/** When a turn of the caller is over, and what is a false interruption. */
export interface TurnOptions {
  /** The caller's turn is over after this long without speech, in ms: 100 to 10000. Default 700. */
  pauseMs?: number;
  /** A turn has at least this much speech, in ms: 0 to 5000; less is dropped. Default 150. */
  speechMinMs?: number;
  /** Speech into an answer that is shorter than this is a cough, in ms: 0 to 5000. Default 500. */
  coughMaxMs?: number;
  /**
   * True: speech into an answer is a cough until `words()` is called, however long it is. So a recogniser decides.
   * Default false.
   */
  needsWords?: boolean;
  /** How long after such speech words may still come, in ms: 0 to 10000. Default 1000. */
  wordsWaitMs?: number;
  /** Tells when no frames come. Default: the system's; a test has its own. */
  clock?: Pick<Clock, 'after'>;
  /** The caller's turn is over. */
  onTurn?(turn: Turn): unknown;
  /** The caller has interrupted the answer, which was cleared. The turn began at `startMs`. */
  onInterruption?(interruption: { readonly startMs: number }): unknown;
  /** It was a cough: the answer goes on where it stopped. */
  onFalseInterruption?(cough: { readonly startMs: number; readonly endMs: number }): unknown;
}

/** A frame is taken for speech from here on. */
const VOICE_MIN = 0.5;
/** Frames that have not come for this long and a pause are waited for no longer: a silent leg may send none. */
const FRAMES_WAIT_MS = 200;

type Limits = Required<Pick<TurnOptions, 'pauseMs' | 'speechMinMs' | 'coughMaxMs' | 'wordsWaitMs'>>;

const LIMITS: { [Name in keyof Limits]: readonly [usual: number, min: number, max: number] } = {
  pauseMs: [700, 100, 10_000],
  speechMinMs: [150, 0, 5000],
  coughMaxMs: [500, 0, 5000],
  wordsWaitMs: [1000, 0, 10_000],
};

/**
 * Takes turns with the caller. It needs `audio: { vad }`, and the handler that `handler()` makes.
 *
 * ```ts
 * onStart: stream => {
 *   const turns = new TurnTaking(stream, { onTurn: () => void turns.answer(stream.play(voice)) });
 *   return turns.handler({ onDtmf: digit => … });
 * }
 * ```
 *
 * Speech holds the answer at once. Once it has lasted `coughMaxMs`, the answer is cleared; where it ends before, the answer
 * goes on. Time is that of the caller's frames. Where none come after speech, the clock's takes its place.
 */
export class TurnTaking {
  readonly #held: HeldAnswer;
  readonly #options: TurnOptions & Limits;
  #answers = 0; // that are being played
  #speaking = false;
  #speechStartMs = 0; // of the speech that is going on, or was last
  #endMs = 0; // of the last speech
  #voiceMs = 0; // the end of the last frame that is likely speech
  #turnStartMs: number | undefined; // of the turn that is open
  #turnSpeechMs = 0; // in it, without the speech that is going on
  /** Speech that holds the answer, and may be a cough. */
  #doubt: { readonly startMs: number } | undefined;
  #acting: Promise<unknown> | undefined;
  #cancelWait: (() => void) | undefined;

  /** @throws SidetoneError SIDETONE_BAD_OPTION */
  constructor(held: HeldAnswer, options: TurnOptions = {}) {
    const limits = {} as Limits;
    for (const name of Object.keys(LIMITS) as (keyof Limits)[]) {
      const [usual, min, max] = LIMITS[name];
      const value: unknown = options[name] ?? usual;
      if (typeof value !== 'number' || !(value >= min && value <= max)) {
        const problem = `TurnTaking ${name}: ${shown(value)}: give ${min} to ${max} ms`;
        throw new SidetoneError('SIDETONE_BAD_OPTION', problem);
      }
      limits[name] = value;
    }
    this.#held = held;
    this.#options = { ...options, ...limits };
  }

  /** Whether the caller is speaking. */
  get speaking(): boolean {
    return this.#speaking;
  }

  /** What is played as an answer, until it settles: only an answer can be interrupted. Returns it. */
  answer<T extends PromiseLike<unknown>>(playback: T): T {
    this.#answers++;
    const over = (): void => {
      this.#answers--;
      if (this.#answers > 0 || !this.#doubt) return;
      // The answer had been heard to its end: what came is the caller's turn.
      this.#turnStartMs = this.#doubt.startMs;
      this.#turnSpeechMs = (this.#speaking ? this.#speechStartMs : this.#endMs) - this.#doubt.startMs;
      this.#doubt = undefined;
    };
    playback.then(over, over);
    return playback;
  }

  /** A recogniser has found words in what the caller says: no cough. */
  words(): unknown {
    return this.#doubt ? this.#interrupted() : undefined;
  }

  /** A stream's handler that takes turns, and calls the methods of `handler` too. */
  handler(handler: StreamHandler = {}): StreamHandler {
    const more: StreamHandler = {};
    // A handler may be a class with private fields: its methods are called on itself.
    for (const name of eventsOf(handler)) more[name] = (handler[name] as () => unknown).bind(handler);
    more.onAudio = frame => both(this.hear(frame), handler.onAudio?.call(handler, frame));
    more.onSpeech = start => both(this.began(start), handler.onSpeech?.call(handler, start));
    more.onStop = reason => {
      this.#framesCame();
      return handler.onStop?.call(handler, reason);
    };
    more.onSilence = end => both(this.ended(end), handler.onSilence?.call(handler, end));
    return more;
  }

  /** For handlers that do without `handler()`: call it with each frame … */
  hear({ track, timestampMs, samples, sampleRate, speech }: AudioFrame): unknown {
    if (track !== 'inbound' || (this.#turnStartMs === undefined && !this.#doubt)) return undefined;
    this.#framesCame();
    const nowMs = timestampMs + (samples.length * 1000) / sampleRate;
    if (speech >= VOICE_MIN) this.#voiceMs = nowMs;
    if (this.#doubt) return this.#judge(nowMs);
    return this.#speaking ? undefined : this.#mayEnd(nowMs);
  }

  /** … with each onSpeech … */
  began({ startMs, track }: SpeechStart): unknown {
    if (track !== 'inbound') return undefined;
    this.#speaking = true;
    this.#speechStartMs = startMs;
    if (this.#doubt || this.#answers === 0) {
      this.#turnStartMs ??= startMs;
      return undefined;
    }
    this.#doubt = { startMs };
    return this.#act(() => this.#held.pause());
  }

  /** … and with each onSilence. */
  ended({ endMs, track }: SpeechEnd): unknown {
    if (track !== 'inbound') return undefined;
    this.#speaking = false;
    this.#endMs = endMs;
    if (this.#turnStartMs !== undefined) this.#turnSpeechMs += endMs - this.#speechStartMs;
    if (this.#turnStartMs !== undefined || this.#doubt) this.#awaitFrames();
    return undefined;
  }

  /** The next frame judges what was said, or the clock does. */
  #awaitFrames(): void {
    const { clock = systemClock, pauseMs, wordsWaitMs } = this.#options;
    const waitMs = FRAMES_WAIT_MS + Math.max(pauseMs, this.#doubt ? wordsWaitMs : 0);
    this.#framesCame();
    this.#cancelWait = clock.after(waitMs, () => {
      this.#cancelWait = undefined;
      const nowMs = this.#endMs + waitMs;
      const judged = this.#doubt ? this.#judge(nowMs) : undefined;
      return both(judged, this.#turnStartMs === undefined ? undefined : this.#mayEnd(nowMs));
    });
  }

  #framesCame(): void {
    this.#cancelWait?.();
    this.#cancelWait = undefined;
  }

  /** Whether what holds the answer is an interruption by now, or was a cough. */
  #judge(nowMs: number): unknown {
    const { coughMaxMs, needsWords, wordsWaitMs } = this.#options;
    const { startMs } = this.#doubt!;
    // A cough and the silence behind it may last long together, before that silence is told.
    const saidMs = (this.#speaking ? this.#voiceMs : this.#endMs) - startMs;
    if (!needsWords) {
      if (saidMs >= coughMaxMs) return this.#interrupted();
      return this.#speaking ? undefined : this.#coughed();
    }
    return this.#speaking || nowMs < this.#endMs + wordsWaitMs ? undefined : this.#coughed();
  }

  #interrupted(): unknown {
    const { startMs } = this.#doubt!;
    this.#doubt = undefined;
    this.#turnStartMs = startMs;
    this.#turnSpeechMs = this.#speaking ? this.#speechStartMs - startMs : this.#endMs - startMs;
    const cleared = this.#act(() => this.#held.clear());
    return both(cleared, this.#options.onInterruption?.({ startMs }));
  }

  #coughed(): unknown {
    const { startMs } = this.#doubt!;
    this.#doubt = undefined;
    this.#turnStartMs = undefined;
    this.#turnSpeechMs = 0;
    const resumed = this.#act(() => this.#held.resume());
    return both(resumed, this.#options.onFalseInterruption?.({ startMs, endMs: this.#endMs }));
  }

  #mayEnd(nowMs: number): unknown {
    if (nowMs - this.#endMs < this.#options.pauseMs) return undefined;
    const turn: Turn = { startMs: this.#turnStartMs!, endMs: this.#endMs, speechMs: this.#turnSpeechMs };
    this.#turnStartMs = undefined;
    this.#turnSpeechMs = 0;
    return turn.speechMs >= this.#options.speechMinMs ? this.#options.onTurn?.(turn) : undefined;
  }

  /** One after the other: an answer that is still being held goes on only then. */
  #act(action: () => unknown): unknown {
    if (!this.#acting) return this.#follow(action());
    return this.#follow(this.#acting.then(action, action));
  }

  #follow(result: unknown): unknown {
    if (!(result instanceof Promise)) return result;
    const acting = result.finally(() => {
      if (this.#acting === acting) this.#acting = undefined;
    });
    this.#acting = acting;
    return acting;
  }
}

function* eventsOf(handler: StreamHandler): Generator<keyof StreamHandler> {
  for (let at: object | null = handler; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at) as (keyof StreamHandler)[]) {
      if (/^on[A-Z]/.test(name) && typeof handler[name] === 'function') yield name;
    }
  }
}

/** What a callback returns whose two parts may each be async: nobody's rejection is lost. */
function both(one: unknown, other: unknown): unknown {
  if (!(one instanceof Promise)) return other;
  return other instanceof Promise ? Promise.all([one, other]) : one;
}
