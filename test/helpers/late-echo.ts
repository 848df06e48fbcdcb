/** An echo in virtual time over a network that can stall, and how late its caller hears it. */
import type { VirtualClock } from '../../src/clock.js';
import { createDecoder, createEncoder } from '../../src/codecs/create.js';
import { CODECS, type Encoding } from '../../src/formats.js';
import { Simulator } from '../../src/index.js';
import type { ServerOptions } from '../../src/options/options.js';
import type { Plugin } from '../../src/plugin/plugin.js';
import type { CodecPool } from '../../src/pool/pool.js';
import type { DecoderSink, EncoderSink } from '../../src/pool/streams.js';
import { VirtualReactor } from './virtual-reactor.js';

/** What stands in for the pool's threads: the same codecs, whose results come this much later. */
const CODING_MS = 3;

export function poolInTime(clock: VirtualClock): CodecPool {
  let open = true;
  const later = (done: () => void): true => {
    clock.after(CODING_MS, () => open && done());
    return true;
  };
  return {
    openDecoder(encoding: Encoding, options: object, sink: DecoderSink) {
      const decoder = createDecoder(encoding, options);
      return {
        sampleRate: decoder.sampleRate,
        decode(payload: Uint8Array) {
          const pcm = decoder.decode(payload).slice();
          return later(() => sink.onPcm(pcm, false));
        },
        conceal() {
          const pcm = decoder.conceal().slice();
          return later(() => sink.onPcm(pcm, true));
        },
        close: () => decoder.close(),
      };
    },
    openEncoder(encoding: Encoding, options: object, sink: EncoderSink) {
      const encoder = createEncoder(encoding, options);
      return {
        sampleRate: encoder.sampleRate,
        frameSamples: encoder.sampleRate / 50,
        encode(pcm: Int16Array) {
          const packet = encoder.encode(pcm).slice();
          return later(() => sink.onPacket(packet));
        },
        close: () => encoder.close(),
      };
    },
    close() {
      open = false;
      return Promise.resolve();
    },
    get stats() {
      return undefined;
    },
  } as unknown as CodecPool;
}

export function tone(hz: number, ms: number, sampleRate: number, level = 8000): Int16Array {
  return Int16Array.from({ length: Math.round((ms * sampleRate) / 1000) }, (_, i) =>
    Math.round(level * Math.sin((i * 2 * Math.PI * hz) / sampleRate)),
  );
}

export interface LateCall {
  virtual: VirtualReactor;
  sampleRate: number;
  /** On the clock, when the caller's time began. */
  startedMs: number;
  /** From now on the caller's messages wait. */
  stall(): void;
  /** They come, all at once. */
  burst(): void;
  /** What the caller has heard: sound on the time axis of its own, silence where there was none. */
  heard(): Int16Array;
  soFar(): ReturnType<ReturnType<VirtualReactor['call']>['call']['soFar']>;
}

/** A call that says `samples` (at the encoding's rate) to `plugin`. */
export function lateCall(
  plugin: Plugin,
  samples: (sampleRate: number) => Int16Array,
  encoding: Encoding = 'PCMU',
  options: ServerOptions = {},
): LateCall {
  const virtual = new VirtualReactor(options);
  if (CODECS[encoding].runsIn === 'pool') {
    const pool = poolInTime(virtual.clock);
    Object.defineProperty(virtual.reactor, 'pool', { get: () => pool });
  }
  const simulator = new Simulator({ clock: virtual.clock, seed: 68 });
  const probe = createDecoder(encoding, ['OPUS', 'L16'].includes(encoding) ? { sampleRate: 16000 } : {});
  const { sampleRate } = probe;
  probe.close();
  const speech = simulator.speech({ samples: samples(sampleRate), sampleRate }, { encoding });
  const { call, application, open } = simulator.pair({ ...speech, lingerMs: 60_000 });
  const { socket, receive } = virtual.connect(plugin);
  socket.onSend = text => application.send(text);
  let held: string[] | undefined;
  application.onText = text => {
    if (held) held.push(text);
    else receive(text);
  };
  open();
  return {
    virtual,
    sampleRate,
    startedMs: virtual.clock.now(),
    stall: () => {
      held = [];
    },
    burst: () => {
      const messages = held ?? [];
      held = undefined;
      for (const text of messages) receive(text);
    },
    heard: () => {
      const { heard, outboundEncoding, outboundSampleRate } = call.soFar();
      const decoder = createDecoder(outboundEncoding, { sampleRate: outboundSampleRate });
      const last = heard.at(-1)!;
      const sound = new Int16Array(Math.ceil(((last.atMs + last.durationMs + 200) * sampleRate) / 1000));
      for (const { atMs, payload } of heard) {
        sound.set(decoder.decode(payload), Math.round((atMs * sampleRate) / 1000));
      }
      decoder.close();
      return sound;
    },
    soFar: () => call.soFar(),
  };
}

/** How much of the energy of `pcm` lies at `hz`, from 0 to 1. */
export function share(pcm: Int16Array, hz: number, sampleRate: number): number {
  let [real, imaginary, energy] = [0, 0, 1];
  pcm.forEach((sample, i) => {
    const angle = (2 * Math.PI * hz * i) / sampleRate;
    real += sample * Math.cos(angle);
    imaginary += sample * Math.sin(angle);
    energy += sample * sample;
  });
  return (2 * (real * real + imaginary * imaginary)) / (pcm.length * energy);
}

/** When the first 20 ms that are a tone of `hz` begin, in ms. */
export function firstHeardMs(sound: Int16Array, hz: number, sampleRate: number): number {
  const window = sampleRate / 50;
  for (let at = 0; at + window <= sound.length; at += window / 4) {
    if (share(sound.subarray(at, at + window), hz, sampleRate) > 0.7) return (at * 1000) / sampleRate;
  }
  return Number.POSITIVE_INFINITY;
}
