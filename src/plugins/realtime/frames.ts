/** Frames of a WebSocket as a client gets them: whole messages out of pieces of any length (RFC 6455, section 5). */

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** The server broke the protocol: the connection is closed with this code. */
export class CloseFault extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

export interface FrameOwner {
  /** A whole message, text or binary. Its memory is valid until this returns. */
  message(data: Buffer): void;
  ping(data: Buffer): void;
  /** Nothing that comes behind it is read. */
  close(data: Buffer): void;
}

/** A message is at most this long: far more than any event of a service. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

export class FrameReader {
  readonly #owner: FrameOwner;
  /** What has come of a frame that is not whole. */
  #rest: Buffer | undefined;
  /** More of it, and how many bytes there are in all. */
  #restPieces: Buffer[] = [];
  #restBytes = 0;
  /** How long that frame is, with its head; 0 where not even its head is whole. */
  #wanted = 0;
  #pieces: Buffer[] = [];
  #piecesBytes = 0;
  #inMessage = false;
  #over = false;

  constructor(owner: FrameOwner) {
    this.#owner = owner;
  }

  /**
   * More of what has come. What is kept of it is copied.
   * @throws CloseFault where it breaks the protocol
   */
  read(data: Buffer): void {
    let all = data;
    if (this.#rest) {
      // A long frame comes in many pieces: they are put together once.
      this.#restPieces.push(Buffer.from(data));
      this.#restBytes += data.length;
      if (this.#restBytes < this.#wanted) return;
      all = Buffer.concat([this.#rest, ...this.#restPieces]);
      this.#rest = undefined;
      this.#restPieces = [];
    }
    let at = 0;
    while (at < all.length && !this.#over) {
      const next = this.#frame(all, at);
      if (next < 0) {
        this.#rest = Buffer.from(all.subarray(at));
        this.#restBytes = this.#rest.length;
        return;
      }
      at = next;
    }
  }

  /** Takes the frame at `at`. Where it ends, or -1 where it is not whole. */
  #frame(all: Buffer, at: number): number {
    this.#wanted = 0;
    if (all.length - at < 2) return -1;
    const [first, second] = [all[at]!, all[at + 1]!];
    if (first & 0x70) throw new CloseFault(1002, 'the service uses an extension that was not agreed on');
    if (second & 0x80) throw new CloseFault(1002, 'the service masks its frames');
    let length = second;
    let from = at + 2;
    if (length === 126) {
      from += 2;
      if (all.length < from) return -1;
      length = all.readUInt16BE(at + 2);
    } else if (length === 127) {
      from += 8;
      if (all.length < from) return -1;
      length = Number(all.readBigUInt64BE(at + 2));
    }
    if (length > MESSAGE_BYTES_MAX)
      throw new CloseFault(1009, `the service sent a message of ${length} bytes`);
    this.#wanted = from - at + length;
    if (all.length < from + length) return -1;
    this.#take(first & 0x0f, (first & 0x80) !== 0, all.subarray(from, from + length));
    return from + length;
  }

  #take(opcode: number, isLast: boolean, data: Buffer): void {
    if (opcode >= 8) {
      if (!isLast || data.length > 125) throw new CloseFault(1002, 'the service divides a control frame');
      if (opcode === OPCODE.ping) this.#owner.ping(data);
      else if (opcode === OPCODE.close) {
        this.#over = true;
        this.#owner.close(data);
      } else if (opcode !== OPCODE.pong) throw new CloseFault(1002, `the service sent the opcode ${opcode}`);
      return;
    }
    if (opcode > 2) throw new CloseFault(1002, `the service sent the opcode ${opcode}`);
    const goesOn = opcode === OPCODE.continuation;
    if (goesOn !== this.#inMessage) throw new CloseFault(1002, 'the service mixes two messages');
    if (isLast && !goesOn) {
      this.#owner.message(data);
      return;
    }
    this.#inMessage = !isLast;
    this.#pieces.push(Buffer.from(data));
    this.#piecesBytes += data.length;
    if (this.#piecesBytes > MESSAGE_BYTES_MAX)
      throw new CloseFault(1009, 'the service sent a message that is too long');
    if (!isLast) return;
    const whole = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#piecesBytes = 0;
    this.#owner.message(whole);
  }
}
