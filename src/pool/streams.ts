/** The reactor's side of one stream's codec in a worker. */
import { type ErrorCode, SidetoneError } from '../errors.js';
import type { CostClass } from './costs.js';
import { JOB, type JobError, type OpenJob, RESULT } from './jobs.js';
import type { RingReader } from './ring.js';

export interface PoolDecoder {
  /** Sample rate of the PCM, in Hz. */
  readonly sampleRate: number;
  /**
   * Has a payload decoded; its bytes are copied before this returns. False where a queue is full: the payload is
   * dropped and counted. Throws `SIDETONE_CODEC_CLOSED` after `close()`.
   */
  decode(payload: Uint8Array): boolean;
  /** Has one lost payload concealed. False as for `decode`. */
  conceal(): boolean;
  /** Nothing more reaches the sink. Safe to call again. */
  close(): void;
}

export interface PoolEncoder {
  /** Sample rate of the PCM, in Hz. */
  readonly sampleRate: number;
  /** Samples of one frame: 20 ms. */
  readonly frameSamples: number;
  /**
   * Has one frame encoded; its samples are copied before this returns. False where a queue is full: the frame is
   * dropped and counted. Throws `SIDETONE_BAD_ARGUMENT` where it is not `frameSamples` long, `SIDETONE_CODEC_CLOSED`
   * after `close()`.
   */
  encode(pcm: Int16Array): boolean;
  /** Nothing more reaches the sink. Safe to call again. */
  close(): void;
}

export interface DecoderSink {
  /**
   * The audio of one job, in the order of the jobs. `pcm` is valid during the call. `concealed` where it stands in
   * for a payload that was lost, was bad, or went down with a worker.
   */
  onPcm(pcm: Int16Array, concealed: boolean): void;
  /** Why the next `onPcm` is concealed: `SIDETONE_BAD_PAYLOAD` and other codes. The stream goes on. */
  onError(error: SidetoneError): void;
}

export interface EncoderSink {
  /** The packet of one job, in the order of the jobs. `packet` is valid during the call. */
  onPacket(packet: Uint8Array): void;
  /**
   * `frames` frames have no packet: one that could not be encoded, or with `SIDETONE_WORKER_DIED` those that were
   * pending. The stream goes on.
   */
  onError(error: SidetoneError, frames: number): void;
}

const text = new TextDecoder();

function errorOf(record: RingReader): SidetoneError {
  const { code, message } = JSON.parse(text.decode(record.payload())) as JobError;
  return new SidetoneError(code as ErrorCode, message);
}

function openRecord(job: Omit<OpenJob, 'cost'>, cost: CostClass): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ ...job, cost: cost.index }));
}

/** A stream in a shard's eyes. */
export interface PoolStream {
  readonly id: number;
  readonly openKind: number;
  /** JSON of `OpenJob`, for the worker that takes over as well. */
  readonly openRecord: Uint8Array;
  readonly cost: CostClass;
  /** Jobs sent and not answered. */
  pending: number;
  closed: boolean;
  /** Hands one result on. Returns whether it ends its job. */
  result(record: RingReader): boolean;
  /** Answers for `jobs` jobs that went down with a worker. */
  lost(jobs: number, error: SidetoneError): void;
}

export class DecoderStream implements PoolStream {
  readonly openKind = JOB.openDecoder;
  readonly openRecord: Uint8Array;
  pending = 0;
  closed = false;
  /** 20 ms. */
  readonly #silence: Int16Array;

  constructor(
    readonly id: number,
    job: Omit<OpenJob, 'cost'>,
    readonly cost: CostClass,
    sampleRate: number,
    readonly sink: DecoderSink,
  ) {
    this.openRecord = openRecord(job, cost);
    this.#silence = new Int16Array(sampleRate / 50);
  }

  result(record: RingReader): boolean {
    if (record.kind === RESULT.error) {
      this.sink.onError(errorOf(record));
      return false;
    }
    this.sink.onPcm(record.samples(), record.kind === RESULT.concealed);
    return true;
  }

  lost(jobs: number, error: SidetoneError): void {
    this.sink.onError(error);
    for (let i = 0; i < jobs && !this.closed; i++) this.sink.onPcm(this.#silence.fill(0), true);
  }
}

export class EncoderStream implements PoolStream {
  readonly openKind = JOB.openEncoder;
  readonly openRecord: Uint8Array;
  pending = 0;
  closed = false;

  constructor(
    readonly id: number,
    job: Omit<OpenJob, 'cost'>,
    readonly cost: CostClass,
    readonly sink: EncoderSink,
  ) {
    this.openRecord = openRecord(job, cost);
  }

  result(record: RingReader): boolean {
    if (record.kind === RESULT.encodeFailed) this.sink.onError(errorOf(record), 1);
    else this.sink.onPacket(record.payload());
    return true;
  }

  lost(jobs: number, error: SidetoneError): void {
    this.sink.onError(error, jobs);
  }
}
