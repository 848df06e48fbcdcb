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

/** How long the last words are waited for, and how long they may be. */
const GOODBYE_MS_MAX = 10_000;
const LAST_WORDS_MS_MAX = 30_000;
const CONFIRMATION_MS_MAX = 3000;
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
    const { settings, stream, clock, answers, speaker } = this.#setup;
    this.#why = why;
    this.#begunMs = clock.now();
    if (say === 'goodbye') answers.want(settings.goodbye);
    if (say !== 'fallback') return;
    const { samples, sampleRate } = settings.fallback ?? FALLBACK;
    speaker.rest();
    stream.play(samples, { sampleRate });
  }

  tick(now: { isActive: boolean; callMeter: CallMeter; session: boolean }): void {
    const { clock, answers, speaker } = this.#setup;
    const nowMs = clock.now();
    if (this.#why === undefined) {
      if (now.isActive || !now.session) this.#lastActiveMs = nowMs;
      // Without a session nobody can say goodbye: either there is one soon, or there is no service.
      const why = now.session ? this.#limit(nowMs, now.callMeter) : undefined;
      if (why !== undefined) this.begin(why, 'goodbye');
      return;
    }
    const endingMs = nowMs - this.#begunMs;
    const isToSpeak = answers.generating || answers.owedSinceMs !== undefined;
    const maxMs = speaker.speaking ? LAST_WORDS_MS_MAX : isToSpeak ? GOODBYE_MS_MAX : 0;
    if (endingMs < maxMs || this.#isOver) return;
    this.#isOver = true;
    void this.#hangUp();
  }

  /** Telnyx tells when the last of it has been heard: what this server knows of it is an estimate. */
  async #hangUp(): Promise<void> {
    const { stream, clock } = this.#setup;
    let cancel = (): void => {};
    const late = new Promise<void>(resolve => {
      cancel = clock.after(CONFIRMATION_MS_MAX, resolve);
    });
    await Promise.race([late, stream.mark()]);
    cancel();
    await hangUp(stream, clock);
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
