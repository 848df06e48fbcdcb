/** What accept() gave stays in its thread: this stands for it, as the context of a stream. */
export class ContextTicket {
  constructor(
    readonly thread: object,
    /** Its number there; undefined where it gave none. */
    readonly context: number | undefined,
  ) {}
}
