/** Telnyx's side of the commands of a test's call, without the network. */
import type { Clock } from '../clock.js';
import { type Command, type CommandResult, refusal } from '../telnyx/rest.js';

/** A command that the plugin has sent with `stream.callControl`. */
export interface SentCommand {
  /** Telnyx's name of it, such as `hangup`, `transfer`, `send_dtmf`, `streaming_stop`. */
  command: string;
  /** What it was sent with, in Telnyx's names, such as `{ to: '+15551234567', command_id: … }`. */
  body: Readonly<Record<string, unknown>>;
  /** When it was sent, in ms since `start`. */
  atMs: number;
  /** Whether Telnyx took it; undefined while it has not answered. */
  taken: boolean | undefined;
}

/** What Telnyx answers a command that it does not take. */
export interface CommandRefusal {
  /** Of HTTP, such as 422. */
  status: number;
  /** Telnyx's code, such as `90018`. It decides which error the plugin gets. */
  code?: string;
  /** Telnyx's text. */
  detail?: string;
}

/** Decides on a command of the plugin: undefined takes it. */
export type CommandJudge = (command: SentCommand) => CommandRefusal | undefined;

const CALL_ENDED: CommandRefusal = {
  status: 422,
  code: '90018',
  detail: 'This call is no longer active and can not receive commands.',
};

interface CommandDeskSetup {
  clock: Clock;
  /** One way to Telnyx, in ms. */
  latencyMs: number;
  /** Ms since `start`. */
  nowMs(): number;
  judge: CommandJudge | undefined;
  /** A command is carried out. */
  carryOut(command: SentCommand): void;
}

export class CommandDesk {
  readonly sent: SentCommand[] = [];
  /** The call is over: nothing is taken any more. */
  ended = false;
  readonly #setup: CommandDeskSetup;
  readonly #ids = new Set<string>();

  constructor(setup: CommandDeskSetup) {
    this.#setup = setup;
  }

  /** Takes the place of the REST client. */
  async deliver(command: Command): Promise<CommandResult> {
    const { clock, latencyMs, nowMs, judge, carryOut } = this.#setup;
    const sent: SentCommand = {
      command: command.command,
      body: await bodyOf(command),
      atMs: nowMs(),
      taken: undefined,
    };
    this.sent.push(sent);
    await passed(clock, latencyMs);
    const refused = this.ended ? CALL_ENDED : judge?.(sent);
    sent.taken = !refused;
    // Telnyx carries a command_id out once.
    if (!refused && !this.#ids.has(command.commandId)) {
      this.#ids.add(command.commandId);
      carryOut(sent);
    }
    await passed(clock, latencyMs);
    if (refused) throw refusal(command, refused);
    const { callControlId, commandId } = command;
    return { callControlId, commandId, attempts: 1, warnings: [] };
  }
}

const passed = (clock: Clock, ms: number): Promise<void> =>
  new Promise(resolve => void clock.after(ms, resolve));

/** What the command gives to Telnyx's SDK: `client.calls.actions.NAME(callControlId, body)`. */
async function bodyOf({ post }: Command): Promise<Readonly<Record<string, unknown>>> {
  let body: Readonly<Record<string, unknown>> = {};
  const act = (_callControlId: string, given: Readonly<Record<string, unknown>>) => {
    body = given;
    return { asResponse: async () => new Response() };
  };
  await post({ calls: { actions: new Proxy({}, { get: () => act }) } }, {});
  return body;
}
