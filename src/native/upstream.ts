/** The part of the addon for a client of a speech-to-speech service, as it crosses the boundary. */

export interface NativeUpstream {
  /**
   * Writes a frame of a WebSocket client (RFC 6455) into `out` from `at` on, masked with the four bytes of `mask`. Returns
   * where it ends, or 0 where it has no room.
   */
  clientFrame(opcode: number, payload: Uint8Array, mask: number, out: Uint8Array, at: number): number;
  /** The same for a text message, the event `input_audio_buffer.append` with this audio. */
  appendFrame(audio: Uint8Array, mask: number, out: Uint8Array, at: number): number;
  /**
   * Writes to sockets without waiting. `rows` has four numbers for each: the descriptor, where its bytes begin and end in
   * `memory`, and how many of them the socket has taken, which is written here: none where there was an error.
   */
  sendFrames(memory: Uint8Array, rows: Int32Array, count: number): void;
  /**
   * 1 for a message that is a piece of an answer's audio, 2 for one of its words, 0 for one that JSON.parse has to judge.
   * `places` gets begin and end of the item's id, of the answer's id, and of the piece. Audio is decoded into `audio`, and the
   * last place is its length in bytes.
   */
  scanDelta(message: Uint8Array, audio: Uint8Array, places: Int32Array): 0 | 1 | 2;
}
