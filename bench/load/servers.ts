/** The servers that are measured, and how one is started on its core and ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { pinnedNode } from '../pinned.js';

export type Workload = 'echo' | 'speech';
export type ServerName = 'sidetone' | 'ws-sample' | 'uws-sample' | 'uws-raw' | 'uws-chunks' | 'uws-floor';

const SERVER_CORE = 0;
const START_LIMIT_MS = 15_000;
const STOP_LIMIT_MS = 5_000;

const compiled = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

function command(name: ServerName, workload: Workload, refuses: boolean): string[] {
  if (name !== 'sidetone') return [compiled(`bench/load/baselines/${name}.js`), '--mode', workload];
  const plugin = workload === 'echo' ? 'echo' : 'speak';
  const main = compiled('src/cli/main.js');
  // What a server does beyond its capacity is measured too, and the baselines refuse nothing.
  const own = ['--plugin', plugin, '--port', '0', '--admin-port', '0'];
  if (!refuses) own.push('--no-overload-refuse');
  return [...flagsOf(main), main, 'serve', ...own];
}

/** The flags in a script's first line, which `sidetone` is started with. */
function flagsOf(script: string): string[] {
  const [first = ''] = readFileSync(script, 'utf8').split('\n', 1);
  return first.split(' ').filter(word => word.startsWith('--'));
}

export interface RunningServer {
  pid: number;
  url: string;
  /** 0 of a baseline, which has none. */
  adminPort: number;
  /** Everything it has printed so far, where `keepOutput` was asked for. */
  output(): string;
  stop(): Promise<void>;
}

export interface StartOptions {
  nodeFlags?: string[];
  /** For this server: arguments behind its own. */
  args?: readonly string[];
  /** On no core of its own. */
  unpinned?: boolean;
  keepOutput?: boolean;
  /** Refuses calls while it is overloaded. */
  refuses?: boolean;
}

interface Ports {
  port: number;
  adminPort: number;
}

/** The ports in a line that says `"msg":"listening"`. */
function portsIn(line: string): Ports | undefined {
  if (!line.includes('"listening"')) return undefined;
  try {
    const { msg, port, adminPort = 0 } = JSON.parse(line) as { msg?: string } & Partial<Ports>;
    return msg === 'listening' && port !== undefined ? { port, adminPort } : undefined;
  } catch {
    return undefined;
  }
}

/** Rejects with what the server said where it does not come up. */
export async function startServer(
  name: ServerName,
  workload: Workload,
  {
    nodeFlags = [],
    args: more = [],
    unpinned = false,
    keepOutput = false,
    refuses = false,
  }: StartOptions = {},
): Promise<RunningServer> {
  const all = [...nodeFlags, ...command(name, workload, refuses), ...more];
  const [program, args] = unpinned ? [process.execPath, all] : pinnedNode(SERVER_CORE, all);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  child.stderr.on('data', data => {
    errors = (errors + data).slice(-2000);
  });
  const { port, adminPort } = await new Promise<Ports>((resolve, reject) => {
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`it did not listen within ${START_LIMIT_MS / 1000} s: ${errors}`));
    }, START_LIMIT_MS);
    child.once('exit', code => {
      clearTimeout(limit);
      const why = errors.split('\n').find(each => /error/i.test(each)) ?? errors.trim();
      reject(new Error(`it ended with ${code}: ${why}`));
    });
    let line = '';
    let found = false;
    child.stdout.on('data', data => {
      if (keepOutput) output += data;
      if (found) return;
      line += data;
      for (const each of line.split('\n')) {
        const at = portsIn(each);
        if (at === undefined) continue;
        found = true;
        clearTimeout(limit);
        resolve(at);
      }
    });
  });
  return {
    // taskset execs Node, so the child's pid is the server's.
    pid: child.pid!,
    url: `ws://127.0.0.1:${port}/`,
    adminPort,
    output: () => output,
    stop: () => stop(child),
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await ended;
  clearTimeout(limit);
}

/** Resident memory of a process now, in bytes. */
export function rssBytes(pid: number): number {
  const kb = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb) * 1024;
}
