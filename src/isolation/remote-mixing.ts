/** What a handler in a thread of its plugin mixes, carried out in the reactor. */
import { type EngineMixing, FADE_MS, SPEECH_RAMP_MS } from '../playback/mixing.js';
import { soundNumbered } from '../playback/sounds.js';
import { toPlain } from './plain-error.js';
import type { MixOutcome, RemoteBeginning } from './records.js';

export class RemoteMixing {
  readonly #mixing: EngineMixing;
  /** The stream's numbers by the thread's: a handler that takes the place of a lost one counts anew. */
  readonly #layers = new Map<number, number>();
  /** What became of the last beginning, for which the thread waits. */
  outcome: MixOutcome = {};

  constructor(mixing: EngineMixing) {
    this.#mixing = mixing;
  }

  begin({ method, sound: number, layer }: RemoteBeginning): void {
    this.outcome = {};
    const sound = soundNumbered(number);
    // The thread that had it has ended.
    if (!sound) return;
    const own = this.#mixing.nextLayer();
    try {
      this.#mixing.begin({ method, sound, layer: { ...layer, number: own } });
      this.#layers.set(layer.number, own);
    } catch (error) {
      // An answer has little room, and the stack shows this thread.
      this.outcome = { error: { ...toPlain(error), stack: undefined, cause: undefined } };
    }
  }

  setLayerGain(layer: number, gain: number, rampMs: number): void {
    const own = this.#layers.get(layer);
    if (own !== undefined) this.#mixing.setLayerGain(own, gain, rampMs);
  }

  stopLayer(layer: number, fadeMs: number): void {
    const own = this.#layers.get(layer);
    if (own !== undefined) this.#mixing.stopLayer(own, fadeMs);
    this.#layers.delete(layer);
  }

  setSpeechGain(gain: number, rampMs: number): void {
    this.#mixing.setSpeechGain(gain, rampMs);
  }

  /** The handler that asked for it is lost. */
  end(): void {
    for (const layer of [...this.#layers.keys()]) this.stopLayer(layer, FADE_MS);
    this.#mixing.setSpeechGain(1, SPEECH_RAMP_MS);
  }
}
