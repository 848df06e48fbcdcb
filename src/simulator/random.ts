/**
 * Small seeded generator (sfc32): the same seed gives the same numbers on every machine, so a simulated call can be
 * replayed. Not for secrets.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** @param seed any integer; its low 32 bits count. */
  constructor(readonly seed: number) {
    this.#a = seed >>> 0;
    this.#b = 0x9e3779b9;
    this.#c = 0x243f6a88;
    for (let i = 0; i < 16; i++) this.uint32();
  }

  /** A whole number from 0 to 2^32 - 1. */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter++) >>> 0;
    this.#a = (this.#b ^ (this.#b >>> 9)) >>> 0;
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) >>> 0;
    return sum;
  }

  /** From 0 (included) to 1 (excluded). */
  float(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** A whole number from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor(this.float() * limit);
  }

  /**
   * A generator of its own for one purpose. Drawing from it does not change any other generator. So one part of a
   * simulation cannot change what another part draws.
   */
  fork(purpose: string): Random {
    let hash = 0x811c9dc5 ^ this.seed;
    for (let i = 0; i < purpose.length; i++) hash = Math.imul(hash ^ purpose.charCodeAt(i), 0x01000193);
    return new Random(hash >>> 0);
  }

  /** A version 4 UUID (RFC 9562, section 5.4). */
  uuid(): string {
    const bytes = Uint8Array.from({ length: 16 }, () => this.below(256));
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const hex = Buffer.from(bytes).toString('hex');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  }

  /** `length` characters of A-Z, a-z and 0-9. */
  token(length: number): string {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
    return Array.from({ length }, () => alphabet[this.below(alphabet.length)]).join('');
  }
}
