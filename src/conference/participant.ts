/** One stream's place in a conference. */
import { SidetoneError, shown } from '../errors.js';
import type { HoldOptions, JoinOptions, Participant } from '../plugin/conference.js';
import type { Playback } from '../plugin/stream.js';
import type { StreamSeat } from '../stream/seat.js';
import type { CallStream } from '../stream/stream.js';

export class Seat implements Participant, StreamSeat {
  readonly stream: CallStream;
  readonly #onLeave: (seat: Seat) => void;
  #muted: boolean;
  #onHold: boolean;
  #left = false;
  /** The conference's memory is there. */
  #seated = false;
  #music: Playback | undefined;

  constructor(
    stream: CallStream,
    { muted = false, onHold = false }: JoinOptions,
    onLeave: (seat: Seat) => void,
  ) {
    this.stream = stream;
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

  /** The engine has taken the stream in. */
  seated(): void {
    this.#seated = true;
    this.#tell();
  }

  mute(): void {
    this.#muted = true;
    this.#tell();
  }

  unmute(): void {
    this.#muted = false;
    this.#tell();
  }

  hold(options: HoldOptions = {}): void {
    const { music, sampleRate = this.stream.sampleRate } = options;
    if (music !== undefined && !(music instanceof Int16Array && music.length > 0)) {
      const problem = `hold music: ${shown(music)}: pass an Int16Array of mono PCM, or leave it out`;
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
    }
    if (this.#left) return;
    this.#onHold = true;
    this.#tell();
    this.#stopMusic();
    if (music) this.#music = this.stream.play(forEver(music), { sampleRate });
  }

  unhold(): void {
    this.#onHold = false;
    this.#stopMusic();
    this.#tell();
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#stopMusic();
    this.stream.stand();
    this.#onLeave(this);
  }

  ended(): void {
    this.leave();
  }

  #tell(): void {
    if (!this.#seated || this.#left) return;
    this.stream.setSeat(!this.#muted && !this.#onHold, !this.#onHold);
  }

  #stopMusic(): void {
    const music = this.#music;
    this.#music = undefined;
    if (music) this.stream.cancel(music);
  }
}

function* forEver(music: Int16Array): Generator<Int16Array> {
  for (;;) yield music;
}
