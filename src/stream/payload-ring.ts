/** Payloads on their way through a decoder in the pool: what it gives back, it gives back in order. */

/** Jobs of one stream that a worker has not answered. More than that are told apart no longer: they have no payload. */
const JOBS = 256;
/** A second of OPUS at 64 kbit/s. */
const BYTES = 8192;
const NO_BYTES = new Uint8Array(0);

/** Holds copies of the payloads of pending jobs; allocates nothing for one. */
export class PayloadRing {
  readonly #bytes = new Uint8Array(BYTES);
  readonly #offsets = new Int32Array(JOBS);
  readonly #lengths = new Int32Array(JOBS);
  #first = 0; // the oldest pending job: jobs are counted up
  #next = 0;
  #end = 0; // where the last payload ends
  #shown = -1; // the job whose audio is being heard

  /** A job is sent: one with `payload`, or one that conceals. */
  push(payload: Uint8Array | undefined): void {
    const at = this.#next++ % JOBS;
    const length = payload?.length ?? 0;
    this.#lengths[at] = 0;
    if (payload === undefined || length > BYTES || this.#next - this.#first > JOBS) return;
    if (this.#end + length > BYTES) this.#end = 0;
    // An older payload that is overwritten has none any more.
    this.#forget(this.#end, this.#end + length);
    this.#offsets[at] = this.#end;
    this.#lengths[at] = length;
    this.#bytes.set(payload, this.#end);
    this.#end += length;
  }

  /** The job pushed last was refused. */
  pop(): void {
    this.#next--;
  }

  /** The oldest job has its audio, which is being heard. */
  shift(): void {
    this.#shown = this.#first++;
  }

  /** The audio has been heard, or its first part has. */
  heard(): void {
    this.#shown = -1;
  }

  /** The payload of what is being heard, valid until the next push(). */
  get payload(): Uint8Array {
    if (this.#shown < 0 || this.#next - this.#shown > JOBS) return NO_BYTES;
    const at = this.#shown % JOBS;
    return this.#bytes.subarray(this.#offsets[at]!, this.#offsets[at]! + this.#lengths[at]!);
  }

  #forget(from: number, to: number): void {
    for (let job = Math.max(this.#first, this.#next - JOBS); job < this.#next - 1; job++) {
      const at = job % JOBS;
      if (this.#offsets[at]! < to && this.#offsets[at]! + this.#lengths[at]! > from) this.#lengths[at] = 0;
    }
  }
}
