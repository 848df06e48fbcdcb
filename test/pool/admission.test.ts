/** How many streams a pool lets in, by what their frames are measured to take. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { OpusPayloadDecoder, OpusPayloadEncoder } from '../../src/codecs/opus.js';
import { SidetoneError } from '../../src/errors.js';
import { COST_TABLE_BYTES, CostReader, Costs, guessUs } from '../../src/pool/costs.js';
import { CodecPool, type CodecPoolOptions, type PoolCodec } from '../../src/pool/pool.js';
import { eventually } from '../helpers/servers.js';
import { speechLike } from '../helpers/speech.js';
import { DECODE_MS, ENCODE_MS } from './times.js';

const timed = new URL('./timed-worker.js', import.meta.url);
const OPUS: PoolCodec = { encoding: 'OPUS', decoder: { sampleRate: 16000 }, encoder: { sampleRate: 16000 } };
const deaf = { onPcm: () => {}, onPacket: () => {}, onError: () => {} };

async function withPool(
  options: Partial<CodecPoolOptions>,
  body: (pool: CodecPool) => Promise<void>,
): Promise<void> {
  const pool = new CodecPool({ threads: 1, ...options });
  try {
    await body(pool);
  } finally {
    await pool.close();
  }
}

/** A call both ways; undefined where the pool refuses either. */
function call(pool: CodecPool): { close(): void } | undefined {
  const decoder = pool.openDecoder('OPUS', OPUS.decoder, deaf);
  try {
    const encoder = pool.openEncoder('OPUS', OPUS.encoder, deaf);
    return {
      close() {
        decoder.close();
        encoder.close();
      },
    };
  } catch (error) {
    decoder.close();
    throw error;
  }
}

function admitted(pool: CodecPool): { close(): void }[] {
  const calls: { close(): void }[] = [];
  for (;;) {
    try {
      calls.push(call(pool)!);
    } catch (error) {
      assert.ok(error instanceof SidetoneError);
      assert.equal(error.code, 'SIDETONE_POOL_FULL');
      return calls;
    }
    assert.ok(calls.length < 1000);
  }
}

describe('admission to the codec pool', () => {
  test('follows from the measured time of a frame, and streams that end give their share back', async () => {
    await withPool({ workerUrl: timed }, async pool => {
      await pool.warm([OPUS]);
      assert.equal(pool.stats.opened, 0, 'what warms the pool is no stream');
      assert.equal(pool.stats.load, 0);
      const calls = admitted(pool);
      // 41 × 0.39 ms are 15.99 of the 16 ms that a worker has, with a fifth left over.
      assert.equal(calls.length, Math.floor(16 / (ENCODE_MS + DECODE_MS)));
      assert.equal(calls.length, 41);
      const { load, capacity, openRefused } = pool.stats;
      assert.equal(Math.round(load * 1e6), Math.round((41 * (ENCODE_MS + DECODE_MS) * 1e6) / 20));
      assert.equal(capacity, 0.8);
      assert.equal(openRefused, 1);
      for (const one of calls.splice(0, 10)) one.close();
      assert.equal(admitted(pool).length, 10);
    });
  });

  test('fills each worker, and says what is wrong with one more', async () => {
    await withPool({ workerUrl: timed, threads: 3 }, async pool => {
      await pool.warm([OPUS]);
      assert.equal(pool.stats.workers, 3);
      // Decoders and encoders go where there is least to do, so that halves of calls fill the gaps: up to 3 × 41.
      const { length } = admitted(pool);
      assert.ok(length >= 120 && length <= 123, `${length} calls`);
      assert.throws(() => {
        // Half a call may still fit.
        for (let i = 0; i < 4; i++) pool.openEncoder('OPUS', OPUS.encoder, deaf);
      }, /OPUS encoder: its 20 ms of audio take 0\.29 ms, and the freest of 3 workers has 1\d\.\d\d of 16\.00 ms to do already; raise the option pool/);
    });
  });

  test('takes another headroom, or none', async () => {
    await withPool({ workerUrl: timed, loadMax: 0.5 }, async pool => {
      await pool.warm([OPUS]);
      assert.equal(admitted(pool).length, 25);
    });
    await withPool({ workerUrl: timed, loadMax: Number.POSITIVE_INFINITY }, async pool => {
      for (let i = 0; i < 500; i++) assert.ok(call(pool));
    });
    for (const loadMax of [0, -1, Number.NaN]) {
      assert.throws(() => new CodecPool({ threads: 1, loadMax }), { code: 'SIDETONE_BAD_OPTION' });
    }
  });

  test('uses a guess until a cost is measured, and has a cost for each of the settings', async () => {
    await withPool({ workerUrl: timed }, async pool => {
      const us =
        guessUs('encode', 'OPUS', { sampleRate: 16000 }) + guessUs('decode', 'OPUS', { sampleRate: 16000 });
      assert.equal(admitted(pool).length, Math.floor(16_000 / us));
      assert.ok(
        guessUs('encode', 'OPUS', { complexity: 10 }) > 1.5 * guessUs('encode', 'OPUS', { complexity: 5 }),
      );
      assert.ok(
        guessUs('encode', 'OPUS', { complexity: 0 }) < 0.5 * guessUs('encode', 'OPUS', { complexity: 5 }),
      );
    });
  });

  test('learns from running streams: frames that come to cost more leave room for fewer', async () => {
    await withPool({ workerUrl: timed }, async pool => {
      let packets = 0;
      const encoder = pool.openEncoder('OPUS', OPUS.encoder, {
        onPacket: () => packets++,
        onError: () => {},
      });
      const frame = new Int16Array(320).fill(600);
      for (let sent = 0; sent < 4000; sent += 200) {
        for (let i = 0; i < 200; i++) assert.ok(encoder.encode(frame));
        await eventually(() => packets === sent + 200, 'the packets', 30_000);
      }
      // 600 µs a frame, after 8 times the memory of the mean.
      assert.ok(Math.abs(pool.stats.load * 20_000 - 600) < 1, `${pool.stats.load * 20_000} µs`);
      let encoders = 1;
      try {
        for (;;) {
          pool.openEncoder('OPUS', OPUS.encoder, deaf);
          encoders++;
        }
      } catch {
        assert.equal(encoders, 26);
      }
    });
  });

  test('never sees the time of a frame without the frame', async () => {
    const costs = new Costs();
    const cost = costs.classOf('encode', 'OPUS', { sampleRate: 16000 });
    const table = new SharedArrayBuffer(COST_TABLE_BYTES);
    const reader = new CostReader(costs, table);
    const done = new Int32Array(new SharedArrayBuffer(4));
    const frameUs = 100;
    const worker = new Worker(new URL('./cost-worker.js', import.meta.url), {
      workerData: { table, done, writes: 2_000_000, frameUs },
    });
    const exit = once(worker, 'exit');
    while (Atomics.load(done, 0) === 0) {
      reader.read();
      if (cost.weight > 0) assert.equal(cost.us, frameUs);
    }
    await exit;
    reader.read();
    assert.equal(cost.us, frameUs);
  });

  test('a stall of the machine does not count for ever', () => {
    const costs = new Costs();
    const cost = costs.classOf('encode', 'OPUS', { sampleRate: 16000 });
    const guess = cost.us;
    costs.learn(cost.index, 100 * 50, 50);
    assert.equal(cost.us, 100);
    costs.learn(cost.index, 25 * 400_000, 25);
    assert.ok(cost.us > 100 && cost.us < 201, String(cost.us));
    for (let i = 0; i < 100; i++) costs.learn(cost.index, 100 * 50, 50);
    assert.ok(cost.us < 101, String(cost.us));
    // Not even when it is the first thing known.
    const first = costs.classOf('encode', 'OPUS', { sampleRate: 8000 });
    const before = first.us;
    costs.learn(first.index, 25 * 400_000, 25);
    assert.equal(first.us, 20 * before);
    assert.ok(guess > 0);
    // And more classes than there are places share the last one.
    for (let i = 0; i < 200; i++) costs.classOf('encode', 'OPUS', { bitrateBps: 6000 + i });
    assert.equal(costs.count, 64);
    assert.equal(
      costs.classOf('encode', 'OPUS', { bitrateBps: 1 }),
      costs.classOf('encode', 'OPUS', { bitrateBps: 2 }),
    );
  });

  test('all that real codecs admit get all of their audio', async () => {
    const pcm = speechLike(16000, 1);
    const frames = Array.from({ length: 50 }, (_, i) => pcm.subarray(i * 320, i * 320 + 320));
    const encoder = new OpusPayloadEncoder();
    const wanted = frames.map(samples => encoder.encode(samples).slice());
    encoder.close();
    const decoder = new OpusPayloadDecoder();
    const audio = wanted.map(packet => decoder.decode(packet).slice());
    decoder.close();

    await withPool({}, async pool => {
      await pool.warm([OPUS]);
      assert.ok(pool.stats.jobs >= 100, 'a second each way was worked on');
      const calls: { heard: number; sent: number; wrong: number }[] = [];
      const work: { decode(payload: Uint8Array): boolean; encode(pcm: Int16Array): boolean }[] = [];
      try {
        for (;;) {
          const counts = { heard: 0, sent: 0, wrong: 0 };
          const decode = pool.openDecoder('OPUS', OPUS.decoder, {
            onPcm(samples, concealed) {
              const same =
                Buffer.compare(
                  Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength),
                  Buffer.from(audio[counts.heard++]!.buffer),
                ) === 0;
              if (concealed || !same) counts.wrong++;
            },
            onError: () => counts.wrong++,
          });
          const encode = pool.openEncoder('OPUS', OPUS.encoder, {
            onPacket: packet => void (Buffer.compare(packet, wanted[counts.sent++]!) === 0 || counts.wrong++),
            onError: () => counts.wrong++,
          });
          calls.push(counts);
          work.push({ decode: payload => decode.decode(payload), encode: samples => encode.encode(samples) });
          // What is measured at worst, twenty times the guess, still admits these.
          if (calls.length === 40) break;
        }
      } catch (error) {
        assert.equal((error as SidetoneError).code, 'SIDETONE_POOL_FULL');
      }
      assert.ok(calls.length >= 8, `${calls.length} calls`);
      for (let i = 0; i < 50; i++) {
        for (const one of work) {
          assert.ok(one.decode(wanted[i]!));
          assert.ok(one.encode(frames[i]!));
        }
        if (i % 5 === 4) await eventually(() => pool.stats.jobsPending === 0, 'the work', 60_000);
      }
      await eventually(
        () => calls.every(({ heard, sent }) => heard === 50 && sent === 50),
        'all audio',
        60_000,
      );
      assert.deepEqual(
        calls.filter(({ wrong }) => wrong > 0),
        [],
      );
      assert.equal(pool.stats.refused, 0);
    });
  });

  test('a pool that is closed while it is warmed lets go of it', async () => {
    const pool = new CodecPool({ threads: 2 });
    const warmed = pool.warm([OPUS]);
    await pool.close();
    await warmed;
  });
});
