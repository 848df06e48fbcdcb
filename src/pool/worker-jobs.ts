/** A worker's side: jobs out of one ring, results into the other. */
import { workerData } from 'node:worker_threads';
import {
  openPayloadDecoder,
  openPayloadEncoder,
  type PoolDecoderOptions,
  type PoolEncoderOptions,
} from '../codecs/open.js';
import type { PayloadDecoder, PayloadEncoder } from '../codecs/types.js';
import { type ErrorCode, SidetoneError } from '../errors.js';
import { CostWriter } from './costs.js';
import {
  ERROR_MESSAGE_MAX,
  JOB,
  type JobError,
  type OpenJob,
  RESULT,
  RESULT_SLOTS_MAX,
  type WorkerRings,
} from './jobs.js';
import { RingReader, RingWriter } from './ring.js';

export interface Codecs {
  openDecoder(job: OpenJob<PoolDecoderOptions>): PayloadDecoder;
  openEncoder(job: OpenJob<PoolEncoderOptions>): PayloadEncoder;
}

const realCodecs: Codecs = {
  openDecoder: ({ encoding, options }) => openPayloadDecoder(encoding, options),
  openEncoder: ({ encoding, options }) => openPayloadEncoder(encoding, options),
};

/** The first frames of a codec find cold caches, and code that was never run; they say nothing about the others. */
const COLD_FRAMES = 5;

interface Stream {
  /** The stream's class of costs. */
  cost: number;
  /** Frames it has worked on. */
  frames: number;
  decoder?: PayloadDecoder;
  encoder?: PayloadEncoder;
  /** The reason why the codec could not be opened. Every job of the stream gets it, and 20 ms of silence. */
  failed?: SidetoneError;
  silence?: Int16Array;
}

const utf8 = new TextEncoder();
const text = new TextDecoder();

function asJobError(error: unknown): JobError {
  const { code, message } = error as Error & { code?: unknown };
  const known = typeof code === 'string' && code.startsWith('SIDETONE_');
  return {
    code: known ? code : 'SIDETONE_BAD_PAYLOAD',
    message: String(message).slice(0, ERROR_MESSAGE_MAX),
  };
}

/**
 * The function that piscina runs. It works until no job is left, or until `batchMs` have passed, so that results are
 * delivered while jobs go on coming. The time of each job is added up by its class of costs.
 * @param now milliseconds; tests have a clock of their own
 */
export function serve(codecs: Codecs = realCodecs, now = () => performance.now()): (batchMs: number) => void {
  const rings = workerData as WorkerRings;
  const jobs = new RingReader(rings.jobs);
  const results = new RingWriter(rings.results);
  const costs = new CostWriter(rings.costs);
  const streams = new Map<number, Stream>();
  // The job that was done last: its class, -1 where it is not counted, and how much audio it was.
  let cost = -1;
  let frames = 0;

  function open(): void {
    const job = JSON.parse(text.decode(jobs.payload()));
    const stream: Stream = { cost: job.cost, frames: 0 };
    try {
      if (jobs.kind === JOB.openDecoder) stream.decoder = codecs.openDecoder(job);
      else stream.encoder = codecs.openEncoder(job);
    } catch (error) {
      const { code, message } = asJobError(error);
      stream.failed = new SidetoneError(code as ErrorCode, message);
      stream.silence = new Int16Array((job.options.sampleRate ?? 16000) / 50);
    }
    streams.set(jobs.stream, stream);
  }

  function tell(kind: number, error: unknown): void {
    results.write(kind, jobs.stream, 0, utf8.encode(JSON.stringify(asJobError(error))));
  }

  function decode({ decoder, failed, silence }: Stream): void {
    try {
      if (!decoder) throw failed;
      if (jobs.kind === JOB.decodeTooLong) {
        throw new SidetoneError('SIDETONE_BAD_PAYLOAD', `payload: ${jobs.value} bytes are no codec's packet`);
      }
      if (jobs.kind === JOB.decode) {
        const pcm = decoder.decode(jobs.payload());
        frames = (pcm.length * 50) / decoder.sampleRate;
        results.write(RESULT.pcm, jobs.stream, 0, pcm);
        return;
      }
    } catch (error) {
      tell(RESULT.error, error);
    }
    results.write(RESULT.concealed, jobs.stream, 0, decoder ? decoder.conceal() : silence);
  }

  function encode({ encoder, failed }: Stream): void {
    try {
      if (!encoder) throw failed;
      results.write(RESULT.packet, jobs.stream, 0, encoder.encode(jobs.samples()));
    } catch (error) {
      tell(RESULT.encodeFailed, error);
    }
  }

  function work(): void {
    cost = -1;
    if (jobs.kind === JOB.openDecoder || jobs.kind === JOB.openEncoder) {
      open();
      return;
    }
    const stream = streams.get(jobs.stream);
    // This happens only in a worker that replaced another one and was not told of its streams. It must not go on: the
    // error makes the pool start a worker that is told.
    if (!stream) throw new Error(`codec worker: stream ${jobs.stream} is not open here`);
    if (jobs.kind === JOB.close) {
      (stream.decoder ?? stream.encoder)?.close();
      streams.delete(jobs.stream);
      return;
    }
    frames = 1;
    if (jobs.kind === JOB.encode) encode(stream);
    else decode(stream);
    if (++stream.frames > COLD_FRAMES) cost = stream.cost;
  }

  return batchMs => {
    let atMs = now();
    const until = atMs + batchMs;
    while (results.freeSlots >= RESULT_SLOTS_MAX && jobs.next()) {
      work();
      const endMs = now();
      if (cost >= 0) costs.add(cost, (endMs - atMs) * 1000, frames);
      atMs = endMs;
      if (atMs >= until) return;
    }
  };
}
