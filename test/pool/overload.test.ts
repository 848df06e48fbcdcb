/** What a call hears of a pool that is full, and what a server does before its first call. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OpusPayloadEncoder } from '../../src/codecs/opus.js';
import { definePlugin, type ServerOptions, Simulator } from '../../src/index.js';
import { type ResolvedOptions, resolveOptions } from '../../src/options/options.js';
import { guessUs } from '../../src/pool/costs.js';
import { CodecPool } from '../../src/pool/pool.js';
import { expectedCodecs } from '../../src/stream/pooled-codecs.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { counts, eventually, url, withServer } from '../helpers/servers.js';
import { speechLike } from '../helpers/speech.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

const start = (id: string, call: string) => ({
  event: 'start',
  sequence_number: '1',
  stream_id: id,
  start: {
    user_id: 'u',
    call_control_id: call,
    media_format: { encoding: 'OPUS', sample_rate: 16000, channels: 1 },
  },
});

describe('a call that the codec pool cannot carry', () => {
  test('is refused at its start with 1013, a counter and no handler; the others go on, and their end makes room', async () => {
    const virtual = new VirtualReactor({ pool: 1 });
    let handlers = 0;
    const stops: string[] = [];
    const plugin = definePlugin({
      name: 'echo',
      onStart: stream => {
        handlers++;
        return { onAudio: frame => void stream.play(frame), onStop: reason => void stops.push(reason) };
      },
    });
    const calls: ReturnType<VirtualReactor['connect']>[] = [];
    const place = (): ReturnType<VirtualReactor['connect']> => {
      const call = virtual.connect(plugin);
      call.receive(start(`stream-${calls.length}`, `call-${calls.length}`));
      calls.push(call);
      return call;
    };
    try {
      while (place().socket.ended === undefined) assert.ok(calls.length < 1000);
      const admitted = calls.length - 1;
      const { capacity, openRefused } = virtual.reactor.pool.stats;
      // By the guess for OPUS at 16 kHz, for nothing has been measured yet.
      const us = guessUs('encode', 'OPUS', {}) + guessUs('decode', 'OPUS', {});
      assert.equal(admitted, Math.floor((capacity * 20_000) / us));
      assert.ok(openRefused >= 1);
      assert.equal(handlers, admitted);
      assert.equal(calls.at(-1)!.socket.ended, 1013);
      const { poolFull, streamsNotOpened, streamsStarted, closedBeforeStart } = virtual.reactor.counters();
      assert.deepEqual([poolFull, streamsNotOpened, streamsStarted, closedBeforeStart], [1, 1, admitted, 0]);
      assert.ok(calls.slice(0, -1).every(({ socket }) => socket.ended === undefined));
      assert.deepEqual(stops, []);
      // One goes, one comes.
      calls[0]!.drop();
      assert.equal(place().socket.ended, undefined);
      assert.equal(place().socket.ended, 1013);
      assert.equal(handlers, admitted + 1);
    } finally {
      await virtual.close();
    }
  });

  test('is refused on the wire too, while the call that runs gets all of its audio', async () => {
    await withServer([], { pool: 1, opus: { complexity: 10 } }, async server => {
      const simulator = new Simulator();
      const durationMs = Number.POSITIVE_INFINITY;
      const encoder = new OpusPayloadEncoder({ sampleRate: 16000 });
      const speech = speechLike(16000, 1);
      const second = Array.from({ length: 50 }, (_, i) =>
        encoder.encode(speech.subarray(i * 320, i * 320 + 320)).slice(),
      );
      encoder.close();
      const inbound = Array.from({ length: 180 }, () => second).flat();
      const running = simulator.call(url(server), {
        encoding: 'OPUS',
        sampleRate: 16000,
        inbound,
        durationMs,
      });
      await eventually(() => running.soFar().frames.mediaReceived > 0, 'the first audio', 60_000);
      const sockets: RawSocket[] = [];
      try {
        // Opens calls until some are refused, however fast the machine is.
        for (let full = 0; full < 5; full = (await counts(server)).poolFull!) {
          assert.ok(sockets.length < 2000);
          for (let i = 0; i < 20; i++) {
            const socket = await RawSocket.open(server.port, { path: '/echo' });
            sockets.push(socket);
            socket.send(JSON.stringify(start(`stream-${sockets.length}`, `call-${sockets.length}`)));
          }
          const judged = async (): Promise<boolean> => {
            const { poolFull, streamsStarted } = await counts(server);
            return poolFull! + streamsStarted! === sockets.length + 1;
          };
          await eventually(judged, 'the judgement of all', 60_000);
        }
        const { poolFull, closedBeforeStart } = await counts(server);
        assert.equal(closedBeforeStart, 0);
        await eventually(
          () => sockets.filter(({ closeCode }) => closeCode === 1013).length === poolFull,
          '1013',
          60_000,
        );
        // Each frame that it has said by now, and a second more, comes back; two may be in the codec's delay.
        const wanted = running.soFar().frames.mediaSent + 50;
        await eventually(
          () => running.soFar().frames.mediaReceived >= wanted - 2,
          'all of its audio',
          60_000,
        );
      } finally {
        for (const socket of sockets) socket.destroy();
        running.hangup();
      }
      const result = await running.result;
      assert.equal(result.ended, 'by the caller');
      assert.deepEqual(result.errors, []);
    });
  });

  test('says so in the log, with what was asked for and the remedy', () => {
    const pool = new CodecPool({ threads: 1, loadMax: 0.001 });
    assert.throws(
      () => pool.openDecoder('AMR-WB', {}, { onPcm: () => {}, onError: () => {} }),
      (error: Error & { code: string }) =>
        error.code === 'SIDETONE_CODEC_UNAVAILABLE' ||
        (error.code === 'SIDETONE_POOL_FULL' && /AMR-WB decoder.*raise the option pool/.test(error.message)),
    );
  });
});

describe('before the first call', () => {
  const codecs = (options: ServerOptions, ...outbound: object[]): string[] => {
    const plugins = outbound.map((out, i) =>
      definePlugin({ name: `p${i}`, outbound: out, onStart: () => undefined }),
    );
    return expectedCodecs(resolveOptions(options) as ResolvedOptions, plugins).map(
      ({ encoding, encoder }) => `${encoding}@${encoder.sampleRate ?? 16000}`,
    );
  };

  test('the codecs to prepare are those that the configuration names', () => {
    assert.deepEqual(codecs({}, {}), []);
    assert.deepEqual(codecs({ outboundCodec: { encoding: 'PCMU' } }, {}), []);
    assert.deepEqual(codecs({ outboundCodec: { encoding: 'OPUS', sampleRate: 16000 } }, {}), ['OPUS@16000']);
    assert.deepEqual(
      codecs({}, { encoding: 'AMR-WB' }, { encoding: 'OPUS', sampleRate: 48000 }, { encoding: 'L16' }),
      ['AMR-WB@16000', 'OPUS@48000'],
    );
    assert.deepEqual(codecs({ outboundMode: 'mp3' }, { encoding: 'OPUS' }), []);
    assert.deepEqual(codecs({ poolWarm: true }, {}), ['OPUS@16000']);
    const [codec] = expectedCodecs(
      resolveOptions({ outboundCodec: { encoding: 'OPUS' }, opus: { complexity: 1 } }) as ResolvedOptions,
      [definePlugin({ name: 'p', onStart: () => undefined })],
    );
    assert.deepEqual(codec, {
      encoding: 'OPUS',
      decoder: { sampleRate: 8000 },
      encoder: { complexity: 1, sampleRate: 8000 },
    });
  });

  test('a server has its workers running and their codecs measured; otherwise it has none', async () => {
    for (const [options, workers] of [
      [{ outboundCodec: { encoding: 'OPUS' }, pool: 1 }, 1],
      [{ poolWarm: true, pool: 2 }, 2],
      [{}, undefined],
    ] as [ServerOptions, number | undefined][]) {
      await withServer([], options, async server => {
        const [snapshot] = await server.snapshot();
        assert.equal(snapshot!.pool?.workers, workers);
        if (workers !== undefined) {
          assert.equal(snapshot!.pool!.jobs, workers * 100);
          assert.equal(snapshot!.pool!.streams, 0);
        }
      });
    }
  });

  test('and with several reactors each has', async () => {
    const options: ServerOptions = { plugins: ['echo'], reactors: 2, pool: 1, poolWarm: true };
    await withServer([], options, async server => {
      const snapshots = await server.snapshot();
      assert.deepEqual(
        snapshots.map(({ pool }) => pool?.workers),
        [1, 1],
      );
    });
  });
});
