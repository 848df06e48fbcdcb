/**
 * `sidetone serve --supervise`: a parent that starts the server as a child, starts a crashed one again, and hands over
 * to a new one at SIGUSR2. docs/operations.md says what each signal does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { type Clock, systemClock } from '../clock.js';
import { SidetoneError } from '../errors.js';
import { createLog, type Logger } from '../log/log.js';
import { resolveOptions } from '../options/options.js';
import { ChildWatch, KILL_AFTER_MS, type WatchTimes } from './child-watch.js';
import { EXIT_FAILED, EXIT_OK } from './exit.js';
import { type ChildExit, RestartPolicy } from './restart-policy.js';
import { readServeOptions } from './serve-options.js';
import { FORCED_END_MS, ServiceManager } from './service-manager.js';
import { type ChildMessage, type ParentMessage, SUPERVISE_FLAG, SUPERVISED_FLAG } from './supervised.js';

/** Beside `setupTimeoutMs`: how long loading and listening may take. */
const START_MS = 60_000;
/** How long the old server may take to close the admin port. */
const ADMIN_MS = 5000;

interface Child {
  process: ChildProcess;
  /** Told to end. */
  isEnding: boolean;
  /** From the time on when it is ready. */
  watch: ChildWatch | undefined;
}

/** Runs until SIGTERM or SIGINT, or until a server cannot be started; sets the exit code. */
export function supervise(flags: Readonly<Record<string, unknown>>): void {
  const options = resolveOptions(readServeOptions(flags, process.env));
  const supervisor = new Supervisor(systemClock, createLog(options.logLevel), {
    startMs: START_MS + options.setupTimeoutMs,
    drainMs: options.drainTimeoutMs + FORCED_END_MS,
    watch: watchTimes(flags),
  });
  process.on('SIGTERM', signal => supervisor.stop(signal)).on('SIGINT', signal => supervisor.stop(signal));
  process.on('SIGHUP', () => supervisor.hangUp()).on('SIGUSR2', () => void supervisor.handOver());
  supervisor.start();
}

/** @throws SidetoneError SIDETONE_BAD_OPTION for an interval that is too long for the limit */
function watchTimes({ watchdog, watchdogInterval }: Readonly<Record<string, unknown>>): WatchTimes {
  const intervalMs = 1000 * (watchdogInterval as number);
  const limitMs = 1000 * (watchdog as number);
  if (limitMs > 0 && 2 * intervalMs > limitMs) {
    const remedy = `give at most ${limitMs / 2000}, half of --watchdog, or a longer --watchdog`;
    throw new SidetoneError('SIDETONE_BAD_OPTION', `--watchdog-interval: ${intervalMs / 1000}: ${remedy}`);
  }
  return { intervalMs, limitMs };
}

interface Times {
  startMs: number;
  drainMs: number;
  watch: WatchTimes;
}

class Supervisor {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #times: Times;
  readonly #policy: RestartPolicy;
  readonly #manager = new ServiceManager(process.env, process.pid);
  readonly #children = new Set<Child>();
  /** Takes the calls, or is about to. */
  #current: Child | undefined;
  /** Takes over when it is ready. */
  #next: Child | undefined;
  #wasReady = false;
  #isStopping = false;
  #cancelRestart = (): void => {};

  constructor(clock: Clock, log: Logger, times: Times) {
    this.#clock = clock;
    this.#log = log;
    this.#times = times;
    this.#policy = new RestartPolicy(clock);
  }

  start(): void {
    const child = this.#spawn(false);
    this.#current = child;
    void this.#readiness(child).then(isReady => isReady && this.#isInService(child));
  }

  /** All children drain; a second time they close at once. */
  stop(signal: string): void {
    this.#log.info({ signal, children: this.#children.size }, this.#isStopping ? 'ending at once' : 'ending');
    this.#cancelRestart();
    this.#manager.stopping('draining', this.#times.drainMs);
    for (const child of this.#children) {
      // To one that drains already, a second signal means: at once.
      if (this.#isStopping || !child.isEnding) end(child);
    }
    this.#isStopping = true;
    this.#finishIfAlone(EXIT_OK);
  }

  /** Tokens and certificates are read again by those that take calls. */
  hangUp(): void {
    for (const child of this.#children) if (!child.isEnding) child.process.kill('SIGHUP');
  }

  /** Starts a new server beside the old one. The old one drains when the new one is ready, and not before. */
  async handOver(): Promise<void> {
    const old = this.#current;
    if (this.#isStopping || this.#next || !old) {
      const why = this.#isStopping ? 'it is ending' : this.#next ? 'one is under way' : 'no server runs';
      this.#log.warn({ signal: 'SIGUSR2' }, `no hand-over: ${why}`);
      return;
    }
    const next = this.#spawn(true);
    this.#next = next;
    this.#log.info({ old: old.process.pid, next: next.process.pid }, 'hand-over: a new server starts');
    const isReady = await this.#readiness(next);
    // Both are undefined where the new one has ended: see #ended.
    if (!isReady || this.#next !== next) return;
    this.#next = undefined;
    if (this.#isStopping) return;
    this.#current = next;
    this.#isInService(next);
    if (this.#children.has(old)) await this.#takeAdminPort(old);
    tell(next, 'open-admin');
    this.#log.info({ old: old.process.pid, next: next.process.pid }, 'hand-over: the old server drains');
    if (!old.isEnding) end(old);
  }

  /** Both cannot have the admin port, so the old server closes it before the new one opens it. */
  async #takeAdminPort(old: Child): Promise<void> {
    await new Promise<void>(resolve => {
      const cancel = this.#clock.after(ADMIN_MS, resolve);
      const settle = (): void => {
        cancel();
        resolve();
      };
      old.process.on('message', message => (message as ChildMessage) === 'admin-closed' && settle());
      old.process.once('exit', settle);
      tell(old, 'close-admin');
    });
  }

  #isInService({ process: { pid } }: Child): void {
    this.#log.info({ child: pid }, 'a server is in service');
    this.#policy.ready();
    if (!this.#wasReady) this.#manager.ready('supervising');
    this.#wasReady = true;
  }

  #spawn(isNext: boolean): Child {
    const args = process.argv.slice(2).filter(arg => arg !== SUPERVISE_FLAG);
    const command = [
      ...process.execArgv,
      process.argv[1]!,
      ...args,
      SUPERVISED_FLAG,
      isNext ? 'next' : 'first',
    ];
    const { NOTIFY_SOCKET: _socket, WATCHDOG_USEC: _usec, WATCHDOG_PID: _pid, ...env } = process.env;
    // In a process group of its own: a terminal's Ctrl-C would reach the child as well, and count as the second signal.
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
    const child: Child = {
      process: spawn(process.execPath, command, { env, stdio: [...stdio], detached: true }),
      isEnding: false,
      watch: undefined,
    };
    this.#children.add(child);
    child.process.once('error', error => {
      if (child.process.pid !== undefined) return;
      this.#log.error({ err: error }, 'the server could not be started');
      this.#ended(child, { code: EXIT_FAILED, signal: null });
    });
    child.process.once('exit', (code, signal) => this.#ended(child, { code, signal }));
    child.process.on('message', message => {
      if ((message as ChildMessage) === 'ready') child.watch = this.#watch(child);
      if ((message as ChildMessage) === 'alive') child.watch?.beat();
    });
    return child;
  }

  #watch(child: Child): ChildWatch {
    const facts = { child: child.process.pid };
    return new ChildWatch(this.#clock, this.#times.watch, {
      end: silentMs => {
        this.#log.error(
          { ...facts, silentMs, signal: 'SIGTERM', killAfterMs: KILL_AFTER_MS },
          'the server is stuck: no sign of life of its main thread or of any reactor; it is ended',
        );
        child.process.kill('SIGTERM');
      },
      kill: () => {
        this.#log.error(
          { ...facts, signal: 'SIGKILL' },
          'the stuck server does not end by itself: it is killed',
        );
        child.process.kill('SIGKILL');
      },
      drains: () => {
        this.#log.warn(facts, 'the stuck server works again and drains');
        child.isEnding = true;
        if (child === this.#current) void this.handOver();
      },
    });
  }

  /** Whether it gets ready; one that takes too long is killed. */
  #readiness(child: Child): Promise<boolean> {
    return new Promise(resolve => {
      const cancel = this.#clock.after(this.#times.startMs, () => {
        this.#log.error(
          { child: child.process.pid, afterMs: this.#times.startMs },
          'the server does not get ready',
        );
        child.process.kill('SIGKILL');
      });
      const settle = (isReady: boolean): void => {
        cancel();
        resolve(isReady);
      };
      child.process.on('message', message => (message as ChildMessage) === 'ready' && settle(true));
      child.process.once('exit', () => settle(false));
      child.process.once('error', () => settle(false));
    });
  }

  #ended(child: Child, exit: ChildExit): void {
    this.#children.delete(child);
    child.watch?.close();
    const facts = { child: child.process.pid, ...exit, ...(child.watch?.isEnding && { why: 'stuck' }) };
    if (child.isEnding || this.#isStopping) {
      this.#log.info(facts, 'a server has ended');
      // One that was still starting has no handler for the signal.
      this.#finishIfAlone(exit.signal === 'SIGTERM' ? EXIT_OK : (exit.code ?? EXIT_FAILED));
      return;
    }
    if (child === this.#next) {
      this.#next = undefined;
      const isServed = this.#current !== undefined && !this.#current.isEnding;
      this.#log.error(
        facts,
        `hand-over failed: ${isServed ? 'the old server goes on' : 'the old one ends, too'}`,
      );
      if (!isServed) this.#startAgain(exit, facts);
      return;
    }
    this.#current = undefined;
    if (this.#next) this.#log.error(facts, 'the server crashed: the one that takes over is starting');
    else this.#startAgain(exit, facts);
  }

  #startAgain(exit: ChildExit, facts: object): void {
    const delayMs = this.#wasReady ? this.#policy.ended(exit) : undefined;
    if (delayMs === undefined) {
      const why = this.#wasReady ? 'its configuration is wrong' : 'it has never been ready';
      this.#log.fatal(facts, `the server ended and is not started again: ${why}`);
      this.#isStopping = true;
      process.exitCode = exit.code ?? EXIT_FAILED;
      this.#finishIfAlone(process.exitCode);
      return;
    }
    this.#log.error({ ...facts, delayMs }, 'the server crashed and is started again');
    this.#cancelRestart = this.#clock.after(delayMs, () => this.start());
  }

  /** The handlers of signals keep no process alive; the children's channels do. */
  #finishIfAlone(code: number): void {
    if (!this.#isStopping) return;
    if (code !== EXIT_OK || process.exitCode === undefined) process.exitCode = code;
    if (this.#children.size === 0) this.#log.info('the supervisor ends');
  }
}

function end(child: Child): void {
  child.isEnding = true;
  child.process.kill('SIGTERM');
}

/** One that has ended meanwhile need not hear it. */
function tell(child: Child, message: ParentMessage): void {
  if (child.process.connected) child.process.send(message, () => {});
}
