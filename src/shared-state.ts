/** What all lanes of a server must agree on, in memory that their threads share: how many there are, whether to stop. */
export class SharedState {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(
    private readonly streamsMax: number,
    memory?: SharedArrayBuffer,
  ) {
    this.memory = memory ?? new SharedArrayBuffer(8);
    this.#words = new Int32Array(this.memory);
  }

  /** A connection came (+1) or went (-1). */
  connections(change: number): void {
    Atomics.add(this.#words, CONNECTIONS, change);
  }

  get count(): number {
    return Atomics.load(this.#words, CONNECTIONS);
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
    return !this.draining && this.count < this.streamsMax;
  }
}

const CONNECTIONS = 0;
const DRAINING = 1;
