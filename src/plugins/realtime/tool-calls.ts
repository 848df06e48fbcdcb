/** The tools of one conversation, and those of them that run. */
import type { Clock } from '../../clock.js';
import type { Stream } from '../../plugin/stream.js';
import { asideCreate, type ConversationItem, toolOutput } from './events.js';
import type { RealtimeSettings } from './options.js';
import { builtInTools, describeTool, type RealtimeTool, runTool } from './tools.js';

export interface ToolCallsOwner {
  /** Sends an event to the service. */
  send(text: string): void;
  /** Which session it is: a result that comes in a later one cannot be matched with its call there. */
  readonly session: number;
  /** Tells the model a result that it can match with no call. */
  tell(text: string): void;
  /** The model may speak: nobody else does. */
  readonly quiet: boolean;
  /** All tools have their results. `answers`: the model has to speak of one. */
  settled(answers: boolean): void;
  endPolitely(): void;
  counted(outcome: 'done' | 'failed'): void;
}

/** Calls whose ids are remembered: the service tells of each in several events. */
const SEEN_MAX = 200;

export class ToolCalls {
  readonly #stream: Stream;
  readonly #settings: RealtimeSettings;
  readonly #clock: Clock;
  readonly #owner: ToolCallsOwner;
  readonly #tools = new Map<string, RealtimeTool>();
  readonly #seen = new Set<string>();
  readonly #names = new Map<string, string>();
  readonly #end = new AbortController();
  #running = 0;
  #answers = false;

  constructor(stream: Stream, settings: RealtimeSettings, clock: Clock, owner: ToolCallsOwner) {
    this.#stream = stream;
    this.#settings = settings;
    this.#clock = clock;
    this.#owner = owner;
    const host = { stream, endPolitely: () => owner.endPolitely() };
    for (const tool of [...settings.tools, ...builtInTools(settings, host)]) this.#tools.set(tool.name, tool);
  }

  get descriptions() {
    return [...this.#tools.values()].map(describeTool);
  }

  get running(): boolean {
    return this.#running > 0;
  }

  /** The service has begun to write a call: its name may stand in no later event. */
  announced({ call_id: callId, name }: ConversationItem): void {
    if (callId === undefined || name === undefined) return;
    if (this.#names.size >= SEEN_MAX) this.#names.clear();
    this.#names.set(callId, name);
  }

  /** A call is written whole: runs it, once. */
  call(callId: string | undefined, name: string | undefined, argumentsText = ''): void {
    const known = name ?? this.#names.get(callId ?? '');
    if (callId === undefined || known === undefined || this.#seen.has(callId)) return;
    if (this.#seen.size >= SEEN_MAX) this.#seen.clear();
    this.#seen.add(callId);
    void this.#run(callId, known, argumentsText);
  }

  /** The call is over: results go nowhere. */
  close(): void {
    this.#end.abort();
  }

  async #run(callId: string, name: string, argumentsText: string): Promise<void> {
    const { session } = this.#owner;
    const { signal } = this.#end;
    const tool = this.#tools.get(name);
    const word = tool?.word ?? this.#settings.toolWord;
    this.#running++;
    const cancel = this.#clock.after(this.#settings.toolPatienceMs, () => {
      if (word !== '' && this.#owner.quiet) this.#owner.send(asideCreate(word));
    });
    const { output, failed } = await runTool(tool, name, argumentsText, { stream: this.#stream, signal });
    cancel();
    this.#running--;
    if (signal.aborted) return;
    this.#owner.counted(failed ? 'failed' : 'done');
    if (session === this.#owner.session) this.#owner.send(toolOutput(callId, output));
    else this.#owner.tell(`The tool ${name} has given this result: ${output}`);
    this.#answers ||= failed || (tool?.answers ?? true);
    if (this.#running > 0) return;
    const answers = this.#answers;
    this.#answers = false;
    this.#owner.settled(answers);
  }
}
