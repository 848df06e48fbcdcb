/** What systemd is told of a server (sd_notify): that it is ready, that it lives, that it ends. */
import { native } from '../native/addon.js';

/** After the drain's deadline the process is ended by force within this time (native/binding/supervision.cpp). */
export const FORCED_END_MS = 10_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** The part of a manager's patience that may pass between two signs of life. */
const SIGNS_IN_TIME = 3;

export class ServiceManager {
  readonly #address: string | undefined;

  /** `pid` is this process's: another's watchdog is not ours. Where NOTIFY_SOCKET is not set, nothing is told. */
  constructor(
    private readonly environment: Environment,
    private readonly pid: number,
  ) {
    this.#address = environment.NOTIFY_SOCKET || undefined;
  }

  /**
   * The server listens. From now on the main thread gives a sign of life three times in `WatchdogSec`; a thread that is
   * stuck gives none, and systemd ends and starts the service.
   */
  ready(status: string): void {
    this.#tell(`READY=1\nSTATUS=${status}`);
    const { WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = this.environment;
    const patienceMs = Number(usec) / 1000;
    if (this.#address === undefined || !(patienceMs > 0) || (pid && Number(pid) !== this.pid)) return;
    setInterval(() => this.#tell('WATCHDOG=1'), patienceMs / SIGNS_IN_TIME).unref();
  }

  /** The server ends, within `withinMs`: systemd waits for that long and does not end it before. */
  stopping(status: string, withinMs: number): void {
    this.#tell(`STOPPING=1\nEXTEND_TIMEOUT_USEC=${Math.round(withinMs * 1000)}\nSTATUS=${status}`);
  }

  /** A message that does not arrive is no reason to end calls. */
  #tell(message: string): void {
    if (this.#address !== undefined) native.notify(this.#address, message);
  }
}
