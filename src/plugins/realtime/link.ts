/** The WebSocket to the service: connected again where it is lost, with the caller's audio kept meanwhile. */
import { type RawData, WebSocket } from 'ws';
import type { Clock } from '../../clock.js';

/** Why there is no connection (any more). */
export interface LinkFault {
  /** In words, without secrets. */
  why: string;
  /** HTTP status of a refused upgrade. */
  status?: number;
  /** Trying again makes no sense. */
  final: boolean;
}

export interface LinkSettings {
  url: string;
  headers: Readonly<Record<string, string>>;
  clock: Clock;
  /** From the first try to connect until the service has taken the session's settings, in ms. */
  connectTimeoutMs: number;
  /** Pauses before a new try, in ms: as many as there are tries after the first. */
  retryPausesMs: readonly number[];
  /** The caller's audio that is kept while there is no session, in messages. */
  queueMax: number;
}

export interface LinkOwner {
  /** The socket is open: what sets up the session goes first. */
  opened(): void;
  message(data: Buffer): void;
  /** The session is lost, and a new one is under way. */
  lost(fault: LinkFault): void;
  /** There will be no session any more. */
  gave(fault: LinkFault): void;
}

/** Refusals that are the same at every try: a wrong key, a wrong address, a wrong request. */
const FINAL_STATUS: readonly number[] = [400, 401, 403, 404, 405];
/** A service that reads slower than this many bytes wait for is given no more audio until it has read them. */
const BUFFERED_BYTES_MAX = 256 * 1024;
const AS_TEXT = { binary: false };
const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024;

export class Link {
  readonly #settings: LinkSettings;
  readonly #owner: LinkOwner;
  #socket: WebSocket | undefined;
  #ready = false;
  #closed = false;
  #tries = 0;
  #cancelTimer: () => void = () => {};
  #audio: Buffer[] = [];
  #status: number | undefined;
  /** Messages of audio that found no room. */
  dropped = 0;

  constructor(settings: LinkSettings, owner: LinkOwner) {
    this.#settings = settings;
    this.#owner = owner;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Messages of audio that wait. */
  get waiting(): number {
    return this.#audio.length;
  }

  connect(): void {
    if (this.#closed) return;
    const { url, headers, clock, connectTimeoutMs } = this.#settings;
    const socket = new WebSocket(url, {
      headers,
      perMessageDeflate: false,
      skipUTF8Validation: true,
      handshakeTimeout: connectTimeoutMs,
      maxPayload: PAYLOAD_BYTES_MAX,
    });
    this.#socket = socket;
    this.#status = undefined;
    let why = '';
    this.#cancelTimer = clock.after(connectTimeoutMs, () => {
      why = `no session after ${connectTimeoutMs} ms`;
      socket.terminate();
    });
    socket.on('open', () => {
      if (this.#socket === socket) this.#owner.opened();
    });
    socket.on('message', (data: RawData) => {
      if (this.#socket === socket) this.#owner.message(data as Buffer);
    });
    socket.on('unexpected-response', (request, response) => {
      this.#status = response.statusCode;
      why = `the service refused the connection with ${response.statusCode}`;
      request.destroy();
      this.#down(socket, why);
    });
    socket.on('error', error => {
      why ||= error.message;
    });
    socket.on('close', (code, reason) => {
      const text = reason.toString().slice(0, 120);
      this.#down(socket, why || `the service closed the connection (${code}${text && `, ${text}`})`);
    });
  }

  /** The session is set up: audio goes out from here on, what waits first. */
  begin(): void {
    this.#cancelTimer();
    this.#ready = true;
    this.#tries = 0;
    this.flush();
  }

  /** Sends an event; nothing without a session or its socket. */
  send(text: string): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  /**
   * Sends the caller's audio, or keeps it until there is a session: the oldest is dropped where there is no room. The
   * message is the caller's again when this returns.
   */
  sendAudio(message: Buffer): void {
    if (this.#ready && this.#audio.length === 0 && this.#socket!.bufferedAmount < BUFFERED_BYTES_MAX) {
      // From memory that is not its own `ws` makes one masked copy, header and all: one write.
      this.#socket!.send(message, AS_TEXT);
      return;
    }
    this.#audio.push(Buffer.from(message));
    if (this.#audio.length > this.#settings.queueMax) {
      this.#audio.shift();
      this.dropped++;
    }
    this.flush();
  }

  /** Sends what waits, as far as the service reads it. */
  flush(): void {
    if (!this.#ready) return;
    let sent = 0;
    while (sent < this.#audio.length && this.#socket!.bufferedAmount < BUFFERED_BYTES_MAX) {
      this.#socket!.send(this.#audio[sent++]!, AS_TEXT);
    }
    if (sent > 0) this.#audio.splice(0, sent);
  }

  /** Gives the session up and tries to get another. */
  reset(why: string): void {
    const socket = this.#socket;
    if (!socket) return;
    this.#down(socket, why);
    socket.terminate();
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
    const socket = this.#socket;
    this.#socket = undefined;
    this.#ready = false;
    this.#audio = [];
    if (!socket) return;
    // Closing a socket that is still connecting is an error, of which nobody needs to know.
    socket.on('error', () => {});
    socket.close(1000);
    // A service that does not answer the close must not keep the socket.
    this.#settings.clock.after(2000, () => socket.terminate());
  }

  #down(socket: WebSocket, why: string): void {
    if (this.#socket !== socket || this.#closed) return;
    this.#cancelTimer();
    this.#socket = undefined;
    this.#ready = false;
    const { retryPausesMs, clock } = this.#settings;
    const status = this.#status;
    const isFinal = status !== undefined && FINAL_STATUS.includes(status);
    const pauseMs = retryPausesMs[this.#tries++];
    const fault: LinkFault = {
      why,
      ...(status !== undefined && { status }),
      final: isFinal || pauseMs === undefined,
    };
    if (fault.final) {
      this.#owner.gave(fault);
      return;
    }
    this.#cancelTimer = clock.after(pauseMs!, () => this.connect());
    this.#owner.lost(fault);
  }
}
