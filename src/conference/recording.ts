/** A conference on its way to a file, or to whoever takes the samples. */
import { WavWriter } from '../audio/wav.js';
import type { Clock } from '../clock.js';
import { SidetoneError, shown } from '../errors.js';
import type {
  ConferenceRecording,
  ConferenceRecordingOptions,
  RecordingWriter,
} from '../plugin/conference.js';

/** The tape holds a second. */
const DRAIN_MS = 200;
const RATES: readonly number[] = [8000, 16000, 24000, 48000];

/** Where the samples come from. */
export interface Tape {
  clock: Clock;
  /** As NativeRooms.takeRecording(). */
  take(pcm: Int16Array): number;
  /** Whether anybody is in the conference. */
  readonly isEmpty: boolean;
}

export class Recording implements ConferenceRecording {
  readonly sampleRate: number;
  readonly #write: RecordingWriter;
  readonly #file: WavWriter | undefined;
  readonly #onEnd: () => void;
  readonly #pcm: Int16Array;
  #tape: Tape | undefined;
  #atSample = 0;
  #stop: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
  constructor(target: string | RecordingWriter, options: ConferenceRecordingOptions, onEnd: () => void) {
    const { sampleRate = 16000 } = options;
    if (!RATES.includes(sampleRate)) {
      const problem = `record sampleRate: ${shown(sampleRate)}: use one of ${RATES.join(', ')} Hz`;
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
    }
    if (typeof target !== 'string' && typeof target !== 'function') {
      const problem = `record target: ${shown(target)}: pass the path of a WAV file, or a function`;
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
    }
    this.sampleRate = sampleRate;
    this.#pcm = new Int16Array(sampleRate);
    this.#onEnd = onEnd;
    if (typeof target === 'string') {
      const file = new WavWriter(target, { sampleRate, channels: 1 });
      this.#file = file;
      this.#write = (samples, atSample) => file.append(samples, 0, atSample);
    } else {
      this.#write = target;
    }
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** The engine has begun to record. */
  begin(tape: Tape): void {
    this.#tape = tape;
    this.#stop = tape.clock.every(DRAIN_MS, () => {
      this.#drain(tape);
      // Whoever wants to know of a failure closes it.
      if (tape.isEmpty) this.close().catch(() => {});
    });
  }

  close(): Promise<void> {
    if (this.#closed) return this.#closed;
    this.#stop?.();
    if (this.#tape) this.#drain(this.#tape);
    this.#closed = this.#finish();
    this.#onEnd();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    // What was silent at the end belongs to it too.
    this.#file?.advance(0, this.#atSample);
    await this.#file?.close();
  }

  #drain(tape: Tape): void {
    for (;;) {
      const samples = tape.take(this.#pcm);
      if (samples === 0) return;
      if (samples > 0) this.#write(this.#pcm.subarray(0, samples), this.#atSample);
      this.#atSample += Math.abs(samples);
    }
  }
}
