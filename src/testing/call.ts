/** One call to a plugin, as its test drives it. */
import { dtmfTones } from '../audio/dtmf.js';
import { VirtualClock } from '../clock.js';
import { SidetoneError, shown } from '../errors.js';
import { type Encoding, SAMPLE_RATES } from '../formats.js';
import type { ServerOptions } from '../options/options.js';
import type { AcceptResult, StopReason } from '../plugin/plugin.js';
import type { Stream } from '../plugin/stream.js';
import type { LinkOptions } from '../simulator/memory.js';
import type { CallOptions } from '../simulator/options.js';
import type { CallResult } from '../simulator/result.js';
import { type CallEvent, readEvent } from '../telnyx/events.js';
import { CommandDesk, type CommandJudge, type SentCommand } from './commands.js';
import { type HeardAudio, heardAudio } from './heard.js';
import { Legs } from './legs.js';
import type { CallMark } from './marks.js';
import { pcmOf, type TestSound } from './sound.js';
import type { TestPlugin } from './test-plugin.js';
import type { LoggedFailure, LogLine } from './told.js';
import { VirtualServer } from './virtual-server.js';
import { Watch } from './watch.js';

/** The length of the caller's media frames, and a step of `until`. */
const FRAME_MS = 20;
const UNTIL_MS = 60_000;

/** How the caller's keys reach the plugin. */
export interface TestDtmfOptions {
  /** As tones in the audio, behind what the caller still has to say, and not as events. Default false. */
  tones?: boolean;
}

/** One call to a plugin, from the caller's side. `testCall` makes it. All its times are in ms since `start`. */
export class TestCall {
  /** @internal From the opening of the connection until the handler is there, in ms. */
  readonly connectMs: number;
  readonly #plugin: TestPlugin;
  readonly #server: VirtualServer;
  readonly #watch = new Watch();
  readonly #legs: Legs;
  readonly #desk: CommandDesk;
  readonly #event: (event: CallEvent) => void;
  readonly #connect: (options: Partial<CallOptions>) => void;
  readonly #latencyMs: number;
  readonly #format: { encoding?: Encoding; sampleRate?: number };
  readonly #throws: boolean;
  readonly #startedAt: number;
  /** How many of the server's errors have been thrown. */
  #thrown = 0;
  #dropped = false;
  #events = 0;
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
      onCommand,
    }: {
      query: string;
      headers: Readonly<Record<string, string>>;
      server: ServerOptions;
      throws: boolean;
      onCommand: CommandJudge | undefined;
    },
  ) {
    this.#plugin = plugin;
    const clock = new VirtualClock();
    const { encoding, sampleRate, latencyMs = 0, jitterMs = 0 } = options;
    this.#startedAt = clock.now() + latencyMs;
    this.#legs = new Legs(this.#startedAt);
    this.#latencyMs = latencyMs;
    this.#desk = new CommandDesk({
      clock,
      latencyMs,
      nowMs: () => this.nowMs,
      judge: onCommand,
      carryOut: sent => this.#carryOut(sent),
    });
    this.#server = new VirtualServer(
      plugin.instance.plugin,
      server,
      clock,
      this.#watch.plugin(plugin.instance),
      command => this.#desk.deliver(command),
    );
    this.#format = { ...(encoding && { encoding }), ...(sampleRate && { sampleRate }) };
    const { idle } = this.#server.simulator.speech(
      { samples: new Int16Array(0), sampleRate: 8000 },
      this.#format,
    );
    const caller = { ptimeMs: FRAME_MS, ...options, idle, durationMs: Number.POSITIVE_INFINITY };
    this.#throws = throws;
    this.connectMs = 2 * (latencyMs + jitterMs);
    this.#event = event => {
      const told = plugin.instance.onWebhook(event);
      if (told instanceof Promise)
        told.catch(error => this.#server.logged.push({ where: 'onWebhook', error }));
      this.#server.reactor.tellCall(event);
    };
    this.#connect = more =>
      this.#legs.add(
        this.#server.call({ ...caller, ...more }, query, accepted, headers),
        clock.now() + latencyMs,
      );
    this.#connect({});
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

  /** Figures of the stream that runs, or ran last, as the simulated Telnyx has them: frames, error frames, gaps. */
  get result(): CallResult {
    return this.#legs.last.soFar();
  }

  /** Audio that Telnyx has and the caller has not heard yet, in ms. */
  get queuedMs(): number {
    return this.#legs.last.queuedMs;
  }

  /** Marks that the application has set, in order. */
  get marks(): CallMark[] {
    return this.#legs.marks;
  }

  /** When the application sent a `clear`, each time, in ms since `start`. */
  get clears(): number[] {
    return this.#legs.clears;
  }

  /**
   * Lets the caller say something, behind what the caller still has to say; it is heard as time goes on. Before and behind
   * it the caller is silent.
   * @param sound `{ samples, sampleRate }`, a WAV file's audio or path, or ms of silence (0 to 3,600,000)
   * @returns how long it takes, in ms: whole frames of 20 ms
   * @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is no sound, SIDETONE_BAD_OPTION for a wrong rate
   */
  say(sound: TestSound): number {
    this.#needStream('say');
    const { inbound } = this.#server.simulator.speech(pcmOf(sound), this.#format);
    this.#legs.last.say(inbound);
    return inbound.length * FRAME_MS;
  }

  /**
   * The caller presses keys now, one after the other without a pause: 0 to 9, *, #, A to D.
   * @throws SidetoneError SIDETONE_BAD_OPTION for what is no key, SIDETONE_BAD_ARGUMENT for what has no tones
   */
  dtmf(digits: string, { tones = false }: TestDtmfOptions = {}): void {
    this.#needStream('dtmf');
    if (tones) this.say({ samples: dtmfTones(digits), sampleRate: 8000 });
    else for (const digit of digits) this.#legs.last.dtmf(digit);
  }

  /**
   * The network loses the stream: no `stop`, no closing handshake. The call goes on, and what the caller had still to say is
   * lost. The server notices when `latencyMs` have passed.
   */
  drop(): void {
    this.#needStream('drop');
    this.#dropped = true;
    this.#legs.last.drop();
  }

  /**
   * Telnyx comes back after a `drop` with another stream of the same call. Resolves when the plugin has it, by `onResume`
   * or by `onStart`. `stream` is the new one then, and `accept()` is not asked again.
   * @throws SidetoneError SIDETONE_CALL_FAILED where the stream was not dropped; SIDETONE_HANDLER_FAILED as `advance`
   */
  async reconnect(): Promise<void> {
    const { identity } = this.#legs;
    if (!this.#dropped || !identity) {
      throw new SidetoneError('SIDETONE_CALL_FAILED', 'reconnect: the stream is up: call drop() first');
    }
    this.#dropped = false;
    // The new stream has an id of its own. Whether Telnyx keeps the old one is not documented.
    this.#connect({ ...identity, streamId: `${identity.callSessionId}-${this.#legs.count + 1}` });
    await this.advance(this.connectMs);
  }

  /**
   * Telnyx sends a webhook event of this call. After `latencyMs` it reaches the plugin's `onWebhook` and the handler's
   * `onCall`: `call.event('call.machine.detection.ended', { result: 'human' })`. It changes nothing else: for the end of the
   * call use `hangup()`.
   * @param type Telnyx's `event_type`, such as `call.hangup`
   * @param payload the event's fields in Telnyx's names and types, such as `{ call_quality_stats: { inbound: { mos: '4.4' } } }`.
   *   `call_control_id` and `call_session_id` are this call's, unless they are given
   */
  event(type: string, payload: Readonly<Record<string, unknown>> = {}): void {
    const { callControlId, callSessionId } = this.#legs.identity!;
    const ids = { call_control_id: callControlId, call_session_id: callSessionId };
    const id = `event-${++this.#events}`;
    const data = { record_type: 'event', id, event_type: type, payload: { ...ids, ...payload } };
    const event = readEvent(Buffer.from(JSON.stringify({ data }))) as CallEvent;
    this.#server.clock.after(this.#latencyMs, () => this.#event(event));
  }

  /** Commands that the plugin has sent with `stream.callControl`, in order. `hangup` and `streaming_stop` end the stream. */
  get commands(): readonly SentCommand[] {
    return this.#desk.sent;
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
    const { result } = this.#legs;
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
    this.#desk.ended = true;
    this.#legs.last.hangup();
    // The way to the server and its answer.
    await this.#server.clock.advanceAsync(2 * this.connectMs);
    await this.#watch.stopping;
    this.#closed ??= this.#server.close();
    await this.#closed;
    // A handler that waited for a dropped stream to come back has been stopped only now.
    await this.#watch.stopping;
    await this.#plugin.end();
    this.#judge();
    return this.result;
  }

  #carryOut({ command }: SentCommand): void {
    if (command === 'hangup') this.#desk.ended = true;
    if (command === 'hangup' || command === 'streaming_stop') this.#legs.last.hangup();
  }

  #needStream(what: string): void {
    if (!this.#dropped) return;
    throw new SidetoneError('SIDETONE_CALL_FAILED', `${what}: the stream is dropped: call reconnect() first`);
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
