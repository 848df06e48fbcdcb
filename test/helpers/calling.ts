/** A call whose handler does nothing: the test plays on its stream and compares with what the caller heard. */
import assert from 'node:assert/strict';
import {
  createDecoder,
  createEncoder,
  definePlugin,
  type Encoding,
  type Playback,
  type ServerOptions,
  type Stream,
} from '../../src/index.js';
import { type TestCall, testCall } from '../../src/testing/index.js';

export const RATES: Partial<Record<Encoding, number>> = { L16: 16000, PCMU: 8000, PCMA: 8000 };
/** Silence that fills a message up decodes to less than this, and what is played to more. */
export const LOUDER = 50;

const SILENCE = new Int16Array(100);

export interface Played {
  playback: Playback;
  /** As the caller hears them, if all are heard. */
  samples: number[];
}

export class Calling {
  readonly played: Played[] = [];
  readonly marks: { name: string; position: number; result: Promise<{ played: boolean }> }[] = [];
  readonly returned: { name: string; heardSamples: number }[] = [];
  readonly errors: unknown[] = [];
  #value = 0;

  private constructor(
    readonly call: TestCall,
    readonly encoding: Encoding,
    readonly rate: number,
  ) {}

  /** With `isMixed` a background that is not heard goes out all the time. */
  static async open(encoding: Encoding, server: ServerOptions = {}, isMixed = false): Promise<Calling> {
    let self: Calling | undefined;
    const plugin = definePlugin({
      name: 'quiet',
      audio: { sampleRate: RATES[encoding] ?? 16000 },
      onStart: () => ({
        onError: error => self!.errors.push(error),
        onMark: name => self!.returned.push({ name, heardSamples: self!.heard().length }),
      }),
    });
    const call = await testCall(plugin, {
      encoding,
      ...(RATES[encoding] && { sampleRate: RATES[encoding] }),
      server,
    });
    self = new Calling(call, encoding, RATES[encoding] ?? 16000);
    if (isMixed) call.stream.background(SILENCE);
    return self;
  }

  get stream(): Stream {
    return this.call.stream;
  }

  /** Samples that differ from those around them, so that a place is known by what it sounds like. */
  next(count: number): Int16Array {
    return Int16Array.from({ length: count }, () => {
      this.#value = (this.#value * 75 + 74) % 65537;
      return 1000 + (this.#value % 30000);
    });
  }

  encoded(pcm: Int16Array): Uint8Array {
    const encoder = createEncoder(this.encoding, { sampleRate: this.rate });
    const bytes = encoder.encode(pcm).slice();
    encoder.close();
    return bytes;
  }

  /** Encoded audio as the caller hears it. */
  decoded(bytes: Uint8Array): number[] {
    const decoder = createDecoder(this.encoding, { sampleRate: this.rate });
    const samples = [...decoder.decode(bytes)];
    decoder.close();
    return samples;
  }

  play({ ms, isEncoded, isAwaited }: { ms: number; isEncoded: boolean; isAwaited: boolean }): Played {
    const pcm = this.next((ms * this.rate) / 1000);
    const bytes = this.encoded(pcm);
    const playback = isEncoded ? this.stream.playEncoded(this.encoding, bytes) : this.stream.play(pcm);
    const played = { playback, samples: this.decoded(bytes) };
    this.played.push(played);
    if (isAwaited) void playback.then(() => {});
    return played;
  }

  mark(): void {
    const name = `m${this.marks.length}`;
    const position = this.played.reduce((sum, { samples }) => sum + samples.length, 0);
    this.marks.push({ name, position, result: this.stream.mark(name) });
  }

  /** What the caller has heard, without silence. */
  heard(): number[] {
    return [...this.call.heard().samples].filter(sample => Math.abs(sample) > LOUDER);
  }

  /** How much of what was played has been heard, in samples, as its playbacks say. */
  heardOf({ playback }: Played): number {
    const samples = (playback.playedMs * this.rate) / 1000;
    assert.ok(Math.abs(samples - Math.round(samples)) < 1e-3, `${samples} samples are not whole`);
    return Math.round(samples);
  }

  /** What the playbacks say that was heard. */
  told(): number[] {
    return this.played.flatMap(played => played.samples.slice(0, this.heardOf(played)));
  }

  get playedMs(): number {
    return this.played.reduce((sum, { playback }) => sum + playback.playedMs, 0);
  }
}
