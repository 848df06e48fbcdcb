/** What is counted of conversations: in the plugin's metrics, and of each call in one line of the log. */
import type { PluginMetrics } from '../../plugin/metrics.js';
import type { Usage } from './events.js';
import type { TokenPrices } from './options.js';

export type Meters = ReturnType<typeof createMeters>;

export function createMeters(metrics: PluginMetrics) {
  return {
    answerSeconds: metrics.histogram(
      'answer_seconds',
      "From the caller's last word to the first audio of the answer that is heard.",
      { buckets: [0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10] },
    ),
    silenceSeconds: metrics.histogram(
      'barge_in_seconds',
      "From the caller's first word over the model's to the clear that silences it.",
      { buckets: [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2] },
    ),
    interruptions: metrics.counter('interruptions', "Times that the model's audio was cut off."),
    turns: metrics.counter('turns', 'Turns whose words the service has told.', { labels: ['who'] }),
    tools: metrics.counter('tool_calls', 'Functions that the model has called.', { labels: ['outcome'] }),
    losses: metrics.counter('service_losses', 'Sessions that were lost, or could not be had.'),
    refusals: metrics.counter('service_errors', 'Errors and failed answers that the service told.'),
    tokens: metrics.counter('tokens', 'Tokens that the service has counted.'),
    audioDroppedMs: metrics.counter(
      'audio_dropped_ms',
      'Audio of both directions that found no room, in ms.',
    ),
    ends: metrics.counter('ends', 'Conversations that have ended, by why.', { labels: ['why'] }),
  };
}

/** Of one call. */
export class CallMeter {
  interruptions = 0;
  toolCalls = 0;
  losses = 0;
  errors = 0;
  tokens = 0;
  cost = 0;
  readonly turns = { user: 0, assistant: 0 };
  readonly #answersMs: number[] = [];
  readonly #silencesMs: number[] = [];

  constructor(
    private readonly meters: Meters,
    private readonly prices: TokenPrices | undefined,
  ) {}

  answered(afterMs: number): void {
    this.#answersMs.push(afterMs);
    this.meters.answerSeconds.observe(afterMs / 1000);
  }

  interrupted(afterMs: number | undefined): void {
    this.interruptions++;
    this.meters.interruptions.inc();
    if (afterMs === undefined) return;
    this.#silencesMs.push(afterMs);
    this.meters.silenceSeconds.observe(afterMs / 1000);
  }

  turn(who: 'user' | 'assistant'): void {
    this.turns[who]++;
    this.meters.turns.inc(1, { who });
  }

  tool(outcome: 'done' | 'failed'): void {
    this.toolCalls++;
    this.meters.tools.inc(1, { outcome });
  }

  lost(): void {
    this.losses++;
    this.meters.losses.inc();
  }

  failed(): void {
    this.errors++;
    this.meters.refusals.inc();
  }

  used(usage: Usage): void {
    const { total_tokens: total = 0 } = usage;
    this.tokens += total;
    this.meters.tokens.inc(Math.max(0, total));
    if (this.prices) this.cost += costOf(usage, this.prices);
  }

  /** Fields of the call's line. */
  fields(): Record<string, unknown> {
    return {
      interruptions: this.interruptions,
      toolCalls: this.toolCalls,
      serviceLosses: this.losses,
      serviceErrors: this.errors,
      tokens: this.tokens,
      ...(this.prices && { cost: Math.round(this.cost * 1e6) / 1e6 }),
      turnsCaller: this.turns.user,
      turnsModel: this.turns.assistant,
      answerMs: median(this.#answersMs),
      answerMsMax: rounded(Math.max(...this.#answersMs)),
      bargeInMs: median(this.#silencesMs),
    };
  }
}

/** What `usage` costs. Tokens whose kind is not told count as text. */
function costOf(usage: Usage, prices: TokenPrices): number {
  const { input_tokens: input = 0, output_tokens: output = 0 } = usage;
  const { audio_tokens: audioIn = 0, cached_tokens: cached = 0 } = usage.input_token_details ?? {};
  const { audio_tokens: audioOut = 0 } = usage.output_token_details ?? {};
  // Which kind the cached ones are is not always told: they are taken from the audio first, the dearer kind.
  const audioNew = Math.max(0, audioIn - cached);
  const textNew = Math.max(0, input - cached - audioNew);
  const sum =
    textNew * prices.textIn +
    audioNew * prices.audioIn +
    cached * (prices.cachedIn ?? prices.textIn) +
    Math.max(0, output - audioOut) * prices.textOut +
    audioOut * prices.audioOut;
  return sum / 1e6;
}

function median(values: readonly number[]): number | undefined {
  return rounded([...values].sort((a, b) => a - b)[values.length >> 1]);
}

function rounded(value: number | undefined): number | undefined {
  return value !== undefined && Number.isFinite(value) ? Math.round(value) : undefined;
}
