/** One call through the engine in virtual time: what comes when, and what a handler hears when. */
import { Engine } from '../../src/media/engine.js';
import { INFO } from '../../src/native/addon.js';
import { resolveOptions } from '../../src/options/options.js';
import { playoutSettings } from '../../src/plugin/playout.js';
import { openSlot } from '../../src/reactor/slot.js';
import type { StreamSetup } from '../../src/stream/setup.js';
import type { StartFrame } from '../../src/telnyx/frames.js';
import type { Arrival } from './networks.js';

const RATE = 8000;
const FRAME = RATE / 50;
/** Every sample of frame n is LEVEL * (n + 1), so that what is heard says what it is. */
const LEVEL = 5;
export const FRAMES_MAX = Math.floor(32_767 / LEVEL) - 1;
const TICK_MS = 2;

export interface Heard {
  atMs: number;
  concealed: boolean;
  /** The frame that most of it is; -1 where it is none. */
  frame: number;
}

/** The message of each frame. They are read in place and can be used again. */
export function messages(frames: number): ArrayBuffer[] {
  return Array.from({ length: frames }, (_, frame) => {
    const payload = Buffer.from(new Int16Array(FRAME).fill(LEVEL * (frame + 1)).buffer).toString('base64');
    const text =
      `{"event":"media","sequence_number":"${frame + 2}","stream_id":"bench","media":{"track":"inbound",` +
      `"chunk":"${frame + 1}","timestamp":"${frame * FRAME}","payload":"${payload}"}}`;
    const bytes = new ArrayBuffer(text.length);
    new Uint8Array(bytes).set(Buffer.from(text));
    return bytes;
  });
}

export class Line {
  readonly heard: Heard[] = [];
  readonly #engine: Engine;
  readonly #slot: number;
  readonly #pcm = new Int16Array(FRAME * 8);
  #tickMs = 0;

  constructor(
    playout: boolean,
    private readonly notes = true,
  ) {
    const options = resolveOptions({ l16ByteOrder: 'le' });
    this.#engine = new Engine(options);
    const format = { encoding: 'L16', sampleRate: RATE } as const;
    // What the engine is told; a stream is told more.
    const open: Partial<StreamSetup> = {
      start: { stream_id: 'bench', sequence_number: '1' } as StartFrame,
      inbound: format,
      outbound: format,
      handlerRate: RATE,
      tracks: ['inbound'],
      liveLatencyMaxMs: 0,
      voice: undefined,
      inbandKeys: false,
      playout: playoutSettings(playout),
    };
    this.#slot = openSlot(this.#engine, options, open as StreamSetup);
    this.#engine.native.setFrameBuffer(this.#slot, 0, this.#pcm);
  }

  /** Ticks as the reactor does. */
  runTo(ms: number): void {
    for (; this.#tickMs <= ms; this.#tickMs += TICK_MS) {
      const native = this.#engine.at(this.#tickMs);
      native.tick();
      const gaps = this.#engine.info[INFO.gapCount]!;
      for (let i = 0; i < gaps; i++) this.#deliver(native.next(this.#slot, 0), this.#tickMs);
    }
  }

  receive(message: ArrayBuffer, atMs: number): void {
    this.#deliver(this.#engine.at(atMs).receive(this.#slot, message), atMs);
  }

  counters(): Record<string, number> {
    return this.#engine.counters();
  }

  close(): void {
    this.#engine.native.destroy();
  }

  #deliver(first: number, atMs: number): void {
    let samples = first;
    for (;;) {
      const more = this.#engine.info[INFO.more] === 1;
      if (samples > 0 && this.notes) this.#note(samples, atMs);
      if (!more) return;
      samples = this.#engine.at(atMs).next(this.#slot, 0);
    }
  }

  #note(samples: number, atMs: number): void {
    const concealed = this.#engine.info[INFO.concealed] === 1;
    const pcm = this.#pcm.subarray(0, samples);
    const middle = pcm.slice().sort()[samples >> 1]!;
    const same = pcm.reduce((count, sample) => count + (sample === middle ? 1 : 0), 0);
    const isOne = !concealed && same * 2 > samples && middle > 0 && middle % LEVEL === 0;
    this.heard.push({ atMs, concealed, frame: isOne ? middle / LEVEL - 1 : -1 });
  }
}

/** A whole call. */
export function run(playout: boolean, arrivals: readonly Arrival[], media: readonly ArrayBuffer[]): Line {
  const line = new Line(playout);
  for (const { frame, atMs } of arrivals) {
    line.runTo(atMs);
    line.receive(media[frame]!, atMs);
  }
  line.runTo(arrivals.at(-1)!.atMs + 20);
  return line;
}
