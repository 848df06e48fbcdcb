/**
 * The client's end of one WebSocket (RFC 6455), for many connections with small messages: audio leaves with that of the other
 * connections, and what comes is read into memory that all connections of a thread share.
 */
import { createHash, randomBytes } from 'node:crypto';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { CloseFault, FrameReader, OPCODE } from './frames.js';
import { clientFrame, type Destination, postAudio, sendPosted } from './outbox.js';

export interface ServiceSocketOwner {
  /** A connection without a session is no use: nothing may be sent before. */
  opened(): void;
  /** A whole message. Its memory is valid until this returns. */
  message(data: Buffer): void;
  /** The end, once. `status`: of the HTTP response, where the upgrade was refused. */
  closed(why: string, status?: number): void;
}

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const HEAD_BYTES_MAX = 16 * 1024;
/** What is read at a time. One memory serves all connections, because what is in it is used before the next read. */
const READ_BYTES = 64 * 1024;
const shared = Buffer.allocUnsafeSlow(READ_BYTES);

/** What Node.js keeps behind a socket. It is no public interface: without it everything goes through the stream. */
interface WithHandle {
  _handle?: { readonly fd?: number } | null;
}

export class ServiceSocket implements Destination {
  readonly #socket: Socket;
  readonly #isTls: boolean;
  readonly #owner: ServiceSocketOwner;
  readonly #key = randomBytes(16).toString('base64');
  readonly #frames: FrameReader;
  #head = '';
  #open = false;
  #over = false;

  /** @param url ws: or wss:, whole */
  constructor(url: string, headers: Readonly<Record<string, string>>, owner: ServiceSocketOwner) {
    this.#owner = owner;
    this.#frames = new FrameReader({
      message: data => owner.message(data),
      ping: data => this.#write(OPCODE.pong, data),
      close: data => this.#closedBy(data),
    });
    const { protocol, hostname, port } = new URL(url);
    const isTls = protocol === 'wss:';
    this.#isTls = isTls;
    const host = hostname.replace(/^\[|\]$/g, '');
    const address = { host, port: Number(port) || (isTls ? 443 : 80) };
    this.#socket = isTls
      ? connectTls({ ...address, ...(isIP(host) === 0 && { servername: host }), ALPNProtocols: ['http/1.1'] })
      : connectTcp({
          ...address,
          onread: {
            buffer: shared,
            callback: (bytes, buffer) => {
              this.#read((buffer as Buffer).subarray(0, bytes));
              return true;
            },
          },
        });
    // A net.Socket with `onread` has no such events.
    this.#socket.on('data', (data: Buffer) => this.#read(data));
    this.#socket.setNoDelay(true);
    this.#socket.once(isTls ? 'secureConnect' : 'connect', () =>
      this.#socket.write(this.#request(url, headers)),
    );
    this.#socket.on('error', error => this.#end(error.message));
    this.#socket.on('close', () => this.#end('the service closed the connection without a word'));
  }

  get open(): boolean {
    return this.#open && !this.#over;
  }

  /** What waits to be written, in bytes. */
  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Sends text. */
  send(message: string): void {
    if (this.open) this.#write(OPCODE.text, Buffer.from(message));
  }

  /** Sends the caller's audio. It belongs to the caller of this again when this returns. */
  sendAudio(audio: Uint8Array): void {
    if (this.open) postAudio(this, audio);
  }

  get writableDescriptor(): number {
    if (this.#isTls || this.#over || this.#socket.writableLength > 0) return -1;
    return (this.#socket as WithHandle)._handle?.fd ?? -1;
  }

  write(bytes: Buffer): void {
    if (!this.#socket.destroyed && this.#socket.writable) this.#socket.write(bytes);
  }

  /** Says goodbye; what comes after it is not read. `gone` is called when the connection is. */
  close(gone: () => void): void {
    if (this.open) this.#write(OPCODE.close, Buffer.from([0x03, 0xe8]));
    this.#over = true;
    this.#socket.once('close', gone);
    this.#socket.end();
  }

  /** Breaks the connection. */
  destroy(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  #request(url: string, headers: Readonly<Record<string, string>>): string {
    const { host, pathname, search } = new URL(url);
    const lines = Object.entries({
      host,
      upgrade: 'websocket',
      connection: 'Upgrade',
      'sec-websocket-key': this.#key,
      'sec-websocket-version': '13',
      ...headers,
    }).map(([name, value]) => `${name}: ${value}\r\n`);
    return `GET ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`;
  }

  #read(data: Buffer): void {
    if (this.#over) return;
    try {
      if (this.#open) this.#frames.read(data);
      else this.#readHead(data);
    } catch (error) {
      if (!(error instanceof CloseFault)) throw error;
      this.#write(OPCODE.close, Buffer.from([error.code >> 8, error.code & 0xff]));
      this.#end(error.message);
      this.#socket.destroy();
    }
  }

  #readHead(data: Buffer): void {
    const before = this.#head.length;
    this.#head += data.toString('latin1');
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) {
      if (this.#head.length > HEAD_BYTES_MAX) this.#refused('its answer to the upgrade is too long');
      return;
    }
    const [first = '', ...lines] = this.#head.slice(0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1]);
    const accept = createHash('sha1')
      .update(this.#key + GUID)
      .digest('base64');
    const isAccepted = lines.some(line => /^sec-websocket-accept:\s*(.*?)\s*$/i.exec(line)?.[1] === accept);
    if (status !== 101)
      this.#refused(`the service refused the connection with ${status || first.slice(0, 40)}`, status);
    else if (!isAccepted) this.#refused('its answer to the upgrade is not that of a WebSocket');
    else {
      this.#open = true;
      this.#head = '';
      this.#owner.opened();
      if (!this.#over) this.#frames.read(data.subarray(end + 4 - before));
    }
  }

  #refused(why: string, status?: number): void {
    this.#end(why, status || undefined);
    this.#socket.destroy();
  }

  #closedBy(data: Buffer): void {
    const code = data.length >= 2 ? data.readUInt16BE(0) : 1005;
    const reason = data.toString('utf8', 2, 122);
    this.#write(OPCODE.close, data.subarray(0, 2));
    this.#end(`the service closed the connection (${code}${reason && `, ${reason}`})`);
    this.#socket.end();
  }

  #end(why: string, status?: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.closed(why, status);
  }

  #write(opcode: number, data: Buffer): void {
    sendPosted();
    this.write(clientFrame(opcode, data));
  }
}
