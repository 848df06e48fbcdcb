/** Spread of a set of times, in ms. */
export interface Latencies {
  /** How many were measured. */
  count: number;
  /** In ms, as all that follow. */
  p50: number;
  /** 95th percentile. */
  p95: number;
  /** 99th percentile. */
  p99: number;
  /** The longest. */
  max: number;
}

/** Nearest-rank percentiles of `values`; undefined where there is none. */
export function latencies(values: readonly number[]): Latencies | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const rank = (p: number): number => sorted[Math.ceil(sorted.length * p) - 1]!;
  return { count: sorted.length, p50: rank(0.5), p95: rank(0.95), p99: rank(0.99), max: sorted.at(-1)! };
}

interface SentFrame {
  payload: Uint8Array;
  sentMs: number | undefined;
}

/** How far ahead of the last match an echo is looked for, in frames: 5 s at 20 ms. */
const SEARCH_FRAMES = 250;
/** G.711, table 2b: both decode to 0. */
const MU_LAW_ZERO = 0xff;
const MU_LAW_NEGATIVE_ZERO = 0x7f;

/**
 * Recognises the caller's own payloads in what comes back, byte for byte and in order, and measures how long each was
 * away. The two codes that µ-law has for 0 count as the same, because decoding and encoding makes one of both. A message
 * of several frames is taken apart where it divides evenly. Frames with the same bytes (digital silence) cannot be told
 * apart: the earliest that is still missing is taken.
 */
export class EchoMatcher {
  /** From sending a frame to the arrival of its echo, in ms. */
  readonly arrivalMs: number[] = [];
  /** From sending a frame to its echo being heard, in ms: the arrival and the playback queue. */
  readonly heardMs: number[] = [];
  readonly #sent: SentFrame[] = [];
  readonly #isMuLaw: boolean;
  #next = 0;

  /** `isMuLaw`: the payloads of both directions are µ-law. */
  constructor(isMuLaw: boolean) {
    this.#isMuLaw = isMuLaw;
  }

  /** A frame in the caller's order; gives the number by which `left` knows it. */
  add(payload: Uint8Array): number {
    return this.#sent.push({ payload: this.#comparable(payload), sentMs: undefined }) - 1;
  }

  /** The frame has left. False where it has left before, because it was duplicated. */
  left(frame: number, nowMs: number): boolean {
    const sent = this.#sent[frame]!;
    if (sent.sentMs !== undefined) return false;
    sent.sentMs = nowMs;
    return true;
  }

  /** Audio that arrives now and begins to be heard at `heardAtMs`. */
  came(payload: Uint8Array, durationMs: number, nowMs: number, heardAtMs: number): void {
    const frameBytes = this.#sent[0]?.payload.length ?? 0;
    const comparable = this.#comparable(payload);
    const divides = frameBytes > 0 && payload.length % frameBytes === 0;
    const parts = divides ? payload.length / frameBytes : 1;
    const partBytes = payload.length / parts;
    for (let i = 0; i < parts; i++) {
      const part = comparable.subarray(i * partBytes, (i + 1) * partBytes);
      const sentMs = this.#match(part, nowMs);
      if (sentMs === undefined) continue;
      this.arrivalMs.push(nowMs - sentMs);
      this.heardMs.push(heardAtMs + (i * durationMs) / parts - sentMs);
    }
  }

  #comparable(payload: Uint8Array): Uint8Array {
    if (!this.#isMuLaw || !payload.includes(MU_LAW_NEGATIVE_ZERO)) return payload;
    return payload.map(code => (code === MU_LAW_NEGATIVE_ZERO ? MU_LAW_ZERO : code));
  }

  #match(part: Uint8Array, nowMs: number): number | undefined {
    const end = Math.min(this.#sent.length, this.#next + SEARCH_FRAMES);
    for (let i = this.#next; i < end; i++) {
      const { payload, sentMs } = this.#sent[i]!;
      if (sentMs === undefined || sentMs > nowMs || Buffer.compare(payload, part) !== 0) continue;
      this.#next = i + 1;
      return sentMs;
    }
    return undefined;
  }
}
