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

/** What fills a recording: it calls `write` and `goOn`. */
export interface Tape {
  /** Writes what is left, at once or by when the promise resolves, and nothing after it. */
  end(): Promise<void> | undefined;
}

export class Recording implements ConferenceRecording {
  readonly sampleRate: number;
  readonly #write: RecordingWriter;
  readonly #file: WavWriter | undefined;
  readonly #onEnd: () => void;
  #tape: Tape | undefined;
  #length = 0;
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

  /** How long it is so far, in samples. */
  get length(): number {
    return this.#length;
  }

  /** It is being recorded from now on. */
  begin(tape: Tape): void {
    this.#tape = tape;
  }

  write(samples: Int16Array, atSample: number): void {
    this.#write(samples, atSample);
    this.goOn(atSample + samples.length);
  }

  /** Up to `atSample` there is nothing more. */
  goOn(atSample: number): void {
    this.#length = atSample;
  }

  close(): Promise<void> {
    if (this.#closed) return this.#closed;
    this.#closed = this.#finish(this.#tape?.end());
    this.#onEnd();
    return this.#closed;
  }

  async #finish(ended: Promise<void> | undefined): Promise<void> {
    if (ended) await ended;
    // What was silent at the end belongs to it too.
    this.#file?.advance(0, this.#length);
    await this.#file?.close();
  }
}

export interface PolledTapeSetup {
  clock: Clock;
  recording: Recording;
  /** As NativeRooms.takeRecording(). */
  take(pcm: Int16Array): number;
  /** Whether nobody is in the conference. */
  isEmpty(): boolean;
  /** Nothing is recorded any more. */
  stop(): void;
}

/** A tape of the engine's, which is read again and again. */
export class PolledTape implements Tape {
  readonly #setup: PolledTapeSetup;
  readonly #pcm: Int16Array;
  readonly #stop: () => void;

  constructor(setup: PolledTapeSetup) {
    const { clock, recording, isEmpty } = setup;
    this.#setup = setup;
    this.#pcm = new Int16Array(recording.sampleRate);
    this.#stop = clock.every(DRAIN_MS, () => {
      this.#drain();
      // Whoever wants to know of a failure closes it.
      if (isEmpty()) recording.close().catch(() => {});
    });
  }

  end(): undefined {
    this.#stop();
    this.#drain();
    this.#setup.stop();
  }

  #drain(): void {
    const { recording, take } = this.#setup;
    for (;;) {
      const samples = take(this.#pcm);
      if (samples === 0) return;
      if (samples > 0) recording.write(this.#pcm.subarray(0, samples), recording.length);
      else recording.goOn(recording.length - samples);
    }
  }
}
