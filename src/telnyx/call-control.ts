/** Commands to the call that a stream belongs to. */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { Telnyx } from 'telnyx';
import type { Clock } from '../clock.js';
import { SidetoneError, shown } from '../errors.js';
import type { Logger } from '../log/log.js';
import { type Command, type CommandResult, sendCommand, type TelnyxOptions } from './rest.js';

/** What every command takes. */
export interface CommandOptions {
  /** Telnyx carries out the same id once in a call. Default: a new UUID, kept over all retries. */
  commandId?: string;
  /** Comes back in the webhooks that follow; text or bytes of any kind. */
  clientState?: string | Uint8Array;
  /** Other fields of the command's body, under Telnyx's names. */
  fields?: Readonly<Record<string, unknown>>;
}

export interface TransferOptions extends CommandOptions {
  /** The number that the new leg shows. Default: Telnyx's, which is the called number of this call. */
  from?: string;
  /** How long it may ring, in s. Default: Telnyx's, 30. */
  timeoutSeconds?: number;
}

export interface SendDtmfOptions extends CommandOptions {
  /** Length of each tone, in ms: 100 to 500. Default: Telnyx's, 250. */
  durationMs?: number;
}

export interface RecordingOptions extends CommandOptions {
  /** Default wav. */
  format?: 'wav' | 'mp3';
  /** Both sides in one channel, or each in its own. Default single. */
  channels?: 'single' | 'dual';
  /** Default: without a beep. */
  beep?: boolean;
}

/** What carries the commands of all calls of a reactor. */
export interface CommandSenderSetup {
  clock: Clock;
  log: Logger;
  api: () => Pick<TelnyxOptions, 'apiKey' | 'apiKeyFile' | 'apiBase'>;
  /** In place of the REST client: tests without the network. */
  deliver?: ((command: Command) => Promise<CommandResult>) | undefined;
}

export class CommandSender {
  readonly #setup: CommandSenderSetup;
  readonly #controller = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(setup: CommandSenderSetup) {
    this.#setup = setup;
    // Each command under way listens.
    setMaxListeners(0, this.#controller.signal);
  }

  send(command: Command): Promise<CommandResult> {
    const sending = this.#send(command);
    const settle = (): void => void this.#underWay.delete(settled);
    const settled: Promise<void> = sending.then(settle, settle);
    this.#underWay.add(settled);
    return sending;
  }

  async #send(command: Command): Promise<CommandResult> {
    const { clock, log, api, deliver } = this.#setup;
    if (deliver) return deliver(command);
    const access = api();
    const hasKey = access.apiKey ?? access.apiKeyFile ?? process.env.TELNYX_API_KEY?.trim();
    if (!hasKey) {
      const problem = `callControl: ${command.command}: no API key: give the option api.key or api.keyFile (--api-key-file), or set TELNYX_API_KEY`;
      throw new SidetoneError('SIDETONE_BAD_OPTION', problem);
    }
    const { signal } = this.#controller;
    const result = await sendCommand(command, { ...access, clock, signal, resendsLost: true });
    const { callControlId: call, attempts, commandId } = result;
    log.debug({ call, command: command.command, commandId, attempts }, 'command carried out');
    return result;
  }

  /** Resolves when no command is under way; those that come meanwhile are waited for, too. */
  async done(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** From now on nothing is sent, and what is under way is abandoned. */
  close(): void {
    this.#controller.abort();
  }
}

/** The call that commands are for. */
export interface CommandedCall {
  callControlId: string;
  streamId: string;
  /** Whether a TeXML document is known to run on it. */
  runsTexml(): boolean;
}

/**
 * Commands to one call, over Telnyx's REST API. Each resolves when Telnyx has taken the command; webhooks tell what came
 * of it. They also work when the stream has ended, as long as the call lasts.
 *
 * Sent again, with the same command_id: after 429 (when its header says so), 5xx and lost connections, three times at
 * most. Every method rejects with:
 * - SIDETONE_BAD_OPTION where no API key is configured: options `api.key`, `api.keyFile`
 * - SIDETONE_BAD_ARGUMENT for a wrong argument
 * - `CallEndedError` where the call has ended, and the other {@link TelnyxError}s
 * - SIDETONE_SERVER_CLOSED after the end of the server's drain
 */
export class CallControl {
  readonly #sender: CommandSender;
  readonly #call: CommandedCall;
  readonly #log: Logger;

  /** @internal Use `stream.callControl`. */
  constructor(sender: CommandSender, call: CommandedCall, log: Logger) {
    this.#sender = sender;
    this.#call = call;
    this.#log = log;
  }

  /**
   * A TeXML document is known to run on this call: one of its form-encoded callbacks has come as a webhook. False says
   * only that none has come.
   */
  get runsTexml(): boolean {
    return this.#call.runsTexml();
  }

  /** Ends the call. */
  hangup(options: CommandOptions = {}): Promise<CommandResult> {
    return this.#send('hangup', options, {}, (client, id, body, request) =>
      client.calls.actions.hangup(id, body, request).asResponse(),
    );
  }

  /**
   * Connects the caller with somebody else; the stream ends when that one answers. Under TeXML the document goes on when
   * the stream ends, and hangs up where nothing follows `<Connect>`.
   * @param to a number in E.164 form (`+15551234567`) or a `sip:` address
   */
  async transfer(to: string, options: TransferOptions = {}): Promise<CommandResult> {
    const isTarget = typeof to === 'string' && /^(\+?[0-9]{2,}|sips?:\S+)$/.test(to);
    // A number is the caller's secret: its value is not shown.
    if (!isTarget) throw wrong('transfer to', undefined, 'give a number such as +15551234567, or sip:…');
    if (this.runsTexml) {
      const problem =
        'a call under TeXML is transferred: its document hangs up when nothing follows <Connect>';
      this.#log.warn({ call: this.#call.callControlId, stream: this.#call.streamId }, problem);
    }
    const { from, timeoutSeconds } = options;
    const named = { to, from, timeout_secs: timeoutSeconds };
    return this.#send('transfer', options, named, (client, id, body, request) =>
      client.calls.actions.transfer(id, body, request).asResponse(),
    );
  }

  /**
   * Sends keys as the other side of the call hears them.
   * @param digits 0 to 9, A to D, *, #; w pauses for half a second, W for a second
   */
  async sendDtmf(digits: string, options: SendDtmfOptions = {}): Promise<CommandResult> {
    if (typeof digits !== 'string' || !/^[0-9A-DwW*#]+$/.test(digits)) {
      throw wrong('sendDtmf digits', undefined, 'give keys out of 0-9, A-D, *, #, w and W');
    }
    const { durationMs } = options;
    if (durationMs !== undefined && !(durationMs >= 100 && durationMs <= 500)) {
      throw wrong('sendDtmf durationMs', durationMs, 'give 100 to 500 ms');
    }
    const named = { digits, duration_millis: durationMs };
    return this.#send('send_dtmf', options, named, (client, id, body, request) =>
      client.calls.actions.sendDtmf(id, body, request).asResponse(),
    );
  }

  /** Connects this call with another one that is up; their streams end. */
  async bridge(callControlId: string, options: CommandOptions = {}): Promise<CommandResult> {
    if (typeof callControlId !== 'string' || callControlId === '') {
      throw wrong('bridge callControlId', callControlId, "give the other call's call_control_id");
    }
    const named = { call_control_id_to_bridge_with: callControlId };
    return this.#send('bridge', options, named, (client, id, body, request) =>
      client.calls.actions.bridge(id, body, request).asResponse(),
    );
  }

  /** Ends this stream at Telnyx: it sends `stop`. The call goes on. */
  stopStreaming(options: CommandOptions = {}): Promise<CommandResult> {
    const named = { stream_id: this.#call.streamId };
    return this.#send('streaming_stop', options, named, (client, id, body, request) =>
      client.calls.actions.stopStreaming(id, body, request).asResponse(),
    );
  }

  /** Telnyx records the call; the webhook `call.recording.saved` tells where. */
  async startRecording(options: RecordingOptions = {}): Promise<CommandResult> {
    const { format = 'wav', channels = 'single', beep } = options;
    if (format !== 'wav' && format !== 'mp3') throw wrong('startRecording format', format, 'give wav or mp3');
    if (channels !== 'single' && channels !== 'dual') {
      throw wrong('startRecording channels', channels, 'give single or dual');
    }
    const named = { format, channels, play_beep: beep };
    return this.#send('record_start', options, named, (client, id, body, request) =>
      client.calls.actions.startRecording(id, body, request).asResponse(),
    );
  }

  /** Ends the recording. */
  stopRecording(options: CommandOptions = {}): Promise<CommandResult> {
    return this.#send('record_stop', options, {}, (client, id, body, request) =>
      client.calls.actions.stopRecording(id, body, request).asResponse(),
    );
  }

  /** Telnyx takes noise out of one direction of the call, or of both; `off` ends that. */
  async suppressNoise(
    direction: 'inbound' | 'outbound' | 'both' | 'off',
    options: CommandOptions = {},
  ): Promise<CommandResult> {
    if (direction === 'off') {
      return this.#send('suppression_stop', options, {}, (client, id, body, request) =>
        client.calls.actions.stopNoiseSuppression(id, body, request).asResponse(),
      );
    }
    if (!['inbound', 'outbound', 'both'].includes(direction)) {
      throw wrong('suppressNoise direction', direction, 'give inbound, outbound, both or off');
    }
    return this.#send('suppression_start', options, { direction }, (client, id, body, request) =>
      client.calls.actions.startNoiseSuppression(id, body, request).asResponse(),
    );
  }

  /** `named`: the fields that the method knows, where they are given. They win over `options.fields`. */
  #send<Named extends object>(
    command: string,
    { commandId = randomUUID(), clientState, fields }: CommandOptions,
    named: Named,
    post: (
      client: Telnyx,
      callControlId: string,
      body: Named,
      request: Parameters<Command['post']>[1],
    ) => Promise<Response>,
  ): Promise<CommandResult> {
    const bytes = typeof clientState === 'string' ? Buffer.from(clientState) : clientState;
    const state = bytes && { client_state: Buffer.from(bytes).toString('base64') };
    const given = Object.fromEntries(
      Object.entries(named).filter(([, value]) => value !== undefined),
    ) as Named;
    const body = { ...fields, ...given, ...state, command_id: commandId };
    const { callControlId } = this.#call;
    return this.#sender.send({
      command,
      callControlId,
      commandId,
      post: (client, request) => post(client as Telnyx, callControlId, body, request),
    });
  }
}

function wrong(field: string, value: unknown, remedy: string): SidetoneError {
  const value_ = value === undefined ? '' : `${shown(value)}: `;
  return new SidetoneError('SIDETONE_BAD_ARGUMENT', `callControl.${field}: ${value_}${remedy}`);
}
