/** Captures of a server's streams. Each has a file of its own, and writing it never delays the stream. */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Clock } from '../clock.js';
import { SidetoneError } from '../errors.js';
import type { Format } from '../formats.js';
import { CAPTURE_VERSION, type CaptureHeader, type CaptureRecord, redact } from './format.js';

/** Lines wait this long, or for this much, before they go to the disk together. */
const FLUSH_MS = 250;
const FLUSH_BYTES = 64 * 1024;
/** What may wait for the disk over all streams: 16 s of 100 calls in L16 at 16 kHz, both ways (43 kB/s a direction). */
const QUEUE_BYTES_MAX = 128 * 1024 * 1024;
/**
 * A stream that has not started gets a file after this many messages, so that a failure before `start` is captured
 * too.
 */
const UNNAMED_MESSAGES_MAX = 64;
const NAME_CHARACTERS_MAX = 64;

export interface CaptureOptions {
  clock: Clock;
  /** Numbers, client_state and custom_parameters stay readable. Default false. */
  keepPersonal?: boolean;
  queueBytesMax?: number;
  /** Wall-clock time in ms since 1970. */
  wallClock?: () => number;
  /** Messages that the disk was too slow for. */
  onDropped?: (messages: number) => void;
  /** A file could not be written; the stream goes on without. `started`: absent where it had not started. */
  onError?: (error: unknown, started: StartedStream | undefined) => void;
}

/** What names a stream. */
export interface StartedStream {
  /** Telnyx's stream_id. */
  stream: string;
  /** Telnyx's call_control_id. */
  call: string | undefined;
}

/** A directory of captures. */
export class CaptureDirectory {
  /** Bytes that wait for the disk, of all streams. */
  queuedBytes = 0;
  readonly queueBytesMax: number;
  readonly #open = new Set<StreamCapture>();

  /** Makes the directory. Throws SIDETONE_BAD_OPTION where nothing can be written there. */
  constructor(
    readonly path: string,
    readonly options: CaptureOptions,
  ) {
    this.queueBytesMax = options.queueBytesMax ?? QUEUE_BYTES_MAX;
    try {
      makeDirectory(resolve(path));
      accessSync(path, constants.W_OK);
    } catch (cause) {
      const why = (cause as Error).message;
      throw new SidetoneError(
        'SIDETONE_BAD_OPTION',
        `captureDir: ${path}: ${why}: name a directory to write to`,
        {
          cause,
        },
      );
    }
  }

  /** A WebSocket has been opened. */
  begin(): StreamCapture {
    const capture = new StreamCapture(this);
    this.#open.add(capture);
    capture.done.then(() => this.#open.delete(capture));
    return capture;
  }

  /** Resolves when every file is complete. Streams that are still open are closed. */
  async close(): Promise<void> {
    const open = [...this.#open];
    for (const capture of open) capture.closed('server_closed');
    await Promise.all(open.map(capture => capture.done));
  }
}

/**
 * Makes it with its parents. The recursion of `mkdirSync` never ends below a parent in which nothing can be made
 * (/proc).
 */
function makeDirectory(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  if (dirname(path) !== path) makeDirectory(dirname(path));
  mkdirSync(path, { mode: 0o700 });
}

/** One WebSocket's capture. Its methods copy what they are given and return at once. */
export class StreamCapture {
  /** Resolves when the file is complete. */
  readonly done: Promise<void>;
  readonly #directory: CaptureDirectory;
  readonly #openedMs: number;
  readonly #startedAt: Date;
  #finish!: () => void;
  #started: StartedStream | undefined;
  #lines: string[] = [];
  #lineBytes = 0;
  #messages = 0;
  #dropped = 0;
  /** Where the file has no name yet, nothing is written. */
  #named = false;
  #file: FileHandle | undefined;
  #writing = false;
  #failed = false;
  #closed = false;
  #cancelFlush: (() => void) | undefined;

  /** @internal Use CaptureDirectory.begin. */
  constructor(directory: CaptureDirectory) {
    const { clock, wallClock = Date.now } = directory.options;
    this.#directory = directory;
    this.#openedMs = clock.now();
    this.#startedAt = new Date(wallClock());
    this.done = new Promise(resolve => {
      this.#finish = resolve;
    });
  }

  /** A message of Telnyx. */
  received(message: ArrayBuffer, isBinary: boolean): void {
    const bytes = Buffer.from(message);
    if (isBinary) {
      this.#add({ atMs: this.#now(), from: 'telnyx', base64: bytes.toString('base64') });
      return;
    }
    const text = bytes.toString('utf8');
    if (!this.#named && this.#started === undefined) this.#started = startedIn(text);
    const kept = redact(text, this.#directory.options.keepPersonal === true);
    this.#add({ atMs: this.#now(), from: 'telnyx', text: kept });
  }

  /** A message of the server; `dropped`: it never left. */
  sent(message: string | Uint8Array, dropped: boolean): void {
    const text = typeof message === 'string' ? message : Buffer.from(message).toString('utf8');
    this.#add({ atMs: this.#now(), from: 'server', text, ...(dropped && { dropped }) });
  }

  /** The stream has started; what the server takes its audio for. */
  streaming(plugin: string, inbound: Format, outbound: Format, l16ByteOrder: 'le' | 'be' | 'auto'): void {
    const atMs = this.#now();
    this.#add({ atMs, from: 'capture', note: 'stream', plugin, inbound, outbound, l16ByteOrder });
  }

  /** The connection is gone. Safe to call again. */
  closed(reason: string): void {
    if (this.#closed) return;
    this.#add({ atMs: this.#now(), from: 'capture', note: 'closed', reason });
    this.#closed = true;
    this.#named = true;
    this.#flush();
  }

  #now(): number {
    return Math.round((this.#directory.options.clock.now() - this.#openedMs) * 1000) / 1000;
  }

  #add(record: CaptureRecord): void {
    if (this.#closed) return;
    if (this.#failed) {
      if (record.from !== 'capture') this.#drop(1);
      return;
    }
    const line = `${JSON.stringify(record)}\n`;
    const bytes = Buffer.byteLength(line);
    // Notes are written even when the buffer is full: they are few and short, and the last one tells how much is
    // missing.
    if (record.from !== 'capture' && this.#directory.queuedBytes + bytes > this.#directory.queueBytesMax) {
      this.#drop(1);
      return;
    }
    if (this.#dropped > 0) {
      this.#push(
        `${JSON.stringify({ atMs: record.atMs, from: 'capture', note: 'dropped', messages: this.#dropped })}\n`,
      );
      this.#dropped = 0;
    }
    this.#push(line);
    this.#messages++;
    this.#named ||= this.#started !== undefined || this.#messages >= UNNAMED_MESSAGES_MAX;
    if (this.#lineBytes >= FLUSH_BYTES) this.#flush();
    else this.#cancelFlush ??= this.#directory.options.clock.after(FLUSH_MS, () => this.#flush());
  }

  #drop(messages: number): void {
    this.#dropped += messages;
    this.#directory.options.onDropped?.(messages);
  }

  #push(line: string): void {
    const bytes = Buffer.byteLength(line);
    this.#lines.push(line);
    this.#lineBytes += bytes;
    this.#directory.queuedBytes += bytes;
  }

  #flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    if (this.#writing || !this.#named) return;
    this.#writing = true;
    void this.#write();
  }

  /** Writes until nothing waits. Each stream has one write at a time. */
  async #write(): Promise<void> {
    while (this.#lines.length > 0) {
      const text = this.#lines.join('');
      const bytes = this.#lineBytes;
      const count = this.#lines.length;
      this.#lines = [];
      this.#lineBytes = 0;
      try {
        if (!this.#failed) {
          this.#file ??= await this.#create();
          await this.#file.appendFile(text);
        }
      } catch (error) {
        this.#failed = true;
        this.#drop(count);
        this.#report(error);
      }
      this.#directory.queuedBytes -= bytes;
    }
    this.#writing = false;
    if (!this.#closed) return;
    await this.#file?.close().catch(error => this.#report(error));
    this.#finish();
  }

  #report(error: unknown): void {
    this.#directory.options.onError?.(error, this.#started);
  }

  async #create(): Promise<FileHandle> {
    const time = this.#startedAt.toISOString().replace(/[-:]/g, '');
    const name = `${time}-${safeName(this.#started?.stream)}`;
    for (let attempt = 1; ; attempt++) {
      const path = join(this.#directory.path, `${name}${attempt > 1 ? `-${attempt}` : ''}.jsonl`);
      try {
        const file = await open(path, 'ax', 0o600);
        await file.appendFile(`${JSON.stringify(this.#header())}\n`);
        return file;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === 100) throw error;
      }
    }
  }

  #header(): CaptureHeader {
    return {
      capture: 'sidetone',
      version: CAPTURE_VERSION,
      startedAt: this.#startedAt.toISOString(),
      ...(this.#started && { streamId: this.#started.stream }),
      redacted: this.#directory.options.keepPersonal ? ['token'] : ['token', 'personal'],
    };
  }
}

/** A peer must not be able to choose the file. Only letters, digits, `-` and `_` are kept, and only so many. */
function safeName(streamId: string | undefined): string {
  if (streamId === undefined) return 'no-start';
  return streamId.slice(0, NAME_CHARACTERS_MAX).replace(/[^A-Za-z0-9_-]/g, '_') || '_';
}

function startedIn(text: string): StartedStream | undefined {
  try {
    const frame = JSON.parse(text) as {
      event?: unknown;
      stream_id?: unknown;
      start?: { call_control_id?: unknown };
    } | null;
    if (frame?.event !== 'start' || typeof frame.stream_id !== 'string') return undefined;
    const call = frame.start?.call_control_id;
    return { stream: frame.stream_id, call: typeof call === 'string' ? call : undefined };
  } catch {
    return undefined;
  }
}
