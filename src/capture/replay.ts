/**
 * Sends Telnyx's side of a capture to a server again, and compares what that server does with what the captured one
 * did.
 */
import type { RawData, WebSocket } from 'ws';
import { type Clock, systemClock } from '../clock.js';
import { SidetoneError } from '../errors.js';
import { CODECS, type Format } from '../formats.js';
import { ws } from '../packages.js';
import { AUTH_TOKEN_HEADER } from '../telnyx/frames.js';
import type { MessageRecord } from './format.js';
import {
  AudioComparison,
  announcedFormat,
  DEFAULT_FORMAT,
  ServerCounter,
  type ServerSide,
} from './outcome.js';
import { openCapture } from './reader.js';

export interface ReplayOptions {
  /** 2: in half the time. Above 0, at most 1000. Default 1. */
  speed?: number;
  /** Sent as the upgrade's header and in place of the redacted one in `connected`. */
  token?: string;
  /** wss: whether the certificate must be good. Default true. */
  verifyCertificate?: boolean;
  clock?: Clock;
  signal?: AbortSignal;
  /** Opens the connection. Default: a WebSocket; tests have their own. */
  connect?: (url: string, options: ReplayOptions) => ReplaySocket;
}

/** What a replay uses of a WebSocket. */
export type ReplaySocket = Pick<WebSocket, 'on' | 'once' | 'send' | 'close' | 'terminate' | 'bufferedAmount'>;

export interface ReplayResult {
  sent: { messages: number; media: number };
  /** Messages of Telnyx that the capture has. */
  toSend: number;
  captured: ServerSide;
  /** Times are those of the capture: at speed 2, what took one second counts as two. */
  replayed: ServerSide;
  /** Whether all media together is the same bytes; where not, at what time of the audio the first difference is. */
  audio: { same: boolean; differsAtMs?: number };
  /** How much later than due the latest message left, in real ms. */
  latestMs: number;
  closeCode?: number;
  /** Why it did not come to its end. */
  failure?: string;
}

/** The server's last messages may take this much longer than in the capture, in real ms. */
const GRACE_MS = 1500;
const HANDSHAKE_MS = 10_000;
const CLOSE_MS = 2000;
/** While more waits to be sent, the replay waits too. */
const SEND_QUEUE_BYTES_MAX = 1024 * 1024;
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * @throws SidetoneError SIDETONE_BAD_OPTION, SIDETONE_BAD_ARGUMENT (the capture). What the server does is in the result.
 */
export async function replay(path: string, url: string, options: ReplayOptions = {}): Promise<ReplayResult> {
  const { speed = 1, connect = openSocket } = options;
  if (!(speed > 0 && speed <= 1000)) {
    throw new SidetoneError('SIDETONE_BAD_OPTION', `--speed: ${speed}: give a number above 0, at most 1000`);
  }
  const before = await readServerSide(path);
  const socket = connect(url, options);
  return new Replay(path, socket, before, { ...options, speed }).run();
}

interface Before {
  captured: ServerSide;
  audio: Uint8Array[];
  format: Format;
  toSend: number;
  firstMs: number;
  /** From Telnyx's last message to the server's last. */
  tailMs: number;
}

/** Goes through the capture once, for what its server did. Its audio stays in memory: an hour of PCMU is 29 MB. */
async function readServerSide(path: string): Promise<Before> {
  const audio: Uint8Array[] = [];
  let format = DEFAULT_FORMAT;
  let toSend = 0;
  let firstMs: number | undefined;
  let telnyxMs = 0;
  let serverMs = 0;
  const counter = new ServerCounter(
    () => format,
    payload => audio.push(payload),
  );
  for await (const record of (await openCapture(path)).records) {
    if (record.from === 'capture') {
      if (record.note === 'stream') format = record.outbound;
    } else if (record.from === 'server') {
      serverMs = record.atMs;
      if (!record.dropped) counter.message(record.atMs, record.text);
    } else {
      toSend++;
      firstMs ??= record.atMs;
      telnyxMs = record.atMs;
      const announced = record.text === undefined ? undefined : announcedFormat(record.text);
      if (!announced) continue;
      format = announced;
      counter.started(record.atMs);
    }
  }
  if (firstMs === undefined) {
    throw new SidetoneError(
      'SIDETONE_BAD_ARGUMENT',
      `${path}: no message of Telnyx is in it: nothing to send`,
    );
  }
  return { captured: counter.side, audio, format, toSend, firstMs, tailMs: Math.max(0, serverMs - telnyxMs) };
}

function openSocket(url: string, { token, verifyCertificate = true }: ReplayOptions): WebSocket {
  if (!/^wss?:\/\//.test(url) || !URL.canParse(url)) {
    throw new SidetoneError('SIDETONE_BAD_OPTION', `URL: ${url}: give a ws:// or wss:// address`);
  }
  return new (ws().WebSocket)(url, {
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
    handshakeTimeout: HANDSHAKE_MS,
    rejectUnauthorized: verifyCertificate,
    headers: token === undefined ? {} : { [AUTH_TOKEN_HEADER]: token },
  });
}

class Replay {
  readonly #clock: Clock;
  readonly #counter: ServerCounter;
  readonly #comparison: AudioComparison;
  readonly #over: Promise<void>;
  #isOver = false;
  #failure: string | undefined;
  #closeCode: number | undefined;
  #startedMs = 0;
  #sent = { messages: 0, media: 0 };
  #latestMs = 0;

  constructor(
    private readonly path: string,
    private readonly socket: ReplaySocket,
    private readonly before: Before,
    private readonly options: ReplayOptions & { speed: number },
  ) {
    this.#clock = options.clock ?? systemClock;
    this.#comparison = new AudioComparison(before.audio);
    this.#counter = new ServerCounter(
      () => before.format,
      payload => this.#comparison.add(payload),
    );
    socket.on('message', (data: RawData, isBinary: boolean) =>
      this.#counter.message(this.#captureMs(), isBinary ? undefined : String(data)),
    );
    socket.on('unexpected-response', (_request, response) => {
      this.#failure ??= `the upgrade was refused with HTTP status ${response.statusCode}`;
      socket.terminate();
    });
    socket.on('error', error => {
      this.#failure ??= error.message || (error as NodeJS.ErrnoException).code || 'the connection broke';
    });
    this.#over = new Promise(resolve => {
      socket.on('close', code => {
        this.#closeCode = code;
        this.#isOver = true;
        resolve();
      });
    });
  }

  async run(): Promise<ReplayResult> {
    const opened = new Promise<void>(resolve => this.socket.once('open', () => resolve()));
    const { signal } = this.options;
    const abort = (): void => {
      this.#failure ??= 'interrupted';
      this.socket.terminate();
    };
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort);
    await Promise.race([opened, this.#over]);
    if (!this.#isOver) await this.#send();
    if (!this.#isOver) await this.#listenOn();
    signal?.removeEventListener('abort', abort);
    return this.#result();
  }

  /** Now, as a time of the capture. */
  #captureMs(): number {
    return this.before.firstMs + (this.#clock.now() - this.#startedMs) * this.options.speed;
  }

  async #send(): Promise<void> {
    const { records } = await openCapture(this.path);
    this.#startedMs = this.#clock.now();
    for await (const record of records) {
      if (record.from !== 'telnyx') continue;
      const dueMs = this.#startedMs + (record.atMs - this.before.firstMs) / this.options.speed;
      await this.#until(dueMs);
      while (!this.#isOver && this.socket.bufferedAmount > SEND_QUEUE_BYTES_MAX) await this.#wait(5);
      if (this.#isOver) {
        this.#failure ??= `the server closed the connection after ${this.#sent.messages} of ${this.before.toSend} messages`;
        return;
      }
      this.#latestMs = Math.max(this.#latestMs, this.#clock.now() - dueMs);
      this.#sendRecord(record);
    }
  }

  #sendRecord(record: MessageRecord): void {
    this.#sent.messages++;
    if (record.text === undefined) {
      this.socket.send(Buffer.from(record.base64 ?? '', 'base64'));
      return;
    }
    if (announcedFormat(record.text)) this.#counter.started(this.#captureMs());
    if (/^\{"event":"media"|"media":\s*\{/.test(record.text)) this.#sent.media++;
    this.socket.send(this.#withToken(record.text));
  }

  #withToken(text: string): string {
    const { token } = this.options;
    if (token === undefined || !text.includes(AUTH_TOKEN_HEADER)) return text;
    return JSON.stringify(JSON.parse(text, (key, value) => (key === AUTH_TOKEN_HEADER ? token : value)));
  }

  /** Waits until then, or until the connection is gone. */
  async #until(atMs: number): Promise<void> {
    const delayMs = atMs - this.#clock.now();
    if (delayMs > 0) await this.#wait(delayMs);
  }

  async #wait(delayMs: number): Promise<void> {
    let cancel!: () => void;
    const elapsed = new Promise<void>(resolve => {
      cancel = this.#clock.after(delayMs, resolve);
    });
    await Promise.race([elapsed, this.#over]);
    cancel();
  }

  /** Telnyx has sent everything. Waits for the server's last messages, then ends the connection. */
  async #listenOn(): Promise<void> {
    await this.#wait(this.before.tailMs / this.options.speed + GRACE_MS);
    if (this.#isOver) return;
    this.socket.close(1000);
    await this.#wait(CLOSE_MS);
    if (!this.#isOver) this.socket.terminate();
    await this.#over;
  }

  #result(): ReplayResult {
    const differsAt = this.#comparison.finish();
    const { encoding, sampleRate } = this.before.format;
    const bytesPerMs = encoding === 'L16' ? (2 * sampleRate) / 1000 : 8;
    const known = CODECS[encoding].runsIn === 'reactor';
    return {
      sent: this.#sent,
      toSend: this.before.toSend,
      captured: this.before.captured,
      replayed: this.#counter.side,
      audio: {
        same: differsAt === undefined,
        ...(differsAt !== undefined && known && { differsAtMs: Math.floor(differsAt / bytesPerMs) }),
      },
      latestMs: Math.round(this.#latestMs * 10) / 10,
      ...(this.#closeCode !== undefined && { closeCode: this.#closeCode }),
      ...(this.#failure !== undefined && { failure: this.#failure }),
    };
  }
}
