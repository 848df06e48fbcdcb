/** Conferences as handlers in a thread of their own have them: the reactor, which has the streams, mixes. */
import type { Clock } from '../clock.js';
import { Conferences } from '../conference/conferences.js';
import { Seat } from '../conference/participant.js';
import type { Recording, Tape } from '../conference/recording.js';
import { noStream, SeatedConference } from '../conference/seated-conference.js';
import type { Conference, ConferenceOptions, JoinOptions } from '../plugin/conference.js';
import type { Playback, Stream } from '../plugin/stream.js';
import { fromPlain } from './plain-error.js';
import { ASK, COMMAND, EVENT, type RemoteRoom, type RoomOutcome, SEAT } from './records.js';
import type { ThreadPlayback } from './thread-playback.js';
import type { ThreadSide } from './thread-side.js';
import { ThreadStream } from './thread-stream.js';

/** The conferences of a plugin's thread. */
export class ThreadConferences {
  readonly #side: ThreadSide;
  readonly #named: Conferences;
  readonly #seats = new Map<number, ThreadSeat>();
  readonly #tapes = new Map<number, RemoteTape>();
  #nextNumber = 1;

  constructor(side: ThreadSide) {
    this.#side = side;
    this.#named = new Conferences(
      (name, options, onUse) => new ThreadConference(this, { name, options }, onUse),
    );
  }

  /** As `context.conference`. */
  get(name: string, options?: ConferenceOptions): Conference {
    return this.#named.get(name, options);
  }

  /** A conference without a name, for two. */
  newBridge(): Conference {
    return new ThreadConference(this, { name: '', options: {} }, () => {});
  }

  /** Carries out what the reactor has written. */
  told(type: number, id: number, a: number, value: unknown): void {
    if (type === EVENT.left) this.#seats.get(id)?.leave();
    else if (type === EVENT.tape) this.#tapes.get(id)?.recording.write(value as Int16Array, a);
    else if (type === EVENT.tapeEnd) {
      this.#tapes.get(id)?.over(a);
      this.#tapes.delete(id);
    }
  }

  // --- for a conference ---

  get clock(): Clock {
    return this.#side.clock;
  }

  open(room: RemoteRoom): number {
    const id = this.#nextNumber++;
    this.#side.out.attach(COMMAND.openRoom, 0, room, { id });
    return id;
  }

  close(room: number): void {
    this.#side.out.send(COMMAND.closeRoom, 0, { id: room });
  }

  /** Undefined where the reactor does not answer in time. */
  sizeOf(room: number): number | undefined {
    return this.#side.ask(ASK.roomSize, 0, room)?.[0];
  }

  /** Waits for the reactor, which knows whether the stream may join. Undefined: its stream is over there. */
  seat(seat: ThreadSeat, room: number): number | undefined {
    const id = this.#nextNumber++;
    const head = { id, flags: seat.flags, a: room, b: seat.stream.handle };
    this.#side.out.send(COMMAND.join, 0, head);
    if (this.#outcome().left) return undefined;
    this.#seats.set(id, seat);
    return id;
  }

  setSeat(id: number, flags: number): void {
    this.#side.out.send(COMMAND.seat, 0, { id, flags });
  }

  leave(id: number): void {
    this.#seats.delete(id);
    this.#side.out.send(COMMAND.leave, 0, { id });
  }

  afterEnd({ handle }: ThreadStream): void {
    this.#side.out.send(COMMAND.playAfterEnd, handle);
  }

  record(recording: Recording, room: number): void {
    const id = this.#nextNumber++;
    this.#side.out.send(COMMAND.record, 0, { id, a: room, b: recording.sampleRate });
    this.#outcome();
    const tape = new RemoteTape(recording, () => this.#side.out.send(COMMAND.endRecord, 0, { id }));
    this.#tapes.set(id, tape);
    recording.begin(tape);
  }

  /** What became of the last seat or recording. @throws what the reactor says */
  #outcome(): RoomOutcome {
    const outcome = this.#side.askJson(ASK.roomOutcome, 0) as RoomOutcome;
    if (outcome.error) throw fromPlain(outcome.error);
    return outcome;
  }
}

class ThreadSeat extends Seat {
  readonly stream: ThreadStream;
  readonly #conferences: ThreadConferences;
  /** Its number where it is mixed; undefined: it is not there. */
  #id: number | undefined;

  constructor(
    conferences: ThreadConferences,
    stream: ThreadStream,
    options: JoinOptions,
    onLeave: (seat: Seat) => void,
  ) {
    super(options, onLeave);
    this.#conferences = conferences;
    this.stream = stream;
  }

  /** Bits of SEAT. */
  get flags(): number {
    return (this.muted ? SEAT.muted : 0) | (this.onHold ? SEAT.onHold : 0);
  }

  /** False: its stream is over where it is mixed. */
  enter(room: number): boolean {
    this.#id = this.#conferences.seat(this, room);
    if (this.#id === undefined) return false;
    this.stream.seat = this;
    return true;
  }

  handlerFailed(where: string, error: unknown): void {
    this.stream.player.handlerFailed(where, error);
  }

  protected tell(): void {
    if (this.#id !== undefined) this.#conferences.setSeat(this.#id, this.flags);
  }

  protected cancel(music: Playback): void {
    if (!this.stream.closed) this.stream.player.cancel(music as ThreadPlayback);
  }

  protected stand(): void {
    if (this.#id === undefined) return;
    this.stream.seat = undefined;
    this.#conferences.leave(this.#id);
  }
}

/** A recording that the reactor writes. */
class RemoteTape implements Tape {
  readonly recording: Recording;
  readonly #end: () => void;
  #isOver = false;
  #onOver: (() => void) | undefined;

  constructor(recording: Recording, end: () => void) {
    this.recording = recording;
    this.#end = end;
  }

  end(): Promise<void> | undefined {
    if (this.#isOver) return undefined;
    this.#end();
    return new Promise(resolve => {
      this.#onOver = resolve;
    });
  }

  /** The reactor has written all, and the recording has so many samples. */
  over(samples: number): void {
    this.#isOver = true;
    this.recording.goOn(samples);
    this.#onOver?.();
    // Whoever wants to know of a failure closes it.
    this.recording.close().catch(() => {});
  }
}

class ThreadConference extends SeatedConference<ThreadSeat> {
  readonly #conferences: ThreadConferences;
  readonly #remote: RemoteRoom;
  /** It has streams or a recording, or has neither any more. */
  readonly #onUse: (isUsed: boolean) => void;
  /** Its number in the reactor. */
  #room: number | undefined;

  constructor(conferences: ThreadConferences, remote: RemoteRoom, onUse: (isUsed: boolean) => void) {
    super(remote.name);
    this.#conferences = conferences;
    this.#remote = remote;
    this.#onUse = onUse;
  }

  get size(): number {
    if (this.#room === undefined || this.seats.length === 0) return 0;
    return this.#conferences.sizeOf(this.#room) ?? this.seats.length;
  }

  protected get openClock(): Clock | undefined {
    return this.seats.length > 0 ? this.#conferences.clock : undefined;
  }

  protected seatFor(stream: Stream, options: JoinOptions, onLeave: (seat: Seat) => void): ThreadSeat {
    if (!(stream instanceof ThreadStream)) throw noStream(stream);
    return new ThreadSeat(this.#conferences, stream, options, onLeave);
  }

  protected enter(seat: ThreadSeat): boolean {
    const isIn = seat.enter(this.#open());
    if (isIn) this.look();
    return isIn;
  }

  protected afterEnd({ stream }: ThreadSeat): void {
    this.#conferences.afterEnd(stream);
  }

  protected beginRecording(recording: Recording): void {
    this.#conferences.record(recording, this.#open());
  }

  protected release(): void {
    if (this.seats.length > 0) return;
    this.stopLooking();
    if (this.recording || this.#room === undefined) return;
    this.#conferences.close(this.#room);
    this.#room = undefined;
    this.#onUse(false);
  }

  #open(): number {
    if (this.#room === undefined) {
      this.#room = this.#conferences.open(this.#remote);
      this.#onUse(true);
    }
    return this.#room;
  }
}
