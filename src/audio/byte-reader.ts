import { type FileHandle, open } from 'node:fs/promises';
import { SidetoneError } from '../errors.js';

const BUFFER_BYTES = 64 * 1024;

/** Reads a file, or a pipe, from front to back in pieces of the caller's choice, with one buffer of 64 KiB. */
export class ByteReader {
  readonly #buffer = Buffer.alloc(BUFFER_BYTES);
  #start = 0;
  #end = 0;
  #atEnd = false;
  #position = 0;

  private constructor(
    readonly path: string,
    readonly file: FileHandle,
  ) {}

  /** Throws SIDETONE_BAD_ARGUMENT where the file cannot be opened. */
  static async open(path: string): Promise<ByteReader> {
    try {
      return new ByteReader(path, await open(path, 'r'));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${path} cannot be read: ${why}`, { cause });
    }
  }

  /** Bytes taken so far: where in the file the next one stands. */
  get position(): number {
    return this.#position;
  }

  /** The next `count` bytes (at most 65,536), fewer only at the end of the file. Valid until the next call. */
  async take(count: number): Promise<Buffer> {
    if (this.#end - this.#start < count && !this.#atEnd) await this.#fill(count);
    const bytes = this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + count));
    this.#start += bytes.length;
    this.#position += bytes.length;
    return bytes;
  }

  async #fill(count: number): Promise<void> {
    this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
    while (this.#end < count && !this.#atEnd) {
      const { bytesRead } = await this.#read();
      this.#end += bytesRead;
      this.#atEnd = bytesRead === 0;
    }
  }

  async #read(): Promise<{ bytesRead: number }> {
    try {
      return await this.file.read(this.#buffer, this.#end, BUFFER_BYTES - this.#end, null);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${this.path} cannot be read: ${why}`, { cause });
    }
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}
