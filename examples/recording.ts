/**
 * Records calls to disk, and takes each file to S3 or to any storage that speaks S3. A file that cannot be taken there stays
 * on disk and is taken at the next start.
 *
 *     npm install aws4fetch
 *     npx sidetone serve --config recording.json    # docs/examples/recording.md has one
 */
import { createReadStream } from 'node:fs';
import { mkdir, readdir, stat, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { AwsClient } from 'aws4fetch';
import { definePlugin, echo, type Logger, record } from 'sidetone';
import { z } from 'zod';

const ofEnvironment = (name: string) =>
  z
    .string()
    .min(1)
    .prefault(() => process.env[name] ?? '');

const options = z.strictObject({
  /** Where calls are recorded; one server's own. */
  directory: z.string(),
  /** Endpoint and bucket, such as https://s3.eu-central-1.amazonaws.com/my-bucket */
  bucket: z.url({ protocol: /^https?$/ }).transform(url => url.replace(/\/$/, '')),
  region: z.string().default('us-east-1'),
  accessKeyId: ofEnvironment('AWS_ACCESS_KEY_ID'),
  secretAccessKey: ofEnvironment('AWS_SECRET_ACCESS_KEY'),
  /** Stands before the date in each object's name. */
  prefix: z.string().default(''),
  /** Files that are on their way at a time. */
  uploadsMax: z.int().min(1).max(100).default(4),
  /** How often one is tried, and how long it waits after the first failure; the wait doubles up to a minute. */
  attempts: z.int().min(1).max(20).default(5),
  retryMs: z.number().min(1).max(60_000).default(1000),
});
type Options = z.output<typeof options>;

const RETRY_MS_MAX = 60_000;
const CHECK_MS_MAX = 10_000;

interface Counts {
  uploads: { inc(by: number, labels: { outcome: 'done' | 'failed' | 'left' }): void };
  retries: { inc(): void };
  waiting: { inc(): void; dec(): void };
  seconds: { observe(value: number): void };
}

class Uploader {
  readonly #client: AwsClient;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    private readonly options: Options,
    private readonly counts: Counts,
    private readonly log: Logger,
    private readonly signal: AbortSignal,
  ) {
    const { accessKeyId, secretAccessKey, region } = options;
    this.#client = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3' });
  }

  /** Rejects where the bucket cannot be reached: better at the start than after the first call. */
  async check(): Promise<void> {
    const { bucket } = this.options;
    const { headers } = await this.#client.sign(bucket, { method: 'HEAD' });
    const signal = AbortSignal.any([this.signal, AbortSignal.timeout(CHECK_MS_MAX)]);
    const { status } = await fetch(bucket, { method: 'HEAD', headers, signal });
    if (status === 200) return;
    const why =
      status === 404 ? 'there is no such bucket' : status === 403 ? 'the keys do not open it' : 'it fails';
    throw new Error(`bucket ${bucket}: ${why} (${status})`);
  }

  /** Files of an earlier run. */
  async uploadLeft(): Promise<void> {
    const { directory } = this.options;
    const files = (await readdir(directory)).filter(file => file.endsWith('.wav'));
    await Promise.all(files.map(file => this.upload(join(directory, file))));
  }

  /** Resolves when the file is there, or has been given up; it is on disk then. */
  async upload(file: string): Promise<void> {
    this.counts.waiting.inc();
    if (this.#running >= this.options.uploadsMax) await new Promise<void>(free => this.#waiting.push(free));
    this.#running++;
    try {
      await this.#tryOften(file);
    } catch (error) {
      this.counts.uploads.inc(1, { outcome: this.signal.aborted ? 'left' : 'failed' });
      this.log.error({ file, err: error }, 'a recording stays on disk: the next start tries again');
    } finally {
      this.counts.waiting.dec();
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #tryOften(file: string): Promise<void> {
    const { attempts, retryMs } = this.options;
    for (let attempt = 1; ; attempt++) {
      try {
        const began = performance.now();
        const key = await this.#put(file);
        await unlink(file);
        this.counts.uploads.inc(1, { outcome: 'done' });
        this.counts.seconds.observe((performance.now() - began) / 1000);
        this.log.info({ file, key }, 'a recording was stored');
        return;
      } catch (error) {
        // Older code of this plugin may have been quicker.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
        if (attempt >= attempts || this.signal.aborted) throw error;
        this.counts.retries.inc();
        await sleep(Math.min(RETRY_MS_MAX, retryMs * 2 ** (attempt - 1)), undefined, { signal: this.signal });
      }
    }
  }

  /** Stores the file; returns its name there. */
  async #put(file: string): Promise<string> {
    const { size, mtime } = await stat(file);
    const day = mtime.toISOString().slice(0, 10).replaceAll('-', '/');
    const key = `${this.options.prefix}${day}/${basename(file)}`;
    const url = `${this.options.bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
    const { headers } = await this.#client.sign(url, {
      method: 'PUT',
      headers: { 'content-type': 'audio/wav', 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
    });
    // With its length the file goes out as it is read: S3 takes no body of unknown length.
    headers.set('content-length', String(size));
    const body = Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array>;
    const request = { method: 'PUT', headers, body, duplex: 'half', signal: this.signal } as RequestInit;
    const response = await fetch(url, request);
    const text = await response.text();
    if (!response.ok) throw new Error(`PUT ${url}: ${response.status}: ${text.slice(0, 300)}`);
    return key;
  }
}

export default definePlugin({
  name: 'recording',
  options,
  async setup({ options, metrics, log, signal, reactor }) {
    await mkdir(options.directory, { recursive: true });
    const counts = {
      uploads: metrics.counter('uploads', 'Recordings, by what became of them.', { labels: ['outcome'] }),
      retries: metrics.counter('upload_retries', 'Attempts that failed and were repeated.'),
      waiting: metrics.gauge('uploads_waiting', 'Recordings that are on their way or wait for it.'),
      seconds: metrics.histogram('upload_seconds', 'How long a recording took to be stored.'),
    };
    const uploader = new Uploader(options, counts, log, signal);
    await uploader.check();
    // Once, and beside the calls.
    if (reactor === 0) {
      uploader.uploadLeft().catch(error => log.error({ err: error }, 'old recordings cannot be listed'));
    }
    // Put your own plugin where `echo` is.
    const recorder = record(echo, {
      directory: options.directory,
      onFile: path => uploader.upload(path),
    });
    return { recorder };
  },
  onStart: (stream, context) => context.state.recorder.onStart(stream, context),
});
