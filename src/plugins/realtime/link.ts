/** The WebSocket to the service: connected again where it is lost, with the caller's audio kept meanwhile. */
import type { Clock } from '../../clock.js';
import { ServiceSocket } from './socket.js';

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
  /** The caller's audio that is kept while there is no session, in pieces. */
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
const CLOSE_MS_MAX = 2000;

export class Link {
  readonly #settings: LinkSettings;
  readonly #owner: LinkOwner;
  #socket: ServiceSocket | undefined;
  #ready = false;
  #closed = false;
  #tries = 0;
  #cancelTimer: () => void = () => {};
  #audio: Uint8Array[] = [];
  /** Pieces of audio that found no room. */
  dropped = 0;

  constructor(settings: LinkSettings, owner: LinkOwner) {
    this.#settings = settings;
    this.#owner = owner;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Pieces of audio that wait. */
  get waiting(): number {
    return this.#audio.length;
  }

  connect(): void {
    if (this.#closed) return;
    const { url, headers, clock, connectTimeoutMs } = this.#settings;
    const socket = new ServiceSocket(url, headers, {
      opened: () => {
        if (this.#socket === socket) this.#owner.opened();
      },
      message: data => {
        if (this.#socket === socket) this.#owner.message(data);
      },
      closed: (why, status) => this.#down(socket, why, status),
    });
    this.#socket = socket;
    this.#cancelTimer = clock.after(connectTimeoutMs, () =>
      this.reset(`no session after ${connectTimeoutMs} ms`),
    );
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
    this.#socket?.send(text);
  }

  /**
   * Sends a piece of the caller's audio, or keeps it until there is a session: the oldest is dropped where there is no room.
   * The memory is the caller's again when this returns.
   */
  sendAudio(audio: Uint8Array): void {
    if (this.#ready && this.#audio.length === 0 && this.#socket!.bufferedBytes < BUFFERED_BYTES_MAX) {
      this.#socket!.sendAudio(audio);
      return;
    }
    this.#audio.push(audio.slice());
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
    while (sent < this.#audio.length && this.#socket!.bufferedBytes < BUFFERED_BYTES_MAX) {
      this.#socket!.sendAudio(this.#audio[sent++]!);
    }
    if (sent > 0) this.#audio.splice(0, sent);
  }

  /** Gives the session up and tries to get another. */
  reset(why: string): void {
    const socket = this.#socket;
    if (!socket) return;
    this.#down(socket, why);
    socket.destroy();
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
    const socket = this.#socket;
    this.#socket = undefined;
    this.#ready = false;
    this.#audio = [];
    if (!socket) return;
    // A service that does not answer the close must not keep the socket.
    const cancel = this.#settings.clock.after(CLOSE_MS_MAX, () => socket.destroy());
    socket.close(cancel);
  }

  #down(socket: ServiceSocket, why: string, status?: number): void {
    if (this.#socket !== socket || this.#closed) return;
    this.#cancelTimer();
    this.#socket = undefined;
    this.#ready = false;
    const { retryPausesMs, clock } = this.#settings;
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
