import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { WavWriter } from '../audio/wav.js';
import { SidetoneError } from '../errors.js';
import { definePlugin } from '../plugin/define.js';
import type { Plugin, StopReason, StreamHandler } from '../plugin/plugin.js';
import type { AudioFrame, PlayedFrame, Stream } from '../plugin/stream.js';

/** How the plugin `record` records. */
export interface RecordOptions {
  /** Where the files go; made if it is not there. Default: `SIDETONE_RECORD_DIR` of the environment, or `recordings`. */
  directory?: string;
  /**
   * Told of each file when it is finished, before the stream's `onStop` is: may be async, to take the file elsewhere. Where the
   * disk was too slow, the file has gaps. A throw or rejection is the call's, as one of `onStop`.
   */
  onFile?: (path: string, stream: Stream) => unknown;
}

/** What may be missing from one channel while the other goes on: 320 kB a stream at 16 kHz, and only then. */
const WINDOW_MS_MAX = 5000;
/** More than this may not wait for the disk: the file then gets silence. It is 15 s at 16 kHz. */
const QUEUE_BYTES_MAX = 1024 * 1024;
/** onPlayed has told of all audio that began this long before the caller's newest frame. */
const PLAYED_LAG_MS = 100;
/** Places nearer than this are one: a frame's time is rounded to a sample. */
const JOIN_MS = 1;
const SAME_NAME_MAX = 1000;
const LEFT = 0;
const RIGHT = 1;

/**
 * Records calls: a WAV file a stream, the caller on the left and what the caller heard of us on the right, in time with
 * each other. The left channel's frames end where they came, so an echo stands one frame behind its original.
 *
 * Alone it only listens; given a plugin, it records that one's calls: `export default record(agent)`. Files are named
 * after the stream's id and end in `.wav.part` until the stream has ended. The disk is written beside the calls: one that
 * is too slow or full costs the recording, told in the log at the stream's end, never the call.
 */
export function record(inner?: Plugin, options: RecordOptions = {}): Plugin {
  return definePlugin({
    ...(inner ?? { name: 'record' }),
    onStart(stream, context) {
      const handler: StreamHandler = inner?.onStart(stream, context) ?? {};
      const recording = new Recording(stream, options.directory ?? defaultDirectory());
      return {
        onAudio(frame) {
          recording.heard(frame);
          return handler.onAudio?.(frame);
        },
        onPlayed(frame) {
          recording.played(frame);
          return handler.onPlayed?.(frame);
        },
        onDtmf: (digit, at) => handler.onDtmf?.(digit, at),
        onMark: name => handler.onMark?.(name),
        onError: error => handler.onError?.(error),
        onStop: reason =>
          Promise.all([recording.close(path => options.onFile?.(path, stream)), stopped(handler, reason)]),
      };
    },
  });
}

/** An `onStop` that throws must not keep the file from being finished. */
async function stopped(handler: StreamHandler, reason: StopReason): Promise<void> {
  await handler.onStop?.(reason);
}

class Recording {
  readonly #sampleRate: number;
  #path = '';
  #writer: WavWriter | undefined;
  #failure: unknown;
  /** Sound heard before the caller's first frame lies before 0 ms: everything is put this much later. */
  #offsetMs: number | undefined;

  constructor(stream: Stream, directory: string) {
    this.#sampleRate = stream.sampleRate;
    try {
      this.#path = reserve(directory, stream.id);
      this.#writer = new WavWriter(part(this.#path), {
        sampleRate: this.#sampleRate,
        channels: 2,
        windowMsMax: WINDOW_MS_MAX,
        queueBytesMax: QUEUE_BYTES_MAX,
      });
    } catch (error) {
      this.#failure = error;
    }
  }

  heard(frame: AudioFrame): void {
    if (frame.track !== 'inbound' || !this.#writer) return;
    this.#append(LEFT, frame);
    this.#writer.advance(RIGHT, Math.max(0, this.#writer.length(LEFT) - this.#samples(PLAYED_LAG_MS)));
  }

  played(frame: PlayedFrame): void {
    if (this.#writer) this.#append(RIGHT, frame);
  }

  /** Finishes the file and tells its path. Rejects with SIDETONE_RECORDING_FAILED where it is not whole. */
  async close(onFile: (path: string) => unknown): Promise<void> {
    try {
      if (this.#failure !== undefined) throw this.#failure;
      const writer = this.#writer!;
      await writer.close();
      await rename(part(this.#path), this.#path);
      await onFile(this.#path);
      if (writer.droppedSamples > 0) {
        throw new Error(`the disk was too slow: ${writer.droppedSamples} samples are missing`);
      }
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SidetoneError('SIDETONE_RECORDING_FAILED', `record: ${this.#path || 'file'}: ${why}`, {
        cause,
      });
    }
  }

  #append(channel: number, { samples, timestampMs }: PlayedFrame): void {
    this.#offsetMs ??= Math.max(0, -timestampMs);
    const writer = this.#writer!;
    const end = writer.length(channel);
    const at = Math.max(0, this.#samples(timestampMs + this.#offsetMs));
    // Sound that continues is put directly behind the last. Its place is rounded to a sample, which must not be
    // dropped or doubled.
    writer.append(samples, channel, Math.abs(at - end) <= this.#samples(JOIN_MS) ? end : at);
  }

  #samples(ms: number): number {
    return Math.round((ms * this.#sampleRate) / 1000);
  }
}

function defaultDirectory(): string {
  return process.env.SIDETONE_RECORD_DIR || 'recordings';
}

function part(path: string): string {
  return `${path}.part`;
}

/**
 * A file name of its own for a stream, taken by making the `.part` file. The id comes from outside and has up to
 * 128 characters: what is no plain one becomes `_`, so that no id leads out of the directory.
 */
function reserve(directory: string, streamId: string): string {
  const name = streamId.replace(/[^A-Za-z0-9_-]/g, '_');
  mkdirSync(directory, { recursive: true });
  for (let i = 0; i < SAME_NAME_MAX; i++) {
    const path = join(directory, `${name}${i === 0 ? '' : `-${i}`}.wav`);
    if (existsSync(path)) continue;
    try {
      closeSync(openSync(part(path), 'wx'));
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  throw new Error(`${directory} holds ${SAME_NAME_MAX} recordings of stream ${name}`);
}

export default definePlugin({
  name: 'record',
  options: v.strictObject({ directory: v.optional(v.pipe(v.string(), v.nonEmpty())) }),
  setup: ({ options }) => record(undefined, options),
  onStart: (stream, context) => context.state.onStart(stream, context),
});
