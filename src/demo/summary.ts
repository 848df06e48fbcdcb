/** The demo's outcome in a few lines for a terminal. */
import { latencies } from '../simulator/echo.js';
import { type DemoOutcome, isRight } from './demo.js';
import type { Kind } from './plan.js';

const PROBLEMS_SHOWN = 20;
/** A process that is stopped for longer than this runs on a machine that is too busy for calls. */
const BUSY_MS = 100;

/** How many calls of each kind and encoding were right, what the echo took, what the server needed. */
export function summary(outcome: DemoOutcome): string {
  const { calls, encodings, missing, problems, cpuMs, callSeconds } = outcome;
  const kinds = [...new Set(calls.map(({ planned }) => planned.kind))];
  const rows = kinds.map(kind => [kind, ...encodings.map(encoding => score(outcome, kind, encoding))]);
  const lines = columns([['', ...encodings], ...rows]);

  const right = calls.filter(({ verdict }) => verdict.problems.length === 0).length;
  lines.push('', `calls    ${right} of ${calls.length} right, seed ${outcome.seed}`);
  const delays = latencies(calls.flatMap(({ verdict }) => verdict.delaysMs));
  if (delays) {
    const { p50, p99, max } = delays;
    lines.push(
      `echo     back after ${p50.toFixed(1)} ms (half), ${p99.toFixed(1)} ms (99 %), ${max.toFixed(1)} ms (all)`,
    );
  }
  if (cpuMs !== undefined) {
    const each = cpuMs / callSeconds;
    lines.push(
      `server   ${(cpuMs / 1000).toFixed(1)} s of processor time for ${callSeconds.toFixed(0)} s of calls: ` +
        `${each.toFixed(1)} ms a second of call`,
    );
  }
  if (outcome.stallMs > BUSY_MS) {
    lines.push(
      `busy     this machine held the callers or the server for up to ${outcome.stallMs.toFixed(0)} ms: other work is heard`,
    );
  }
  for (const { encoding, why } of missing) lines.push(`without  ${encoding}: ${why}`);
  for (const problem of problems) lines.push(`wrong    ${problem}`);
  const wrong = calls.flatMap(({ planned, verdict }) =>
    verdict.problems.map(problem => `wrong    ${planned.name}: ${problem}`),
  );
  lines.push(...wrong.slice(0, PROBLEMS_SHOWN));
  if (wrong.length > PROBLEMS_SHOWN) lines.push(`         and ${wrong.length - PROBLEMS_SHOWN} more`);
  lines.push(isRight(outcome) ? 'result   every caller heard what it should' : 'result   NOT RIGHT');
  return lines.join('\n');
}

function score({ calls }: DemoOutcome, kind: Kind, encoding: string): string {
  const some = calls.filter(({ planned }) => planned.kind === kind && planned.encoding === encoding);
  const right = some.filter(({ verdict }) => verdict.problems.length === 0).length;
  return some.length === 0 ? '' : `${right}/${some.length}${right < some.length ? ' !' : ''}`;
}

function columns(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map(row => row[i]!.length)));
  return rows.map(row =>
    row
      .map((text, i) => text.padEnd(widths[i]! + 2))
      .join('')
      .trimEnd(),
  );
}
