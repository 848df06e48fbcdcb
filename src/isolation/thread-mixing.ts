/** What a handler in a thread of its own mixes under its stream. Sounds are made in the thread, and the reactor's engine mixes. */
import type { Beginning, MixedStream } from '../playback/mixing.js';
import { Mixing } from '../playback/mixing.js';
import { numberOf } from '../playback/sounds.js';
import { fromPlain } from './plain-error.js';
import { ASK, COMMAND, type MixOutcome, type RemoteBeginning } from './records.js';
import type { ThreadSide } from './thread-side.js';

export class ThreadMixing extends Mixing {
  readonly #side: ThreadSide;
  readonly #handle: number;
  readonly #stream: { readonly closed: boolean };

  constructor(side: ThreadSide, handle: number, stream: MixedStream & { readonly closed: boolean }) {
    super(stream);
    this.#side = side;
    this.#handle = handle;
    this.#stream = stream;
  }

  get closed(): boolean {
    return this.#stream.closed;
  }

  /** Waits for the reactor, which knows whether there is room for one more. */
  protected begin({ method, sound, layer }: Beginning): void {
    if (this.closed) {
      this.#side.out.send(COMMAND.playAfterEnd, this.#handle);
      return;
    }
    const beginning: RemoteBeginning = { method, sound: numberOf(sound), layer };
    this.#side.out.attach(COMMAND.background, this.#handle, beginning);
    const { error } = this.#side.askJson(ASK.mixed, this.#handle) as MixOutcome;
    if (error) throw fromPlain(error);
  }

  protected setSpeechGain(gain: number, rampMs: number): void {
    this.#side.out.send(COMMAND.speechGain, this.#handle, { a: gain, b: rampMs });
  }

  protected setLayerGain(layer: number, gain: number, rampMs: number): void {
    this.#side.out.send(COMMAND.layerGain, this.#handle, { id: layer, a: gain, b: rampMs });
  }

  protected stopLayer(layer: number, fadeMs: number): void {
    this.#side.out.send(COMMAND.stopLayer, this.#handle, { id: layer, a: fadeMs });
  }
}
