/** One worker thread and the streams whose codecs live in it. */
import { Piscina } from 'piscina';
import type { Clock } from '../clock.js';
import { SidetoneError } from '../errors.js';
import { COST_TABLE_BYTES, CostReader, type Costs } from './costs.js';
import { JOB, type WorkerRings } from './jobs.js';
import { RingReader, RingWriter, ringBuffer } from './ring.js';
import type { PoolStream } from './streams.js';

export interface ShardSettings {
  ringSlots: number;
  streamsMax: number;
  streamJobsMax: number;
  taskMsMax: number;
  batchMs: number;
  workerHeapMb: number;
  workerFile: string;
  clock: Clock;
  costs: Costs;
  onError: (error: Error) => void;
  /** A task was started. */
  onBusy: () => void;
}

/** Counted by all shards of a pool together, since it was made. */
export interface ShardCounters {
  /** Jobs that were taken. */
  jobs: number;
  /** Tasks that were run: jobs ÷ batches is the size of a batch. */
  batches: number;
  /** Jobs refused because a ring or a stream's share was full. */
  refused: number;
  /** Results for streams that had been closed. */
  discarded: number;
  /** Workers that were replaced; `hung` of them because a task took too long. */
  restarts: number;
  hung: number;
  /** Jobs that went down with a worker. */
  jobsLost: number;
  /** Calls of a sink that threw. */
  sinkErrors: number;
}

export function noShardCounters(): ShardCounters {
  return {
    jobs: 0,
    batches: 0,
    refused: 0,
    discarded: 0,
    restarts: 0,
    hung: 0,
    jobsLost: 0,
    sinkErrors: 0,
  };
}

/** A thread with its own memory. When it dies nothing of it is used again. */
class Incarnation {
  readonly jobs: RingWriter;
  readonly results: RingReader;
  readonly costs: CostReader;
  /** It has ended a task, so it is known to start. */
  proven = false;
  readonly #rings: WorkerRings;
  readonly #running = new Set<Promise<unknown>>();
  #piscina: Piscina<number, void> | undefined;

  constructor(
    readonly settings: ShardSettings,
    readonly onCrash: (error: Error) => void,
  ) {
    this.#rings = {
      jobs: ringBuffer(settings.ringSlots),
      results: ringBuffer(settings.ringSlots),
      costs: new SharedArrayBuffer(COST_TABLE_BYTES),
    };
    this.costs = new CostReader(settings.costs, this.#rings.costs);
    this.jobs = new RingWriter(this.#rings.jobs);
    this.results = new RingReader(this.#rings.results);
  }

  /** One batch. The first one starts the thread. */
  run(): Promise<void> {
    if (!this.#piscina) {
      this.#piscina = new Piscina({
        filename: this.settings.workerFile,
        minThreads: 1,
        maxThreads: 1,
        concurrentTasksPerWorker: 2,
        workerData: this.#rings,
        recordTiming: false,
        resourceLimits: { maxOldGenerationSizeMb: this.settings.workerHeapMb },
      });
      // A thread that dies without a task in flight.
      this.#piscina.on('error', this.onCrash);
    }
    const batch = this.#piscina.run(this.settings.batchMs);
    const settled: Promise<unknown> = batch.catch(() => {}).finally(() => this.#running.delete(settled));
    this.#running.add(settled);
    return batch;
  }

  /** Ends the thread at once: it hangs or has died. */
  async end(): Promise<void> {
    await this.#piscina?.destroy();
  }

  /**
   * Ends the thread when its batches are done: one that is stopped within a codec's call comes back to a JavaScript that
   * is no more, which addons do not survive. A thread that hangs is not waited for for ever.
   */
  async endGently(): Promise<void> {
    await allOrLate(this.#running, this.settings.clock, this.settings.taskMsMax / 2);
    await this.end();
  }
}

/** Resolves when all of them have, or after `limitMs`. */
async function allOrLate(promises: Iterable<Promise<unknown>>, clock: Clock, limitMs: number): Promise<void> {
  let cancel = () => {};
  const late = new Promise<void>(resolve => {
    cancel = clock.after(limitMs, resolve);
  });
  await Promise.race([Promise.all(promises), late]);
  cancel();
}

/** Slots of the ring of jobs that frames leave free for opening and closing streams, which take one each. */
const CONTROL_SLOTS = 256;
/**
 * With more than this waiting, about a batch, a second task is ready for the worker when it ends the first. Waking both
 * threads costs 0.2 to 0.3 ms a task, which is 5 % and more of a batch of 4 ms.
 */
const AHEAD_SLOTS = 64;
const RESTART_MS_MAX = 10_000;
/** How long a worker's thread may take to start. */
const START_MS_MAX = 30_000;

export class Shard {
  readonly streams = new Map<number, PoolStream>();
  jobsPending = 0;
  #worker: Incarnation;
  /** Tasks in flight. */
  #tasks = 0;
  /** When the worker could begin with the oldest of them. */
  #startedAtMs = 0;
  /** Streams whose closing did not fit into the ring yet. */
  readonly #closing: number[] = [];
  /** Workers in a row that died before they had ended one task. */
  #failedStarts = 0;
  #restartAtMs = 0;
  #ended = false;
  readonly #ending = new Set<Promise<void>>();

  constructor(
    readonly settings: ShardSettings,
    readonly counters: ShardCounters,
  ) {
    this.#worker = this.#start();
  }

  /**
   * The cost of its streams in µs every 20 ms, as far as it is known. Meant for the start of a stream, not for every
   * frame.
   */
  get loadUs(): number {
    this.#worker.costs.read();
    let us = 0;
    for (const { cost } of this.streams.values()) us += cost.us;
    return us;
  }

  /** False where there is no room for another stream. */
  open(stream: PoolStream): boolean {
    if (this.streams.size >= this.settings.streamsMax) return false;
    if (!this.#worker.jobs.write(stream.openKind, stream.id, 0, stream.openRecord)) return false;
    this.streams.set(stream.id, stream);
    this.#kick();
    return true;
  }

  /** False, and counted, where the ring or the stream's share of it is full. */
  submit(
    stream: PoolStream,
    kind: number,
    value: number,
    data: Uint8Array | Int16Array | undefined,
  ): boolean {
    if (stream.closed) {
      throw new SidetoneError('SIDETONE_CODEC_CLOSED', 'CodecPool stream: used after close(); open another');
    }
    if (
      stream.pending >= this.settings.streamJobsMax ||
      !this.#worker.jobs.write(kind, stream.id, value, data, CONTROL_SLOTS)
    ) {
      this.counters.refused++;
      // A full ring whose worker may not be restarted yet is looked at again with every job.
      this.#kick();
      return false;
    }
    stream.pending++;
    this.jobsPending++;
    this.counters.jobs++;
    this.#kick();
    return true;
  }

  close(stream: PoolStream): void {
    if (stream.closed) return;
    stream.closed = true;
    this.streams.delete(stream.id);
    this.jobsPending -= stream.pending;
    if (this.#ended) return;
    this.#closing.push(stream.id);
    this.#writeClosing();
    this.#kick();
  }

  /** Gives the worker up where its task takes too long. Returns whether any is in flight. */
  checkHung(): boolean {
    const ms = this.settings.clock.now() - this.#startedAtMs;
    // The first task waits for the thread to start, which takes seconds on an overloaded machine.
    const msMax = this.settings.taskMsMax + (this.#worker.proven ? 0 : START_MS_MAX);
    if (this.#tasks > 0 && ms > msMax) {
      this.counters.hung++;
      this.#replace(new Error(`its task took more than ${msMax} ms`));
    }
    return this.#tasks > 0;
  }

  /** Closes the streams and ends the thread. */
  async end(): Promise<void> {
    this.#ended = true;
    for (const stream of this.streams.values()) this.close(stream);
    this.#giveUp(this.#worker.endGently());
    await allOrLate(this.#ending, this.settings.clock, this.settings.taskMsMax);
  }

  #start(): Incarnation {
    const worker: Incarnation = new Incarnation(this.settings, error => {
      if (worker === this.#worker) this.#replace(error);
    });
    return worker;
  }

  #giveUp(end: Promise<void>): void {
    // The thread's end is waited for, and does not come while it hangs in native code.
    const ended: Promise<void> = end.finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  /** Starts a task unless enough are in flight or there is nothing to do. */
  #kick(): void {
    if (this.#ended) return;
    const usedSlots = this.#worker.jobs.slots - this.#worker.jobs.freeSlots;
    const wanted = usedSlots > AHEAD_SLOTS ? 2 : usedSlots > 0 ? 1 : 0;
    if (this.#tasks >= wanted) return;
    const nowMs = this.settings.clock.now();
    if (nowMs < this.#restartAtMs) return;
    if (this.#tasks === 0) this.#startedAtMs = nowMs;
    this.#tasks++;
    this.counters.batches++;
    const worker = this.#worker;
    worker.run().then(
      () => this.#done(worker),
      (error: Error) => {
        if (worker === this.#worker) this.#replace(error);
      },
    );
    this.settings.onBusy();
  }

  #done(worker: Incarnation): void {
    if (worker !== this.#worker || this.#ended) return;
    worker.proven = true;
    this.#failedStarts = 0;
    this.#tasks--;
    this.#startedAtMs = this.settings.clock.now();
    worker.costs.read();
    this.#writeClosing();
    // The worker goes on while its results are handed out here.
    this.#kick();
    this.#handOut(worker);
    this.#kick();
  }

  #writeClosing(): void {
    while (this.#closing.length > 0) {
      if (!this.#worker.jobs.write(JOB.close, this.#closing[0]!, 0, undefined)) return;
      this.#closing.shift();
    }
  }

  #handOut({ results }: Incarnation): void {
    while (results.next()) {
      const stream = this.streams.get(results.stream);
      if (!stream) {
        this.counters.discarded++;
        continue;
      }
      let ended = true;
      try {
        ended = stream.result(results);
      } catch (error) {
        this.#sinkThrew(error);
      }
      if (ended && !stream.closed) {
        stream.pending--;
        this.jobsPending--;
      }
    }
  }

  #sinkThrew(error: unknown): void {
    this.counters.sinkErrors++;
    this.settings.onError(error as Error);
  }

  /** The worker died or is given up: another takes over its streams, and their pending jobs are answered. */
  #replace(cause: Error): void {
    const old = this.#worker;
    // Its finished results are whole, and are handed out first.
    this.#handOut(old);
    if (this.#ended) return;
    this.counters.restarts++;
    this.#giveUp(old.end());
    this.#failedStarts = old.proven ? 0 : this.#failedStarts + 1;
    // A worker that cannot start is started again after 100 ms, 200 ms, … 10 s.
    const waitMs = this.#failedStarts === 0 ? 0 : Math.min(RESTART_MS_MAX, 50 * 2 ** this.#failedStarts);
    this.#restartAtMs = this.settings.clock.now() + waitMs;
    this.#worker = this.#start();
    this.#tasks = 0;
    this.#closing.length = 0;

    const lost: { stream: PoolStream; jobs: number }[] = [];
    for (const stream of this.streams.values()) {
      this.#worker.jobs.write(stream.openKind, stream.id, 0, stream.openRecord);
      if (stream.pending > 0) lost.push({ stream, jobs: stream.pending });
      this.counters.jobsLost += stream.pending;
      stream.pending = 0;
    }
    this.jobsPending = 0;
    this.#kick();

    const error = new SidetoneError(
      'SIDETONE_WORKER_DIED',
      `CodecPool: a worker with ${this.streams.size} streams was replaced: ${cause.message}`,
      { cause },
    );
    this.settings.onError(error);
    // From here on the new worker may be given jobs by what the sinks do.
    for (const { stream, jobs } of lost) {
      if (stream.closed) continue;
      try {
        stream.lost(jobs, error);
      } catch (thrown) {
        this.#sinkThrew(thrown);
      }
    }
  }
}
