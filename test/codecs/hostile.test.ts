/**
 * Payloads that no encoder made, 3,000 for each encoding, through createDecoder and through a server. Each gives
 * audio or an error with a code, and the next good payload is heard. SIDETONE_SEED repeats a run; `npm run
 * test:sanitize:addon` runs this file with the addon under AddressSanitizer and UndefinedBehaviorSanitizer.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { WebSocket } from 'ws';
import { createDecoder, createEncoder } from '../../src/codecs/create.js';
import { CODECS, ENCODINGS, type Encoding } from '../../src/formats.js';
import { definePlugin } from '../../src/plugin/define.js';
import { createServer } from '../../src/server/server.js';
import { hostilePayloads, isAvailable } from '../helpers/hostile.js';
import { rms, speechLike } from '../helpers/speech.js';

const PAYLOADS = 3000;
const seed = Number(process.env.SIDETONE_SEED ?? randomInt(2 ** 31));

for (const encoding of ENCODINGS) {
  const skip = isAvailable(encoding) ? false : `${encoding}: its libraries are not installed`;
  describe(`${encoding}, seed ${seed}`, { skip }, () => {
    test('a decoder gives audio or SIDETONE_BAD_PAYLOAD, conceals, and goes on', () => {
      const decoder = createDecoder(encoding);
      let audio = 0;
      let refused = 0;
      for (const payload of hostilePayloads(encoding, PAYLOADS, seed)) {
        try {
          const pcm = decoder.decode(payload);
          assert.ok(pcm instanceof Int16Array);
          audio++;
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'SIDETONE_BAD_PAYLOAD');
          refused++;
        }
        if (payload.length % 7 === 0) assert.ok(decoder.conceal().length > 0);
      }
      assert.equal(audio + refused, PAYLOADS);
      assert.ok(audio > 100, `${audio} were audio`);
      assertHears(encoding, decoder);
      decoder.close();
    });

    test('a stream hears audio or tells its handler, and hears good payloads afterwards', {
      timeout: 120_000,
    }, async t => {
      const heard = await throughServer(encoding);
      t.diagnostic(`${heard.frames} frames, ${heard.errors} errors, seed ${seed}`);
      assert.deepEqual(heard.strangeErrors, []);
      assert.ok(heard.frames > 100);
      assert.ok(heard.lastRms > 300, `after the noise, speech has ${heard.lastRms}`);
    });
  });
}

/** Real speech of an encoding: a second in payloads of 20 ms. */
function speechPayloads(encoding: Encoding): Uint8Array[] {
  const encoder = createEncoder(encoding);
  const { frameSamples, sampleRate } = encoder;
  const pcm = speechLike(sampleRate, 1);
  const payloads = Array.from({ length: 50 }, (_, i) =>
    encoder.encode(pcm.subarray(i * frameSamples, (i + 1) * frameSamples)),
  );
  encoder.close();
  return payloads;
}

function assertHears(encoding: Encoding, decoder: ReturnType<typeof createDecoder>): void {
  const levels = speechPayloads(encoding).map(payload => rms(decoder.decode(payload)));
  assert.ok(Math.max(...levels) > 1000, `speech after the noise: ${Math.max(...levels)}`);
}

interface ServerHeard {
  frames: number;
  errors: number;
  /** Without one of the codes that a payload can cause. */
  strangeErrors: string[];
  /** Of the loudest frame of the last half second. */
  lastRms: number;
}

/** The payloads over a real WebSocket, then a second of speech; the echo runs the encoder over whatever was heard. */
async function throughServer(encoding: Encoding): Promise<ServerHeard> {
  const heard: ServerHeard = { frames: 0, errors: 0, strangeErrors: [], lastRms: 0 };
  const levels: number[] = [];
  let ended!: () => void;
  const over = new Promise<void>(resolve => {
    ended = resolve;
  });
  let awaited = { frames: 0, done: () => {} };
  const framesHeard = (frames: number): Promise<void> => {
    const enough = new Promise<void>(done => {
      if (heard.frames >= frames) done();
      else awaited = { frames, done };
    });
    // A stream that the server ended hears no more.
    return Promise.race([enough, over]);
  };
  const plugin = definePlugin({
    name: 'ear',
    onStart: stream => ({
      onAudio: frame => {
        heard.frames++;
        levels.push(rms(frame.samples));
        if (heard.frames === awaited.frames) awaited.done();
        if (stream.queuedMs < 10_000) stream.play(frame);
      },
      onError: error => {
        heard.errors++;
        const { code } = error as { code?: string };
        if (code !== 'SIDETONE_BAD_PAYLOAD') heard.strangeErrors.push(`${code}: ${error.message}`);
      },
      onStop: () => ended(),
    }),
  });
  const server = await createServer({
    port: 0,
    admin: false,
    plugins: [plugin],
    pool: 1,
    logLevel: 'silent',
  });
  await server.listen();
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/`, { perMessageDeflate: false });
  socket.on('message', () => {});
  await once(socket, 'open');
  const inPool = CODECS[encoding].runsIn === 'pool';
  const wide = ['OPUS', 'AMR-WB', 'L16'].includes(encoding);
  const media_format = { encoding, sample_rate: wide ? 16000 : 8000, channels: 1 };
  const send = (message: object): void => socket.send(JSON.stringify(message));
  const start = { user_id: 'u', call_control_id: 'c', media_format };
  send({ event: 'start', sequence_number: '1', stream_id: 's', start });
  let number = 1;
  let jobs = 0;
  const sendAll = async (payloads: Uint8Array[]): Promise<void> => {
    for (const payload of payloads) {
      const media = {
        track: 'inbound',
        chunk: String(number),
        timestamp: String(number * (wide ? 320 : 160)),
        payload: Buffer.from(payload).toString('base64'),
      };
      send({ event: 'media', sequence_number: String(++number), stream_id: 's', media });
      if (payload.length > 0) jobs++;
      // A worker's queue is bounded, which is not what is tested here. Each of its jobs ends in a frame, concealed or not.
      if (inPool && number % 25 === 0) await framesHeard(jobs);
    }
    if (inPool) await framesHeard(jobs);
  };
  await sendAll(hostilePayloads(encoding, PAYLOADS, seed));
  await sendAll(speechPayloads(encoding));
  send({
    event: 'stop',
    sequence_number: String(++number),
    stream_id: 's',
    stop: { user_id: 'u', call_control_id: 'c' },
  });
  await over;
  heard.lastRms = Math.max(...levels.slice(-25));
  socket.close();
  await server.close();
  return heard;
}
