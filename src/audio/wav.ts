import { closeSync, ftruncate, openSync, readFileSync, write } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { SidetoneError } from '../errors.js';

/** Sound from a WAV file: 16-bit samples, one array a channel, all of one length. */
export interface WavAudio {
  /** In Hz. */
  sampleRate: number;
  /** 1 or 2. */
  channels: Int16Array[];
}

/** Samples of one channel, and their rate in Hz. */
export interface MonoAudio {
  samples: Int16Array;
  sampleRate: number;
}

const RATE_MIN = 8000;
const RATE_MAX = 48_000;
const FORMAT_PCM = 1;
/** WAVE_FORMAT_EXTENSIBLE: the format proper stands in the first two bytes of the SubFormat GUID. */
const FORMAT_EXTENSIBLE = 0xfffe;

export function badWav(name: string, field: string, value: unknown, remedy: string): SidetoneError {
  return new SidetoneError('SIDETONE_BAD_ARGUMENT', `${name}: ${field} is ${String(value)}: ${remedy}`);
}

/** Reads a WAV file; see `parseWav`. Throws SIDETONE_BAD_ARGUMENT where it cannot be read or used. */
export async function readWav(path: string): Promise<WavAudio> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${path} cannot be read: ${why}`, { cause });
  }
  return parseWav(bytes, path);
}

/**
 * The first channel of a WAV file. `name` stands in the errors. Waits for the disk: for the start of a program.
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT where it cannot be read or used
 */
export function readMono(path: string, name = path): MonoAudio {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${name}: cannot be read: ${why}`, { cause });
  }
  const { channels, sampleRate } = parseWav(bytes, name);
  return { samples: channels[0]!, sampleRate };
}

/**
 * Reads a RIFF WAVE file: 16-bit PCM, 8 to 48 kHz, mono or stereo. Chunks it does not know are skipped; a data chunk
 * that says it is longer than the file (a recording that was cut off) gives what is there. Throws
 * SIDETONE_BAD_ARGUMENT, naming `name`, for anything else.
 */
export function parseWav(bytes: Uint8Array, name = 'WAV file'): WavAudio {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tag = (at: number): string => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length < 12 || tag(0) !== 'RIFF' || tag(8) !== 'WAVE') {
    throw badWav(name, 'its beginning', 'not RIFF … WAVE', 'give a WAV file');
  }
  let format: { channels: number; sampleRate: number } | undefined;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const chunkBytes = Math.min(view.getUint32(at + 4, true), bytes.length - at - 8);
    if (tag(at) === 'fmt ') format = parseFormat(view, at + 8, chunkBytes, name);
    if (tag(at) === 'data') {
      if (!format) throw badWav(name, 'its fmt chunk', 'missing', 'give a WAV file with fmt before data');
      return { sampleRate: format.sampleRate, channels: split(view, at + 8, chunkBytes, format.channels) };
    }
    at += 8 + chunkBytes + (chunkBytes & 1); // chunks are padded to even sizes
  }
  throw badWav(name, 'its data chunk', 'missing', 'give a WAV file that holds sound');
}

/** Channels and rate from the body of a `fmt ` chunk; throws as `parseWav` does for what cannot be used. */
export function parseFormat(
  view: DataView,
  at: number,
  chunkBytes: number,
  name: string,
): { channels: 1 | 2; sampleRate: number } {
  if (chunkBytes < 16)
    throw badWav(name, 'its fmt chunk', `${chunkBytes} bytes long`, 'give a whole WAV file');
  let code = view.getUint16(at, true);
  if (code === FORMAT_EXTENSIBLE && chunkBytes >= 40) code = view.getUint16(at + 24, true);
  const channels = view.getUint16(at + 2, true);
  const sampleRate = view.getUint32(at + 4, true);
  const bits = view.getUint16(at + 14, true);
  const remedy = 'convert it to 16-bit PCM, for example with: sox IN.wav -b 16 -e signed OUT.wav';
  if (code !== FORMAT_PCM) throw badWav(name, 'the format code', code, remedy);
  if (bits !== 16) throw badWav(name, 'bits per sample', bits, remedy);
  if (channels !== 1 && channels !== 2)
    throw badWav(name, 'channels', channels, 'give a mono or stereo file');
  if (sampleRate < RATE_MIN || sampleRate > RATE_MAX) {
    throw badWav(name, 'the sample rate', `${sampleRate} Hz`, `resample it to ${RATE_MIN} to ${RATE_MAX} Hz`);
  }
  return { channels, sampleRate };
}

function split(view: DataView, at: number, chunkBytes: number, channels: number): Int16Array[] {
  const length = Math.floor(chunkBytes / (2 * channels));
  return Array.from({ length: channels }, (_, channel) =>
    Int16Array.from({ length }, (_, i) => view.getInt16(at + 2 * (i * channels + channel), true)),
  );
}

export const HEADER_BYTES = 44;
/** Sizes in a RIFF file have 32 bits; this leaves room for the header. At 16 kHz stereo: 18 hours. */
const DATA_BYTES_MAX = 0xffff_ffff - HEADER_BYTES - 1;

/** The 44 bytes before the samples. An unknown length is written as the largest, which readers take as "to the end". */
export function wavHeader(sampleRate: number, channels: number, dataBytes: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write('RIFF', 0, 'latin1');
  bytes.writeUInt32LE(Math.min(0xffff_ffff, dataBytes + HEADER_BYTES - 8), 4);
  bytes.write('WAVEfmt ', 8, 'latin1');
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(FORMAT_PCM, 20);
  bytes.writeUInt16LE(channels, 22);
  bytes.writeUInt32LE(sampleRate, 24);
  bytes.writeUInt32LE(sampleRate * channels * 2, 28);
  bytes.writeUInt16LE(channels * 2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write('data', 36, 'latin1');
  bytes.writeUInt32LE(Math.min(0xffff_ffff, dataBytes), 40);
  return bytes;
}

/** A mono or stereo WAV file as bytes. The channels must have one length. */
export function wavBytes({ sampleRate, channels }: WavAudio): Buffer {
  const length = channels[0]?.length ?? 0;
  const dataBytes = length * channels.length * 2;
  const bytes = Buffer.concat([wavHeader(sampleRate, channels.length, dataBytes), Buffer.alloc(dataBytes)]);
  channels.forEach((samples, channel) => {
    for (let i = 0; i < length; i++) {
      bytes.writeInt16LE(samples[i] ?? 0, HEADER_BYTES + 2 * (i * channels.length + channel));
    }
  });
  return bytes;
}

/** What a file that is written holds. */
export interface WavWriterOptions {
  /** In Hz. */
  sampleRate: number;
  /** 1 or 2. */
  channels: 1 | 2;
  /**
   * How far one channel may be ahead of the other, in ms; what comes for a channel later than that is dropped.
   * Default 60 000, twice the longest media message: 3.8 MB at 16 kHz stereo, and only while a channel is that far behind.
   */
  windowMsMax?: number;
  /**
   * While more than this waits for the disk, in bytes, the file gets silence instead of more. Default 4 MiB: a minute
   * of 16 kHz stereo.
   */
  queueBytesMax?: number;
}

const NO_SAMPLES = new Int16Array(0);
const writeAt = promisify(write);
const truncate = promisify(ftruncate);
/** The disk is written in pieces of this size: half a second of 16 kHz stereo. */
const BLOCK_BYTES = 32 * 1024;

/**
 * Writes a WAV file as the sound comes, each channel at its own place in time: `append` says at which sample it
 * belongs, and where nothing is appended there is silence. The file is readable at any moment; `close` puts the right
 * lengths into its header.
 */
export class WavWriter {
  /** Samples that came for a place already written, or while the disk was too slow: not in the file. */
  droppedSamples = 0;
  readonly #fd: number;
  readonly #options: Required<WavWriterOptions>;
  /** Interleaved samples from `#base` on; zero where nothing has come. */
  #window: Int16Array;
  #base = 0;
  /** One past the last sample of each channel. */
  readonly #ends: number[];
  #queuedBytes = 0;
  #tail: Promise<unknown>;
  #failure: unknown;
  #closed: Promise<void> | undefined;

  /** Creates or empties the file. Throws SIDETONE_BAD_ARGUMENT where that is not possible. */
  constructor(path: string, options: WavWriterOptions) {
    this.#options = { windowMsMax: 60_000, queueBytesMax: 4 * 1024 * 1024, ...options };
    const { sampleRate, channels } = this.#options;
    if (channels !== 1 && channels !== 2) throw badWav(path, 'channels', channels, 'give 1 or 2');
    if (!(sampleRate >= RATE_MIN && sampleRate <= RATE_MAX)) {
      throw badWav(path, 'sampleRate', sampleRate, `give ${RATE_MIN} to ${RATE_MAX} Hz`);
    }
    try {
      this.#fd = openSync(path, 'w');
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${path} cannot be written: ${why}`, { cause });
    }
    this.#window = new Int16Array(BLOCK_BYTES);
    this.#ends = new Array(channels).fill(0);
    this.#tail = writeAt(this.#fd, wavHeader(sampleRate, channels, 0xffff_ffff), 0, HEADER_BYTES, 0).catch(
      this.#fail,
    );
  }

  /** How many samples a channel has, silence included: where the next append without `atSample` goes. */
  length(channel = 0): number {
    return this.#ends[channel] ?? 0;
  }

  /** Puts samples at a place in time, by default behind the channel's last. Copies them. */
  append(samples: Int16Array, channel = 0, atSample = this.length(channel)): void {
    const { channels, sampleRate, windowMsMax } = this.#options;
    if (this.#closed)
      throw new SidetoneError('SIDETONE_STREAM_CLOSED', 'append after close: the file is finished');
    if (!(channel >= 0 && channel < channels))
      throw badWav('append', 'channel', channel, `give 0 to ${channels - 1}`);
    if (!(Number.isInteger(atSample) && atSample >= 0)) {
      throw badWav('append', 'atSample', atSample, 'give a whole number, 0 or more');
    }
    if (samples.length === 0) this.#ends[channel] = Math.max(this.#ends[channel]!, atSample);
    const lateSamples = Math.max(0, Math.min(samples.length, this.#base - atSample));
    const sampleMax = Math.floor(DATA_BYTES_MAX / (2 * channels));
    const fitting = Math.max(lateSamples, Math.min(samples.length, sampleMax - atSample));
    this.droppedSamples += lateSamples + samples.length - fitting;
    if (lateSamples > 0) this.#ends[channel] = Math.max(this.#ends[channel]!, atSample + lateSamples);
    const windowSamples = Math.floor((windowMsMax * sampleRate) / 1000);
    // In pieces no longer than the window, so that one call cannot make it grow beyond its maximum.
    for (let from = lateSamples; from < fitting; from += windowSamples) {
      const piece = samples.subarray(from, Math.min(fitting, from + windowSamples));
      const end = atSample + from + piece.length;
      if (end - this.#base > windowSamples) this.#flush(end - windowSamples);
      this.#reserve(end - this.#base);
      const offset = (atSample + from - this.#base) * channels + channel;
      for (let i = 0; i < piece.length; i++) this.#window[offset + i * channels] = piece[i]!;
      this.#ends[channel] = Math.max(this.#ends[channel]!, end);
    }
    const complete = Math.min(...this.#ends);
    if ((complete - this.#base) * channels * 2 >= BLOCK_BYTES) this.#flush(complete);
  }

  /**
   * Nothing will come for `channel` before `sample`: up to there the file need not wait for it. Without this a channel
   * that stays silent holds the other one back for `windowMsMax`.
   */
  advance(channel: number, sample: number): void {
    this.append(NO_SAMPLES, channel, Math.max(this.length(channel), sample));
  }

  /** Writes what is left and the lengths. Rejects where the disk failed. */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    const { sampleRate, channels } = this.#options;
    const length = Math.max(this.#base, ...this.#ends);
    await this.#tail;
    this.#flush(length);
    await this.#tail;
    const dataBytes = length * channels * 2;
    try {
      // Blocks that were dropped at the end have left the file too short.
      await truncate(this.#fd, HEADER_BYTES + dataBytes);
      await writeAt(this.#fd, wavHeader(sampleRate, channels, dataBytes), 0, HEADER_BYTES, 0);
    } finally {
      closeSync(this.#fd);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #fail = (error: unknown): void => {
    this.#failure ??= error;
  };

  #reserve(samples: number): void {
    const needed = samples * this.#options.channels;
    if (needed <= this.#window.length) return;
    const grown = new Int16Array(Math.max(needed, this.#window.length * 2));
    grown.set(this.#window);
    this.#window = grown;
  }

  /** Hands everything before `sample` to the disk. */
  #flush(sample: number): void {
    const { channels, queueBytesMax } = this.#options;
    const values = Math.min((sample - this.#base) * channels, this.#window.length);
    if (values <= 0) return;
    const block = Buffer.from(this.#window.slice(0, values).buffer);
    const position = HEADER_BYTES + this.#base * channels * 2;
    this.#window.copyWithin(0, values);
    this.#window.fill(0, this.#window.length - values);
    this.#base = sample;
    if (this.#queuedBytes > queueBytesMax) {
      this.droppedSamples += values / channels;
      return;
    }
    this.#queuedBytes += block.length;
    this.#tail = this.#tail
      .then(() => writeAt(this.#fd, block, 0, block.length, position))
      .then(({ bytesWritten }) => {
        if (bytesWritten < block.length) throw new Error(`only ${bytesWritten} of ${block.length} bytes fit`);
      })
      .catch(this.#fail)
      .finally(() => {
        this.#queuedBytes -= block.length;
      });
  }
}
