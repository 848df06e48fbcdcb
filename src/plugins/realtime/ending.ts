/** The end of a conversation: at a limit, at the model's wish, or because there is no service. Politely, and in any case. */
import type { Clock } from '../../clock.js';
import type { Stream } from '../../plugin/stream.js';
import type { Answers } from './answers.js';
import type { CallMeter } from './meters.js';
import type { RealtimeSettings } from './options.js';
import type { Speaker } from './speaker.js';
import { beeps } from './tones.js';
import { hangUp } from './tools.js';

export type EndReason = 'hang_up' | 'silence' | 'length' | 'tokens' | 'cost' | 'service';

/** The last words are waited for this long, and no longer than this in all. */
const GOODBYE_MS_MAX = 10_000;
const LAST_WORDS_MS_MAX = 30_000;
const FALLBACK = beeps(3);

interface EndingSetup {
  stream: Stream;
  settings: RealtimeSettings;
  clock: Clock;
  answers: Answers;
  speaker: Speaker;
}

export class Ending {
  readonly #setup: EndingSetup;
  readonly #startedMs: number;
  #lastActiveMs: number;
  #why: EndReason | undefined;
  #begunMs = 0;
  /** The goodbye has been asked for and not been heard of. */
  #awaitsGoodbye = false;
  #isOver = false;

  constructor(setup: EndingSetup) {
    this.#setup = setup;
    this.#startedMs = this.#lastActiveMs = setup.clock.now();
  }

  get begun(): boolean {
    return this.#why !== undefined;
  }

  get why(): EndReason | undefined {
    return this.#why;
  }

  /** The call ends once what is said has been heard. */
  begin(why: EndReason, say: 'nothing' | 'goodbye' | 'fallback' = 'nothing'): void {
    if (this.#why !== undefined) return;
    const { stream, settings, clock, answers } = this.#setup;
    this.#why = why;
    this.#begunMs = clock.now();
    if (say === 'goodbye') {
      this.#awaitsGoodbye = true;
      answers.want(settings.goodbye);
    }
    if (say !== 'fallback') return;
    const { samples, sampleRate } = settings.fallback ?? FALLBACK;
    stream.play(samples, { sampleRate });
  }

  tick(now: { isActive: boolean; callMeter: CallMeter; session: boolean }): void {
    const { stream, clock, answers, speaker } = this.#setup;
    const nowMs = clock.now();
    if (this.#why === undefined) {
      if (now.isActive) this.#lastActiveMs = nowMs;
      const why = this.#limit(nowMs, now.callMeter);
      if (why !== undefined) this.begin(why, now.session ? 'goodbye' : 'fallback');
      return;
    }
    const endingMs = nowMs - this.#begunMs;
    if (this.#awaitsGoodbye && (speaker.speaking || endingMs >= GOODBYE_MS_MAX)) this.#awaitsGoodbye = false;
    const isOpen = speaker.speaking || answers.generating || this.#awaitsGoodbye;
    if ((isOpen && endingMs < LAST_WORDS_MS_MAX) || this.#isOver) return;
    this.#isOver = true;
    void hangUp(stream);
  }

  #limit(nowMs: number, { tokens, cost }: CallMeter): EndReason | undefined {
    const { silenceMaxMs, callMaxMs, tokensMax, costMax } = this.#setup.settings;
    if (silenceMaxMs > 0 && nowMs - this.#lastActiveMs >= silenceMaxMs) return 'silence';
    if (callMaxMs > 0 && nowMs - this.#startedMs >= callMaxMs) return 'length';
    if (tokensMax > 0 && tokens >= tokensMax) return 'tokens';
    if (costMax > 0 && cost >= costMax) return 'cost';
    return undefined;
  }
}
