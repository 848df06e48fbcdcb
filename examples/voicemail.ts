/**
 * Voicemail: a greeting, a tone, then what the caller says becomes a WAV file, with a JSON file of its facts beside it.
 *
 *     SIDETONE_PLUGIN_OPTIONS_VOICEMAIL='{"directory":"messages"}' npx sidetone serve --plugin ./examples/voicemail.ts
 */
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type AudioFrame,
  definePlugin,
  readWav,
  resample,
  type Stream,
  type StreamHandler,
  WavWriter,
} from 'sidetone';
import { z } from 'zod';

const options = z.strictObject({
  /** Where the messages go; made if it is not there. */
  directory: z.string(),
  /** A WAV file. */
  greeting: z.string().default(fileURLToPath(new URL('../assets/answer.wav', import.meta.url))),
  /** A message is finished by the key #, by so much silence, … */
  silenceMs: z.number().min(500).max(60_000).default(4000),
  /** … or at this length. */
  messageMsMax: z.number().min(1000).max(3_600_000).default(180_000),
  /** What is shorter, without the silence at its end, is no message. */
  messageMsMin: z.number().min(0).max(60_000).default(800),
  /** A frame whose loudness (RMS, of 32,767) is above this is speech. */
  loud: z.number().min(1).max(32_767).default(300),
});
type Options = z.output<typeof options>;

const TONE_HZ = 1000;
const TONE_MS = 400;

export default definePlugin({
  name: 'voicemail',
  options,
  audio: { sampleRate: 16000 },
  async setup({ options, metrics }) {
    await mkdir(options.directory, { recursive: true });
    const { channels, sampleRate } = await readWav(options.greeting);
    return {
      greeting: resample(channels[0]!, sampleRate, 16000),
      messages: metrics.counter('voicemail_messages', 'Messages, by what became of them.', {
        labels: ['outcome'],
      }),
      recording: metrics.gauge('voicemail_recording', 'Callers who speak their message now.'),
      seconds: metrics.histogram('voicemail_seconds', 'Length of the messages that were kept.', {
        buckets: [5, 15, 30, 60, 120, 300],
      }),
    };
  },
  onStart: (stream, { options, state }) => new Message(stream, options, state),
});

interface State {
  greeting: Int16Array;
  messages: { inc(by: number, labels: { outcome: 'kept' | 'too_short' | 'hung_up' | 'failed' }): void };
  recording: { inc(): void; dec(): void };
  seconds: { observe(value: number): void };
}

class Message implements StreamHandler {
  readonly #path: string;
  #writer: WavWriter | undefined;
  #lengthMs = 0;
  /** Up to the end of the last loud frame. */
  #spokenMs = 0;
  #at = new Date();
  #isOver = false;

  constructor(
    private readonly stream: Stream,
    private readonly options: Options,
    private readonly state: State,
  ) {
    // The id comes from outside: nothing of it may lead out of the directory.
    this.#path = join(options.directory, stream.id.replace(/[^A-Za-z0-9_-]/g, '_'));
    void this.#begin();
  }

  async #begin(): Promise<void> {
    // As a source it may be longer than the queue.
    await this.stream.play([this.state.greeting]);
    // The key * skips the greeting, so whether it was heard to its end does not matter.
    if (!this.stream.closed) await this.stream.play(tone(this.stream.sampleRate));
    if (this.stream.closed) return;
    this.#at = new Date();
    this.#writer = new WavWriter(`${this.#path}.wav.part`, {
      sampleRate: this.stream.sampleRate,
      channels: 1,
    });
    this.state.recording.inc();
  }

  onAudio(frame: AudioFrame): void {
    if (!this.#writer || this.#isOver) return;
    this.#writer.append(frame.samples);
    this.#lengthMs += (frame.samples.length * 1000) / frame.sampleRate;
    if (loudness(frame) > this.options.loud) this.#spokenMs = this.#lengthMs;
    const isSilent = this.#lengthMs - this.#spokenMs >= this.options.silenceMs;
    if (isSilent || this.#lengthMs >= this.options.messageMsMax) this.#finish();
  }

  onDtmf(key: string): void {
    if (key === '*' && !this.#writer) void this.stream.clear();
    if (key === '#' && this.#writer) this.#finish();
  }

  /** Until this has resolved, the server does not end. */
  async onStop(): Promise<void> {
    this.#isOver = true;
    if (!this.#writer) {
      this.state.messages.inc(1, { outcome: 'hung_up' });
      return;
    }
    this.state.recording.dec();
    try {
      await this.#keep(this.#writer);
    } catch (error) {
      this.state.messages.inc(1, { outcome: 'failed' });
      throw error;
    }
  }

  #finish(): void {
    this.#isOver = true;
    this.stream.close();
  }

  async #keep(writer: WavWriter): Promise<void> {
    await writer.close();
    const part = `${this.#path}.wav.part`;
    if (this.#spokenMs < this.options.messageMsMin) {
      await rm(part);
      this.state.messages.inc(1, { outcome: 'too_short' });
      return;
    }
    const { from, to, callControlId } = this.stream.call;
    const facts = {
      from,
      to,
      callControlId,
      at: this.#at.toISOString(),
      lengthMs: Math.round(this.#lengthMs),
    };
    await writeFile(`${this.#path}.json`, `${JSON.stringify(facts, undefined, 2)}\n`);
    // Last: who finds the WAV file finds it whole, and its facts.
    await rename(part, `${this.#path}.wav`);
    this.state.messages.inc(1, { outcome: 'kept' });
    this.state.seconds.observe(this.#lengthMs / 1000);
    this.stream.log.info({ file: `${this.#path}.wav`, lengthMs: facts.lengthMs }, 'a message was left');
  }
}

function tone(sampleRate: number): Int16Array {
  const length = (sampleRate * TONE_MS) / 1000;
  return Int16Array.from({ length }, (_, i) => 6000 * Math.sin((2 * Math.PI * TONE_HZ * i) / sampleRate));
}

function loudness({ samples }: AudioFrame): number {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  return Math.sqrt(energy / samples.length);
}
