/** One stream's place in a conference. */
import { SidetoneError, shown } from '../errors.js';
import type { HoldOptions, JoinOptions, Participant } from '../plugin/conference.js';
import type { Playback, Stream } from '../plugin/stream.js';
import type { StreamSeat } from '../stream/seat.js';

export abstract class Seat implements Participant, StreamSeat {
  abstract readonly stream: Stream;
  readonly #onLeave: (seat: Seat) => void;
  #muted: boolean;
  #onHold: boolean;
  #left = false;
  #music: Playback | undefined;

  constructor({ muted = false, onHold = false }: JoinOptions, onLeave: (seat: Seat) => void) {
    this.#muted = muted;
    this.#onHold = onHold;
    this.#onLeave = onLeave;
  }

  get muted(): boolean {
    return this.#muted;
  }

  get onHold(): boolean {
    return this.#onHold;
  }

  get left(): boolean {
    return this.#left;
  }

  /** @internal A listener of the conference threw. */
  abstract handlerFailed(where: string, error: unknown): void;

  /** Brings `muted` and `onHold` to where the conference is mixed; not called once it has left. */
  protected abstract tell(): void;

  /** Stops one playback of the stream's. */
  protected abstract cancel(music: Playback): void;

  /** Takes the stream out of where the conference is mixed. */
  protected abstract stand(): void;

  mute(): void {
    this.#muted = true;
    this.#changed();
  }

  unmute(): void {
    this.#muted = false;
    this.#changed();
  }

  hold(options: HoldOptions = {}): void {
    const { music, sampleRate = this.stream.sampleRate } = options;
    if (music !== undefined && !(music instanceof Int16Array && music.length > 0)) {
      const problem = `hold music: ${shown(music)}: pass an Int16Array of mono PCM, or leave it out`;
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
    }
    if (this.#left) return;
    this.#onHold = true;
    this.#changed();
    this.#stopMusic();
    if (music) this.#music = this.stream.play(forEver(music), { sampleRate });
  }

  unhold(): void {
    this.#onHold = false;
    this.#stopMusic();
    this.#changed();
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#stopMusic();
    this.stand();
    this.#onLeave(this);
  }

  ended(): void {
    this.leave();
  }

  #changed(): void {
    if (!this.#left) this.tell();
  }

  #stopMusic(): void {
    const music = this.#music;
    this.#music = undefined;
    if (music) this.cancel(music);
  }
}

function* forEver(music: Int16Array): Generator<Int16Array> {
  for (;;) yield music;
}
