/**
 * A menu with keys: it plays a prompt, a key interrupts it and leads on. The menus are options, the prompts WAV files.
 *
 *     npx sidetone serve --config ivr.json    # docs/examples/ivr.md has one
 */
import { resolve } from 'node:path';
import { definePlugin, readWav, resample, type Stream, type StreamHandler } from 'sidetone';
import { z } from 'zod';

const action = z.union([
  z.strictObject({ menu: z.string() }),
  z.strictObject({ play: z.string(), next: z.string().optional() }),
  z.strictObject({ end: z.literal(true), play: z.string().optional() }),
]);
const menu = z.strictObject({
  /** What is played when the caller comes here: a WAV file of `directory`. */
  prompt: z.string(),
  /** What a key does: 0 to 9, *, #, A to D. */
  keys: z.record(z.string().regex(/^[0-9*#A-D]$/), action),
  /** What is played for a key that is not there, before the prompt. */
  wrong: z.string().optional(),
});
const options = z
  .strictObject({
    directory: z.string(),
    first: z.string().default('main'),
    menus: z.record(z.string(), menu),
    /** So long after a prompt it is played again, … */
    waitMs: z.number().min(500).max(60_000).default(5000),
    /** … so often; then the stream is closed. */
    repeats: z.int().min(0).max(20).default(2),
  })
  .superRefine(({ first, menus }, context) => {
    const known = (name: string | undefined, path: string[]): void => {
      if (name === undefined || Object.hasOwn(menus, name)) return;
      context.addIssue({ code: 'custom', path, message: `there is no menu ${name}` });
    };
    known(first, ['first']);
    for (const [name, { keys }] of Object.entries(menus)) {
      for (const [key, value] of Object.entries(keys)) {
        known('menu' in value ? value.menu : 'next' in value ? value.next : undefined, [
          'menus',
          name,
          'keys',
          key,
        ]);
      }
    }
  });

type Options = z.output<typeof options>;
type Action = z.output<typeof action>;

/** The prompts at every rate that a call has had so far: all calls play the same memory. */
class Prompts {
  readonly #atRate = new Map<string, Int16Array>();

  private constructor(private readonly files: ReadonlyMap<string, { pcm: Int16Array; sampleRate: number }>) {}

  /** Reads all of them, so that a missing file shows at the start and not in a call. */
  static async load({ directory, menus }: Options): Promise<Prompts> {
    const names = Object.values(menus).flatMap(({ prompt, wrong, keys }) => [
      prompt,
      ...(wrong === undefined ? [] : [wrong]),
      ...Object.values(keys).flatMap(value => ('play' in value && value.play) || []),
    ]);
    const files = [...new Set(names)].map(async name => {
      const { channels, sampleRate } = await readWav(resolve(directory, name));
      return [name, { pcm: channels[0]!, sampleRate }] as const;
    });
    return new Prompts(new Map(await Promise.all(files)));
  }

  at(name: string, sampleRate: number): Int16Array {
    const key = `${sampleRate} ${name}`;
    let pcm = this.#atRate.get(key);
    if (!pcm) {
      const file = this.files.get(name)!;
      pcm = resample(file.pcm, file.sampleRate, sampleRate);
      this.#atRate.set(key, pcm);
    }
    return pcm;
  }
}

export default definePlugin({
  name: 'ivr',
  options,
  async setup({ options, metrics }) {
    return {
      prompts: await Prompts.load(options),
      keys: metrics.counter('ivr_keys', 'Keys that callers pressed, by menu.', { labels: ['menu', 'key'] }),
      ends: metrics.counter('ivr_ends', 'Calls that left the menus, by why.', { labels: ['why'] }),
    };
  },
  onStart: (stream, { options, state }) => new Caller(stream, options, state),
});

interface State {
  prompts: Prompts;
  keys: { inc(by: number, labels: { menu: string; key: string }): void };
  ends: { inc(by: number, labels: { why: string }): void };
}

class Caller implements StreamHandler {
  #menu = '';
  #repeats = 0;
  /** Since the prompt was heard, in ms; undefined while something is played. */
  #waitedMs: number | undefined;
  /** Grows with every step, so that what a key has interrupted does not go on. */
  #step = 0;
  #why = 'hangup';

  constructor(
    private readonly stream: Stream,
    private readonly options: Options,
    private readonly state: State,
  ) {
    void this.#enter(options.first);
  }

  /** The caller's frames come in silence, too: they are the clock of the wait. */
  onAudio({ samples, sampleRate }: { samples: Int16Array; sampleRate: number }): void {
    if (this.#waitedMs === undefined) return;
    this.#waitedMs += (samples.length * 1000) / sampleRate;
    if (this.#waitedMs < this.options.waitMs) return;
    if (this.#repeats++ < this.options.repeats) void this.#say(this.#now.prompt);
    else this.#end('silence');
  }

  onDtmf(key: string): Promise<void> {
    // A key of a menu is a word that this plugin's owner has chosen; any other one may be half of a secret number.
    const does = this.#now.keys[key];
    this.state.keys.inc(1, { menu: this.#menu, key: does ? key : 'other' });
    this.#repeats = 0;
    void this.stream.clear();
    return does ? this.#do(does) : this.#wrong();
  }

  onStop(): void {
    this.#step++;
    this.state.ends.inc(1, { why: this.#why });
    this.stream.log.info({ menu: this.#menu, why: this.#why }, 'the caller left the menus');
  }

  get #now(): Options['menus'][string] {
    return this.options.menus[this.#menu]!;
  }

  async #enter(name: string): Promise<void> {
    this.#menu = name;
    this.#repeats = 0;
    await this.#say(this.#now.prompt);
  }

  async #do(action: Action): Promise<void> {
    if ('menu' in action) return this.#enter(action.menu);
    if ('end' in action) {
      if (action.play === undefined || (await this.#say(action.play))) this.#end('key');
      return;
    }
    if (await this.#say(action.play)) await this.#enter(action.next ?? this.#menu);
  }

  async #wrong(): Promise<void> {
    const { wrong, prompt } = this.#now;
    if (wrong === undefined || (await this.#say(wrong))) await this.#say(prompt);
  }

  /** False where a key or the end of the call came first. */
  async #say(name: string): Promise<boolean> {
    const step = ++this.#step;
    this.#waitedMs = undefined;
    // As a source it may be longer than the queue.
    const prompt = this.state.prompts.at(name, this.stream.sampleRate);
    const { interrupted } = await this.stream.play([prompt]);
    if (interrupted || step !== this.#step) return false;
    this.#waitedMs = 0;
    return true;
  }

  #end(why: string): void {
    this.#why = why;
    this.#waitedMs = undefined;
    this.stream.close();
  }
}
