/** What goes out of one stream beside what is played, and how loud each is. The engine mixes: native/mix/mixer.h. */

import { SidetoneError, shown } from '../errors.js';
import { CODECS, type Format, type OutboundMode } from '../formats.js';
import type { StreamHost } from '../media/host.js';
import { native } from '../native/addon.js';
import type { NativeLayer } from '../native/mixing.js';
import { isObject } from '../objects.js';
import type { Background, BackgroundOptions, ComfortNoiseOptions } from '../plugin/background.js';
import { comfortNoise, type Sound, soundOf } from './sounds.js';

/** How long changes take unless it is said. */
export const FADE_MS = 200;
const FADE_MS_MAX = 10_000;
/** How far apart the noises of two streams begin, in samples: a prime, so that few coincide. */
const NOISE_STEP = 7919;
/** Of what is played: short, because a change of it is meant at once. */
export const SPEECH_RAMP_MS = 30;

/** The stream that mixes. */
export interface MixedStream {
  readonly mode: OutboundMode;
  readonly outbound: Format;
  /** Of samples that do not say theirs, in Hz. */
  readonly sampleRate: number;
}

interface Range {
  min: number;
  max: number;
  usual: number | undefined;
  unit: string;
}

const GAIN: Range = { min: -60, max: 20, usual: 0, unit: 'dB' };
const DUCK: Range = { min: -60, max: 0, usual: -12, unit: 'dB' };
const LEVEL: Range = { min: -90, max: -20, usual: -60, unit: 'dB of full scale' };
const FADE: Range = { min: 0, max: FADE_MS_MAX, usual: FADE_MS, unit: 'ms' };

function checked(what: string, value: unknown, { min, max, usual, unit }: Range): number {
  if (value === undefined && usual !== undefined) return usual;
  if (typeof value === 'number' && value >= min && value <= max) return value;
  const problem = `${what}: ${shown(value)}: give ${unit} from ${min} to ${max}`;
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
}

const factor = (db: number): number => 10 ** (db / 20);

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
export function checkedGain(what: string, gainDb: unknown): number {
  return checked(what, gainDb, { ...GAIN, usual: undefined });
}

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
function mustMix(method: string, mode: OutboundMode): void {
  if (mode !== 'mp3') return;
  const problem = `${method}: this stream is in MP3 mode, where Telnyx plays whole files and nothing is mixed`;
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${problem}: use mode 'rtp'`);
}

/** A background that begins; its `offset` is 0. */
export interface Beginning {
  method: 'background' | 'comfortNoise';
  sound: Sound;
  layer: NativeLayer;
}

/** What a handler asks for, checked; the engine that carries it out may be another thread's. */
export abstract class Mixing {
  readonly #stream: MixedStream;
  readonly #rate: number;
  /** By layer: what loops is kept in memory for the streams that come to have it too. */
  readonly #sounds = new Map<number, Sound>();
  #number = 0;
  #gainDb = 0;

  constructor(stream: MixedStream) {
    this.#stream = stream;
    this.#rate = CODECS[stream.outbound.encoding].sampleRate(stream.outbound.sampleRate);
  }

  /** The stream has ended. */
  abstract readonly closed: boolean;
  /** @throws SidetoneError SIDETONE_QUEUE_FULL where the stream has too many already */
  protected abstract begin(beginning: Beginning): void;
  protected abstract setSpeechGain(gain: number, rampMs: number): void;
  protected abstract setLayerGain(layer: number, gain: number, rampMs: number): void;
  protected abstract stopLayer(layer: number, fadeMs: number): void;

  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT; SIDETONE_QUEUE_FULL where the stream has too many already */
  background(audio: Int16Array | string | URL, options?: BackgroundOptions): Background {
    mustMix('background', this.#stream.mode);
    const given = optionsOf('background', options);
    const loops = given.loop ?? true;
    const layer: NativeLayer = {
      number: this.nextLayer(),
      gain: factor(checked('background gainDb', given.gainDb, GAIN)),
      duckedGain: factor(checked('background duckDb', given.duckDb, DUCK)),
      fadeMs: checked('background fadeMs', given.fadeMs, FADE),
      loops,
      offset: 0,
    };
    if (typeof loops !== 'boolean') {
      const problem = `background loop: ${shown(loops)}: pass true or false`;
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
    }
    const sampleRate = given.sampleRate ?? this.#stream.sampleRate;
    const sound = soundOf(audio, { sampleRate, toRate: this.#rate, loops });
    this.begin({ method: 'background', sound, layer });
    if (loops && !this.closed) this.#sounds.set(layer.number, sound);
    return this.#background(layer.number, 1);
  }

  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT; SIDETONE_QUEUE_FULL where the stream has too many already */
  comfortNoise(options?: ComfortNoiseOptions): Background {
    mustMix('comfortNoise', this.#stream.mode);
    const given = optionsOf('comfortNoise', options);
    const levelDbfs = checked('comfortNoise levelDbfs', given.levelDbfs, LEVEL);
    const gain = factor(levelDbfs - native.comfortNoiseDbfs);
    const layer: NativeLayer = {
      number: this.nextLayer(),
      gain,
      duckedGain: factor(checked('comfortNoise duckDb', given.duckDb, { ...DUCK, usual: 0 })),
      fadeMs: checked('comfortNoise fadeMs', given.fadeMs, FADE),
      loops: true,
      offset: 0,
    };
    this.begin({ method: 'comfortNoise', sound: comfortNoise(this.#rate), layer });
    return this.#background(layer.number, gain);
  }

  get gainDb(): number {
    return this.#gainDb;
  }

  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
  set gainDb(gainDb: number) {
    mustMix('gainDb', this.#stream.mode);
    checkedGain('gainDb', gainDb);
    if (gainDb === this.#gainDb) return;
    this.#gainDb = gainDb;
    if (!this.closed) this.setSpeechGain(factor(gainDb), SPEECH_RAMP_MS);
  }

  /** A number for a background of this stream. */
  nextLayer(): number {
    return this.#number++;
  }

  /** Nothing is mixed any more. */
  protected forget(): void {
    this.#sounds.clear();
  }

  /** `unit`: the factor that its `gain(0)` means. */
  #background(layer: number, unit: number): Background {
    return new MixedBackground({
      isOver: () => this.closed,
      setGain: (gain, rampMs) => this.setLayerGain(layer, gain * unit, rampMs),
      stop: fadeMs => {
        this.#sounds.delete(layer);
        this.stopLayer(layer, fadeMs);
      },
    });
  }
}

/** In the thread whose engine mixes. */
export class EngineMixing extends Mixing {
  readonly #host: StreamHost;
  readonly #stream: MixedStream & { readonly slot: number };
  closed = false;

  constructor(host: StreamHost, stream: MixedStream & { readonly slot: number }) {
    super(stream);
    this.#host = host;
    this.#stream = stream;
  }

  begin({ method, sound, layer }: Beginning): void {
    if (this.closed) {
      this.#host.count('playsAfterEnd');
      return;
    }
    const { slot } = this.#stream;
    // Where calls are joined, the same noise from each would be heard as one that is louder.
    const offset = method === 'comfortNoise' ? slot * NOISE_STEP : 0;
    if (!this.#engine.background(slot, sound.native, { ...layer, offset })) {
      const problem = `${method}: this stream has eight backgrounds already: stop() one of them first`;
      throw new SidetoneError('SIDETONE_QUEUE_FULL', problem);
    }
    this.#host.path.wake();
  }

  setSpeechGain(gain: number, rampMs: number): void {
    if (!this.closed) this.#engine.setSpeechGain(this.#stream.slot, gain, rampMs);
  }

  setLayerGain(layer: number, gain: number, rampMs: number): void {
    if (!this.closed) this.#engine.setLayerGain(this.#stream.slot, layer, gain, rampMs);
  }

  stopLayer(layer: number, fadeMs: number): void {
    if (!this.closed) this.#engine.stopLayer(this.#stream.slot, layer, fadeMs);
  }

  /** The stream has ended. */
  close(): void {
    this.closed = true;
    this.forget();
  }

  get #engine() {
    return this.#host.path.engine.at(this.#host.clock.now());
  }
}

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
function optionsOf<T extends object>(method: string, options: T | undefined): Partial<T> {
  if (options === undefined) return {};
  if (isObject(options)) return options as Partial<T>;
  const problem = `${method} options: ${shown(options)}: pass an object, or nothing`;
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
}

interface MixedLayer {
  isOver(): boolean;
  setGain(gain: number, rampMs: number): void;
  stop(fadeMs: number): void;
}

class MixedBackground implements Background {
  readonly #layer: MixedLayer;
  #stopped = false;

  constructor(layer: MixedLayer) {
    this.#layer = layer;
  }

  get stopped(): boolean {
    return this.#stopped || this.#layer.isOver();
  }

  gain(gainDb: number, options?: { rampMs?: number }): void {
    const gain = factor(checkedGain('background gain', gainDb));
    const { rampMs } = optionsOf('background gain', options);
    const ms = checked('background gain rampMs', rampMs, FADE);
    if (!this.stopped) this.#layer.setGain(gain, ms);
  }

  stop(options?: { fadeMs?: number }): void {
    const fadeMs = checked('background stop fadeMs', optionsOf('background stop', options).fadeMs, FADE);
    if (this.stopped) return;
    this.#stopped = true;
    this.#layer.stop(fadeMs);
  }
}
