/**
 * The codecs whose cost would stall a reactor, in worker threads.
 *
 *   reactor                         shared memory                      worker (one piscina of one thread: a shard)
 *   decoder.decode(payload) ──copy──▶ ring of jobs ───────────────────▶ codec of the stream
 *   sink.onPcm(pcm)         ◀──copy── ring of results ◀─────────────────┘
 *
 * A stream keeps its shard, because its codec's state is there. The first job starts a piscina task; what arrives
 * until it ends is the same batch or the next (under load one more task lies ready). No task, no message and no
 * allocation belongs to a frame.
 */
import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from '../clock.js';
import {
  decoderSettings,
  encoderSettings,
  type PoolDecoderOptions,
  type PoolEncoderOptions,
} from '../codecs/open.js';
import type { PoolEncoding } from '../codecs/types.js';
import { SidetoneError } from '../errors.js';
import { type CostClass, Costs, FRAME_US } from './costs.js';
import { JOB } from './jobs.js';
import { RECORD_BYTES_MAX } from './ring.js';
import { noShardCounters, Shard, type ShardCounters, type ShardSettings } from './shard.js';
import {
  type DecoderSink,
  DecoderStream,
  type EncoderSink,
  EncoderStream,
  type PoolDecoder,
  type PoolEncoder,
} from './streams.js';
import { warmUp } from './warm.js';

export interface CodecPoolOptions {
  /** Worker threads at most, 1 to 64. Each is started when a stream is first given to it. */
  threads: number;
  /**
   * Slots of each shard's two rings, a power of two from 1,024. Default 8,192, which is 4 MiB a ring. A call in OPUS at
   * 16 kHz takes 3 slots each 20 ms for both ways. One worker serves about 200 such calls at complexity 5: 600 slots
   * each 20 ms. So a worker may be 270 ms late before a job is refused.
   */
  ringSlots?: number;
  /**
   * Jobs of one stream that may be pending. Default 256: 5 s of frames, so that the burst after a stall of the
   * network fits, and one stream cannot fill a ring for the others.
   */
  streamJobsMax?: number;
  /** A worker whose task takes longer is given up, with its memory. Default 5000; starting a worker counts. */
  taskMsMax?: number;
  /** A worker tells of its results after this long even when more jobs are waiting. Default 4. */
  batchMs?: number;
  /** Heap of a worker, in MB, beyond which it is replaced. Default 96; codec state is outside of it. */
  workerHeapMb?: number;
  /**
   * How much of a worker's time its streams may take before no other is given to it, by what their frames are measured to
   * take. Default 0.8: the rest is for what comes and goes between the threads, and for frames that cost more than the
   * mean. Infinity lets everything in.
   */
  loadMax?: number;
  /** Called for workers that died (`SIDETONE_WORKER_DIED`) and for sinks that threw. Default: a process warning. */
  onError?: (error: Error) => void;
  clock?: Clock;
  /** The module that the workers load. Tests have their own. */
  workerUrl?: URL;
}

export interface CodecPoolStats extends ShardCounters {
  /** Worker threads that were started and not given up. */
  workers: number;
  streams: number;
  /** The load of these streams, in workers: 1 is a worker that is busy all the time. */
  load: number;
  /** The load that streams may take, in workers: `threads` × `loadMax`. */
  capacity: number;
  /** Decoders and encoders that were opened, in all, and those that were refused because the workers have enough to do. */
  opened: number;
  openRefused: number;
  /** Jobs that are pending now. */
  jobsPending: number;
}

/** A shard's rings must hold the opening of every one of its streams at once when its worker is replaced. */
const STREAMS_PER_SLOT = 0.5;

function within(field: string, value: number, min: number, max: number): number {
  if (Number.isFinite(value) && value >= min && value <= max) return value;
  throw new SidetoneError(
    'SIDETONE_BAD_OPTION',
    `CodecPool ${field}: ${value} is not allowed; use ${min} to ${max}`,
  );
}

/** A codec that a pool is to be ready for. */
export interface PoolCodec {
  encoding: PoolEncoding;
  decoder: PoolDecoderOptions;
  encoder: PoolEncoderOptions;
}

export class CodecPool {
  readonly #settings: ShardSettings;
  readonly #shards: Shard[] = [];
  readonly #threads: number;
  readonly #counters = noShardCounters();
  readonly #costs = new Costs();
  readonly #loadMax: number;
  /** Ends the waiting for workers that are being warmed. */
  readonly #warming = new Set<() => void>();
  #opened = 0;
  #openRefused = 0;
  #nextId = 1;
  #closed = false;
  #stopWatching: (() => void) | undefined;

  /** Starts no thread. Throws `SIDETONE_BAD_OPTION`. */
  constructor(options: CodecPoolOptions) {
    this.#threads = Math.trunc(within('threads', options.threads, 1, 64));
    const ringSlots = within('ringSlots', options.ringSlots ?? 8192, 1024, 2 ** 20);
    if ((ringSlots & (ringSlots - 1)) !== 0) {
      throw new SidetoneError(
        'SIDETONE_BAD_OPTION',
        `CodecPool ringSlots: ${ringSlots} is not a power of two`,
      );
    }
    this.#loadMax = options.loadMax ?? 0.8;
    if (!(this.#loadMax > 0)) within('loadMax', this.#loadMax, 0.01, Number.POSITIVE_INFINITY);
    this.#settings = {
      ringSlots,
      streamsMax: ringSlots * STREAMS_PER_SLOT,
      streamJobsMax: within('streamJobsMax', options.streamJobsMax ?? 256, 1, 65536),
      taskMsMax: within('taskMsMax', options.taskMsMax ?? 5000, 50, 3_600_000),
      batchMs: within('batchMs', options.batchMs ?? 4, 0, 1000),
      workerHeapMb: within('workerHeapMb', options.workerHeapMb ?? 96, 8, 4096),
      workerFile: fileURLToPath(options.workerUrl ?? new URL('./worker.js', import.meta.url)),
      clock: options.clock ?? systemClock,
      costs: this.#costs,
      onError: options.onError ?? (error => process.emitWarning(error)),
      onBusy: () => this.#watch(),
    };
  }

  /**
   * A decoder of its own for one stream. Throws `SIDETONE_BAD_OPTION`, `SIDETONE_CODEC_UNAVAILABLE`,
   * `SIDETONE_POOL_FULL` where the workers have as much to do as they can in time, and `SIDETONE_QUEUE_FULL` where no
   * shard takes another stream.
   */
  openDecoder(encoding: PoolEncoding, options: PoolDecoderOptions, sink: DecoderSink): PoolDecoder {
    return this.#openDecoder(encoding, options, sink, cost => this.#place(cost));
  }

  /** An encoder of its own for one stream. Throws as `openDecoder`. */
  openEncoder(encoding: PoolEncoding, options: PoolEncoderOptions, sink: EncoderSink): PoolEncoder {
    return this.#openEncoder(encoding, options, sink, cost => this.#place(cost));
  }

  /**
   * Starts all workers and has each of them work a second of audio with these codecs. So the libraries are loaded, the
   * code is compiled and its cost is measured before the first stream comes. Resolves when that is done, or the pool
   * has been closed. Throws `SIDETONE_BAD_OPTION`, `SIDETONE_CODEC_UNAVAILABLE`.
   */
  async warm(codecs: readonly PoolCodec[]): Promise<void> {
    while (this.#shards.length < this.#threads) this.#addShard();
    let closed = (): void => {};
    const closing = new Promise<void>(resolve => {
      closed = resolve;
    });
    this.#warming.add(closed);
    try {
      const done = this.#shards.flatMap(shard =>
        codecs.map(({ encoding, decoder, encoder }) =>
          warmUp(
            sink => this.#openEncoder(encoding, encoder, sink, () => shard),
            sink => this.#openDecoder(encoding, decoder, sink, () => shard),
          ),
        ),
      );
      await Promise.race([Promise.all(done), closing]);
    } finally {
      this.#warming.delete(closed);
    }
  }

  #openDecoder(
    encoding: PoolEncoding,
    options: PoolDecoderOptions,
    sink: DecoderSink,
    place: (cost: CostClass) => Shard,
  ): PoolDecoder {
    const settings = decoderSettings(encoding, options);
    const cost = this.#costs.classOf('decode', encoding, settings.options);
    const job = { encoding, options: settings.options };
    const stream = new DecoderStream(this.#nextId++, job, cost, settings.sampleRate, sink);
    const shard = this.#open(stream, place);
    return {
      sampleRate: settings.sampleRate,
      decode: payload =>
        payload.length > RECORD_BYTES_MAX
          ? shard.submit(stream, JOB.decodeTooLong, payload.length, undefined)
          : shard.submit(stream, JOB.decode, 0, payload),
      conceal: () => shard.submit(stream, JOB.conceal, 0, undefined),
      close: () => shard.close(stream),
    };
  }

  #openEncoder(
    encoding: PoolEncoding,
    options: PoolEncoderOptions,
    sink: EncoderSink,
    place: (cost: CostClass) => Shard,
  ): PoolEncoder {
    const settings = encoderSettings(encoding, options);
    const cost = this.#costs.classOf('encode', encoding, settings.options);
    const job = { encoding, options: settings.options };
    const stream = new EncoderStream(this.#nextId++, job, cost, sink);
    const frameSamples = settings.sampleRate / 50;
    const shard = this.#open(stream, place);
    return {
      sampleRate: settings.sampleRate,
      frameSamples,
      encode: pcm => {
        if (pcm.length !== frameSamples) {
          throw new SidetoneError(
            'SIDETONE_BAD_ARGUMENT',
            `${encoding} encode: pcm has ${pcm.length} samples; give one frame of ${frameSamples} (20 ms)`,
          );
        }
        return shard.submit(stream, JOB.encode, 0, pcm);
      },
      close: () => shard.close(stream),
    };
  }

  get stats(): CodecPoolStats {
    let streams = 0;
    let jobsPending = 0;
    let loadUs = 0;
    for (const shard of this.#shards) {
      streams += shard.streams.size;
      jobsPending += shard.jobsPending;
      loadUs += shard.loadUs;
    }
    return {
      workers: this.#shards.length,
      streams,
      load: loadUs / FRAME_US,
      capacity: this.#threads * this.#loadMax,
      opened: this.#opened,
      openRefused: this.#openRefused,
      jobsPending,
      ...this.#counters,
    };
  }

  /**
   * Closes every stream, with what is pending for it, and ends the workers. Resolves when their threads have ended,
   * or, for one that hangs in native code, after `taskMsMax`.
   */
  async close(): Promise<void> {
    this.#closed = true;
    for (const closed of this.#warming) closed();
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    await Promise.all(this.#shards.splice(0).map(shard => shard.end()));
  }

  #open(stream: DecoderStream | EncoderStream, place: (cost: CostClass) => Shard): Shard {
    if (this.#closed) throw new SidetoneError('SIDETONE_SERVER_CLOSED', 'CodecPool: used after close()');
    const shard = place(stream.cost);
    if (!shard.open(stream)) {
      throw new SidetoneError(
        'SIDETONE_QUEUE_FULL',
        `CodecPool: no worker takes another stream; raise threads (${this.#threads}) or ringSlots (${this.#settings.ringSlots})`,
      );
    }
    return shard;
  }

  /** The worker for another codec of this cost: the one with the least to do, if it can do it in time. */
  #place(cost: CostClass): Shard {
    const { shard, loadUs } = this.#leastLoaded();
    if (loadUs + cost.us > this.#loadMax * FRAME_US) {
      this.#openRefused++;
      const ms = (us: number): string => (us / 1000).toFixed(2);
      throw new SidetoneError(
        'SIDETONE_POOL_FULL',
        `CodecPool: ${cost.name}: its 20 ms of audio take ${ms(cost.us)} ms, and the freest of ${this.#threads} workers ` +
          `has ${ms(loadUs)} of ${ms(this.#loadMax * FRAME_US)} ms to do already; raise the option pool, lower ` +
          'opus.complexity or amrwb.mode, or take fewer calls here',
      );
    }
    this.#opened++;
    return shard;
  }

  #leastLoaded(): { shard: Shard; loadUs: number } {
    let least: Shard | undefined;
    let leastUs = Number.POSITIVE_INFINITY;
    for (const shard of this.#shards) {
      const us = shard.loadUs;
      if (us >= leastUs) continue;
      least = shard;
      leastUs = us;
    }
    if (least && (leastUs === 0 || this.#shards.length === this.#threads))
      return { shard: least, loadUs: leastUs };
    return { shard: this.#addShard(), loadUs: 0 };
  }

  #addShard(): Shard {
    const shard = new Shard(this.#settings, this.#counters);
    this.#shards.push(shard);
    return shard;
  }

  /** Looks for tasks that take too long, while there are tasks. */
  #watch(): void {
    if (this.#stopWatching || this.#closed) return;
    this.#stopWatching = this.#settings.clock.every(this.#settings.taskMsMax / 4, () => {
      let busy = false;
      for (const shard of this.#shards) busy = shard.checkHung() || busy;
      if (busy) return;
      this.#stopWatching?.();
      this.#stopWatching = undefined;
    });
  }
}
