/** What the engine hears in a stream's audio beside the audio itself: speech, and keys that come as tones. */
import type { MediaPath } from '../media/path.js';
import { INFO, SENSES } from '../native/addon.js';
import type { VoiceSettings } from '../plugin/hearing.js';
import type { StreamHandler } from '../plugin/plugin.js';
import type { InboundFrame } from './frame.js';
import { KeyReports } from './keys.js';

export interface SensesSetup {
  /** How to look for speech; undefined: not at all. */
  voice: VoiceSettings | undefined;
  /** Whether to look for the tones of keys. */
  inbandKeys: boolean;
}

type Told = 'onSpeech' | 'onSilence' | 'onDtmf';

export class StreamSenses {
  readonly #path: MediaPath;
  readonly #tell: (method: Told, ...values: unknown[]) => void;
  readonly #listens: boolean; // for speech
  readonly #keys: KeyReports | undefined;

  constructor(
    path: MediaPath,
    { voice, inbandKeys }: SensesSetup,
    tell: (method: Told, ...values: unknown[]) => void,
  ) {
    this.#path = path;
    this.#tell = tell;
    this.#listens = voice !== undefined;
    this.#keys = inbandKeys ? new KeyReports() : undefined;
  }

  /** Whether anything in the audio would reach this handler, apart from the audio. */
  serves(handler: StreamHandler | undefined): boolean {
    if (this.#listens && (handler?.onSpeech || handler?.onSilence)) return true;
    return this.#keys !== undefined && handler?.onDtmf !== undefined;
  }

  /** Tells what was heard in the frame that has been shown. */
  tell(frame: InboundFrame): void {
    const { info } = this.#path;
    const senses = info[INFO.senses]!;
    if (senses & SENSES.speech) frame.speech = info[INFO.speech]!;
    if ((senses & ~SENSES.speech) === 0) return;
    // The handler's calls write to `info` too.
    const startMs = info[INFO.speechStartMs]!;
    const endMs = info[INFO.speechEndMs]!;
    const durationMs = info[INFO.speechMs]!;
    let keys = info[INFO.keys]!;
    const { track } = frame;
    const endsFirst = endMs <= startMs;
    if (senses & SENSES.ended && endsFirst) this.#tell('onSilence', { endMs, durationMs, track });
    if (senses & SENSES.began) this.#tell('onSpeech', { startMs, track });
    if (senses & SENSES.ended && !endsFirst) this.#tell('onSilence', { endMs, durationMs, track });
    for (; keys !== 0; keys >>>= 8) this.key(String.fromCharCode(keys & 0xff), new Date(), 'tone');
  }

  /** A key was pressed. */
  key(digit: string, at: Date, source: 'tone' | 'event'): void {
    if (this.#keys?.isNew(digit, source, this.#path.nowMs) === false) return;
    this.#tell('onDtmf', digit, at);
  }
}
