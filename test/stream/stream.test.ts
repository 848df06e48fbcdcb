/** Compares what a handler's stream reports as heard with what the simulated caller heard, in virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createEncoder } from '../../src/codecs/create.js';
import type { SidetoneError } from '../../src/errors.js';
import type { Encoding } from '../../src/formats.js';
import type { ServerOptions } from '../../src/options/options.js';
import type { StreamHandler } from '../../src/plugin/plugin.js';
import type { PlaybackResult, Stream } from '../../src/plugin/stream.js';
import { propertyRuns } from '../helpers/runs.js';
import { LATENCY_MS, type VirtualCall, VirtualServer } from '../helpers/virtual-call.js';

const RATE = 8000;

function tone(ms: number, rate = RATE): Int16Array {
  return Int16Array.from({ length: Math.round((ms * rate) / 1000) }, (_, i) =>
    Math.round(8000 * Math.sin((i * 2 * Math.PI * 440) / rate)),
  );
}

interface Running {
  server: VirtualServer;
  stream: Stream;
  call: VirtualCall;
  advance(ms: number): Promise<void>;
}

/** A call that has started, its handler and a server in virtual time. */
async function running(
  handler: StreamHandler = {},
  options: { server?: ServerOptions; encoding?: Encoding; sampleRate?: number } = {},
): Promise<Running> {
  let stream: Stream | undefined;
  const server = new VirtualServer(
    {
      name: 'test',
      onStart: started => {
        stream = started;
        return handler;
      },
    },
    options.server,
  );
  const encoding = options.encoding ?? 'PCMU';
  const call = server.call({
    encoding,
    sampleRate: options.sampleRate ?? RATE,
    inbound: [],
    durationMs: Number.POSITIVE_INFINITY,
  });
  await server.clock.advanceAsync(2 * LATENCY_MS);
  assert.ok(stream, 'the call has started');
  return {
    server,
    stream,
    call,
    advance: ms => server.clock.advanceAsync(ms),
  };
}

/** Settles what is awaited at this moment of virtual time. */
async function settled<T>(promise: PromiseLike<T>): Promise<T | 'pending'> {
  const pending = new Promise<'pending'>(resolve =>
    setImmediate(() => setImmediate(() => resolve('pending'))),
  );
  return Promise.race([promise, pending]);
}

test('a playback settles when its audio has been heard, with all of it played', async () => {
  const { stream, advance } = await running();
  const playback = stream.play(tone(500));
  const result = Promise.resolve(playback);
  await advance(490);
  assert.equal(await settled(result), 'pending');
  assert.ok(Math.abs(playback.playedMs - 490) < 1);
  await advance(30);
  assert.deepEqual(await settled(result), { playedMs: 500, interrupted: false });
});

test('playbacks that nobody awaits send no mark, and settle too', async () => {
  const { stream, call, advance } = await running();
  const first = stream.play(tone(100));
  await advance(1000);
  stream.play(tone(100));
  assert.equal(first.finished, true);
  assert.deepEqual(await settled(first), { playedMs: 100, interrupted: false });
  assert.equal(call.call.soFar().marks.received, 0);
});

test('clear at any moment: playedMs is what the caller heard, to the millisecond', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 20, max: 900 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 0, max: 2500 }),
      fc.boolean(),
      async (lengths, clearAtMs, awaited) => {
        const { stream, call, advance, server } = await running();
        const playbacks = lengths.map(ms => stream.play(tone(ms)));
        const results: PlaybackResult[] = [];
        if (awaited)
          for (const [i, playback] of playbacks.entries())
            playback.then(result => {
              results[i] = result;
            });
        await advance(clearAtMs);
        const cleared = await stream.clear();
        await advance(50);
        const outcomes = await Promise.all(playbacks.map(playback => settled(playback)));
        const played = outcomes.map(outcome => (outcome as PlaybackResult).playedMs);
        const total = played.reduce((sum, ms) => sum + ms, 0);
        // The last message may have been filled up with silence, which is heard and is nobody's audio.
        const heard = call.call.soFar().heardMs;
        const asked = lengths.reduce((sum, ms) => sum + ms, 0);
        assert.ok(
          total <= heard + 1 && total >= Math.min(heard, asked) - 20.5,
          `played ${total}, heard ${heard}`,
        );
        assert.ok(
          Math.abs(total - Math.min(clearAtMs, asked)) <= 1.5,
          `played ${total} of ${asked} at ${clearAtMs}`,
        );
        for (const [i, outcome] of outcomes.entries()) {
          const { playedMs, interrupted } = outcome as PlaybackResult;
          assert.equal(interrupted, playedMs < lengths[i]! - 1e-6);
        }
        assert.ok(
          Math.abs(cleared.discardedMs - Math.max(0, asked - clearAtMs)) <= 2,
          `${cleared.discardedMs}`,
        );
        await server.close();
      },
    ),
    { numRuns: propertyRuns(40) },
  );
});

test('a mark that comes back because of a clear does not count as played', async () => {
  const heard: string[] = [];
  const { stream, call, advance } = await running({ onMark: name => heard.push(name) });
  stream.play(tone(300));
  const early = stream.mark('early');
  stream.play(tone(2000));
  const late = stream.mark('late');
  await advance(320);
  assert.deepEqual(await settled(early), { name: 'early', played: true });
  await advance(500);
  await stream.clear();
  assert.deepEqual(await settled(late), { name: 'late', played: false });
  // Audio and marks from after the clear are a generation of their own, even under the same name.
  stream.play(tone(200));
  const again = stream.mark('late');
  await advance(180);
  assert.equal(await settled(again), 'pending');
  await advance(60);
  assert.deepEqual(await settled(again), { name: 'late', played: true });
  assert.deepEqual(heard, ['early', 'late']);
  assert.equal(call.call.soFar().errorsSent, 0);
});

test('queuedMs is what the caller has yet to hear', async () => {
  const { stream, advance } = await running();
  stream.play(tone(3000));
  for (const at of [0, 137, 900, 2500]) {
    const { queuedMs } = stream;
    assert.ok(Math.abs(queuedMs - (3000 - at)) < 1, `${queuedMs} at ${at}`);
    const next = [137, 900, 2500, 3100][[0, 137, 900, 2500].indexOf(at)]!;
    await advance(next - at);
  }
  assert.equal(stream.queuedMs, 0);
});

test('audio of any length and rate is heard once, in order, without a gap', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 6 }),
      fc.constantFrom(8000, 16000, 24000, 48000),
      async (lengths, rate) => {
        const { stream, call, advance, server } = await running();
        for (const ms of lengths) stream.play(tone(ms, rate), { sampleRate: rate });
        await advance(lengths.reduce((sum, ms) => sum + ms, 0) + 200);
        const result = call.call.soFar();
        assert.equal(result.errorsSent, 0);
        assert.equal(result.underruns.count, 0);
        assert.ok(result.heard.every(({ durationMs }) => durationMs >= 20));
        const bytes = Buffer.concat(result.heard.map(({ payload }) => payload));
        if (rate === RATE) {
          const pcm = Int16Array.from(lengths.flatMap(ms => [...tone(ms)]));
          const expected = Buffer.from(createEncoder('PCMU').encode(pcm));
          assert.deepEqual(bytes.subarray(0, expected.length), expected);
          assert.ok(bytes.subarray(expected.length).every(byte => byte === 0xff));
        }
        await server.close();
      },
    ),
    { numRuns: propertyRuns(25) },
  );
});

test('a blocked event loop of 200 ms is not heard', async () => {
  const { stream, call, server, advance } = await running();
  stream.play(tone(5000));
  for (let i = 0; i < 12; i++) {
    await advance(200 + i * 7);
    server.clock.block(200);
  }
  await advance(2000);
  const { underruns, heardMs } = call.call.soFar();
  assert.equal(underruns.count, 0);
  assert.ok(heardMs >= 5000);
});

test('sources are read as there is room, one after the other, PCM between them in its turn', async () => {
  const { stream, advance, call } = await running();
  let pulled = 0;
  async function* source(pieces: number): AsyncGenerator<Int16Array> {
    for (let i = 0; i < pieces; i++) {
      pulled++;
      yield tone(100);
    }
  }
  const first = stream.play(source(60));
  const between = stream.play(tone(100));
  const second = stream.play(source(5));
  await advance(10);
  assert.ok(pulled >= 20 && pulled <= 30, `${pulled} pieces are read ahead`);
  await advance(6000 + 80);
  assert.deepEqual(await settled(first), { playedMs: 6000, interrupted: false });
  await advance(800);
  assert.deepEqual(await settled(between), { playedMs: 100, interrupted: false });
  assert.deepEqual(await settled(second), { playedMs: 500, interrupted: false });
  assert.equal(call.call.soFar().underruns.count, 0);
});

test('clear stops a source, and tells it', async () => {
  let returned = false;
  const { stream, advance } = await running();
  async function* endless(): AsyncGenerator<Int16Array> {
    try {
      for (;;) yield tone(100);
    } finally {
      returned = true;
    }
  }
  const playback = stream.play(endless());
  await advance(700);
  await stream.clear();
  const result = (await settled(playback)) as PlaybackResult;
  assert.equal(result.interrupted, true);
  assert.ok(Math.abs(result.playedMs - 700) < 5, `${result.playedMs}`);
  assert.equal(returned, true);
  await advance(500);
  assert.equal(stream.queuedMs, 0);
});

test('a source that fails, or gives no audio, rejects its own playback only', async () => {
  const { stream, advance } = await running();
  async function* failing(): AsyncGenerator<Int16Array> {
    yield tone(100);
    throw new Error('no voice');
  }
  const first = Promise.resolve(stream.play(failing()));
  const second = Promise.resolve(stream.play(['text'] as unknown as Int16Array[]));
  const third = Promise.resolve(stream.play(tone(100)));
  const rejected = Promise.all([
    assert.rejects(first, /no voice/),
    assert.rejects(second, { code: 'SIDETONE_BAD_ARGUMENT' }),
  ]);
  await advance(10);
  await rejected;
  await advance(300);
  assert.deepEqual(await settled(third), { playedMs: 100, interrupted: false });
});

test('a full queue refuses audio and keeps what it has', async () => {
  const { stream, advance } = await running({}, { server: { queueMaxMs: 1000 } });
  const playback = stream.play(tone(900));
  assert.throws(
    () => stream.play(tone(900)),
    (error: SidetoneError) => error.code === 'SIDETONE_QUEUE_FULL' && /900 ms/.test(error.message),
  );
  await advance(1000);
  assert.deepEqual(await settled(playback), { playedMs: 900, interrupted: false });
});

test('the end of a stream settles everything', async () => {
  let reason: string | undefined;
  const { stream, call, advance } = await running({
    onStop: why => {
      reason = why;
    },
  });
  const playback = Promise.resolve(stream.play(tone(2000)));
  const mark = stream.mark('never');
  await advance(500);
  call.call.hangup();
  await advance(50);
  const result = (await settled(playback)) as PlaybackResult;
  assert.equal(result.interrupted, true);
  assert.ok(Math.abs(result.playedMs - 500) <= LATENCY_MS + 2, `${result.playedMs}`);
  assert.deepEqual(await settled(mark), { name: 'never', played: false });
  assert.equal(reason, 'stop');
});

test('a stream that has ended plays nothing, throws nothing into the timers of a plugin, and counts it', async () => {
  const { server, stream, call, advance } = await running();
  const heard = Promise.resolve(stream.play(tone(100)));
  await advance(300);
  assert.deepEqual(await settled(heard), { playedMs: 100, interrupted: false });
  call.call.hangup();
  await advance(50);
  assert.equal(stream.closed, true);
  const sent = call.sent.length;
  let read = 0;
  let stopped = 0;
  const source: AsyncIterable<Int16Array> = {
    [Symbol.asyncIterator]: () => ({
      next: async () => ({ done: false, value: tone(20 + read++) }),
      return: async () => ({ done: true, value: stopped++ }),
    }),
  };
  const outcomes: unknown[] = [];
  server.clock.after(1000, () => {
    for (const playback of [stream.play(tone(20)), stream.play(source), stream.play([tone(20)])]) {
      assert.equal(playback.finished, true);
      assert.equal(playback.playedMs, 0);
      outcomes.push(playback);
    }
    outcomes.push(stream.mark('late'), stream.clear());
  });
  await advance(1000);
  const over = { playedMs: 0, interrupted: true };
  assert.deepEqual(await Promise.all(outcomes), [
    over,
    over,
    over,
    { name: 'late', played: false },
    { playedMs: 0, discardedMs: 0 },
  ]);
  assert.deepEqual([read, stopped], [0, 1]);
  assert.equal(server.reactor.counters().playsAfterEnd, 5);
  // A programmer's fault always throws, also after the end. It is not counted as a race with the end.
  assert.throws(() => stream.play('x' as never), { code: 'SIDETONE_BAD_ARGUMENT' });
  assert.throws(() => stream.play(tone(20), { sampleRate: 8001 as never }), {
    code: 'SIDETONE_BAD_ARGUMENT',
  });
  assert.throws(() => void stream.mark(''), { code: 'SIDETONE_BAD_ARGUMENT' });
  assert.equal(server.reactor.counters().playsAfterEnd, 5);
  await advance(1000);
  assert.equal(call.sent.length, sent);
  assert.equal(stream.queuedMs, 0);
  await server.close();
  assert.deepEqual(await stream.play(tone(20)), over, 'after the end of the server, too');
});

test('the far end never returns marks: playbacks settle by the clock', async () => {
  const { server, stream, advance, call } = await running();
  // Whatever comes back from Telnyx is lost from here on.
  call.connection.message = () => {};
  const playback = Promise.resolve(stream.play(tone(400)));
  await advance(1000);
  assert.equal(await settled(playback), 'pending');
  await advance(3000);
  assert.deepEqual(await settled(playback), { playedMs: 400, interrupted: false });
  await server.close();
});
