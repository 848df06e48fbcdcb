/**
 * What a process that lives for its server does for it: `sidetone serve`, and every process that calls
 * `guardProcess()`.
 */
import { hostname } from 'node:os';
import type { Logger } from '../log/log.js';
import { native } from '../native/addon.js';
import { BEAT_MS, STUCK_MS } from './heartbeats.js';
import { PROCESS_PLACES, type SharedState } from './shared-state.js';

/**
 * Has another thread watch the main thread, because a thread that is stuck can neither notice it nor hear of a signal.
 * The log tells when it is stuck. The drain's deadline ends the process whatever its threads do.
 */
export function watchMainThread(state: SharedState, log: Logger, drainTimeoutMs: number): void {
  state.beat();
  setInterval(() => state.beat(), BEAT_MS).unref();
  native.watchProcess(
    state.words,
    PROCESS_PLACES,
    { stuckMs: STUCK_MS, drainMs: drainTimeoutMs },
    {
      stuck: logLine(log, 'error', 'the main thread is stuck: a plugin may hold it'),
      turns: logLine(log, 'warn', 'the main thread turns again'),
      deadline: logLine(
        log,
        'fatal',
        'the process is ended by force: it has not ended by the deadline of the drain',
      ),
    },
  );
}

/** A line as the logger would write it, for a thread that has none. Empty where it is not to be logged. */
function logLine(log: Logger, level: 'error' | 'warn' | 'fatal', msg: string): string {
  if (!log.isLevelEnabled(level)) return '';
  const line = { level: log.levels.values[level], time: 'TIME', pid: process.pid, hostname: hostname(), msg };
  return JSON.stringify(line);
}
