/** The demo step by step: a server, sixty-six callers, a judgement of what they heard, a report. */
import { mkdir, readdir, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { readWav, wavBytes } from '../audio/wav.js';
import { type Clock, systemClock } from '../clock.js';
import { SidetoneError } from '../errors.js';
import type { Encoding } from '../formats.js';
import type { CallResult } from '../simulator/result.js';
import { type Call, Simulator } from '../simulator/simulator.js';
import type { Pcm } from '../simulator/speech.js';
import { judge } from './judge.js';
import { type Kind, type PlannedCall, planCalls, probeEncodings } from './plan.js';
import { DemoServer, type DemoServerOptions } from './server.js';
import type { Verdict } from './verdict.js';

const asset = (name: string): string => fileURLToPath(new URL(`../../../assets/${name}`, import.meta.url));
const example = (name: string): string =>
  fileURLToPath(new URL(`../../../examples/${name}`, import.meta.url));

/** What the server runs; each by the name that the calls' paths begin with. */
export const DEMO_PLUGINS = [
  'echo',
  'speak',
  'tone',
  'record',
  example('recorded-echo.ts'),
  example('agent.ts'),
  example('two-party-bridge.ts'),
];

/** The calls begin one by one, a dozen a second, as real calls do. */
const CALL_INTERVAL_MS = 85;
/** Shorter than a frame, and long enough to cost almost nothing. */
const STALL_RESOLUTION_MS = 5;
/** Every call is over long before this. A call that is not has lost its server. */
const CALL_MS_MAX = 60_000;

export interface DemoOptions {
  /** Where everything goes. Default demo-out. */
  directory: string;
  /** The same seed gives the same calls. */
  seed: number;
  /** Default: DEMO_PLUGINS. */
  plugins?: readonly string[];
  /** Only calls whose name holds this. Default: all. */
  only?: string;
  /** What the calls are made with. Default: real ones; tests have a server in virtual time. */
  means?: DemoMeans;
}

export interface DemoMeans {
  clock: Clock;
  simulator: Simulator;
  startServer: (options: DemoServerOptions) => Promise<DemoTarget>;
}

/** What the demo needs of the server. */
export type DemoTarget = Pick<
  DemoServer,
  'url' | 'dashboard' | 'told' | 'errors' | 'cpuMs' | 'stallMs' | 'stop' | 'kill'
>;

/** A call that is over, and what was found. */
export interface JudgedCall {
  planned: PlannedCall;
  result: CallResult;
  verdict: Verdict;
  /** Of the heard sound, relative to the directory. */
  file: string;
  heard: Pcm;
}

/** Everything that the report and the summary tell. */
export interface DemoOutcome {
  seed: number;
  calls: JudgedCall[];
  /** What is wrong with the server itself. */
  problems: string[];
  missing: { encoding: Encoding; why: string }[];
  encodings: Encoding[];
  /** Of the server, in ms; undefined where it cannot be told. */
  cpuMs: number | undefined;
  callSeconds: number;
  /** Longest time for which the machine held this process, that is the callers, or the server's. */
  stallMs: number;
}

interface PlacedCall {
  planned: PlannedCall;
  call: Call | undefined;
  result: Promise<CallResult>;
  over: boolean;
}

export class Demo {
  readonly #options: DemoOptions;
  readonly #means: DemoMeans;
  readonly #encodings = probeEncodings();
  readonly #stall: IntervalHistogram = monitorEventLoopDelay({ resolution: STALL_RESOLUTION_MS });
  readonly #placed: PlacedCall[] = [];
  #planned: PlannedCall[] = [];
  #phrases: { speech: Pcm; answer: Pcm } | undefined;
  #server: DemoTarget | undefined;
  #cpuMs: number | undefined;
  #cpuBeforeMs = 0;
  #aborted = false;

  constructor(options: DemoOptions) {
    this.#options = options;
    this.#means = options.means ?? {
      clock: systemClock,
      simulator: new Simulator({ seed: options.seed }),
      startServer: DemoServer.start,
    };
  }

  get server(): DemoTarget {
    return this.#server!;
  }

  get planned(): readonly PlannedCall[] {
    return this.#planned;
  }

  /** Prepares what the callers will say, and starts the server. */
  async start(): Promise<void> {
    const { directory, seed, plugins = DEMO_PLUGINS, only = '' } = this.#options;
    await prepare(directory);
    this.#phrases = { speech: await phrase('speech.wav'), answer: await phrase('answer.wav') };
    const { simulator } = this.#means;
    this.#planned = planCalls(simulator, this.#phrases, this.#encodings.works, seed, call =>
      call.name.includes(only),
    );
    if (this.#planned.length === 0) {
      throw new SidetoneError('SIDETONE_BAD_OPTION', `--only: ${only}: no call has this in its name`);
    }
    this.#server = await this.#means.startServer({
      plugins,
      recordings: join(directory, 'recordings'),
      logFile: join(directory, 'server.log'),
    });
    this.#cpuBeforeMs = this.#server.cpuMs() ?? 0;
  }

  /** Places all calls, each at its time. */
  place(): void {
    const { clock, simulator } = this.#means;
    this.#stall.enable();
    const spreadMs = this.#planned.length * CALL_INTERVAL_MS;
    for (const planned of this.#planned) {
      const placed: PlacedCall = { planned, call: undefined, over: false, result: undefined as never };
      const begun = new Promise<void>(resolve => void clock.after(planned.begins * spreadMs, resolve));
      placed.result = begun.then(() => {
        const calm = clock.after(CALL_MS_MAX, () => placed.call?.hangup());
        placed.call = simulator.call(this.server.url + planned.path, planned.options);
        if (this.#aborted) placed.call.hangup();
        return placed.call.result.finally(() => {
          calm();
          placed.over = true;
        });
      });
      this.#placed.push(placed);
    }
  }

  /** How many calls of a kind there are, talk now and are over. */
  progress(kind?: Kind): { count: number; talking: number; over: number } {
    const calls = this.#placed.filter(({ planned }) => kind === undefined || planned.kind === kind);
    const over = calls.filter(call => call.over).length;
    return { count: calls.length, over, talking: calls.filter(({ call }) => call).length - over };
  }

  /** When all calls of a kind are over. */
  async over(kind: Kind): Promise<void> {
    await Promise.all(this.#placed.filter(({ planned }) => planned.kind === kind).map(call => call.result));
  }

  /** Hangs up on everybody. */
  abort(): void {
    this.#aborted = true;
    for (const { call } of this.#placed) call?.hangup();
    this.#server?.kill();
  }

  /** Stops the server, whose recordings are whole then, and judges what was heard. */
  async judge(told?: (done: number) => void): Promise<DemoOutcome> {
    this.#stall.disable();
    const server = this.server;
    this.#cpuMs = server.cpuMs();
    // The process has no stalls in virtual time. What holds the server while it ends is heard by nobody.
    const real = this.#means.clock === systemClock;
    const stallMs = real ? Math.max(this.#stall.max / 1e6 - STALL_RESOLUTION_MS, server.stallMs) : 0;
    const results = await Promise.all(this.#placed.map(({ result }) => result));
    const exitCode = await server.stop();
    const problems = server.errors.map(error => `the server: ${error}`);
    if (exitCode !== 0)
      problems.push(`the server ended with ${exitCode ?? 'a signal'} instead of exit code 0`);
    const calls: JudgedCall[] = [];
    for (const [i, { planned }] of this.#placed.entries()) {
      calls.push(await this.#judgeOne(planned, results, i, stallMs));
      told?.(calls.length);
      await new Promise(resolve => setImmediate(resolve));
    }
    return {
      seed: this.#options.seed,
      calls,
      problems,
      missing: this.#encodings.missing,
      encodings: this.#encodings.works,
      cpuMs: this.#cpuMs === undefined ? undefined : this.#cpuMs - this.#cpuBeforeMs,
      callSeconds: results.reduce((sum, { durationMs }) => sum + durationMs / 1000, 0),
      stallMs,
    };
  }

  async #judgeOne(
    planned: PlannedCall,
    results: readonly CallResult[],
    index: number,
    stallMs: number,
  ): Promise<JudgedCall> {
    const result = results[index]!;
    const partner = this.#placed.findIndex(other => other.planned.name === planned.partner);
    const { directory } = this.#options;
    const recorded = planned.kind === 'record' || planned.kind === 'recorded echo';
    const path = join(directory, 'recordings', `${result.streamId}.wav`);
    const verdict = judge(planned, result, {
      phrases: this.#phrases!,
      told: this.server.told.filter(({ stream }) => stream === result.streamId),
      recording: recorded
        ? await readWav(path).then(
            wav => wav.channels,
            () => undefined,
          )
        : undefined,
      stallMs,
      partner: this.#placed[partner] && {
        planned: this.#placed[partner].planned,
        result: results[partner]!,
      },
    });
    const heard = this.#means.simulator.render(result);
    const file = `heard/${planned.name}.wav`;
    await writeFile(
      join(directory, file),
      wavBytes({ sampleRate: heard.sampleRate, channels: [heard.samples] }),
    );
    return { planned, result, verdict, file, heard };
  }
}

async function phrase(name: string): Promise<Pcm> {
  const { channels, sampleRate } = await readWav(asset(name));
  return { samples: channels[0]!, sampleRate };
}

/** The directory may hold other files. Only what an earlier demo wrote is removed. */
async function prepare(directory: string): Promise<void> {
  for (const name of ['heard', 'recordings']) {
    const inner = join(directory, name);
    await mkdir(inner, { recursive: true });
    for (const file of await readdir(inner))
      if (/\.wav(\.part)?$/.test(file)) await unlink(join(inner, file));
  }
  await rm(join(directory, 'index.html'), { force: true });
}

/** Whether every call was right, and the server too. */
export function isRight({ calls, problems }: DemoOutcome): boolean {
  return calls.length > 0 && problems.length === 0 && calls.every(call => call.verdict.problems.length === 0);
}
