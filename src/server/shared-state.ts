/**
 * State that all threads of a server share: how many connections each reactor has, which reactors live, whether to
 * stop. The addon's watch over threads (native/binding/supervision.cpp) reads and writes it too.
 */
export class SharedState {
  readonly memory: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly #reactors: readonly ReactorState[];

  constructor(
    private readonly streamsMax: number,
    reactors: number,
    memory?: SharedArrayBuffer,
  ) {
    this.memory = memory ?? new SharedArrayBuffer((PROCESS_WORDS + reactors * REACTOR_WORDS) * 4);
    this.words = new Int32Array(this.memory);
    this.#reactors = Array.from(
      { length: reactors },
      (_, index) => new ReactorState(this.words, PROCESS_WORDS + index * REACTOR_WORDS),
    );
  }

  reactor(index: number): ReactorState {
    return this.#reactors[index]!;
  }

  get connectionCount(): number {
    let sum = 0;
    for (const reactor of this.#reactors) sum += reactor.connectionCount;
    return sum;
  }

  get streamCount(): number {
    let sum = 0;
    for (const reactor of this.#reactors) sum += reactor.streamCount;
    return sum;
  }

  /** The port of the streams, once it is known. */
  set port(port: number) {
    Atomics.store(this.words, PROCESS_PLACES.port, port);
  }

  get port(): number {
    return Atomics.load(this.words, PROCESS_PLACES.port);
  }

  /** From now on no reactor takes a connection. */
  drain(): void {
    Atomics.store(this.words, PROCESS_PLACES.draining, 1);
  }

  get draining(): boolean {
    return Atomics.load(this.words, PROCESS_PLACES.draining) === 1;
  }

  /** The server no longer waits for running calls. */
  closeNow(): void {
    Atomics.store(this.words, PROCESS_PLACES.closingNow, 1);
  }

  /** The main thread's event loop turns. */
  beat(): void {
    Atomics.add(this.words, PROCESS_PLACES.beat, 1);
  }

  /** Whether another connection may come. */
  admits(): boolean {
    return !this.draining && this.connectionCount < this.streamsMax;
  }
}

/** One reactor's part of the shared memory. */
export class ReactorState {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#at = at;
  }

  /** A connection came (+1) or went (-1). */
  connections(change: number): void {
    Atomics.add(this.#words, this.#at + CONNECTIONS, change);
  }

  get connectionCount(): number {
    return Atomics.load(this.#words, this.#at + CONNECTIONS);
  }

  /** A stream started (+1) or ended (-1). */
  streams(change: number): void {
    Atomics.add(this.#words, this.#at + STREAMS, change);
  }

  get streamCount(): number {
    return Atomics.load(this.#words, this.#at + STREAMS);
  }

  /** The reactor's event loop turns. */
  beat(): void {
    Atomics.add(this.#words, this.#at + BEAT, 1);
  }

  /** Another number after every beat. */
  get beats(): number {
    return Atomics.load(this.#words, this.#at + BEAT);
  }

  /** It has room for no more streams. */
  set overloaded(isOverloaded: boolean) {
    Atomics.store(this.#words, this.#at + OVERLOADED, Number(isOverloaded));
  }

  get overloaded(): boolean {
    return Atomics.load(this.#words, this.#at + OVERLOADED) === 1;
  }

  /** Share of its thread's time that is used, 0 to 1. */
  set busy(share: number) {
    Atomics.store(this.#words, this.#at + BUSY, Math.round(share * BUSY_UNIT));
  }

  get busy(): number {
    return Atomics.load(this.#words, this.#at + BUSY) / BUSY_UNIT;
  }

  /** Its thread is about to end, and waits until no more connections are dealt to it. */
  get ending(): boolean {
    return Atomics.load(this.#words, this.#at + ENDING) === 1;
  }

  /** No more connections are dealt to it. */
  undealt(): void {
    Atomics.store(this.#words, this.#at + UNDEALT, 1);
  }

  /** Clears the words for a new thread: the old one took its connections with it. */
  reset(): void {
    for (let word = 0; word < REACTOR_WORDS; word++) Atomics.store(this.#words, this.#at + word, 0);
  }

  /** Where the addon finds what it needs for the end of this reactor's thread. */
  get places(): { ending: number; undealt: number; port: number } {
    return { ending: this.#at + ENDING, undealt: this.#at + UNDEALT, port: PROCESS_PLACES.port };
  }
}

/** Words for the whole process, by their index. */
export const PROCESS_PLACES = { draining: 0, closingNow: 1, beat: 2, port: 3 } as const;
const PROCESS_WORDS = 4;
// Words of a reactor, from its first one:
const CONNECTIONS = 0;
const STREAMS = 1;
const BEAT = 2;
const ENDING = 3;
const UNDEALT = 4;
const OVERLOADED = 5;
const BUSY = 6;
const REACTOR_WORDS = 7;
/** `busy` is kept in thousandths. */
const BUSY_UNIT = 1000;
