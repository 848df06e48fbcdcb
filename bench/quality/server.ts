/** `sidetone serve` with the listening plugin, in a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const compiled = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const START_LIMIT_MS = 15_000;

export interface RunningServer {
  url: string;
  stop(): Promise<void>;
}

export async function startServer(concealment: 'on' | 'silence'): Promise<RunningServer> {
  const child = spawn(
    process.execPath,
    [
      ...[compiled('../../src/cli/main.js'), 'serve', '--port', '0', '--no-admin'],
      ...['--plugin', compiled('./listener.js'), '--concealment', concealment],
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = once(child, 'exit');
  const limit = setTimeout(() => child.kill('SIGKILL'), START_LIMIT_MS);
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.includes('"listening"')) continue;
    clearTimeout(limit);
    const { port } = JSON.parse(line) as { port: number };
    child.stdout.resume();
    return {
      url: `ws://127.0.0.1:${port}/`,
      stop: async () => {
        child.kill('SIGTERM');
        await ended;
      },
    };
  }
  clearTimeout(limit);
  throw new Error('the server ended before it listened');
}
