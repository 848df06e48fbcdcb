/** What the addon has for rooms, in which streams hear each other (native/mix). */

/** Calls of an engine. */
export interface NativeRooms {
  /**
   * A room over memory of roomBytes(), which threads may share; `reactor` tells them apart. Returns its number. The memory
   * is kept until closeRoom().
   */
  openRoom(memory: Uint8Array, seats: number, sampleRateMax: number, reactor: number): number;
  closeRoom(room: number): void;
  /** 1, or 0 where no seat is free, the stream has no inbound track, or is in a room already. */
  join(stream: number, room: number): number;
  leave(stream: number): void;
  /** Whether the others hear it, and whether it hears them. */
  setSeat(stream: number, isHeard: boolean, hears: boolean): void;
  /** 1 where something that play() took, and no room, has not been heard yet. */
  hasOwnAudio(stream: number): number;
  /** Participants of all threads. */
  roomTaken(room: number): number;
  /** Everything that is said in a room goes to a tape of one second. */
  recordRoom(room: number, sampleRate: number): void;
  stopRecording(room: number): void;
  /** What came next into `pcm`: how many samples, or less than 0 for so many of silence; 0 where there is nothing. */
  takeRecording(room: number, pcm: Int16Array): number;
}

/** What needs no engine. */
export interface NativeRoomMemory {
  /** Memory that a room of so many seats needs, in bytes. */
  roomBytes(seats: number, sampleRateMax: number): number;
  /** Frees the seats of a thread that has ended. */
  giveSeats(memory: Uint8Array, seats: number, sampleRateMax: number, reactor: number): void;
}
