/** Backgrounds that a handler in a thread of its plugin begins, and what became of the last one, for which the thread waits. */
import { soundNumbered } from '../playback/sounds.js';
import type { CallStream } from '../stream/stream.js';
import { toPlain } from './plain-error.js';
import type { MixOutcome, RemoteBeginning } from './records.js';

export class RemoteMixing {
  readonly #stream: CallStream;
  outcome: MixOutcome = {};

  constructor(stream: CallStream) {
    this.#stream = stream;
  }

  begin({ method, sound: number, layer }: RemoteBeginning): void {
    this.outcome = {};
    const sound = soundNumbered(number);
    // The thread that had it has ended.
    if (!sound) return;
    try {
      this.#stream.mixing.begin({ method, sound, layer });
    } catch (error) {
      // An answer has little room, and the stack shows this thread.
      this.outcome = { error: { ...toPlain(error), stack: undefined, cause: undefined } };
    }
  }
}
