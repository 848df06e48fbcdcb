/** The codecs of one stream that run in the pool, and the way of their audio there and back. */

import type { OpusRate } from '../codecs/opus.js';
import type { PoolEncoding } from '../codecs/types.js';
import { CODECS, type Encoding, type Format, type OutboundOptions } from '../formats.js';
import type { StreamHost } from '../media/host.js';
import { NEEDS_ROOM, SLICE_MS } from '../native/addon.js';
import type { ReactorOptions } from '../options/options.js';
import type { PoolCodec } from '../pool/pool.js';
import type { PoolDecoder, PoolEncoder } from '../pool/streams.js';
import { PayloadRing } from './payload-ring.js';

export interface PooledStream {
  host: StreamHost;
  slot: number;
  inbound: Format;
  outbound: Format;
  /** Engine numbers of the tracks that are heard. */
  tracks: readonly number[];
  /** `samples` of a frame lie in the track's frame buffer. */
  hear(track: number, samples: number): void;
  /** The track's next frame is longer than its frame buffer. */
  makeRoom(track: number): void;
  /** A payload that is none, or a worker that died: the audio was concealed. */
  report(error: Error): void;
}

export function inPool(encoding: Encoding): encoding is PoolEncoding {
  return CODECS[encoding].runsIn === 'pool';
}

/** Longest piece of PCM that the engine takes at once. */
function sliceSamples({ encoding, sampleRate }: Format): number {
  const sliceMs = encoding === 'OPUS' ? SLICE_MS.opus : SLICE_MS.other;
  return (CODECS[encoding].sampleRate(sampleRate) * sliceMs) / 1000;
}

export class PooledCodecs {
  readonly #stream: PooledStream;
  readonly #decoders: (PoolDecoder | undefined)[] = [undefined, undefined];
  readonly #encoder: PoolEncoder | undefined;
  readonly #pcm: Int16Array; // one frame on its way to the encoder
  readonly #payloads: (PayloadRing | undefined)[] = [undefined, undefined];

  /** @throws SidetoneError SIDETONE_CODEC_UNAVAILABLE, SIDETONE_POOL_FULL, SIDETONE_QUEUE_FULL */
  constructor(stream: PooledStream) {
    this.#stream = stream;
    try {
      this.#openDecoders();
      this.#encoder = this.#openEncoder();
    } catch (error) {
      this.close();
      throw error;
    }
    this.#pcm = new Int16Array(this.#encoder?.frameSamples ?? 0);
  }

  #openDecoders(): void {
    const { host, inbound, tracks } = this.#stream;
    if (!inPool(inbound.encoding)) return;
    for (const track of tracks) {
      this.#payloads[track] = new PayloadRing();
      this.#decoders[track] = host.pool.openDecoder(inbound.encoding, decoderOptions(inbound), {
        onPcm: (pcm, concealed) => this.#decoded(track, pcm, concealed),
        onError: error => this.#stream.report(error),
      });
    }
  }

  #openEncoder(): PoolEncoder | undefined {
    const { host, outbound, slot } = this.#stream;
    if (!inPool(outbound.encoding)) return undefined;
    return host.pool.openEncoder(outbound.encoding, encoderOptions(outbound, host.options), {
      onPacket: packet => {
        host.path.engine.native.enqueuePacket(slot, packet);
        host.path.wake();
      },
      onError: (error, frames) => {
        host.path.engine.native.packetsLost(slot, frames);
        this.#stream.report(error);
      },
    });
  }

  /** The payload that the engine has laid out goes to its decoder. */
  decode(track: number): void {
    const { host } = this.#stream;
    const payload = host.path.engine.pooledPayload();
    this.#payloads[track]!.push(payload);
    if (this.#decoders[track]!.decode(payload)) return;
    this.#payloads[track]!.pop();
    host.count('poolRefused');
  }

  /** `frames` of 20 ms never came. */
  conceal(track: number, frames: number): void {
    for (let i = 0; i < frames; i++) {
      this.#payloads[track]!.push(undefined);
      if (this.#decoders[track]!.conceal()) continue;
      this.#payloads[track]!.pop();
      this.#stream.host.count('poolRefused');
    }
  }

  /** The payload of the frame of `track` that is being heard; undefined where it came through no decoder in the pool. */
  payloadOf(track: number): Uint8Array | undefined {
    return this.#payloads[track]?.payload;
  }

  /** What the engine wants encoded now goes to the encoder. */
  encode(): void {
    if (!this.#encoder) return;
    const { host, slot } = this.#stream;
    const { native } = host.path.engine;
    const now = host.clock.now();
    while (host.path.engine.at(now).takePcm(slot, this.#pcm) > 0) {
      if (this.#encoder.encode(this.#pcm)) continue;
      host.count('poolRefused');
      native.packetsLost(slot, 1);
    }
  }

  close(): void {
    for (const decoder of this.#decoders) decoder?.close();
    this.#encoder?.close();
  }

  #decoded(track: number, pcm: Int16Array, concealed: boolean): void {
    const { host, slot, inbound } = this.#stream;
    const longest = sliceSamples(inbound);
    const payloads = this.#payloads[track]!;
    payloads.shift();
    if (concealed && host.options.concealment === 'silence') pcm.fill(0);
    for (let at = 0; at < pcm.length; at += longest) {
      const slice = pcm.length <= longest ? pcm : pcm.subarray(at, at + longest);
      let samples = host.path.engine.at(host.clock.now()).deliverPcm(slot, track, slice, concealed);
      if (samples === NEEDS_ROOM) {
        this.#stream.makeRoom(track);
        samples = host.path.engine.native.deliverPcm(slot, track, slice, concealed);
      }
      if (samples > 0) this.#stream.hear(track, samples);
      payloads.heard();
    }
    host.path.wake();
  }
}

function encoderOptions(format: Format, { opus, amrwb }: ReactorOptions): PoolCodec['encoder'] {
  return format.encoding === 'OPUS' ? { ...opus, ...decoderOptions(format) } : { ...amrwb };
}

/** The pool's codecs of which the configuration says that they will be used; with `poolWarm` at least OPUS at 16 kHz. */
export function expectedCodecs(
  options: ReactorOptions,
  plugins: readonly { readonly outbound?: OutboundOptions | undefined }[],
): PoolCodec[] {
  const wanted: OutboundOptions[] = plugins.map(plugin => ({
    mode: options.outboundMode,
    ...options.outboundCodec,
    ...plugin.outbound,
  }));
  const formats = new Map<string, Format>();
  for (const { mode, encoding, sampleRate } of wanted) {
    if (mode === 'mp3' || encoding === undefined || !inPool(encoding)) continue;
    const rates = CODECS[encoding].announcedRates;
    const rate = sampleRate !== undefined && rates.includes(sampleRate) ? sampleRate : rates[0]!;
    formats.set(`${encoding} ${rate}`, { encoding, sampleRate: rate });
  }
  if (options.poolWarm && formats.size === 0) formats.set('', { encoding: 'OPUS', sampleRate: 16000 });
  return [...formats.values()].map(format => ({
    encoding: format.encoding as PoolEncoding,
    decoder: decoderOptions(format),
    encoder: encoderOptions(format, options),
  }));
}

function decoderOptions(format: Format): { sampleRate?: OpusRate } {
  return format.encoding === 'OPUS' ? { sampleRate: format.sampleRate as OpusRate } : {};
}
