/** What a machine is, as far as a media server cares. Reading is apart from judging (machine-checks.ts), for the tests. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { native } from '../native/addon.js';
import { uWS } from '../native/uws.js';

/** Where the checks look. A problem is a message that says what to do; undefined where all is well. */
export interface Machine {
  /** A file's text, or undefined where it cannot be read. */
  read(path: string): string | undefined;
  /** Names in a folder; none where it cannot be read. */
  list(path: string): string[];
  /** What a command writes to stdout, or undefined where it is missing or fails. */
  run(command: string, ...args: string[]): string | undefined;
  platform: string;
  /** Such as `22.12.0`. */
  node: string;
  /** Version of the C library; undefined where it is another one. */
  glibc: string | undefined;
  /** Threads that may run at the same time, by affinity and quota. */
  parallelism: number;
  addonProblem: string | undefined;
  uwsProblem: string | undefined;
  amrwbProblem: string | undefined;
}

/** What is wrong with a part that throws where it cannot be used. */
function problemOf(use: () => unknown): string | undefined {
  try {
    use();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function useAmrWb(): void {
  new native.AmrWbDecoder('auto').close();
  new native.AmrWbEncoder('bandwidth-efficient', 2, false).close();
}

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return {
    read(path) {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    list(path) {
      try {
        return readdirSync(path);
      } catch {
        return [];
      }
    },
    run(command, ...args) {
      const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', timeout: 5000 });
      return status === 0 ? stdout : undefined;
    },
    platform: process.platform,
    node: process.versions.node,
    glibc: report.header?.glibcVersionRuntime,
    parallelism: availableParallelism(),
    addonProblem: problemOf(() => native.counterNames),
    uwsProblem: problemOf(() => uWS.App),
    amrwbProblem: problemOf(useAmrWb),
  };
}
