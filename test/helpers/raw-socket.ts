/** A WebSocket client that writes whatever bytes a test wants: for peers that keep to no protocol. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/**
 * How long a test waits for something that must come. It is enough for any machine, and costs nothing when the thing
 * comes.
 */
export const PATIENCE_MS = 60_000;

export interface FrameOptions {
  opcode?: number;
  fin?: boolean;
  /** The three reserved bits, as a number of 0 to 7. */
  rsv?: number;
  masked?: boolean;
  /** Length that the header tells, where it is not the payload's. */
  toldLength?: number;
}

/** One WebSocket frame (RFC 6455, section 5.2), by default a whole masked text message. */
export function wsFrame(payload: string | Uint8Array, options: FrameOptions = {}): Buffer {
  const { opcode = OPCODE.text, fin = true, rsv = 0, masked = true } = options;
  const body = Buffer.from(payload as string);
  const length = options.toldLength ?? body.length;
  const maskBit = masked ? 0x80 : 0;
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  let header = Buffer.from([first, maskBit | length]);
  if (length >= 126) {
    header = Buffer.alloc(length < 65536 ? 4 : 10);
    header[0] = first;
    header[1] = maskBit | (length < 65536 ? 126 : 127);
    if (length < 65536) header.writeUInt16BE(length, 2);
    else header.writeBigUInt64BE(BigInt(length), 2);
  }
  if (!masked) return Buffer.concat([header, body]);
  const mask = randomBytes(4);
  return Buffer.concat([header, mask, body.map((byte, i) => byte ^ mask[i & 3]!)]);
}

/** A text message cut into frames of `sizes` bytes, the last one taking what is left. */
export function fragments(text: string | Uint8Array, sizes: readonly number[]): Buffer {
  const bytes = Buffer.from(text as string);
  const frames: Buffer[] = [];
  let at = 0;
  for (const size of [...sizes, bytes.length]) {
    const end = Math.min(bytes.length, at + size);
    const opcode = frames.length === 0 ? OPCODE.text : OPCODE.continuation;
    frames.push(wsFrame(bytes.subarray(at, end), { opcode, fin: end === bytes.length }));
    at = end;
    if (at === bytes.length) break;
  }
  return Buffer.concat(frames);
}

export interface RawOptions {
  path?: string;
  method?: string;
  /** Added to the usual ones; null takes one away. */
  headers?: Record<string, string | null>;
}

export function upgradeRequest({ path = '/', method = 'GET', headers = {} }: RawOptions = {}): string {
  const all: Record<string, string | null> = {
    host: 'localhost',
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64'),
    ...headers,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== null);
  return `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

export interface ReceivedFrame {
  opcode: number;
  payload: Buffer;
}

/** A TCP connection to the server. Everything that comes is kept and taken apart. */
export class RawSocket {
  readonly tcp: Socket;
  readonly frames: ReceivedFrame[] = [];
  status = 0;
  headers = '';
  closed = false;
  readonly #ended: Promise<void>;
  #rest: Buffer = Buffer.alloc(0);
  #waiting: { want: () => boolean; done: () => void; fail: () => void }[] = [];

  constructor(readonly port: number) {
    this.tcp = connect({ port, host: '127.0.0.1', noDelay: true });
    this.tcp.on('error', () => undefined);
    this.tcp.on('data', data => this.#data(data));
    this.#ended = new Promise(resolve => {
      this.tcp.on('close', () => {
        this.closed = true;
        RawSocket.#open.delete(this);
        this.#check();
        resolve();
      });
    });
    RawSocket.#open.add(this);
  }

  static readonly #open = new Set<RawSocket>();

  /** What a failed test has left. */
  static destroyAll(): void {
    for (const socket of RawSocket.#open) socket.destroy();
  }

  /** Asks for an upgrade and waits for the answer. */
  static async open(port: number, options: RawOptions = {}): Promise<RawSocket> {
    const socket = new RawSocket(port);
    socket.write(upgradeRequest(options));
    await socket.until(() => socket.status !== 0, 'an answer to the upgrade');
    return socket;
  }

  write(bytes: string | Uint8Array): void {
    if (!this.tcp.destroyed) this.tcp.write(bytes);
  }

  /** A text message, or the JSON of an object. */
  send(message: string | object): void {
    this.write(wsFrame(typeof message === 'string' ? message : JSON.stringify(message)));
  }

  /** JSON messages that came, of one event if given. */
  // biome-ignore lint/suspicious/noExplicitAny: frames are inspected as they stand on the wire
  messages(event?: string): any[] {
    return this.frames
      .filter(({ opcode }) => opcode === OPCODE.text)
      .map(({ payload }) => JSON.parse(payload.toString()))
      .filter(message => event === undefined || message.event === event);
  }

  /** Payload bytes of all media messages that came. */
  audio(): Buffer {
    return Buffer.concat(this.messages('media').map(({ media }) => Buffer.from(media.payload, 'base64')));
  }

  /** Code of the close frame that came; 1006 without one. */
  get closeCode(): number {
    const close = this.frames.find(({ opcode }) => opcode === OPCODE.close);
    return close && close.payload.length >= 2 ? close.payload.readUInt16BE(0) : 1006;
  }

  /** Resolves when the server has closed the connection (a close frame is answered); rejects after `withinMs`. */
  async end(withinMs = PATIENCE_MS): Promise<void> {
    const over = (): boolean => this.closed || this.frames.some(({ opcode }) => opcode === OPCODE.close);
    await this.until(over, 'the close', withinMs);
    this.tcp.destroy();
    await this.#ended;
  }

  /** Resolves as soon as `want` holds for what has come; rejects when nothing more can come, or after `withinMs`. */
  until(want: () => boolean, what = 'something', withinMs = PATIENCE_MS): Promise<void> {
    if (want()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => {
        clearTimeout(timer);
        reject(new Error(`${what} did not come${why}`));
      };
      const timer = setTimeout(() => fail(` within ${withinMs} ms`), withinMs);
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      this.#waiting.push({ want, done, fail: () => fail(' before the connection closed') });
      this.#check();
    });
  }

  destroy(): void {
    this.tcp.destroy();
  }

  #data(data: Buffer): void {
    this.#rest = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    if (this.status === 0) this.#head();
    if (this.status === 101) while (this.#frame());
    this.#check();
  }

  #check(): void {
    const met = this.#waiting.filter(({ want }) => want());
    this.#waiting = this.#waiting.filter(waiting => !met.includes(waiting));
    for (const { done } of met) done();
    if (!this.closed) return;
    for (const { fail } of this.#waiting.splice(0)) fail();
  }

  #head(): void {
    const end = this.#rest.indexOf('\r\n\r\n');
    if (end < 0) return;
    this.headers = this.#rest.subarray(0, end).toString();
    this.status = Number(this.headers.split(' ')[1]);
    this.#rest = this.#rest.subarray(end + 4);
  }

  #frame(): boolean {
    const bytes = this.#rest;
    if (bytes.length < 2) return false;
    const short = bytes[1]! & 0x7f;
    const at = short === 126 ? 4 : short === 127 ? 10 : 2;
    if (bytes.length < at) return false;
    const length = at === 2 ? short : at === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    if (bytes.length < at + length) return false;
    this.frames.push({ opcode: bytes[0]! & 15, payload: Buffer.from(bytes.subarray(at, at + length)) });
    this.#rest = bytes.subarray(at + length);
    return true;
  }
}
