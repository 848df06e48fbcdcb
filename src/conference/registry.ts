/** The memory of a server's conferences, by name: kept in the main thread, for the reactors of all threads. */
import { native } from '../native/addon.js';

/** Settled by whoever opens a conference first. */
export interface RoomShape {
  participantsMax: number;
  sampleRateMax: number;
}

/** What a reactor opens a conference with. */
export interface RoomMemory {
  memory: SharedArrayBuffer;
  shape: RoomShape;
}

/** Memory for a conference that nobody is in. */
export function newMemory(shape: RoomShape): RoomMemory {
  const bytes = native.roomBytes(shape.participantsMax, shape.sampleRateMax);
  return { memory: new SharedArrayBuffer(bytes), shape };
}

export class RoomRegistry {
  readonly #rooms = new Map<string, RoomMemory & { reactors: Set<number> }>();

  /** The memory of a conference, for a reactor that needs it until close(). */
  open(name: string, shape: RoomShape, reactor: number): RoomMemory {
    let room = this.#rooms.get(name);
    if (!room) {
      room = { ...newMemory(shape), reactors: new Set() };
      this.#rooms.set(name, room);
    }
    room.reactors.add(reactor);
    return { memory: room.memory, shape: room.shape };
  }

  /** The reactor has nobody in it any more. */
  close(name: string, reactor: number): void {
    const room = this.#rooms.get(name);
    if (!room?.reactors.delete(reactor)) return;
    if (room.reactors.size === 0) this.#rooms.delete(name);
  }

  /** The reactor's thread has ended, and left its participants behind. */
  ended(reactor: number): void {
    for (const [name, { memory, shape, reactors }] of this.#rooms) {
      if (!reactors.has(reactor)) continue;
      native.giveSeats(new Uint8Array(memory), shape.participantsMax, shape.sampleRateMax, reactor);
      this.close(name, reactor);
    }
  }

  /** Conferences that a reactor has open. */
  get size(): number {
    return this.#rooms.size;
  }
}
