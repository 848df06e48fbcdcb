/** A stream's place in a conference, as far as the stream knows of it. */
export interface StreamSeat {
  /** The stream has ended. */
  ended(): void;
}
