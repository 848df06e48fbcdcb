/** Where `transcode` writes to: PCM becomes a file, frame by frame. */
import { type FileHandle, open } from 'node:fs/promises';
import { pcmBytes } from '../audio/pcm.js';
import { HEADER_BYTES, wavHeader } from '../audio/wav.js';
import { createEncoder } from '../codecs/create.js';
import type { PayloadEncoder } from '../codecs/types.js';
import { SidetoneError } from '../errors.js';
import { AWB_MAGIC, PACKET_HEADER_BYTES } from './formats.js';
import type { AudioFormat, TranscodeOptions } from './options.js';

export interface Sink {
  /** Of the PCM that it takes; undefined: any. */
  readonly sampleRate: number | undefined;
  /** Payloads, or for a WAV pieces, written. */
  readonly frames: number;
  readonly bytes: number;
  write(pcm: Int16Array): Promise<void>;
  /** Writes what is left; the last frame of a codec with fixed frames is filled up with silence. */
  finish(): Promise<void>;
  /** Gives file and codec back, finished or not. */
  close(): Promise<void>;
}

const BLOCK_BYTES = 64 * 1024;

/** Collects small writes; one buffer of 64 KiB. */
class BlockWriter {
  bytes = 0;
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #filled = 0;

  private constructor(
    readonly path: string,
    readonly file: FileHandle,
  ) {}

  static async open(path: string): Promise<BlockWriter> {
    try {
      return new BlockWriter(path, await open(path, 'w'));
    } catch (cause) {
      throw unwritable(path, cause);
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#filled === BLOCK_BYTES) await this.flush();
      const part = bytes.subarray(at, at + BLOCK_BYTES - this.#filled);
      this.#block.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
    }
    this.bytes += bytes.length;
  }

  async flush(): Promise<void> {
    for (let at = 0; at < this.#filled; ) {
      at += (await this.#guard(this.file.write(this.#block, at, this.#filled - at))).bytesWritten;
    }
    this.#filled = 0;
  }

  /** Writes over the beginning. A pipe cannot do this and keeps what was written first. */
  async rewrite(bytes: Uint8Array): Promise<void> {
    if ((await this.file.stat()).isFile()) await this.#guard(this.file.write(bytes, 0, bytes.length, 0));
  }

  async #guard<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (cause) {
      throw unwritable(this.path, cause);
    }
  }
}

function unwritable(path: string, cause: unknown): SidetoneError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new SidetoneError('SIDETONE_BAD_ARGUMENT', `${path} cannot be written: ${why}`, { cause });
}

/** Throws SIDETONE_BAD_ARGUMENT where the file cannot be written. `sourceRate` is that of a WAV without one. */
export async function openSink(
  path: string,
  format: AudioFormat,
  options: TranscodeOptions,
  sourceRate: number,
): Promise<Sink> {
  if (format.container === 'wav')
    return new WavSink(await BlockWriter.open(path), format.sampleRate ?? sourceRate);
  const encoder = createEncoder(format.encoding, encoderOptions(format, options));
  try {
    const writer = await BlockWriter.open(path);
    if (format.container === 'awb') await writer.write(AWB_MAGIC);
    return new PayloadSink(writer, encoder, format);
  } catch (error) {
    encoder.close();
    throw error;
  }
}

function encoderOptions(format: AudioFormat & { container: string }, options: TranscodeOptions): object {
  const { amrMode, amrOctetAligned, bitrate, dtx, l16ByteOrder } = options;
  const aligned = format.container === 'awb' || amrOctetAligned === true;
  return {
    ...(format.sampleRate !== undefined && { sampleRate: format.sampleRate }),
    ...(l16ByteOrder !== undefined && { l16ByteOrder }),
    ...(amrMode !== undefined && { mode: amrMode }),
    ...(bitrate !== undefined && { bitrateBps: bitrate }),
    ...(dtx !== undefined && { dtx }),
    form: aligned ? 'octet-aligned' : 'bandwidth-efficient',
  };
}

class WavSink implements Sink {
  frames = 0;
  #headerWritten = false;

  constructor(
    private readonly writer: BlockWriter,
    readonly sampleRate: number,
  ) {}

  get bytes(): number {
    return this.writer.bytes;
  }

  async write(pcm: Int16Array): Promise<void> {
    if (!this.#headerWritten) {
      this.#headerWritten = true;
      await this.writer.write(wavHeader(this.sampleRate, 1, 0xffff_ffff));
    }
    this.frames++;
    await this.writer.write(pcmBytes(pcm));
  }

  async finish(): Promise<void> {
    if (!this.#headerWritten) await this.write(new Int16Array());
    await this.writer.flush();
    await this.writer.rewrite(wavHeader(this.sampleRate, 1, this.writer.bytes - HEADER_BYTES));
  }

  close(): Promise<void> {
    return this.writer.file.close();
  }
}

class PayloadSink implements Sink {
  frames = 0;
  readonly sampleRate: number;
  readonly #frame: Int16Array;
  #filled = 0;

  constructor(
    private readonly writer: BlockWriter,
    private readonly encoder: PayloadEncoder,
    private readonly format: AudioFormat & { container: 'awb' | 'packets' | 'raw' },
  ) {
    this.sampleRate = encoder.sampleRate;
    this.#frame = new Int16Array(encoder.frameSamples);
  }

  get bytes(): number {
    return this.writer.bytes;
  }

  async write(pcm: Int16Array): Promise<void> {
    for (let at = 0; at < pcm.length; ) {
      const part = pcm.subarray(at, at + this.#frame.length - this.#filled);
      this.#frame.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === this.#frame.length) await this.#encode(this.#frame.length);
    }
  }

  async finish(): Promise<void> {
    if (this.#filled > 0) {
      this.#frame.fill(0, this.#filled);
      const whole = this.format.container !== 'raw';
      const even = this.format.encoding === 'G722' ? this.#filled % 2 : 0;
      await this.#encode(whole ? this.#frame.length : this.#filled + even);
    }
    await this.writer.flush();
  }

  async close(): Promise<void> {
    this.encoder.close();
    await this.writer.file.close();
  }

  async #encode(samples: number): Promise<void> {
    const payload = this.encoder.encode(this.#frame.subarray(0, samples));
    this.#filled = 0;
    this.frames++;
    if (this.format.container === 'packets') {
      const header = Buffer.alloc(PACKET_HEADER_BYTES);
      header.writeUInt32BE(payload.length, 0);
      await this.writer.write(header);
    }
    // An .awb frame is an octet-aligned payload without the mode request before it.
    await this.writer.write(this.format.container === 'awb' ? payload.subarray(1) : payload);
  }
}
