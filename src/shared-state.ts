/** What all lanes of a server must agree on, in memory that their threads share: how many there are, whether to stop. */
export class SharedState {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(
    private readonly streamsMax: number,
    memory?: SharedArrayBuffer,
  ) {
    this.memory = memory ?? new SharedArrayBuffer(WORDS * 4);
    this.#words = new Int32Array(this.memory);
  }

  /** A connection came (+1) or went (-1). */
  connections(change: number): void {
    Atomics.add(this.#words, CONNECTIONS, change);
  }

  get connectionCount(): number {
    return Atomics.load(this.#words, CONNECTIONS);
  }

  /** A stream started (+1) or ended (-1). */
  streams(change: number): void {
    Atomics.add(this.#words, STREAMS, change);
  }

  get streamCount(): number {
    return Atomics.load(this.#words, STREAMS);
  }

  /** From now on no lane takes a connection. */
  drain(): void {
    Atomics.store(this.#words, DRAINING, 1);
  }

  get draining(): boolean {
    return Atomics.load(this.#words, DRAINING) === 1;
  }

  /** Whether another connection may come. */
  admits(): boolean {
    return !this.draining && this.connectionCount < this.streamsMax;
  }
}

const CONNECTIONS = 0;
const DRAINING = 1;
const STREAMS = 2;
const WORDS = 3;
