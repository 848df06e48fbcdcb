/** What a conference is wherever its handlers run: who is in it here, who listens to that, its one recording. */
import type { Clock } from '../clock.js';
import { SidetoneError, shown } from '../errors.js';
import { isObject } from '../objects.js';
import type {
  Conference,
  ConferenceRecording,
  ConferenceRecordingOptions,
  JoinOptions,
  Participant,
  RecordingWriter,
} from '../plugin/conference.js';
import type { Stream } from '../plugin/stream.js';
import type { Seat } from './participant.js';
import { Recording } from './recording.js';

const LOOK_MS = 100;

type Listener = (participant: Participant) => void;

export abstract class SeatedConference<S extends Seat> implements Conference {
  readonly name: string;
  protected readonly seats: S[] = [];
  protected recording: Recording | undefined;
  readonly #joinListeners = new Set<Listener>();
  readonly #leaveListeners = new Set<Listener>();
  readonly #sizeListeners = new Set<(size: number) => void>();
  #toldSize = 0;
  #stopLooking: (() => void) | undefined;

  constructor(name: string) {
    this.name = name;
  }

  get participants(): readonly Participant[] {
    return [...this.seats];
  }

  abstract readonly size: number;

  // --- where it is mixed ---

  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is no stream of this thread, or may not join */
  protected abstract seatFor(stream: Stream, options: JoinOptions, onLeave: (seat: Seat) => void): S;

  /**
   * One of `seats` is taken in where the conference is mixed. False: its stream is over there.
   * @throws SidetoneError as join()
   */
  protected abstract enter(seat: S): boolean;

  /** Something was played, or joined, after its stream's end. */
  protected abstract afterEnd(seat: S): void;

  /** Somebody has left, or the recording has ended: what is not needed any more is given back. */
  protected abstract release(): void;

  /** Begins `recording` if anybody is here, or else with the first one. */
  protected abstract beginRecording(recording: Recording): void;

  // --- Conference ---

  join(stream: Stream, options: JoinOptions = {}): Participant {
    checkOptions(options);
    const seat = this.seatFor(stream, options, left => this.#leave(left as S));
    if (stream.closed) {
      this.afterEnd(seat);
      seat.leave();
      return seat;
    }
    this.seats.push(seat);
    let isIn = false;
    try {
      isIn = this.enter(seat);
    } finally {
      if (!isIn) {
        this.seats.splice(this.seats.indexOf(seat), 1);
        seat.leave();
        this.release();
      }
    }
    if (isIn) for (const listener of this.#joinListeners) listener(seat);
    return seat;
  }

  onJoin(listener: Listener): () => void {
    this.#joinListeners.add(listener);
    return () => this.#joinListeners.delete(listener);
  }

  onLeave(listener: Listener): () => void {
    this.#leaveListeners.add(listener);
    return () => this.#leaveListeners.delete(listener);
  }

  onSize(listener: (size: number) => void): () => void {
    this.#sizeListeners.add(listener);
    this.look();
    return () => this.#sizeListeners.delete(listener);
  }

  record(target: string | RecordingWriter, options: ConferenceRecordingOptions = {}): ConferenceRecording {
    if (this.recording) {
      const problem = `record: conference ${shown(this.name)} is being recorded already: close() that recording first`;
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
    }
    const recording = new Recording(target, options, () => {
      this.recording = undefined;
      this.release();
    });
    this.recording = recording;
    try {
      this.beginRecording(recording);
    } catch (error) {
      recording.close().catch(() => {});
      throw error;
    }
    return recording;
  }

  close(): void {
    for (const seat of [...this.seats]) seat.leave();
  }

  // --- for those who say where it is mixed ---

  /** The clock of what is open; undefined while it is not. */
  protected abstract readonly openClock: Clock | undefined;

  /** Other threads say nothing when somebody joins or leaves there: so it is looked, once the conference is open. */
  protected look(): void {
    const clock = this.openClock;
    if (this.#stopLooking || !clock || this.#sizeListeners.size === 0) return;
    this.#stopLooking = clock.every(LOOK_MS, () => {
      const { size } = this;
      if (size === this.#toldSize) return;
      this.#toldSize = size;
      for (const listener of this.#sizeListeners) listener(size);
    });
  }

  protected stopLooking(): void {
    this.#stopLooking?.();
    this.#stopLooking = undefined;
    this.#toldSize = 0;
  }

  #leave(seat: S): void {
    const at = this.seats.indexOf(seat);
    if (at < 0) return;
    this.seats.splice(at, 1);
    for (const listener of this.#leaveListeners) {
      try {
        listener(seat);
      } catch (error) {
        // A stream that ends must end whatever a listener does.
        seat.handlerFailed('onLeave', error);
      }
    }
    this.release();
  }
}

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
function checkOptions(options: JoinOptions): void {
  if (!isObject(options)) {
    const problem = `join options: ${shown(options)}: pass { muted, onHold }, or nothing`;
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
  }
  for (const name of ['muted', 'onHold'] as const) {
    if (options[name] === undefined || typeof options[name] === 'boolean') continue;
    const problem = `join ${name}: ${shown(options[name])}: give true or false`;
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
  }
}

/** What join() says of something that is no stream. */
export function noStream(stream: unknown): SidetoneError {
  const problem = `join stream: ${shown(stream)}: pass the stream that onStart got`;
  return new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
}
