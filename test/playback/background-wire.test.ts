/** A background over real sockets: a simulated call hears it, under speech and without, in encodings of all kinds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type CallResult,
  createDecoder,
  definePlugin,
  type Encoding,
  Simulator,
  type Stream,
} from '../../src/index.js';
import { eventually, url, withServer } from '../helpers/servers.js';

const RATE = 16_000;
const BACKGROUND_HZ = 450;
const SPEECH_HZ = 1150;
const AMPLITUDE = 3000;

function tone(hz: number, ms: number): Int16Array {
  const length = (ms * RATE) / 1000;
  return Int16Array.from({ length }, (_, i) => AMPLITUDE * Math.sin((2 * Math.PI * hz * i) / RATE));
}

/** Amplitude of a tone in `samples`. */
function amplitude(samples: Int16Array, hz: number, rate: number): number {
  let [sine, cosine] = [0, 0];
  for (const [i, sample] of samples.entries()) {
    sine += sample * Math.sin((2 * Math.PI * hz * i) / rate);
    cosine += sample * Math.cos((2 * Math.PI * hz * i) / rate);
  }
  return (2 * Math.hypot(sine, cosine)) / samples.length;
}

/** Pieces of 100 ms of all that came, as sound. */
function pieces(result: CallResult, encoding: Encoding): { samples: Int16Array; rate: number }[] {
  const rate = encoding === 'PCMU' ? 8000 : RATE;
  const decoder = createDecoder(encoding, { sampleRate: rate });
  const sound = result.heard.flatMap(({ payload }) => [...decoder.decode(payload)]);
  decoder.close();
  const length = rate / 10;
  const whole = Math.floor(sound.length / length);
  return Array.from({ length: whole }, (_, i) => ({
    samples: Int16Array.from(sound.slice(i * length, (i + 1) * length)),
    rate,
  }));
}

async function converse(address: string, encoding: Encoding, streamOf: () => Stream): Promise<CallResult> {
  const call = new Simulator().call(address, {
    encoding,
    ...(encoding === 'OPUS' && { sampleRate: RATE }),
    inbound: [],
    durationMs: Number.POSITIVE_INFINITY,
  });
  const heardMs = (): number => call.soFar().heardMs;
  const hear = (ms: number): Promise<void> => {
    const until = heardMs() + ms;
    return eventually(() => heardMs() >= until, `${ms} ms more`, 60_000);
  };
  await hear(800);
  const stream = streamOf();
  stream.play(tone(SPEECH_HZ, 20_000));
  // Of it 720 ms are speech: what had been sent of the background comes first.
  await hear(800);
  const { playedMs, discardedMs } = await stream.clear();
  assert.ok(Math.abs(playedMs + discardedMs - 20_000) < 1, `${playedMs} + ${discardedMs}`);
  await hear(1200);
  assert.equal(stream.queuedMs, 0);
  call.hangup();
  return call.result;
}

function judge(result: CallResult, encoding: Encoding): void {
  assert.deepEqual(result.errors, []);
  const all = pieces(result, encoding);
  const background = all.map(({ samples, rate }) => amplitude(samples, BACKGROUND_HZ, rate));
  const speech = all.map(({ samples, rate }) => amplitude(samples, SPEECH_HZ, rate));
  const told = `${encoding}: ${background.map(Math.round)}; ${speech.map(Math.round)}`;
  // Not where it rises. A clear cuts within a piece.
  const before = background.slice(4, 7);
  assert.ok(
    before.every(level => level > AMPLITUDE * 0.8),
    told,
  );
  assert.ok(background.slice(4).filter(level => level < AMPLITUDE * 0.35).length <= 3, told);
  assert.ok(speech.filter(level => level > AMPLITUDE * 0.7).length >= 5, told);
  assert.ok(
    speech.slice(-6).every(level => level < AMPLITUDE * 0.05),
    told,
  );
}

test('callers hear the background all the time, and speech over it until it is cleared', async () => {
  const streams = new Map<Encoding, Stream>();
  const office = tone(BACKGROUND_HZ, 1000);
  const plugin = definePlugin({
    name: 'office',
    path: '/office',
    audio: { sampleRate: RATE },
    onStart: stream => {
      streams.set(stream.outbound.encoding, stream);
      stream.background(office, { duckDb: -6 });
      return {};
    },
  });
  await withServer([plugin], { pool: 1 }, async server => {
    const address = url(server, '/office');
    const encodings: Encoding[] = ['PCMU', 'G722', 'OPUS'];
    const results = await Promise.all(
      encodings.map(encoding => converse(address, encoding, () => streams.get(encoding)!)),
    );
    for (const [i, encoding] of encodings.entries()) judge(results[i]!, encoding);
  });
});
