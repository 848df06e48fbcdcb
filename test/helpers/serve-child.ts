/** `sidetone serve` in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './paths.js';

const MAIN = join(root, 'dist/src/cli/main.js');

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface ServeChild {
  readonly port: number;
  /** 0 unless it was started with `admin`. */
  readonly adminPort: number;
  readonly process: ChildProcess;
  /** Resolves when the process has ended. */
  readonly exit: Promise<Exit>;
  /** Everything written so far, both streams. */
  output(): string;
  /** SIGTERM, then the exit. */
  stop(): Promise<Exit>;
  /** Ends the process: it is killed where it does not end by itself. */
  kill(): Promise<void>;
}

/** Runs the command line without waiting for anything. `descriptors`: its `ulimit -n`. */
export function runCli(
  args: readonly string[],
  options: { descriptors?: number; nodeArgs?: readonly string[]; environment?: NodeJS.ProcessEnv } = {},
): { process: ChildProcess; exit: Promise<Exit>; output(): string } {
  const command = [process.execPath, ...(options.nodeArgs ?? []), MAIN, ...args];
  const [file, ...rest] =
    options.descriptors === undefined
      ? command
      : ['bash', '-c', `ulimit -n ${options.descriptors}; exec "$@"`, 'bash', ...command];
  const child = spawn(file!, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.environment },
  });
  let output = '';
  child.stdout.on('data', data => {
    output += data;
  });
  child.stderr.on('data', data => {
    output += data;
  });
  const exit = new Promise<Exit>(resolve => {
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  return { process: child, exit, output: () => output };
}

/** Starts a server on a free port and waits until it listens. `admin`: with an admin port, on a free one too. */
export async function serveChild(
  args: readonly string[] = [],
  options: Parameters<typeof runCli>[1] & { admin?: boolean } = {},
): Promise<ServeChild> {
  const level = args.includes('--log-level') ? [] : ['--log-level', 'info'];
  const child = runCli(
    ['serve', '--port', '0', ...(options.admin ? [] : ['--no-admin']), ...level, ...args],
    // Late live audio is not shortened unless a test asks for it, because what is heard must not depend on the
    // machine.
    { ...options, environment: { SIDETONE_LIVE_LATENCY_MAX: '0', ...options.environment } },
  );
  const ports = await listeningPorts(child).catch(error => {
    child.process.kill('SIGKILL');
    throw error;
  });
  return {
    ...child,
    ...ports,
    stop() {
      child.process.kill('SIGTERM');
      return child.exit;
    },
    async kill() {
      child.process.kill('SIGKILL');
      await child.exit;
    },
  };
}

async function listeningPorts(
  child: ReturnType<typeof runCli>,
): Promise<Pick<ServeChild, 'port' | 'adminPort'>> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const line = child
      .output()
      .split('\n')
      .find(text => text.includes('"msg":"listening"'));
    if (line) {
      const { port, adminPort } = JSON.parse(line) as ServeChild;
      return { port, adminPort };
    }
    if (child.process.exitCode !== null || performance.now() > deadline) {
      throw new Error(`the server does not listen: ${child.output()}`);
    }
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}
