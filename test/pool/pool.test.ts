import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { VirtualClock } from '../../src/clock.js';
import { OpusPayloadDecoder, OpusPayloadEncoder } from '../../src/codecs/opus.js';
import type { SidetoneError } from '../../src/errors.js';
import { CodecPool, type CodecPoolOptions } from '../../src/pool/pool.js';
import { speechLike } from '../helpers/speech.js';
import { FAULT } from './faults.js';

const faulty = new URL('./faulty-worker.js', import.meta.url);

/** The longest time that a test waits for a thread with real work. It is enough for any machine. */
const PATIENT_MS = 600_000;

/**
 * A pool that ends with the test, and the errors it told of. Its clock stands still unless the test moves it, so that
 * no worker is too slow because the machine is.
 */
async function withPool(
  options: Partial<CodecPoolOptions>,
  body: (pool: CodecPool, errors: Error[], clock: VirtualClock) => Promise<void>,
): Promise<void> {
  const errors: Error[] = [];
  const clock = new VirtualClock();
  const pool = new CodecPool({ threads: 1, onError: error => errors.push(error), clock, ...options });
  try {
    await body(pool, errors, clock);
  } finally {
    await pool.close();
  }
}

interface Heard {
  pcm?: Int16Array;
  concealed?: boolean;
  packet?: Uint8Array;
  error?: SidetoneError;
}

/** A sink that keeps what it hears; `until(n)` resolves when it has heard n things. */
class Sink {
  readonly heard: Heard[] = [];
  #wanted = Number.POSITIVE_INFINITY;
  #resolve = () => {};

  onPcm(pcm: Int16Array, concealed: boolean): void {
    this.#add({ pcm: pcm.slice(), concealed });
  }
  onPacket(packet: Uint8Array): void {
    this.#add({ packet: packet.slice() });
  }
  onError(error: SidetoneError): void {
    this.#add({ error });
  }
  until(count: number): Promise<void> {
    if (this.heard.length >= count) return Promise.resolve();
    this.#wanted = count;
    return new Promise(resolve => {
      this.#resolve = resolve;
    });
  }
  #add(heard: Heard): void {
    this.heard.push(heard);
    if (this.heard.length >= this.#wanted) this.#resolve();
  }
  /** First sample, state and whether concealed, or the error's code. */
  get short(): (string | number)[][] {
    return this.heard.map(({ pcm, concealed, packet, error }) =>
      error ? [error.code] : pcm ? [pcm[0]!, pcm[1]!, concealed ? 'concealed' : 'heard'] : [...packet!],
    );
  }
}

const frame = (value: number): Int16Array => new Int16Array(320).fill(value);

describe('codec pool', () => {
  test('many streams on two workers hear just what codecs of their own would give', async () => {
    const pcm = speechLike(16000, 1);
    const frames = Array.from({ length: 50 }, (_, i) => pcm.subarray(i * 320, i * 320 + 320));
    const encoder = new OpusPayloadEncoder();
    const packets = frames.map(samples => encoder.encode(samples).slice());
    const decoder = new OpusPayloadDecoder();
    const audio = packets.map((packet, i) =>
      (i % 10 === 7 ? decoder.conceal() : decoder.decode(packet)).slice(),
    );
    encoder.close();
    decoder.close();

    // A batch ends when no more jobs are there. Time does not end it.
    await withPool({ threads: 2, batchMs: 1000 }, async pool => {
      assert.equal(pool.stats.workers, 0, 'no thread before there is a stream');
      const streams = Array.from({ length: 20 }, () => {
        const encoded = new Sink();
        const decoded = new Sink();
        return {
          encoded,
          decoded,
          encoder: pool.openEncoder('OPUS', {}, encoded),
          decoder: pool.openDecoder('OPUS', {}, decoded),
        };
      });
      assert.equal(pool.stats.workers, 2);
      assert.equal(pool.stats.streams, 40);
      for (let i = 0; i < 50; i++) {
        for (const stream of streams) {
          assert.ok(stream.encoder.encode(frames[i]!));
          const copied = packets[i]!.slice();
          assert.ok(i % 10 === 7 ? stream.decoder.conceal() : stream.decoder.decode(copied));
          copied.fill(0);
        }
        if (i % 8 === 0) await streams[3]!.decoded.until(i);
      }
      for (const { encoded, decoded } of streams) {
        await Promise.all([encoded.until(50), decoded.until(50)]);
        assert.deepEqual(
          encoded.heard.map(({ packet }) => packet),
          packets,
        );
        assert.deepEqual(
          decoded.heard.map(heard => heard.pcm),
          audio,
        );
        assert.deepEqual(
          decoded.heard.map(heard => heard.concealed),
          audio.map((_, i) => i % 10 === 7),
        );
      }
      const { jobs, jobsPending, batches, refused } = pool.stats;
      assert.deepEqual({ jobs, jobsPending, refused }, { jobs: 2000, jobsPending: 0, refused: 0 });
      assert.ok(batches < jobs / 4, `${batches} tasks for ${jobs} jobs`);
    });
  });

  test('AMR-WB goes both ways, or its absence is an error at once', async () => {
    await withPool({}, async pool => {
      const packets = new Sink();
      const audio = new Sink();
      let encoder: ReturnType<CodecPool['openEncoder']>;
      try {
        encoder = pool.openEncoder('AMR-WB', { mode: 2 }, packets);
      } catch (error) {
        assert.equal((error as SidetoneError).code, 'SIDETONE_CODEC_UNAVAILABLE');
        return;
      }
      const decoder = pool.openDecoder('AMR-WB', {}, audio);
      assert.deepEqual([encoder.sampleRate, encoder.frameSamples, decoder.sampleRate], [16000, 320, 16000]);
      for (let i = 0; i < 10; i++) encoder.encode(frame(i * 50));
      await packets.until(10);
      for (const { packet } of packets.heard) decoder.decode(packet!);
      await audio.until(10);
      assert.ok(packets.heard.every(({ packet }) => packet!.length === 33));
      assert.ok(audio.heard.every(({ pcm, concealed }) => pcm!.length === 320 && !concealed));
    });
  });

  test('a bad payload is an error and then concealment, in its place', async () => {
    await withPool({ workerUrl: faulty }, async pool => {
      const audio = new Sink();
      const packets = new Sink();
      const decoder = pool.openDecoder('OPUS', {}, audio);
      const encoder = pool.openEncoder('OPUS', {}, packets);
      decoder.decode(Uint8Array.of(1));
      decoder.decode(Uint8Array.of(FAULT.bad));
      decoder.decode(new Uint8Array(20_000));
      decoder.conceal();
      decoder.decode(Uint8Array.of(2));
      for (const value of [5, FAULT.bad, 6]) encoder.encode(frame(value));
      await Promise.all([audio.until(7), packets.until(3)]);
      assert.deepEqual(audio.short, [
        [1, 1, 'heard'],
        ['SIDETONE_BAD_PAYLOAD'],
        [-1, 2, 'concealed'],
        ['SIDETONE_BAD_PAYLOAD'],
        [-1, 3, 'concealed'],
        [-1, 4, 'concealed'],
        [2, 5, 'heard'],
      ]);
      assert.match(audio.heard[3]!.error!.message, /20000 bytes/);
      assert.deepEqual(packets.short, [[5, 1], ['SIDETONE_BAD_PAYLOAD'], [6, 2]]);
    });
  });

  test('a codec that the worker cannot open answers every job with the reason', async () => {
    await withPool({ workerUrl: faulty }, async pool => {
      const audio = new Sink();
      const decoder = pool.openDecoder('OPUS', { sampleRate: 12000 }, audio);
      decoder.decode(Uint8Array.of(1));
      decoder.conceal();
      await audio.until(4);
      assert.deepEqual(audio.short, [
        ['SIDETONE_CODEC_UNAVAILABLE'],
        [0, 0, 'concealed'],
        ['SIDETONE_CODEC_UNAVAILABLE'],
        [0, 0, 'concealed'],
      ]);
      assert.equal(audio.heard[1]!.pcm!.length, 240, '20 ms at 12 kHz');
      assert.equal(pool.stats.restarts, 0);
    });
  });
});

describe('a worker that fails', () => {
  for (const [name, byte] of [
    ['ends itself', FAULT.exit],
    ['runs out of memory', FAULT.outOfMemory],
    ['hangs', FAULT.hang],
  ] as const) {
    test(`${name}: pending jobs are answered, its streams go on in another, the others hear nothing of it`, async () => {
      const options = { threads: 2, workerUrl: faulty, workerHeapMb: 24, taskMsMax: 1000 };
      await withPool(options, async (pool, errors, clock) => {
        const [struck, other, struckPackets] = [new Sink(), new Sink(), new Sink()];
        const decoder = pool.openDecoder('OPUS', {}, struck);
        const neighbour = pool.openDecoder('OPUS', {}, other);
        const encoder = pool.openEncoder('OPUS', {}, struckPackets);
        decoder.decode(Uint8Array.of(1));
        neighbour.decode(Uint8Array.of(1));
        encoder.encode(frame(1));
        await Promise.all([struck.until(1), other.until(1), struckPackets.until(1)]);

        decoder.decode(Uint8Array.of(2));
        decoder.decode(Uint8Array.of(byte));
        decoder.decode(Uint8Array.of(3));
        decoder.conceal();
        encoder.encode(frame(2));
        if (byte === FAULT.hang) {
          // It is looked for every 250 ms, and a task may take 1000.
          clock.advance(1000);
          assert.equal(pool.stats.hung, 0);
          clock.advance(250);
          assert.equal(pool.stats.hung, 1);
        }
        await Promise.all([struck.until(6), struckPackets.until(2)]);
        // The first job may have been answered before the worker went down; all others are silence.
        const lost = struck.short.slice(1).filter(([code]) => code !== 'SIDETONE_WORKER_DIED');
        assert.equal(struck.short.length - 1 - lost.length, 1);
        assert.ok(lost.length === 4);
        assert.deepEqual(lost.slice(1), [
          [0, 0, 'concealed'],
          [0, 0, 'concealed'],
          [0, 0, 'concealed'],
        ]);
        assert.deepEqual(struckPackets.short[1], ['SIDETONE_WORKER_DIED']);

        // Fresh state in another worker; the neighbour's goes on.
        decoder.decode(Uint8Array.of(4));
        encoder.encode(frame(4));
        neighbour.decode(Uint8Array.of(4));
        await Promise.all([struck.until(7), struckPackets.until(3), other.until(2)]);
        assert.deepEqual(struck.short[6], [4, 1, 'heard']);
        assert.deepEqual(struckPackets.short[2], [4, 1]);
        assert.deepEqual(other.short, [
          [1, 1, 'heard'],
          [4, 2, 'heard'],
        ]);
        const { restarts, hung, jobsLost, jobsPending } = pool.stats;
        assert.deepEqual([restarts, hung, jobsPending], [1, byte === FAULT.hang ? 1 : 0, 0]);
        assert.ok(jobsLost >= 4);
        assert.equal(errors.length, 1);
        assert.equal((errors[0] as SidetoneError).code, 'SIDETONE_WORKER_DIED');
      });
    });
  }

  test('over and over: every time it is replaced', async () => {
    await withPool({ workerUrl: faulty }, async pool => {
      const audio = new Sink();
      const decoder = pool.openDecoder('OPUS', {}, audio);
      for (let round = 0; round < 5; round++) {
        const before = audio.heard.length;
        decoder.decode(Uint8Array.of(7));
        await audio.until(before + 1);
        decoder.decode(Uint8Array.of(FAULT.exit));
        await audio.until(before + 3);
        assert.deepEqual(audio.short.slice(before), [
          [7, 1, 'heard'],
          ['SIDETONE_WORKER_DIED'],
          [0, 0, 'concealed'],
        ]);
      }
      assert.equal(pool.stats.restarts, 5);
    });
  });

  test('one that cannot start is tried again, but not without pause', async () => {
    const missing = new URL('./no-such-worker.js', import.meta.url);
    await withPool({ workerUrl: missing }, async (pool, errors, clock) => {
      const audio = new Sink();
      const decoder = pool.openDecoder('OPUS', {}, audio);
      const heard = [['SIDETONE_WORKER_DIED'], [0, 0, 'concealed']];
      decoder.decode(Uint8Array.of(1));
      await audio.until(2);
      assert.deepEqual(audio.short, heard);
      // After 100 ms, 200, 400 … and with no job before.
      for (const [tries, pauseMs] of [100, 200, 400, 800].entries()) {
        const before = audio.heard.length;
        const { batches } = pool.stats;
        clock.advance(pauseMs - 1);
        for (let i = 0; i < 10; i++) decoder.decode(Uint8Array.of(1));
        assert.equal(pool.stats.batches, batches, 'it is not tried');
        assert.equal(pool.stats.restarts, tries + 1);
        clock.advance(1);
        decoder.decode(Uint8Array.of(1));
        assert.equal(pool.stats.batches, batches + 1);
        await audio.until(before + 12);
        assert.equal(pool.stats.restarts, tries + 2);
        assert.equal(errors.length, tries + 2);
      }
    });
  });

  test('real workers end, pool after pool, and the process lives', async () => {
    // A bare @evan/opus ends the whole process here, because its library is unloaded with the last thread.
    const script = `
      import { CodecPool } from ${JSON.stringify(new URL('../../src/pool/pool.js', import.meta.url).href)};
      for (let round = 0; round < 5; round++) {
        const pool = new CodecPool({ threads: 2, taskMsMax: ${PATIENT_MS} });
        let heard = 0;
        await new Promise(resolve => {
          const sink = { onPacket() { if (++heard === 200) resolve(); }, onError: console.error };
          const encoders = Array.from({ length: 4 }, () => pool.openEncoder('OPUS', {}, sink));
          for (let i = 0; i < 60; i++) for (const encoder of encoders) encoder.encode(new Int16Array(320).fill(i));
        });
        await pool.close();
      }
      console.log('fine');
    `;
    const result = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    assert.deepEqual([result.status, result.signal, result.stdout], [0, null, 'fine\n'], result.stderr);
  });
});

describe('bounds and lifetimes', () => {
  test('a full queue refuses, counts, and takes jobs again when there is room', async () => {
    await withPool({ workerUrl: faulty, streamJobsMax: 100, ringSlots: 1024 }, async pool => {
      const sinks = Array.from({ length: 20 }, () => new Sink());
      const encoders = sinks.map(sink => pool.openEncoder('OPUS', {}, sink));
      // No result comes in within one turn of the event loop. A job takes two slots.
      const taken = encoders.map(encoder => {
        let count = 0;
        while (encoder.encode(frame(1))) count++;
        return count;
      });
      assert.equal(taken[0], 100, "a stream's share");
      assert.ok(taken.includes(0) || taken.some(count => count < 100), 'the ring');
      const total = taken.reduce((a, b) => a + b);
      // 20 slots opened the streams, 256 are for control.
      assert.equal(total, (1024 - 256 - 20) / 2);
      assert.equal(pool.stats.refused, 20);
      assert.equal(pool.stats.jobsPending, total);
      await Promise.all(sinks.map((sink, i) => sink.until(taken[i]!)));
      assert.equal(pool.stats.jobsPending, 0);
      const [last] = encoders.slice(-1);
      assert.ok(last!.encode(frame(2)));
      await sinks.at(-1)!.until(taken.at(-1)! + 1);
    });
  });

  test('more streams than a worker may hold are refused', async () => {
    await withPool({ workerUrl: faulty, ringSlots: 1024 }, async pool => {
      const sink = new Sink();
      const open = Array.from({ length: 512 }, () => pool.openDecoder('OPUS', {}, sink));
      assert.throws(() => pool.openDecoder('OPUS', {}, sink), {
        code: 'SIDETONE_QUEUE_FULL',
        message: /threads/,
      });
      open[0]!.close();
      pool.openDecoder('OPUS', {}, sink).decode(Uint8Array.of(9));
      await sink.until(1);
      assert.deepEqual(sink.short, [[9, 1, 'heard']]);
    });
  });

  test('a closed stream hears nothing more, and refuses jobs', async () => {
    await withPool({ workerUrl: faulty }, async pool => {
      const [closed, open] = [new Sink(), new Sink()];
      const decoder = pool.openDecoder('OPUS', {}, closed);
      const witness = pool.openDecoder('OPUS', {}, open);
      for (let i = 0; i < 10; i++) decoder.decode(Uint8Array.of(i));
      decoder.close();
      decoder.close();
      witness.decode(Uint8Array.of(1));
      await open.until(1);
      assert.deepEqual(closed.heard, []);
      assert.equal(pool.stats.discarded, 10);
      assert.equal(pool.stats.jobsPending, 0);
      assert.equal(pool.stats.streams, 1);
      assert.throws(() => decoder.decode(Uint8Array.of(1)), { code: 'SIDETONE_CODEC_CLOSED' });
      assert.throws(() => decoder.conceal(), { code: 'SIDETONE_CODEC_CLOSED' });
    });
  });

  test('a sink may close its stream, open another and send jobs from within', async () => {
    await withPool({ workerUrl: faulty }, async pool => {
      const second = new Sink();
      const decoder = pool.openDecoder(
        'OPUS',
        {},
        {
          onPcm() {
            decoder.close();
            pool.openDecoder('OPUS', {}, second).decode(Uint8Array.of(5));
          },
          onError: assert.fail,
        },
      );
      for (let i = 0; i < 3; i++) decoder.decode(Uint8Array.of(i));
      await second.until(1);
      assert.deepEqual(second.short, [[5, 1, 'heard']]);
      assert.equal(pool.stats.jobsPending, 0);
    });
  });

  test('a sink that throws is reported and harms no other', async () => {
    await withPool({ workerUrl: faulty }, async (pool, errors) => {
      const good = new Sink();
      const bad = pool.openDecoder(
        'OPUS',
        {},
        {
          onPcm() {
            throw new Error('handler');
          },
          onError: assert.fail,
        },
      );
      const decoder = pool.openDecoder('OPUS', {}, good);
      for (let i = 0; i < 3; i++) {
        bad.decode(Uint8Array.of(i));
        decoder.decode(Uint8Array.of(i));
      }
      await good.until(3);
      assert.equal(pool.stats.sinkErrors, 3);
      assert.equal(pool.stats.jobsPending, 0);
      assert.deepEqual(
        errors.map(error => error.message),
        ['handler', 'handler', 'handler'],
      );
    });
  });

  test('closing with jobs pending ends the threads, and nothing is heard after', async () => {
    const sink = new Sink();
    const pool = new CodecPool({ threads: 2, clock: new VirtualClock() });
    const encoder = pool.openEncoder('OPUS', { complexity: 10 }, sink);
    for (let i = 0; i < 200; i++) encoder.encode(frame(i));
    const closing = pool.close();
    const heard = sink.heard.length;
    await closing;
    await new Promise(resolve => setImmediate(resolve));
    assert.equal(sink.heard.length, heard);
    assert.equal(pool.stats.workers, 0);
    assert.throws(() => encoder.encode(frame(1)), { code: 'SIDETONE_CODEC_CLOSED' });
    encoder.close();
    assert.throws(() => pool.openEncoder('OPUS', {}, sink), { code: 'SIDETONE_SERVER_CLOSED' });
    await pool.close();
  });

  test('wrong options and frames are refused', async () => {
    const refused = { code: 'SIDETONE_BAD_OPTION' };
    assert.throws(() => new CodecPool({ threads: 0 }), { ...refused, message: /threads: 0 .* 1 to 64/ });
    assert.throws(() => new CodecPool({ threads: 1, ringSlots: 3000 }), refused);
    assert.throws(() => new CodecPool({ threads: 1, taskMsMax: Number.NaN }), refused);
    await withPool({}, async pool => {
      const sink = new Sink();
      assert.throws(() => pool.openEncoder('OPUS', { complexity: 99 }, sink), refused);
      assert.throws(() => pool.openDecoder('OPUS', { sampleRate: 44100 as never }, sink), refused);
      assert.equal(pool.stats.workers, 0);
      const encoder = pool.openEncoder('OPUS', {}, sink);
      assert.throws(() => encoder.encode(new Int16Array(319)), {
        code: 'SIDETONE_BAD_ARGUMENT',
        message: /320/,
      });
    });
  });

  test('an idle pool does not keep the process alive', () => {
    const script = `
      import { CodecPool } from ${JSON.stringify(new URL('../../src/pool/pool.js', import.meta.url).href)};
      // Looks often whether there is still work to watch, and finds no task too slow.
      const clock = {
        now: () => 0,
        every(_ms, look) {
          const timer = setInterval(look, 20);
          return () => clearInterval(timer);
        },
      };
      const pool = new CodecPool({ threads: 1, clock });
      pool.openEncoder('OPUS', {}, { onPacket: () => console.log('packet'), onError: console.error })
        .encode(new Int16Array(320));
    `;
    const result = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 120_000,
    });
    assert.deepEqual([result.status, result.stdout], [0, 'packet\n'], result.stderr);
  });
});
