/**
 * The neural voice detector of one reactor, in a thread of its own: what windows have gathered is heard at once.
 *
 *   reactor                                    shared memory                  worker
 *   every GATHER_MS: source.take(batch) ─copy──▶ windows ─────────────────────▶ VoiceHearing
 *   source.answer(batch, windows)       ◀─copy── probabilities ◀────────────────┘
 *
 * One batch is under way at a time, and belongs to a promise. Whoever waits too long for answers does without: see
 * native/hearing/neural_voice.h.
 */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { Clock } from '../clock.js';
import { SidetoneError } from '../errors.js';
import { VOICE } from '../native/addon.js';
import { holdRuntime } from './silero.js';
import { type VoiceBuffers, VoiceMemory } from './voice-memory.js';

/** Windows that come in this time are heard together. */
export const GATHER_MS = 16;
/** A thread whose batch takes longer is given up. */
const BATCH_MS_MAX = 5000;
/** How long a thread may take to start and to load the model. */
const START_MS_MAX = 30_000;
const RESTART_MS_MAX = 60_000;

/** The windows of a batch: the reactor's own copy. */
export interface VoiceBatch {
  readonly fields: Int32Array;
  /** Where each window ends, on its stream's axis. */
  readonly ends: Float64Array;
  readonly samples: Int16Array;
  /** NaN where nothing was heard. */
  readonly probabilities: Float32Array;
}

export interface VoiceSource {
  /** Moves the windows that wait into the batch. Returns how many. */
  take(batch: VoiceBatch): number;
  /** What was heard in the first `windows` of them. */
  answer(batch: VoiceBatch, windows: number): void;
}

export interface VoiceThread {
  /** Hears the first `windows` windows of its memory; with none it gets ready. */
  hear(windows: number): Promise<void>;
  end(): Promise<void>;
}

export interface VoicePoolOptions {
  source: VoiceSource;
  clock: Clock;
  /** Told when a thread was given up: `SIDETONE_WORKER_DIED`. Its successor starts after a while. */
  onError: (error: Error) => void;
  /** Starts a thread. Tests have their own. */
  start?: (buffers: VoiceBuffers) => VoiceThread;
}

function startThread(workerData: VoiceBuffers): VoiceThread {
  holdRuntime();
  const piscina = new Piscina<number, void>({
    filename: fileURLToPath(new URL('./voice-worker.js', import.meta.url)),
    minThreads: 1,
    maxThreads: 1,
    workerData,
    recordTiming: false,
  });
  return { hear: windows => piscina.run(windows), end: () => piscina.destroy() };
}

interface Running {
  readonly thread: VoiceThread;
  readonly memory: VoiceMemory;
  /** It has heard a batch. */
  proven: boolean;
}

export class VoicePool {
  readonly #source: VoiceSource;
  readonly #clock: Clock;
  readonly #onError: (error: Error) => void;
  readonly #startThread: (buffers: VoiceBuffers) => VoiceThread;
  readonly #batch: VoiceBatch = {
    fields: new Int32Array(VOICE.windowsMax * VOICE.fields),
    ends: new Float64Array(VOICE.windowsMax),
    samples: new Int16Array(VOICE.windowsMax * VOICE.samples),
    probabilities: new Float32Array(VOICE.windowsMax),
  };
  #running: Running | undefined;
  /** Windows that are under way; 0: the thread gets ready. Undefined where nothing is. */
  #underWay: number | undefined;
  #sinceMs = 0; // it is under way
  #failures = 0; // threads in a row that heard nothing
  #restartAtMs = 0;
  #streams = 0;
  #stopGathering: (() => void) | undefined;
  readonly #ending = new Set<Promise<void>>();

  constructor({ source, clock, onError, start = startThread }: VoicePoolOptions) {
    this.#source = source;
    this.#clock = clock;
    this.#onError = onError;
    this.#startThread = start;
  }

  /** Has the thread start and load the model before there is a stream. Resolves when it has, or cannot. */
  async warm(): Promise<void> {
    if (this.#underWay === undefined && !this.#running?.proven) await this.#hear(0);
  }

  /** One more stream listens. */
  open(): void {
    this.#streams++;
    this.#stopGathering ??= this.#clock.every(GATHER_MS, () => this.#gather());
  }

  /** One of them has ended. */
  close(): void {
    if (--this.#streams > 0) return;
    this.#stopGathering?.();
    this.#stopGathering = undefined;
  }

  /** Ends the thread. What is under way has no answer. */
  async end(): Promise<void> {
    this.#stopGathering?.();
    this.#stopGathering = undefined;
    this.#giveUp();
    await Promise.all(this.#ending);
  }

  #gather(): void {
    const nowMs = this.#clock.now();
    if (this.#underWay !== undefined) {
      const msMax = BATCH_MS_MAX + (this.#running?.proven ? 0 : START_MS_MAX);
      if (nowMs - this.#sinceMs > msMax) this.#failed(new Error(`its batch took more than ${msMax} ms`));
      return;
    }
    const windows = this.#source.take(this.#batch);
    if (windows === 0) return;
    if (nowMs < this.#restartAtMs) this.#answerNothing(windows);
    else void this.#hear(windows);
  }

  async #hear(windows: number): Promise<void> {
    this.#underWay = windows;
    this.#sinceMs = this.#clock.now();
    let running: Running | undefined;
    try {
      running = this.#running ??= this.#start();
      const { fields, samples } = this.#batch;
      running.memory.fields.set(fields.subarray(0, windows * VOICE.fields));
      running.memory.samples.set(samples.subarray(0, windows * VOICE.samples));
      await running.thread.hear(windows);
    } catch (error) {
      if (running === this.#running) this.#failed(error as Error);
      return;
    }
    // It has been given up meanwhile.
    if (running !== this.#running) return;
    running.proven = true;
    this.#failures = 0;
    this.#underWay = undefined;
    this.#batch.probabilities.set(running.memory.probabilities.subarray(0, windows));
    this.#source.answer(this.#batch, windows);
    // What came meanwhile has waited long enough.
    if (this.#clock.now() - this.#sinceMs >= GATHER_MS && this.#stopGathering) this.#gather();
  }

  #start(): Running {
    const memory = new VoiceMemory();
    return { thread: this.#startThread(memory.buffers), memory, proven: false };
  }

  #failed(cause: Error): void {
    const windows = this.#underWay ?? 0;
    this.#failures = this.#running?.proven ? 0 : this.#failures + 1;
    this.#giveUp();
    // One that cannot start is started again after 200 ms, 400 ms, … a minute.
    this.#restartAtMs =
      this.#clock.now() +
      (this.#failures === 0 ? 0 : Math.min(RESTART_MS_MAX, 100 * 2 ** this.#failures));
    this.#answerNothing(windows);
    const problem = `voice activity: the neural detector's worker was given up: ${cause.message}`;
    this.#onError(new SidetoneError('SIDETONE_WORKER_DIED', problem, { cause }));
  }

  #giveUp(): void {
    const thread = this.#running?.thread;
    this.#running = undefined;
    this.#underWay = undefined;
    if (!thread) return;
    const ended: Promise<void> = thread.end().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  #answerNothing(windows: number): void {
    this.#batch.probabilities.fill(Number.NaN, 0, windows);
    this.#source.answer(this.#batch, windows);
  }
}
