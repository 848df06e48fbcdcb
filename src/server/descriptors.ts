import { readFileSync } from 'node:fs';

/** Descriptors that the process needs besides one a stream: files, pipes, event loops, requests under way. */
const RESERVED = 64;

/**
 * How many streams the process's file descriptors allow (`ulimit -n`; Node.js raises the soft limit to the hard one).
 * At the limit itself, accepting fails for everybody and the event loop spins on it: so none is taken so far.
 */
export function streamsByDescriptors(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    if (soft !== undefined) return Math.max(1, Number(soft) - RESERVED);
  } catch {
    // No /proc here.
  }
  return Number.POSITIVE_INFINITY;
}
