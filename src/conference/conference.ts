/** A conference whose handlers run in a reactor: its streams there, and the room of the reactor's engine. */
import type { Clock } from '../clock.js';
import { SidetoneError, shown } from '../errors.js';
import type { StreamHost } from '../media/host.js';
import type { JoinOptions } from '../plugin/conference.js';
import type { Playback, Stream } from '../plugin/stream.js';
import { CallStream } from '../stream/stream.js';
import { Seat } from './participant.js';
import { PolledTape, type Recording } from './recording.js';
import type { RoomMemory } from './registry.js';
import { noStream, SeatedConference } from './seated-conference.js';

/** Where a conference has its memory from. */
export interface RoomSource {
  /** Number of this thread's reactor. */
  readonly reactor: number;
  /** `ready` is called with the memory, at once or later. Returns a function for when it is needed no more. */
  open(ready: (room: RoomMemory) => void): () => void;
}

/** Its room in the engine of the thread's reactor. */
interface OpenRoom {
  number: number;
  host: StreamHost;
}

class CallSeat extends Seat {
  readonly stream: CallStream;
  #sits = false;
  /** The conference's memory is there. */
  #seated = false;

  constructor(stream: CallStream, options: JoinOptions, onLeave: (seat: Seat) => void) {
    super(options, onLeave);
    this.stream = stream;
  }

  /** @throws SidetoneError SIDETONE_BAD_ARGUMENT where the stream cannot be in a conference */
  sit(): void {
    this.stream.sit(this);
    this.#sits = true;
  }

  /** The engine has taken the stream in. */
  seated(): void {
    this.#seated = true;
    this.tell();
  }

  handlerFailed(where: string, error: unknown): void {
    this.stream.handlerFailed(where, error);
  }

  protected tell(): void {
    if (this.#seated) this.stream.setSeat(!this.muted && !this.onHold, !this.onHold);
  }

  protected cancel(music: Playback): void {
    this.stream.cancel(music);
  }

  protected stand(): void {
    if (this.#sits) this.stream.stand();
  }
}

export class EngineConference extends SeatedConference<CallSeat> {
  readonly #source: RoomSource;
  /** It has streams or a recording, or has neither any more. */
  readonly #onUse: (isUsed: boolean) => void;
  #closeSource: (() => void) | undefined;
  #room: OpenRoom | undefined;

  constructor(name: string, source: RoomSource, onUse: (isUsed: boolean) => void = () => {}) {
    super(name);
    this.#source = source;
    this.#onUse = onUse;
  }

  get size(): number {
    if (!this.#room) return this.seats.length;
    return this.#room.host.path.engine.native.roomTaken(this.#room.number);
  }

  protected get openClock(): Clock | undefined {
    return this.#room?.host.clock;
  }

  protected seatFor(stream: Stream, options: JoinOptions, onLeave: (seat: Seat) => void): CallSeat {
    if (!(stream instanceof CallStream)) throw noStream(stream);
    return new CallSeat(stream, options, onLeave);
  }

  protected afterEnd({ stream }: CallSeat): void {
    stream.media.count('playsAfterEnd');
  }

  protected enter(seat: CallSeat): boolean {
    seat.sit();
    this.#use(seat.stream.media);
    if (this.#room) this.#seat(seat, this.#room);
    return true;
  }

  protected beginRecording(recording: Recording): void {
    if (this.#room) this.#begin(recording, this.#room);
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
    this.look();
    if (this.recording) this.#begin(this.recording, this.#room);
    // Where the memory was there at once, the one that joins is seated by join().
    if (!this.#closeSource) return;
    for (const seat of [...this.seats]) {
      try {
        this.#seat(seat, this.#room);
      } catch (error) {
        seat.leave();
        seat.stream.report(error);
      }
    }
  }

  #seat(seat: CallSeat, { number, host }: OpenRoom): void {
    if (!seat.stream.enterRoom(number)) {
      host.count('conferencesFull');
      const problem = `conference ${shown(this.name)}: it is full: give it more participantsMax where it is first opened`;
      throw new SidetoneError('SIDETONE_CONFERENCE_FULL', problem);
    }
    host.count('conferenceJoins');
    seat.seated();
  }

  /** Nobody is in it here, and nobody records it. */
  protected release(): void {
    if (this.seats.length > 0 || (this.recording && this.#room)) return;
    if (this.#room) this.#room.host.path.engine.native.closeRoom(this.#room.number);
    this.#room = undefined;
    this.stopLooking();
    const close = this.#closeSource;
    this.#closeSource = undefined;
    if (!close) return;
    close();
    this.#onUse(false);
  }

  #begin(recording: Recording, { number, host }: OpenRoom): void {
    const { path, clock } = host;
    const { native } = path.engine;
    path.engine.at(clock.now()).recordRoom(number, recording.sampleRate);
    path.wake();
    recording.begin(
      new PolledTape({
        clock,
        recording,
        take: pcm => native.takeRecording(number, pcm),
        isEmpty: () => native.roomTaken(number) === 0,
        stop: () => native.stopRecording(number),
      }),
    );
  }
}
