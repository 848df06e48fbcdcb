/** An error that the server logged, and the handler's method that failed, where it was one. */
export interface LoggedFailure {
  /** Such as `onAudio`; undefined where it was no method of the handler. */
  where: string | undefined;
  /** What was thrown. */
  error: unknown;
}
