/**
 * Transcription: the caller's audio goes to a recogniser over a WebSocket, and the texts that come back go to a file for
 * each call. Most recognisers take it so: raw PCM as binary messages, JSON in answer.
 *
 *     npx sidetone serve --config transcription.json    # docs/examples/transcription.md has one
 */
import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type AudioFrame, definePlugin, type Stream, type StreamHandler } from 'sidetone';
import { WebSocket } from 'ws';
import { z } from 'zod';

const options = z.strictObject({
  url: z.url({ protocol: /^wss?$/ }),
  /** Of the WebSocket's request, such as `{ "authorization": "Token …" }`. */
  headers: z.record(z.string(), z.string()).default({}),
  /** Rate of the PCM that is sent, 16 bit little-endian mono. */
  sampleRate: z.union([z.literal(8000), z.literal(16000), z.literal(24000), z.literal(48000)]).default(16000),
  /** JSON that is sent first, and behind the last audio. */
  hello: z.json().optional(),
  goodbye: z.json().optional(),
  /** Where the text stands in an answer, and what says that it will not change, such as `channel.alternatives.0.transcript`. */
  text: z.string().default('text'),
  final: z.string().default('final'),
  /** Where the texts go, one file for each call. */
  directory: z.string(),
  /** Audio that is kept while there is no connection; the oldest is dropped. */
  keepMs: z.number().min(0).max(60_000).default(10_000),
  /** How long the last words are waited for after the call. */
  finishMs: z.number().min(0).max(30_000).default(2000),
  /** The wait before a broken connection is made anew; it doubles up to ten seconds. */
  retryMs: z.number().min(1).max(10_000).default(250),
});
type Options = z.output<typeof options>;

const RETRY_MS_MAX = 10_000;
/** A recogniser that does not read: what waits for it in the socket. 30 s of 16 kHz. */
const BACKLOG_BYTES_MAX = 1_000_000;
const MESSAGE_BYTES_MAX = 1_000_000;

export default definePlugin({
  name: 'transcription',
  options,
  async setup({ options, metrics, signal }) {
    await mkdir(options.directory, { recursive: true });
    return {
      signal,
      texts: metrics.counter('transcription_texts', 'Texts that came.', { labels: ['final'] }),
      dropped: metrics.counter('transcription_dropped_seconds', 'Audio that the recogniser did not get.'),
      failures: metrics.counter('transcription_failures', 'Connections that broke or were not made.'),
      open: metrics.gauge('transcription_connections', 'Connections to the recogniser that are open.'),
    };
  },
  // The rate is an option, so each stream is told of it here.
  accept: (_request, { options }) => ({ audio: { sampleRate: options.sampleRate } }),
  onStart: (stream, { options, state }) => new Session(stream, options, state),
});

interface State {
  signal: AbortSignal;
  texts: { inc(by: number, labels: { final: string }): void };
  dropped: { inc(by: number): void };
  failures: { inc(): void };
  open: { inc(): void; dec(): void };
}

class Session implements StreamHandler {
  #socket: WebSocket | undefined;
  readonly #kept: Buffer[] = [];
  #keptMs = 0;
  #heardMs = 0;
  #isOver = false;
  #failures = 0;
  #cancelRetry = (): void => {};
  #closed = (): void => {};
  readonly #file: string;
  /** Lines are written one after the other. */
  #written: Promise<void> = Promise.resolve();
  readonly #abort = (): void => this.#socket?.terminate();

  constructor(
    private readonly stream: Stream,
    private readonly options: Options,
    private readonly state: State,
  ) {
    this.#file = join(options.directory, `${stream.id.replace(/[^A-Za-z0-9_-]/g, '_')}.txt`);
    state.signal.addEventListener('abort', this.#abort);
    this.#connect();
  }

  onAudio(frame: AudioFrame): void {
    const pcm = frame.copy();
    const bytes = Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength);
    this.#heardMs += this.#ms(bytes);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send(bytes);
    else this.#keep(bytes);
  }

  /** Waits for the last words. */
  async onStop(): Promise<void> {
    this.#isOver = true;
    this.#cancelRetry();
    const socket = this.#socket;
    if (socket && socket.readyState <= WebSocket.OPEN) {
      if (socket.readyState === WebSocket.OPEN) this.#goodbye(socket);
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, this.options.finishMs);
        this.#closed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      socket.terminate();
    }
    this.state.signal.removeEventListener('abort', this.#abort);
    if (this.#keptMs > 0) this.state.dropped.inc(this.#keptMs / 1000);
    await this.#written;
  }

  #connect(): void {
    const { url, headers, hello } = this.options;
    const socket = new WebSocket(url, { headers, handshakeTimeout: 10_000, maxPayload: MESSAGE_BYTES_MAX });
    this.#socket = socket;
    let isOpen = false;
    socket.on('open', () => {
      isOpen = true;
      this.#failures = 0;
      this.state.open.inc();
      if (hello !== undefined) socket.send(JSON.stringify(hello));
      this.#keptMs = 0;
      for (const bytes of this.#kept.splice(0)) this.#send(bytes);
      if (this.#isOver) this.#goodbye(socket);
    });
    socket.on('message', (data, isBinary) => {
      if (!isBinary) this.#answer(String(data));
    });
    // The close follows.
    socket.on('error', error => this.stream.log.warn({ err: error }, 'the recogniser cannot be reached'));
    socket.on('close', code => {
      if (isOpen) this.state.open.dec();
      if (this.#isOver) {
        this.#closed();
        return;
      }
      this.state.failures.inc();
      const waitMs = Math.min(RETRY_MS_MAX, this.options.retryMs * 2 ** this.#failures++);
      this.stream.log.warn({ code, waitMs }, 'the connection to the recogniser is made anew');
      const timer = setTimeout(() => this.#connect(), waitMs);
      this.#cancelRetry = () => clearTimeout(timer);
    });
  }

  #goodbye(socket: WebSocket): void {
    if (this.options.goodbye !== undefined) socket.send(JSON.stringify(this.options.goodbye));
    else socket.close();
  }

  #send(bytes: Buffer): void {
    if (this.#socket!.bufferedAmount > BACKLOG_BYTES_MAX) this.state.dropped.inc(this.#ms(bytes) / 1000);
    else this.#socket!.send(bytes);
  }

  #keep(bytes: Buffer): void {
    this.#kept.push(bytes);
    this.#keptMs += this.#ms(bytes);
    while (this.#keptMs > this.options.keepMs) {
      const oldest = this.#ms(this.#kept.shift()!);
      this.#keptMs -= oldest;
      this.state.dropped.inc(oldest / 1000);
    }
  }

  #answer(message: string): void {
    let answer: unknown;
    try {
      answer = JSON.parse(message);
    } catch {
      return;
    }
    const text = at(answer, this.options.text);
    if (typeof text !== 'string' || text === '') return;
    const isFinal = at(answer, this.options.final) === true;
    this.state.texts.inc(1, { final: String(isFinal) });
    if (!isFinal) return;
    // What callers say has no place in the log.
    const line = `${(this.#heardMs / 1000).toFixed(1)}\t${text.replace(/\s+/g, ' ')}\n`;
    this.#written = this.#written
      .then(() => appendFile(this.#file, line))
      .catch(error => this.stream.log.error({ err: error }, 'a text could not be written'));
  }

  #ms(bytes: Buffer): number {
    return (bytes.length * 1000) / (2 * this.options.sampleRate);
  }
}

/** `channel.alternatives.0.transcript` of an answer. */
function at(answer: unknown, path: string): unknown {
  let value = answer;
  for (const key of path.split('.')) value = (value as Record<string, unknown> | null | undefined)?.[key];
  return value;
}
