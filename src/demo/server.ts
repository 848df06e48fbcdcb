/** The server under demonstration: `sidetone serve` in a process of its own, as anybody would run it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { SidetoneError } from '../errors.js';

const MAIN = fileURLToPath(new URL('../cli/main.js', import.meta.url));
const READY_MS = 60_000;
const CLOSE_MS = 20_000;
/** The unit of /proc/PID/stat on every Linux that Node.js runs on. */
const TICKS_PER_SECOND = 100;
/** How often it is read how long the server has waited for a processor. The kernel counts a wait when it is over. */
const WAIT_SAMPLE_MS = 50;
const LEVEL_ERROR = 50;
const ERRORS_KEPT = 20;

/** What examples/agent.ts prints of each answer. */
export interface Told {
  msg: 'answered' | 'interrupted';
  playedMs: number;
  stream: string;
}

export interface DemoServerOptions {
  plugins: readonly string[];
  recordings: string;
  logFile: string;
}

export class DemoServer {
  readonly told: Told[] = [];
  /** Messages of the log at level error and above. */
  readonly errors: string[] = [];
  #port = 0;
  #adminPort = 0;
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  readonly #logged: Promise<unknown>;
  readonly #sampling: NodeJS.Timeout;
  #waitedMs = 0;
  #waitMsMax = 0;

  private constructor(options: DemoServerOptions) {
    const plugins = options.plugins.flatMap(plugin => ['--plugin', plugin]);
    // Calls are judged byte for byte on any machine, so late audio stays whole and every call is let in.
    const asItComes = ['--live-latency-max', '0', '--no-overload-refuse'];
    const args = ['serve', '--port', '0', '--admin-port', '0', ...asItComes, ...plugins];
    this.#child = spawn(process.execPath, [MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, SIDETONE_RECORD_DIR: options.recordings },
    });
    // The server is ended with this process, however it ends.
    const kill = (): void => this.kill();
    process.once('exit', kill);
    const log = createWriteStream(options.logFile);
    this.#child.stdout!.pipe(log, { end: false });
    this.#child.stderr!.pipe(log, { end: false });
    this.#exited = new Promise(resolve => {
      this.#child.once('error', error => this.#error(error.message));
      this.#child.once('close', code => {
        process.off('exit', kill);
        clearInterval(this.#sampling);
        log.end();
        resolve(code);
      });
    });
    this.#sampling = setInterval(() => this.#sample(), WAIT_SAMPLE_MS).unref();
    this.#logged = finished(log);
    this.#logged.catch(() => undefined);
  }

  /** @throws SidetoneError SIDETONE_CALL_FAILED where it does not come up */
  static async start(options: DemoServerOptions): Promise<DemoServer> {
    const server = new DemoServer(options);
    const ready = new Promise<void>(resolve => {
      createInterface({ input: server.#child.stdout! }).on('line', line => server.#line(line, resolve));
      createInterface({ input: server.#child.stderr! }).on('line', line => server.#error(line));
    });
    const late = new Promise<void>(resolve => setTimeout(resolve, READY_MS).unref());
    await Promise.race([ready, server.#exited, late]);
    if (server.#port === 0) {
      server.#child.kill('SIGKILL');
      const why = server.errors.join('; ') || `it was not listening after ${READY_MS / 1000} s`;
      throw new SidetoneError('SIDETONE_CALL_FAILED', `demo: the server did not start: ${why}`);
    }
    return server;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}`;
  }

  /** Undefined where the server has no admin port. */
  get dashboard(): string | undefined {
    return this.#adminPort === 0 ? undefined : `http://127.0.0.1:${this.#adminPort}/`;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Processor time of the server so far, in ms; undefined where there is no /proc. */
  cpuMs(): number | undefined {
    try {
      const stat = readFileSync(`/proc/${this.pid}/stat`, 'utf8');
      // The name in the second field may hold anything; what follows the last bracket does not.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
    } catch {
      return undefined;
    }
  }

  /**
   * Longest time for which other work kept the server's main thread from a processor, in ms: at most what it waited
   * between two readings, 50 ms or more apart. 0 where there is no /proc.
   */
  get stallMs(): number {
    return this.#waitMsMax;
  }

  /** Drains it as SIGTERM does; its exit code, null where it had to be killed or died of a signal. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    const impatience = setTimeout(() => this.#child.kill('SIGKILL'), CLOSE_MS);
    const code = await this.#exited;
    clearTimeout(impatience);
    await this.#logged.catch(() => undefined);
    return code;
  }

  /** Used when the demo itself is ended. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #sample(): void {
    let waitedMs: number;
    try {
      // Fields: time on a processor, time waiting for one, both in ns; number of time slices.
      waitedMs = Number(readFileSync(`/proc/${this.pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
    } catch {
      return;
    }
    if (this.#port !== 0) this.#waitMsMax = Math.max(this.#waitMsMax, waitedMs - this.#waitedMs);
    this.#waitedMs = waitedMs;
  }

  #line(line: string, ready: () => void): void {
    let entry: Record<string, unknown>;
    try {
      entry = JSON.parse(line) as Record<string, unknown>;
    } catch {
      return; // a plugin's own words
    }
    if (entry.msg === 'listening') {
      this.#port = Number(entry.port);
      this.#adminPort = Number(entry.adminPort);
      ready();
    } else if (entry.msg === 'answered' || entry.msg === 'interrupted') {
      this.told.push(entry as unknown as Told);
    } else if (Number(entry.level) >= LEVEL_ERROR) {
      const err = entry.err as { message?: string } | undefined;
      this.#error(`${entry.msg}${err?.message ? `: ${err.message}` : ''}`);
    }
  }

  #error(message: string): void {
    if (this.errors.length < ERRORS_KEPT) this.errors.push(message);
  }
}
