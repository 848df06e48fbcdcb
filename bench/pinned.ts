/** Processes on a core of their own, where the machine has `taskset`. */
import { spawnSync } from 'node:child_process';

let taskset: boolean | undefined;

export function hasTaskset(): boolean {
  taskset ??= spawnSync('taskset', ['-V']).status === 0;
  return taskset;
}

/** The command that runs Node with `args` on `core`, or anywhere where there is no taskset. */
export function pinnedNode(core: number, args: string[]): [command: string, args: string[]] {
  return hasTaskset()
    ? ['taskset', ['-c', String(core), process.execPath, ...args]]
    : [process.execPath, args];
}

/** Puts this process, all its threads and those to come, on `core`. */
export function pinSelf(core: number): void {
  if (hasTaskset()) spawnSync('taskset', ['-acp', String(core), String(process.pid)]);
}

/** What Node prints for `args`, run to its end on `core`. Its errors go to ours. */
export function nodeOutput(core: number, args: string[]): string {
  const [command, all] = pinnedNode(core, args);
  const { status, stdout } = spawnSync(command, all, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 << 20,
  });
  if (status !== 0) throw new Error(`${args.join(' ')} ended with status ${status}`);
  return stdout;
}
