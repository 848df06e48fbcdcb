/** A conference as one thread has it: its streams here, the engine's room, the recording. */
import { SidetoneError, shown } from '../errors.js';
import type { StreamHost } from '../media/host.js';
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
import { CallStream } from '../stream/stream.js';
import { Seat } from './participant.js';
import { Recording } from './recording.js';
import type { RoomMemory } from './registry.js';

/** Where a conference has its memory from. */
export interface RoomSource {
  /** Number of this thread's reactor. */
  readonly reactor: number;
  /** `ready` is called with the memory, at once or later. Returns a function for when it is needed no more. */
  open(ready: (room: RoomMemory) => void): () => void;
}

const LOOK_MS = 100;

type Listener = (participant: Participant) => void;

/** Its room in the engine of the thread's reactor. */
interface OpenRoom {
  number: number;
  host: StreamHost;
}

export class ThreadConference implements Conference {
  readonly name: string;
  readonly #source: RoomSource;
  /** It has streams or a recording, or has neither any more. */
  readonly #onUse: (isUsed: boolean) => void;
  readonly #seats: Seat[] = [];
  readonly #joinListeners = new Set<Listener>();
  readonly #leaveListeners = new Set<Listener>();
  readonly #sizeListeners = new Set<(size: number) => void>();
  #toldSize = 0;
  #stopLooking: (() => void) | undefined;
  #closeSource: (() => void) | undefined;
  #room: OpenRoom | undefined;
  #recording: Recording | undefined;

  constructor(name: string, source: RoomSource, onUse: (isUsed: boolean) => void = () => {}) {
    this.name = name;
    this.#source = source;
    this.#onUse = onUse;
  }

  get participants(): readonly Participant[] {
    return [...this.#seats];
  }

  get size(): number {
    if (!this.#room) return this.#seats.length;
    return this.#room.host.path.engine.native.roomTaken(this.#room.number);
  }

  join(stream: Stream, options: JoinOptions = {}): Participant {
    const joining = checkedStream(stream, options);
    const seat = new Seat(joining, options, left => this.#leave(left));
    if (joining.closed) {
      joining.media.count('playsAfterEnd');
      seat.leave();
      return seat;
    }
    joining.sit(seat);
    this.#seats.push(seat);
    this.#use(joining.media);
    try {
      if (this.#room) this.#seat(seat, this.#room);
    } catch (error) {
      this.#seats.splice(this.#seats.indexOf(seat), 1);
      seat.leave();
      this.#release();
      throw error;
    }
    for (const listener of this.#joinListeners) listener(seat);
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
    this.#look();
    return () => this.#sizeListeners.delete(listener);
  }

  record(target: string | RecordingWriter, options: ConferenceRecordingOptions = {}): ConferenceRecording {
    if (this.#recording) {
      const problem = `record: conference ${shown(this.name)} is being recorded already: close() that recording first`;
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
    }
    this.#recording = new Recording(target, options, () => {
      if (this.#room) this.#room.host.path.engine.native.stopRecording(this.#room.number);
      this.#recording = undefined;
      this.#release();
    });
    if (this.#room) this.#beginRecording(this.#room);
    return this.#recording;
  }

  close(): void {
    for (const seat of [...this.#seats]) seat.leave();
  }

  /** Its room is opened with the first stream. */
  #use(host: StreamHost): void {
    if (this.#closeSource) return;
    this.#onUse(true);
    let isOpen = true;
    const close = this.#source.open(room => {
      if (isOpen) this.#open(host, room);
    });
    this.#closeSource = () => {
      isOpen = false;
      close();
    };
  }

  #open(host: StreamHost, { memory, shape }: RoomMemory): void {
    const { participantsMax, sampleRateMax } = shape;
    const { reactor } = this.#source;
    const { native } = host.path.engine;
    const number = native.openRoom(new Uint8Array(memory), participantsMax, sampleRateMax, reactor);
    this.#room = { number, host };
    this.#look();
    if (this.#recording) this.#beginRecording(this.#room);
    // Where the memory was there at once, the one that joins is seated by join().
    if (!this.#closeSource) return;
    for (const seat of [...this.#seats]) {
      try {
        this.#seat(seat, this.#room);
      } catch (error) {
        seat.leave();
        seat.stream.report(error);
      }
    }
  }

  #seat(seat: Seat, { number, host }: OpenRoom): void {
    if (!seat.stream.enterRoom(number)) {
      host.count('conferencesFull');
      const problem = `conference ${shown(this.name)}: it is full: give it more participantsMax where it is first opened`;
      throw new SidetoneError('SIDETONE_CONFERENCE_FULL', problem);
    }
    host.count('conferenceJoins');
    seat.seated();
  }

  #leave(seat: Seat): void {
    const at = this.#seats.indexOf(seat);
    if (at < 0) return;
    this.#seats.splice(at, 1);
    for (const listener of this.#leaveListeners) {
      try {
        listener(seat);
      } catch (error) {
        // A stream that ends must end whatever a listener does.
        seat.stream.handlerFailed('onLeave', error);
      }
    }
    this.#release();
  }

  /** Nobody is in it here, and nobody records it. */
  #release(): void {
    if (this.#seats.length > 0 || (this.#recording && this.#room)) return;
    if (this.#room) this.#room.host.path.engine.native.closeRoom(this.#room.number);
    this.#room = undefined;
    this.#stopLooking?.();
    this.#stopLooking = undefined;
    this.#toldSize = 0;
    const close = this.#closeSource;
    this.#closeSource = undefined;
    if (!close) return;
    close();
    this.#onUse(false);
  }

  /** Other threads say nothing when somebody joins or leaves there. */
  #look(): void {
    if (this.#stopLooking || !this.#room || this.#sizeListeners.size === 0) return;
    this.#stopLooking = this.#room.host.clock.every(LOOK_MS, () => {
      const { size } = this;
      if (size === this.#toldSize) return;
      this.#toldSize = size;
      for (const listener of this.#sizeListeners) listener(size);
    });
  }

  #beginRecording({ number, host }: OpenRoom): void {
    const { path, clock } = host;
    const recording = this.#recording!;
    path.engine.at(clock.now()).recordRoom(number, recording.sampleRate);
    path.wake();
    recording.begin({
      clock,
      take: pcm => path.engine.native.takeRecording(number, pcm),
      get isEmpty() {
        return path.engine.native.roomTaken(number) === 0;
      },
    });
  }
}

/** @throws SidetoneError SIDETONE_BAD_ARGUMENT */
function checkedStream(stream: Stream, options: JoinOptions): CallStream {
  if (!(stream instanceof CallStream)) {
    const problem = `join stream: ${shown(stream)}: pass the stream that onStart got`;
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
  }
  if (!isObject(options)) {
    const problem = `join options: ${shown(options)}: pass { muted, onHold }, or nothing`;
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
  }
  for (const name of ['muted', 'onHold'] as const) {
    if (options[name] === undefined || typeof options[name] === 'boolean') continue;
    throw new SidetoneError(
      'SIDETONE_BAD_ARGUMENT',
      `join ${name}: ${shown(options[name])}: give true or false`,
    );
  }
  return stream;
}
