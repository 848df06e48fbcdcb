/** The conferences of a plugin's thread, carried out in its reactor: the streams are here, and the engine that mixes them. */
import type { MessagePort } from 'node:worker_threads';
import { newBridge } from '../conference/conferences.js';
import type { Recording } from '../conference/recording.js';
import type { Conference, Participant } from '../plugin/conference.js';
import type { PluginThread } from '../plugin/instance.js';
import type { CallStream } from '../stream/stream.js';
import { attached, headOf, type Outlet } from './outlet.js';
import { toPlain } from './plain-error.js';
import { ASK, COMMAND, EVENT, type RemoteRoom, type RoomOutcome, SEAT } from './records.js';
import type { Ring } from './ring.js';

/** What the conferences of a thread need of it. */
export interface RoomsThread {
  readonly out: Outlet;
  readonly attachments: MessagePort;
  /** Undefined once it is over. */
  streamOf(handle: number): CallStream | undefined;
  /** Answers the question that it waits with. */
  answer(number: number, a: number): void;
  answerText(number: number, text: string): void;
  /** Something was written to it. */
  wrote(): void;
}

interface Room {
  conference: Conference;
  stopListening(): void;
}

export class RemoteRooms {
  readonly #open: PluginThread['conference'];
  readonly #thread: RoomsThread;
  readonly #rooms = new Map<number, Room>();
  readonly #seats = new Map<number, Participant>();
  readonly #numbers = new Map<Participant, number>();
  readonly #recordings = new Map<number, Recording>();
  /** What became of the last seat or recording, for which the thread waits. */
  #outcome: RoomOutcome = {};

  /** `open` is the reactor's `context.conference`. */
  constructor(open: PluginThread['conference'], thread: RoomsThread) {
    this.#open = open;
    this.#thread = thread;
  }

  /** Whether the thread may be written to although it has no stream. */
  get isWorking(): boolean {
    return this.#recordings.size > 0;
  }

  /** Carries out a command. */
  take(ring: Ring, cell: number): void {
    const { type, id, flags, a, b } = headOf(ring, cell);
    switch (type) {
      case COMMAND.openRoom:
        this.#openRoom(id, attached<RemoteRoom>(this.#thread.attachments));
        break;
      case COMMAND.closeRoom:
        this.#rooms.get(id)?.stopListening();
        this.#rooms.delete(id);
        break;
      case COMMAND.join:
        this.#try(() => this.#join(id, flags, this.#rooms.get(a), b));
        break;
      case COMMAND.seat:
        this.#set(id, flags);
        break;
      case COMMAND.leave:
        this.#leave(id);
        break;
      case COMMAND.record:
        this.#try(() => this.#record(id, this.#rooms.get(a), b));
        break;
      case COMMAND.endRecord:
        this.#endRecord(id);
        break;
      case COMMAND.ask:
        if (flags === ASK.roomSize) this.#thread.answer(a, this.#rooms.get(id)?.conference.size ?? 0);
        else this.#thread.answerText(a, JSON.stringify(this.#outcome));
        break;
    }
  }

  /** Tells of recordings that have ended because nobody was in the conference any more. */
  look(): void {
    for (const [id, { closed }] of this.#recordings) if (closed) this.#endRecord(id);
  }

  /** The thread has ended. */
  end(): void {
    for (const id of [...this.#seats.keys()]) this.#leave(id);
    for (const recording of this.#recordings.values()) recording.close().catch(() => {});
    this.#recordings.clear();
    for (const { stopListening } of this.#rooms.values()) stopListening();
    this.#rooms.clear();
  }

  #openRoom(id: number, { name, options }: RemoteRoom): void {
    const conference = name === '' ? newBridge() : this.#open?.(name, options);
    if (!conference) return;
    const stopListening = conference.onLeave(participant => {
      const seat = this.#numbers.get(participant);
      if (seat === undefined) return;
      this.#forget(seat);
      this.#thread.out.send(EVENT.left, 0, { id: seat });
      this.#thread.wrote();
    });
    this.#rooms.set(id, { conference, stopListening });
  }

  #try(act: () => RoomOutcome): void {
    try {
      this.#outcome = act();
    } catch (error) {
      // An answer has little room, and the stack shows this thread.
      this.#outcome = { error: { ...toPlain(error), stack: undefined, cause: undefined } };
    }
  }

  #join(id: number, flags: number, room: Room | undefined, handle: number): RoomOutcome {
    const stream = this.#thread.streamOf(handle);
    if (!stream || !room) return { left: true };
    const options = { muted: (flags & SEAT.muted) !== 0, onHold: (flags & SEAT.onHold) !== 0 };
    const participant = room.conference.join(stream, options);
    if (participant.left) return { left: true };
    this.#seats.set(id, participant);
    this.#numbers.set(participant, id);
    return {};
  }

  #set(id: number, flags: number): void {
    const participant = this.#seats.get(id);
    if (!participant) return;
    if ((flags & SEAT.muted) !== 0) participant.mute();
    else participant.unmute();
    // The music is played by the thread.
    if ((flags & SEAT.onHold) !== 0) participant.hold();
    else participant.unhold();
  }

  #leave(id: number): void {
    const participant = this.#seats.get(id);
    this.#forget(id);
    participant?.leave();
  }

  #forget(id: number): void {
    const participant = this.#seats.get(id);
    if (participant) this.#numbers.delete(participant);
    this.#seats.delete(id);
  }

  #record(id: number, room: Room | undefined, sampleRate: number): RoomOutcome {
    if (!room) return { left: true };
    const write = (samples: Int16Array, atSample: number): void => {
      this.#thread.out.attach(EVENT.tape, 0, samples.slice(), { id, a: atSample });
      this.#thread.wrote();
    };
    this.#recordings.set(id, room.conference.record(write, { sampleRate }) as Recording);
    return {};
  }

  #endRecord(id: number): void {
    const recording = this.#recordings.get(id);
    if (!recording) return;
    this.#recordings.delete(id);
    // It has no file, and what is left is written at once.
    void recording.close();
    this.#thread.out.send(EVENT.tapeEnd, 0, { id, a: recording.length });
    this.#thread.wrote();
  }
}
