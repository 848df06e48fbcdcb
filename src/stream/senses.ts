/** What the engine hears in a stream's audio beside the audio itself: speech, and keys that come as tones. */
import type { StreamHost } from '../media/host.js';
import { INFO, SENSES } from '../native/addon.js';
import type { VoiceSettings } from '../plugin/hearing.js';
import type { StreamHandler } from '../plugin/plugin.js';
import type { Track } from '../telnyx/frames.js';
import type { InboundFrame } from './frame.js';
import { KeyReports } from './keys.js';

export interface SensesSetup {
  /** How to look for speech; undefined: not at all. */
  voice: VoiceSettings | undefined;
  /** Whether to look for the tones of keys. */
  inbandKeys: boolean;
}

type Told = 'onSpeech' | 'onSilence' | 'onDtmf';

const TRACKS: readonly Track[] = ['inbound', 'outbound'];
/** Frames that the network holds up come together after this long at most, or nearly always. */
const HELD_UP_MS = 200;
/** Times are sums of fractions. */
const TOGETHER_MS = 0.5;

export class StreamSenses {
  readonly #host: StreamHost;
  readonly #slot: number;
  readonly #tell: (method: Told, ...values: unknown[]) => void;
  readonly #voice: VoiceSettings | undefined;
  readonly #keys: KeyReports | undefined;
  // By track:
  readonly #heardMs = new Float64Array(2); // when its last frame came
  readonly #speaking = [false, false];
  readonly #watching: ((() => void) | undefined)[] = [undefined, undefined];
  #closed = false;

  constructor(
    { host, slot, voice, inbandKeys }: SensesSetup & { host: StreamHost; slot: number },
    tell: (method: Told, ...values: unknown[]) => void,
  ) {
    this.#host = host;
    this.#slot = slot;
    this.#tell = tell;
    this.#voice = voice;
    this.#keys = inbandKeys ? new KeyReports() : undefined;
    if (voice?.detector === 'neural') host.voices.open();
  }

  /** Whether anything in the audio would reach this handler, apart from the audio. */
  serves(handler: StreamHandler | undefined): boolean {
    if (this.#voice !== undefined && (handler?.onSpeech || handler?.onSilence)) return true;
    return this.#keys !== undefined && handler?.onDtmf !== undefined;
  }

  /** Tells what was heard in the frame of `track` that has been shown. */
  tell(track: number, frame: InboundFrame): void {
    const { info, nowMs } = this.#host.path;
    const senses = info[INFO.senses]!;
    if (senses & SENSES.speech) frame.speech = info[INFO.speech]!;
    this.#heardMs[track] = nowMs;
    if ((senses & ~SENSES.speech) === 0) return;
    let keys = info[INFO.keys]!;
    this.#tellVoice(track);
    for (; keys !== 0; keys >>>= 8) this.key(String.fromCharCode(keys & 0xff), new Date(), 'tone');
  }

  /** Speech has begun or ended, as the bits of SENSES in `flags` say. */
  voiceChanged(track: number, flags: number, startMs: number, endMs: number, durationMs: number): void {
    const endsFirst = endMs <= startMs;
    const ended = (flags & SENSES.ended) !== 0;
    if (ended && endsFirst) this.#ended(track, endMs, durationMs);
    if (flags & SENSES.began) this.#began(track, startMs);
    if (ended && !endsFirst) this.#ended(track, endMs, durationMs);
  }

  /** A key was pressed. */
  key(digit: string, at: Date, source: 'tone' | 'event'): void {
    if (this.#keys?.isNew(digit, source, this.#host.path.nowMs) === false) return;
    this.#tell('onDtmf', digit, at);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of this.#watching) stop?.();
    if (this.#voice?.detector === 'neural') this.#host.voices.close();
  }

  /** What the engine has written. The handler's calls write to `info` too. */
  #tellVoice(track: number): void {
    const { info } = this.#host.path;
    this.voiceChanged(
      track,
      info[INFO.senses]!,
      info[INFO.speechStartMs]!,
      info[INFO.speechEndMs]!,
      info[INFO.speechMs]!,
    );
  }

  #began(track: number, startMs: number): void {
    this.#speaking[track] = true;
    this.#watching[track] ??= this.#watch(track, this.#quietMaxMs);
    this.#tell('onSpeech', { startMs, track: TRACKS[track] });
  }

  #ended(track: number, endMs: number, durationMs: number): void {
    this.#speaking[track] = false;
    this.#tell('onSilence', { endMs, durationMs, track: TRACKS[track] });
  }

  /** So long nothing may come while somebody speaks: a leg that is muted or saves bandwidth sends nothing. */
  get #quietMaxMs(): number {
    return this.#voice!.hangoverMs + HELD_UP_MS;
  }

  #watch(track: number, afterMs: number): (() => void) | undefined {
    if (this.#closed) return undefined;
    return this.#host.clock.after(afterMs, () => {
      this.#watching[track] = undefined;
      if (!this.#speaking[track]) return;
      const { clock, path } = this.#host;
      const nowMs = clock.now();
      const leftMs = this.#heardMs[track]! + this.#quietMaxMs - nowMs;
      if (leftMs > TOGETHER_MS) {
        this.#watching[track] = this.#watch(track, leftMs);
        return;
      }
      path.nowMs = nowMs;
      path.engine.native.hush(this.#slot, track);
      if (path.info[INFO.senses] !== 0) this.#tellVoice(track);
    });
  }
}
