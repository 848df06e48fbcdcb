/**
 * Text to speech as it comes: a synthesiser's PCM, over HTTP or a WebSocket, is played while it is still being made.
 *
 *     SIDETONE_PLUGIN_OPTIONS_SPEECH='{"url":"http://127.0.0.1:5002/speak"}' \
 *       npx sidetone serve --plugin ./examples/speech-stream.ts
 */
import { on } from 'node:events';
import { definePlugin, SAMPLE_RATES, type Stream, type StreamHandler } from 'sidetone';
import { WebSocket } from 'ws';
import { z } from 'zod';

const options = z.strictObject({
  /** http(s): a POST whose answer is PCM. ws(s): one message with the text, then binary messages of PCM until it closes. */
  url: z.url({ protocol: /^(https?|wss?)$/ }),
  headers: z.record(z.string(), z.string()).default({}),
  /** Stands beside the text in the JSON that is sent, such as `{ "voice": "Anna" }`. */
  fields: z.record(z.string(), z.json()).default({}),
  /** Rate of the PCM that comes, 16 bit little-endian mono. */
  sampleRate: z
    .int()
    .refine(rate => (SAMPLE_RATES as readonly number[]).includes(rate), {
      message: `use one of ${SAMPLE_RATES.join(', ')}`,
    })
    .default(24_000),
  greeting: z.string().default('Hello. Press a key, and I will say which one it was.'),
  /** How long the first audio may take. */
  firstMsMax: z.number().min(100).max(60_000).default(5000),
});
type Options = z.output<typeof options>;

export default definePlugin({
  name: 'speech',
  options,
  setup: ({ metrics, signal }) => ({
    signal,
    said: metrics.counter('speech_texts', 'Texts, by what became of them.', { labels: ['outcome'] }),
    first: metrics.histogram('speech_first_seconds', 'From a text to its first audio.', {
      buckets: [0.1, 0.2, 0.3, 0.5, 1, 2, 5],
    }),
  }),
  onStart: (stream, { options, state }) => new Speaker(stream, options, state),
});

interface State {
  signal: AbortSignal;
  said: { inc(by: number, labels: { outcome: 'heard' | 'interrupted' | 'failed' }): void };
  first: { observe(value: number): void };
}

class Speaker implements StreamHandler {
  #speaking: AbortController | undefined;

  constructor(
    private readonly stream: Stream,
    private readonly options: Options,
    private readonly state: State,
  ) {
    void this.#say(options.greeting);
  }

  onDtmf(key: string): Promise<void> {
    return this.#say(`You pressed ${key}.`);
  }

  onStop(): void {
    this.#speaking?.abort();
  }

  /** Says a text at once: what is being said falls silent, and its synthesis is stopped. */
  async #say(text: string): Promise<void> {
    if (this.#speaking) {
      this.#speaking.abort();
      void this.stream.clear();
    }
    const speaking = new AbortController();
    this.#speaking = speaking;
    const signal = AbortSignal.any([speaking.signal, this.state.signal]);
    let hasFailed = false;
    const failed = (error: unknown): void => {
      if (signal.aborted) return;
      hasFailed = true;
      this.stream.log.error({ err: error }, 'the synthesiser failed');
    };
    const pcm = this.#pcm(text, signal, failed);
    const { interrupted, playedMs } = await this.stream.play(pcm, { sampleRate: this.options.sampleRate });
    const outcome = hasFailed ? 'failed' : interrupted ? 'interrupted' : 'heard';
    this.state.said.inc(1, { outcome });
    // What a caller has heard of it is what a model must be told that it has said.
    this.stream.log.info({ outcome, playedMs }, 'a text was said');
  }

  /** An error ends the audio and not the call. */
  async *#pcm(
    text: string,
    signal: AbortSignal,
    failed: (error: unknown) => void,
  ): AsyncGenerator<Int16Array> {
    const began = performance.now();
    let isFirst = true;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error('no audio came in time')), this.options.firstMsMax);
    try {
      const source = this.options.url.startsWith('http') ? overHttp : overWebSocket;
      for await (const samples of pcmOf(source(text, this.options, AbortSignal.any([signal, late.signal])))) {
        clearTimeout(timer);
        if (isFirst) this.state.first.observe((performance.now() - began) / 1000);
        isFirst = false;
        yield samples;
      }
      if (isFirst) failed(new Error('the synthesiser sent no audio'));
    } catch (error) {
      failed(late.signal.aborted ? late.signal.reason : error);
    } finally {
      clearTimeout(timer);
    }
  }
}

async function* overHttp(text: string, { url, headers, fields }: Options, signal: AbortSignal) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ ...fields, text }),
    signal,
  });
  if (!response.ok || !response.body) throw new Error(`POST ${url}: ${response.status}`);
  yield* response.body as AsyncIterable<Uint8Array>;
}

async function* overWebSocket(text: string, { url, headers, fields }: Options, signal: AbortSignal) {
  const socket = new WebSocket(url, { headers, maxPayload: 1_000_000 });
  socket.on('open', () => socket.send(JSON.stringify({ ...fields, text })));
  const stop = (): void => socket.terminate();
  signal.addEventListener('abort', stop);
  try {
    // An error of the socket is thrown here. What is not wanted yet stays in the socket, so the synthesiser has to wait.
    const reading = { close: ['close'], signal, highWaterMark: 64, lowWaterMark: 16 };
    for await (const [data, isBinary] of on(socket, 'message', reading)) {
      if (isBinary) yield data as Buffer;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    socket.terminate();
  }
}

/** Bytes as samples: a piece may end in the middle of one. */
async function* pcmOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Int16Array> {
  let rest = Buffer.alloc(0);
  for await (const piece of pieces) {
    const bytes = rest.length === 0 ? Buffer.from(piece) : Buffer.concat([rest, piece]);
    const whole = bytes.length & ~1;
    rest = bytes.subarray(whole);
    // A copy, because a piece of memory may begin at an odd address.
    if (whole > 0) yield new Int16Array(new Uint8Array(bytes.subarray(0, whole)).buffer);
  }
}
