/** Functions that the model may call: those of the plugin's user, and the call's own. */
import type { Clock } from '../../clock.js';
import type { Stream } from '../../plugin/stream.js';
import type { ToolDescription } from './events.js';

/** What a tool is given beside its arguments. */
export interface ToolContext {
  /** The call's stream. */
  stream: Stream;
  /** Aborted at the end of the call. */
  signal: AbortSignal;
}

/**
 * A function that the model may call. `Arguments` is what its parameters describe.
 *
 * ```ts
 * const weather = realtimeTool<{ city: string }>({
 *   name: 'weather',
 *   description: 'The weather of a city, now.',
 *   parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
 *   run: async ({ city }) => lookUp(city),
 * });
 * ```
 */
// biome-ignore lint/suspicious/noExplicitAny: where tools are listed, one of any arguments fits
export interface RealtimeTool<Arguments = any> {
  /** 1 to 64 letters, digits, underscores and dashes. */
  name: string;
  /** Tells the model what it does and when to call it. */
  description: string;
  /** JSON Schema of its arguments: an object. Default: no arguments. */
  parameters?: object;
  /**
   * What the model says when the tool has not answered after `toolPatienceMs`. Default: the option `toolWord`; an empty text:
   * nothing.
   */
  word?: string;
  /** Whether the model goes on to speak when the tool has done its work; it always does where the tool failed. Default true. */
  answers?: boolean;
  /** What it gives goes to the model as text, anything but a string as JSON. A throw or rejection is told to the model. */
  run(args: Arguments, context: ToolContext): unknown;
}

/** The tool as it is, with its arguments typed. */
export function realtimeTool<Arguments>(tool: RealtimeTool<Arguments>): RealtimeTool<Arguments> {
  return tool;
}

/** How long Telnyx may take for a hangup. */
const HANGUP_MS_MAX = 5000;

/** Ends the call; where that is not possible, such as without an API key, its stream. */
export async function hangUp(stream: Stream, clock: Clock): Promise<void> {
  let cancel = (): void => {};
  const late = new Promise<void>(resolve => {
    cancel = clock.after(HANGUP_MS_MAX, resolve);
  });
  try {
    await Promise.race([stream.callControl.hangup(), late]);
  } catch (error) {
    stream.log.info({ err: error }, 'realtime: the call could not be hung up: its stream is closed');
  }
  cancel();
  stream.close();
}

/** What the built-in tools need of their conversation. */
export interface ToolHost {
  stream: Stream;
  /** Ends the call once what has been said has been heard. */
  endPolitely(): void;
}

export interface BuiltInTools {
  /** The model may end the call. */
  hangUp: boolean;
  /** Where the model may transfer the call: names that the model uses, and numbers or SIP addresses. */
  transferTo: Readonly<Record<string, string>>;
  /** The model may send keys into the call. */
  sendKeys: boolean;
}

export function builtInTools({ hangUp, transferTo, sendKeys }: BuiltInTools, host: ToolHost): RealtimeTool[] {
  const tools: RealtimeTool[] = [];
  const { stream } = host;
  if (hangUp) {
    tools.push({
      name: 'hang_up',
      description: 'Ends the phone call. Say goodbye first, and call this when the conversation is over.',
      word: '',
      answers: false,
      run: () => {
        host.endPolitely();
        return 'The call ends when your last words have been heard. Say nothing more.';
      },
    });
  }
  const names = Object.keys(transferTo);
  if (names.length > 0) {
    tools.push({
      name: 'transfer_call',
      description: `Transfers the caller. Say that you do so first. Destinations: ${names.join(', ')}.`,
      parameters: {
        type: 'object',
        properties: { destination: { type: 'string', enum: names } },
        required: ['destination'],
      },
      word: '',
      answers: false,
      run: async ({ destination }: { destination: string }) => {
        const to = Object.hasOwn(transferTo, destination) ? transferTo[destination] : undefined;
        if (to === undefined) throw new Error(`unknown destination: use one of ${names.join(', ')}`);
        await stream.callControl.transfer(to);
        return 'The call has been transferred. Say nothing more.';
      },
    });
  }
  if (sendKeys) {
    tools.push({
      name: 'press_keys',
      description: 'Presses keys of the telephone, such as in the menu of another machine.',
      parameters: {
        type: 'object',
        properties: { keys: { type: 'string', pattern: '^[0-9*#A-D]{1,32}$' } },
        required: ['keys'],
      },
      word: '',
      run: async ({ keys }: { keys: string }) => {
        if (!/^[0-9*#A-D]{1,32}$/.test(keys)) throw new Error('keys: give 1 to 32 of 0 to 9, *, #, A to D');
        await stream.callControl.sendDtmf(keys);
        return 'The keys have been pressed.';
      },
    });
  }
  return tools;
}

export function describeTool({ name, description, parameters }: RealtimeTool): ToolDescription {
  const none = { type: 'object', properties: {} };
  return { type: 'function', name, description, parameters: parameters ?? none };
}

/** Runs a tool with the arguments as the model wrote them. Its outcome as text for the model; never throws. */
export async function runTool(
  tool: RealtimeTool | undefined,
  name: string,
  argumentsText: string,
  context: ToolContext,
): Promise<{ output: string; failed: boolean }> {
  try {
    if (!tool) throw new Error(`there is no tool ${name}`);
    const given: unknown = argumentsText === '' ? {} : JSON.parse(argumentsText);
    if (typeof given !== 'object' || given === null) throw new Error('the arguments are no JSON object');
    const result: unknown = await tool.run(given, context);
    return {
      output: typeof result === 'string' ? result : (JSON.stringify(result) ?? 'done'),
      failed: false,
    };
  } catch (error) {
    context.stream.log.warn({ tool: name, err: error }, 'realtime: a tool failed');
    const why = error instanceof Error ? error.message : String(error);
    return { output: JSON.stringify({ error: why }), failed: true };
  }
}
