/** A call to a plugin whose time is the test's own. */
import { VirtualClock } from '../clock.js';
import { SidetoneError, shown } from '../errors.js';
import { type Encoding, SAMPLE_RATES } from '../formats.js';
import type { ServerOptions } from '../options/options.js';
import { definePlugin } from '../plugin/define.js';
import type { AcceptResult, Plugin, StopReason } from '../plugin/plugin.js';
import type { Stream } from '../plugin/stream.js';
import { judge } from '../server/upgrade.js';
import type { LinkOptions } from '../simulator/memory.js';
import type { CallOptions } from '../simulator/options.js';
import type { CallResult } from '../simulator/result.js';
import { type HeardAudio, heardAudio } from './heard.js';
import { pcmOf, type TestSound } from './sound.js';
import { TestPlugin } from './test-plugin.js';
import type { LoggedFailure, LogLine, PluginOptions } from './told.js';
import { LATENCY_MS, type TimedMessage, VirtualServer, virtualRequest } from './virtual-server.js';
import { Watch } from './watch.js';

export type { HeardAudio, HeardPart } from './heard.js';
export type { TestSound } from './sound.js';

/** Options of the call itself, as `Simulator` has them. */
type CallerOptions = Pick<
  CallOptions,
  | 'encoding'
  | 'sampleRate'
  | 'outboundEncoding'
  | 'outboundSampleRate'
  | 'customParameters'
  | 'clientState'
  | 'tags'
  | 'from'
  | 'to'
  | 'loss'
  | 'shuffle'
  | 'duplicate'
  | 'seed'
>;

export interface TestCallOptions extends CallerOptions, LinkOptions, PluginOptions {
  /** What stands behind the `?` of the stream_url, such as `hz=440`. Default: nothing. */
  query?: string;
  /** Headers that the plugin's `accept()` and `stream.request` have; names in lower case. Default: none. */
  headers?: Readonly<Record<string, string>>;
  /** Options of the server, such as `liveLatencyMaxMs` or `handlerErrors`. Default: the server's own. */
  server?: ServerOptions;
  /**
   * `throw`: a failure of the handler rejects the `advance`, `until` or `hangup` in which it came. `collect`: it only
   * stands in `failures`. Default throw.
   */
  failures?: 'throw' | 'collect';
}

/** A mark that the application has set, its own or that of an awaited playback. Times are in ms since `start`. */
export interface CallMark {
  /** As it was sent. */
  name: string;
  /** When it was sent. */
  sentMs: number;
  /** When it came back; undefined while it has not. */
  returnedMs: number | undefined;
}

type Headers = Readonly<Record<string, string>>;

/** The encodings that are coded in worker threads. */
const IN_WORKERS: readonly (Encoding | undefined)[] = ['OPUS', 'AMR-WB'];
/** The length of the caller's media frames, and a step of `until`. */
const FRAME_MS = 20;
const UNTIL_MS = 60_000;

/**
 * Calls `plugin` in this process: a simulated Telnyx on one side, a server's reactor on the other, no socket between
 * them. The returned call has started and its handler is there. Time stands still but in `advance`, `until` and `hangup`.
 *
 * ```ts
 * import { test } from 'node:test';
 * import assert from 'node:assert/strict';
 * import { testCall } from 'sidetone/testing';
 * import agent from './agent.js';
 *
 * test('the agent answers within a second of the pause', async () => {
 *   const call = await testCall(agent);
 *   const saidMs = call.say('question.wav');
 *   await call.advance(saidMs + 1000);
 *   assert.equal(call.heard().parts.length, 1);
 *   await call.hangup();
 * });
 * ```
 *
 * Only the time of calls is virtual. A plugin's own timers, files and requests run in real time: give the plugin a stand-in
 * for them, or use `mock.timers` of node:test (its `setTimeout` and `setInterval`, not its `setImmediate`).
 *
 * @throws SidetoneError SIDETONE_PLUGIN_INVALID for what is no plugin; SIDETONE_BAD_OPTION for wrong options, and for OPUS,
 *   AMR-WB and MP3 mode, which are coded in threads of their own, in real time; SIDETONE_SETUP_FAILED where `setup` throws;
 *   SIDETONE_CALL_FAILED where the plugin's `accept()` refuses or fails; SIDETONE_HANDLER_FAILED where `onStart` throws
 */
export async function testCall(plugin: Plugin, options: TestCallOptions = {}): Promise<TestCall> {
  definePlugin(plugin);
  const tested = await TestPlugin.start(plugin, options);
  try {
    return await callTo(tested, options);
  } catch (error) {
    await tested.end().catch(() => {});
    throw error;
  }
}

async function callTo(tested: TestPlugin, options: TestCallOptions): Promise<TestCall> {
  const accepted = await ask(tested, options);
  const wanted = { ...tested.instance.outbound, ...accepted.outbound };
  const { query, headers, server, failures: onFailure = 'throw', options: _, setup: __, ...caller } = options;
  if (onFailure !== 'throw' && onFailure !== 'collect') {
    throw badOption('failures', onFailure, 'give throw or collect');
  }
  const outboundEncoding = caller.outboundEncoding ?? wanted.encoding;
  const outboundSampleRate = caller.outboundSampleRate ?? wanted.sampleRate;
  for (const encoding of [caller.encoding, outboundEncoding]) {
    if (!IN_WORKERS.includes(encoding)) continue;
    throw badOption(
      'encoding',
      encoding,
      'its codec runs in worker threads, in real time: test with another',
    );
  }
  if (wanted.mode === 'mp3' || server?.outboundMode === 'mp3') {
    throw badOption(
      'outbound.mode',
      'mp3',
      'files are coded in a worker thread, in real time: test with rtp',
    );
  }
  const call = new TestCall(
    tested,
    accepted,
    {
      latencyMs: LATENCY_MS,
      ...caller,
      ...(outboundEncoding && { outboundEncoding }),
      ...(outboundSampleRate && { outboundSampleRate }),
    },
    { query: query ?? '', headers: headers ?? {}, server: server ?? {}, throws: onFailure === 'throw' },
  );
  try {
    await call.advance(call.connectMs);
  } catch (error) {
    await call.hangup().catch(() => {});
    throw error;
  }
  return call;
}

function badOption(field: string, value: unknown, remedy: string): SidetoneError {
  return new SidetoneError('SIDETONE_BAD_OPTION', `testCall ${field}: ${shown(value)}: ${remedy}`);
}

/** What the plugin says to the upgrade. */
async function ask({ instance }: TestPlugin, { query, headers }: TestCallOptions): Promise<AcceptResult> {
  if (!instance.judges) return {};
  // Nothing of the call runs yet, so accept() has all the real time that it takes.
  const judgement = await judge(instance, virtualRequest(instance, query, headers), {
    now: () => 0,
    every: () => () => {},
    after: () => () => {},
  });
  if (judgement.failed) {
    const why = `plugin ${instance.name}: accept failed: ${String(judgement.error)}`;
    throw new SidetoneError('SIDETONE_CALL_FAILED', why, { cause: judgement.error });
  }
  if (!judgement.accepted) {
    throw new SidetoneError('SIDETONE_CALL_FAILED', `plugin ${instance.name}: accept refused the call`);
  }
  return judgement.accepted;
}

/** One call to a plugin, from the caller's side. `testCall` makes it. All its times are in ms since `start`. */
export class TestCall {
  /** @internal From the opening of the connection until the handler is there, in ms. */
  readonly connectMs: number;
  readonly #plugin: TestPlugin;
  readonly #server: VirtualServer;
  readonly #watch = new Watch();
  readonly #call: ReturnType<VirtualServer['call']>;
  readonly #format: { encoding?: Encoding; sampleRate?: number };
  readonly #throws: boolean;
  readonly #startedAt: number;
  /** How many of the server's errors have been thrown. */
  #thrown = 0;
  #closed: Promise<void> | undefined;

  /** @internal Use testCall. */
  constructor(
    plugin: TestPlugin,
    accepted: AcceptResult,
    options: CallOptions & LinkOptions,
    {
      query,
      headers,
      server,
      throws,
    }: { query: string; headers: Headers; server: ServerOptions; throws: boolean },
  ) {
    this.#plugin = plugin;
    this.#server = new VirtualServer(
      plugin.instance.plugin,
      server,
      new VirtualClock(),
      this.#watch.plugin(plugin.instance),
    );
    const { encoding, sampleRate, latencyMs = 0, jitterMs = 0 } = options;
    this.#format = { ...(encoding && { encoding }), ...(sampleRate && { sampleRate }) };
    const { idle } = this.#server.simulator.speech(
      { samples: new Int16Array(0), sampleRate: 8000 },
      this.#format,
    );
    const caller = { ptimeMs: FRAME_MS, ...options, idle, durationMs: Number.POSITIVE_INFINITY };
    this.#throws = throws;
    this.#startedAt = this.#server.clock.now() + latencyMs;
    this.connectMs = 2 * (latencyMs + jitterMs);
    this.#call = this.#server.call(caller, query, accepted, headers);
  }

  /** The stream as the plugin's handler has it: its `stats`, `queuedMs`, `call`. */
  get stream(): Stream {
    return this.#watch.stream!;
  }

  /** The time now. */
  get nowMs(): number {
    return this.#server.clock.now() - this.#startedAt;
  }

  /** Why the stream has ended; undefined while it runs. */
  get stopReason(): StopReason | undefined {
    return this.#watch.stopReason;
  }

  /** What the plugin has logged so far; a line of `stream.log` has the fields `stream` and `call`. */
  get log(): readonly LogLine[] {
    return this.#plugin.lines;
  }

  /**
   * The value of one of the plugin's metrics: `await call.metric('answers', { how: 'key' })`; of a histogram that of
   * `NAME_count`, `NAME_sum` or `NAME_bucket`. Undefined where there is none.
   * @param name as the plugin has it, without `sidetone_plugin_`
   */
  metric(name: string, labels: Readonly<Record<string, string | number>> = {}): Promise<number | undefined> {
    return this.#plugin.metric(name, labels);
  }

  /** What failed in the handler so far: the method's name and its error. */
  get failures(): readonly LoggedFailure[] {
    return this.#server.logged;
  }

  /** Figures of the call so far, as the simulated Telnyx has them: frames, error frames, gaps. */
  get result(): CallResult {
    return this.#call.call.soFar();
  }

  /** Audio that Telnyx has and the caller has not heard yet, in ms. */
  get queuedMs(): number {
    return this.#call.call.queuedMs;
  }

  /** Marks that the application has set, in order. */
  get marks(): CallMark[] {
    const returned = named(this.#call.received, 'mark');
    return named(this.#call.sent, 'mark').map(({ name, atMs }) => {
      const back = returned.findIndex(mark => mark.name === name);
      const returnedAt = back < 0 ? undefined : returned.splice(back, 1)[0]!.atMs;
      const returnedMs = returnedAt === undefined ? undefined : returnedAt - this.#startedAt;
      return { name, sentMs: atMs - this.#startedAt, returnedMs };
    });
  }

  /** When the application sent a `clear`, each time, in ms since `start`. */
  get clears(): number[] {
    return named(this.#call.sent, 'clear').map(({ atMs }) => atMs - this.#startedAt);
  }

  /**
   * Lets the caller say something, behind what the caller still has to say; it is heard as time goes on. Before and behind
   * it the caller is silent.
   * @param sound `{ samples, sampleRate }`, a WAV file's audio or path, or ms of silence (0 to 3,600,000)
   * @returns how long it takes, in ms: whole frames of 20 ms
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is no sound, SIDETONE_BAD_OPTION for a wrong rate
   */
  say(sound: TestSound): number {
    const { inbound } = this.#server.simulator.speech(pcmOf(sound), this.#format);
    this.#call.call.say(inbound);
    return inbound.length * FRAME_MS;
  }

  /**
   * The caller presses keys now, one after the other without a pause: 0 to 9, *, #, A to D.
   * @throws SidetoneError SIDETONE_BAD_OPTION for what is no key
   */
  dtmf(digits: string): void {
    for (const digit of digits) this.#call.call.dtmf(digit);
  }

  /**
   * All that the caller has heard so far. What is being heard counts up to now.
   * @param sampleRate rate of the samples, in Hz. Default: the rate of the outbound codec
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for a rate that is none of SAMPLE_RATES
   */
  heard(sampleRate?: number): HeardAudio {
    if (sampleRate !== undefined && !(SAMPLE_RATES as readonly number[]).includes(sampleRate)) {
      const problem = `heard sampleRate: ${shown(sampleRate)}: use one of ${SAMPLE_RATES.join(', ')} Hz`;
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
    }
    const { result } = this;
    const isPlaying = result.ended === 'running' && this.queuedMs > 0;
    return heardAudio(result, this.#server.simulator.render(result), isPlaying, sampleRate);
  }

  /**
   * Time goes on by `ms`. Promises that wait for nothing but the call settle on the way.
   * @throws SidetoneError SIDETONE_HANDLER_FAILED, at the end of the time, where a method of the handler has failed, with
   *   its error as `cause`; SIDETONE_BAD_ARGUMENT for what is no time
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0 && ms <= 86_400_000)) {
      const problem = `advance: ${shown(ms)}: give ms from 0 to 86400000`;
      throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
    }
    await this.#server.clock.advanceAsync(ms);
    this.#judge();
  }

  /**
   * Time goes on, 20 ms at a time, until `holds` gives true: `await call.until(() => call.marks.length > 0)`.
   * @param withinMs how long that may take, in ms of the call. Default 60,000
   * @throws SidetoneError SIDETONE_CALL_FAILED where it does not hold in time; SIDETONE_HANDLER_FAILED as `advance`
   */
  async until(holds: () => boolean, withinMs = UNTIL_MS): Promise<void> {
    const deadlineMs = this.nowMs + withinMs;
    while (!holds()) {
      if (this.nowMs >= deadlineMs) {
        throw new SidetoneError('SIDETONE_CALL_FAILED', `until: it did not hold within ${withinMs} ms`);
      }
      await this.advance(FRAME_MS);
    }
  }

  /**
   * The caller hangs up; a call that has ended is only tidied up. Resolves when the handler's `onStop` has finished and the
   * plugin's `teardown` too. Call it at the end of every test.
   * @throws SidetoneError SIDETONE_HANDLER_FAILED as `advance`; what `teardown` throws
   */
  async hangup(): Promise<CallResult> {
    this.#call.call.hangup();
    // The way to the server and its answer.
    await this.#server.clock.advanceAsync(2 * this.connectMs);
    await this.#watch.stopping;
    this.#closed ??= this.#server.close();
    await this.#closed;
    await this.#plugin.end();
    this.#judge();
    return this.result;
  }

  #judge(): void {
    const { failures } = this;
    const failure = failures[this.#thrown];
    this.#thrown = failures.length;
    if (!failure || !this.#throws) return;
    const what = failure.where === undefined ? 'the stream' : `handler's ${failure.where}`;
    const problem = `${what} failed: ${String(failure.error)}`;
    throw new SidetoneError('SIDETONE_HANDLER_FAILED', problem, { cause: failure.error });
  }
}

/** Messages of one event, with the mark's name where they have one. */
function named(messages: readonly TimedMessage[], event: 'mark' | 'clear'): { name: string; atMs: number }[] {
  return messages
    .map(({ atMs, text }) => ({ atMs, ...(JSON.parse(text) as { event: string; mark?: { name: string } }) }))
    .filter(message => message.event === event)
    .map(({ atMs, mark }) => ({ name: mark?.name ?? '', atMs }));
}
