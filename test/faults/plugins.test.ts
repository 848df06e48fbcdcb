/** Handlers that fail, stall, keep what is not theirs, or play what cannot be played (rows 51 to 53). */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import {
  type AudioFrame,
  definePlugin,
  type PlayableAudio,
  type Plugin,
  type ServerOptions,
  type SidetoneError,
  Simulator,
  type StopReason,
  type Stream,
  type StreamHandler,
} from '../../src/index.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { beside, counts, eventually, startedCall, withServer } from '../helpers/servers.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

afterEach(() => RawSocket.destroyAll());

const told: Error[] = [];
const stops: StopReason[] = [];
const failing = (name: string, onAudio: () => unknown): Plugin =>
  definePlugin({
    name,
    onStart: () => ({
      onAudio,
      onError: error => {
        told.push(error);
      },
      onStop: reason => {
        stops.push(reason);
      },
    }),
  });

/** What of a failing handler's call comes to pass where its stream is to end, and where it is to be passed by. */
async function failure(plugin: Plugin, frames: number): Promise<void> {
  for (const handlerErrors of ['end', 'bypass'] as const) {
    await withServer([plugin], { handlerErrors }, async server => {
      told.length = stops.length = 0;
      const grown = await beside(server, async () => {
        const { socket, call } = await startedCall(server, { path: `/${plugin.name}` });
        const spoken = payloads(frames);
        for (const payload of spoken) socket.send(call.media(payload));
        if (handlerErrors === 'end') {
          await socket.end();
          assert.equal(socket.closeCode, 1011);
        } else {
          await eventually(() => told.length > 0, 'the report');
          for (const payload of spoken) socket.send(call.media(payload));
          const heard = async (): Promise<boolean> =>
            (await server.snapshot()).some(({ streams }) =>
              streams.some(({ id, counters }) => id === call.streamId && counters.framesHeard! >= 2 * frames),
            );
          await eventually(heard, 'the stream goes on without its handler');
          socket.send(call.stop());
          await eventually(() => stops.length > 0, 'the stop');
        }
        socket.destroy();
      });
      assert.equal(told.length, 1);
      assert.equal((told[0] as SidetoneError).code, 'SIDETONE_HANDLER_FAILED');
      assert.deepEqual(stops, [handlerErrors === 'end' ? 'handler_failed' : 'stop']);
      assert.equal(grown.handlerFailures, 1);
    });
  }
}

test('fault 51: a handler that throws is reported once, and its stream ends or goes on as configured', async () => {
  await failure(
    failing('throws', () => {
      throw new Error('as planned');
    }),
    3,
  );
  await failure(
    failing('throws-nothing', () => {
      throw undefined;
    }),
    3,
  );
});

test('fault 51: a handler that rejects is treated the same', async () => {
  await failure(
    failing('rejects', async () => {
      throw new Error('as planned');
    }),
    1,
  );
});

test('fault 51: a handler that never resolves is found out when a thousand calls of it are unfinished', async () => {
  await failure(
    failing('hangs', () => new Promise(() => undefined)),
    1000,
  );
});

test('fault 51: a handler that loops for a second is treated the same', async () => {
  await failure(
    failing('loops', () => {
      const until = performance.now() + 1050;
      while (performance.now() < until);
    }),
    1,
  );
});

test("fault 51: how long a handler may hold the thread, and that the lead covers the others' audio", async () => {
  const speech = Int16Array.from({ length: 8000 * 20 }, (_, i) => 8000 * Math.sin(i / 5));
  const speaker = definePlugin({
    name: 'speaker',
    onStart(stream) {
      stream.play(speech);
      return {};
    },
  });
  for (const [ms, reported, failed] of [
    [199, 0, 0],
    [200, 1, 0],
    [999, 1, 0],
    [1000, 1, 1],
    [1250, 1, 1],
  ] as const) {
    told.length = stops.length = 0;
    const virtual = new VirtualReactor({ leadMs: 1500 });
    const simulator = new Simulator({ clock: virtual.clock, seed: 51 });
    const speaking = virtual.call(simulator, speaker, { durationMs: Number.POSITIVE_INFINITY });
    virtual.clock.advance(500);
    assert.ok(speaking.call.queuedMs > 1300, 'the lead');
    const looping = virtual.connect(failing('loops', () => virtual.clock.block(ms)));
    const call = new WireCall();
    looping.receive(call.start());
    looping.receive(call.media(payloads(1)[0]!));
    const { handlerStalls, handlerFailures } = virtual.reactor.counters();
    assert.deepEqual([handlerStalls, handlerFailures], [reported, failed], `${ms} ms`);
    assert.equal(looping.socket.ended, failed ? 1011 : undefined);
    assert.deepEqual(stops, failed ? ['handler_failed'] : []);
    assert.equal(told.length, failed);
    // What was not sent meanwhile does not follow in a burst: the far end is no further ahead than before.
    for (let i = 0; i < 100; i++) {
      virtual.clock.advance(2);
      assert.ok(speaking.call.queuedMs <= 1500 + 20 + 100 + 20, `${speaking.call.queuedMs} ms ahead`);
    }
    assert.ok(speaking.call.queuedMs > 1300, 'the lead again');
    virtual.clock.advance(5000);
    const { underruns, gaps, errors } = speaking.call.soFar();
    assert.equal(underruns.count, 0, JSON.stringify(gaps));
    assert.deepEqual(errors, []);
    await virtual.close();
  }
});

test('fault 51: failures in onStart, onDtmf, onMark, onError, onStop and in what they return are contained', async () => {
  const fail = (): never => {
    throw new Error('as planned');
  };
  const handlers: Record<string, (stream: Stream) => StreamHandler | undefined> = {
    start: fail,
    promise: (async () => ({})) as never,
    nonsense: () => 7 as never,
    'no-handler': () => undefined,
    dtmf: () => ({ onDtmf: fail }),
    error: () => ({ onError: fail, onAudio: fail }),
    stop: () => ({ onStop: fail }),
    mark: stream => {
      void stream.mark('m');
      return { onMark: fail };
    },
    getter: () =>
      ({
        get onAudio() {
          return fail();
        },
      }) as never,
    'not-a-function': () => ({ onAudio: 'x', onDtmf: 7, onStop: {} }) as never,
  };
  const plugins = Object.entries(handlers).map(([name, onStart]) => definePlugin({ name, onStart }));
  await withServer(plugins, {}, async server => {
    let ended = 0;
    const grown = await beside(server, async () => {
      for (const { name } of plugins) {
        const { socket, call } = await startedCall(server, { path: `/${name}` });
        socket.send(call.media(payloads(1)[0]!));
        socket.send(call.dtmf('1'));
        if (name === 'mark') await socket.until(() => socket.messages('mark').length > 0, 'the mark');
        socket.send(call.mark('m'));
        socket.send(call.stop());
        const stopped = ++ended;
        await eventually(async () => (await counts(server)).streamsStopped === stopped, `${name}: the end`);
        socket.destroy();
      }
    });
    // A failing onError is one more; no handler is none.
    assert.equal(grown.handlerFailures, plugins.length);
  });
});

test('fault 52: a handler that keeps frames, or writes into them at any time, changes no other call', async () => {
  const kept: AudioFrame[] = [];
  const samples: Int16Array[] = [];
  const scribble = (): void => {
    for (const frame of kept) frame.samples.fill(12_345);
    for (const view of samples) {
      view.fill(-12_345);
      new Uint8Array(view.buffer).fill(0x5a);
    }
  };
  const keeper = definePlugin({
    name: 'keeper',
    onStart: stream => ({
      onAudio(frame) {
        if (kept.length < 50) kept.push(frame);
        if (samples.length < 50) samples.push(frame.samples);
        scribble();
        stream.play(frame);
        scribble();
      },
    }),
  });
  await withServer([keeper], {}, async server => {
    const grown = await beside(server, async () => {
      const { socket, call } = await startedCall(server, { path: '/keeper' });
      for (const payload of payloads(15)) {
        socket.send(call.media(payload));
        scribble();
      }
      await socket.until(() => socket.audio().length === 15 * 160, 'what it played');
      // What it wrote into the frame in its callback is what it plays.
      assert.equal(new Set(socket.audio()).size, 1);
      socket.destroy();
      await eventually(() => server.streams === 1, 'the end');
      scribble();
      // The next stream takes over the slot of the one that is gone.
      const next = await startedCall(server);
      const [payload] = payloads(1, 160, 52) as [Uint8Array];
      next.socket.send(next.call.media(payload));
      scribble();
      await next.socket.until(() => next.socket.audio().length > 0, 'the echo');
      assert.deepEqual(next.socket.audio(), Buffer.from(payload));
      next.socket.destroy();
    });
    assert.equal(grown.handlerFailures, undefined);
  });
});

/** Runs `act` on a stream in virtual time; `pass` lets time go by. Returns the reactor's counters. */
async function onStream(
  options: ServerOptions,
  act: (stream: Stream, pass: (ms: number) => Promise<void>) => Promise<void>,
): Promise<Record<string, number>> {
  const virtual = new VirtualReactor(options);
  const streams: Stream[] = [];
  const actor = definePlugin({
    name: 'actor',
    onStart: stream => {
      streams.push(stream);
      return {};
    },
  });
  const { receive } = virtual.connect(actor);
  receive(new WireCall().start());
  await act(streams[0]!, ms => virtual.clock.advanceAsync(ms));
  const counters = virtual.reactor.counters();
  await virtual.close();
  return counters;
}
/** The code of what `action` throws; a playback that it returns is not awaited. */
const code = (action: () => unknown): string => {
  try {
    action();
    return 'fine';
  } catch (error) {
    return String((error as SidetoneError).code);
  }
};

test('fault 53: a value that is not audio, or has an unknown rate, is refused with a reason', async () => {
  await onStream({}, async stream => {
    const wrong: unknown[] = [
      undefined,
      null,
      7,
      'text',
      {},
      new Uint8Array(160),
      new Float32Array(160),
      Buffer.alloc(160),
      new ArrayBuffer(160),
      () => new Int16Array(1),
    ];
    for (const audio of wrong) {
      assert.equal(
        code(() => stream.play(audio as PlayableAudio)),
        'SIDETONE_BAD_ARGUMENT',
        String(audio),
      );
    }
    for (const sampleRate of [0, -8000, 8001, 96_000, Number.NaN, '8000', null]) {
      const options = { sampleRate: sampleRate as number };
      assert.equal(
        code(() => stream.play(new Int16Array(1), options)),
        'SIDETONE_BAD_ARGUMENT',
      );
    }
    for (const options of [8000, 'x', null]) {
      assert.equal(
        code(() => stream.play(new Int16Array(1), options as never)),
        'SIDETONE_BAD_ARGUMENT',
      );
    }
    for (const source of [[1, 2], ['x'], [new Uint8Array(2)], [[new Int16Array(2)]]]) {
      await assert.rejects(async () => stream.play(source as never), { code: 'SIDETONE_BAD_ARGUMENT' });
    }
    const failing = (async function* () {
      yield new Int16Array(10);
      throw new RangeError('the source broke');
    })();
    await assert.rejects(async () => stream.play(failing), {
      name: 'RangeError',
      message: 'the source broke',
    });
  });
});

test('fault 53: a source that fails without anybody awaiting its playback is reported to the handler', async () => {
  const plugin = definePlugin({
    name: 'careless',
    onStart(stream) {
      stream.play([new Int16Array(100), 'x' as never]);
      return {
        onError: error => {
          told.push(error);
        },
      };
    },
  });
  await withServer([plugin], {}, async server => {
    told.length = 0;
    const grown = await beside(server, async () => {
      const { socket } = await startedCall(server, { path: '/careless' });
      await eventually(() => told.length > 0, 'the report');
      assert.match(told[0]!.message, /^play: the source gave String: yield Int16Array/);
      socket.destroy();
    });
    assert.equal(grown.sourceFailures, 1);
  });
});

test('fault 53: endless audio is read while there is room; an array that does not fit is refused whole', async () => {
  let read = 0;
  let stopped = 0;
  const endless = async function* (): AsyncGenerator<Int16Array> {
    try {
      for (;;) {
        read++;
        yield new Int16Array(8000);
      }
    } finally {
      stopped++;
    }
  };
  const endlessNow = function* (): Generator<Int16Array> {
    try {
      for (;;) {
        read++;
        yield new Int16Array(80);
      }
    } finally {
      stopped++;
    }
  };
  const counters = await onStream({ queueMaxMs: 10_000 }, async (stream, pass) => {
    for (const [source, chunks] of [
      [endless, 4],
      [endlessNow, 260],
    ] as const) {
      read = stopped = 0;
      stream.play(source());
      await pass(100);
      assert.ok(read >= 2 && read <= chunks, `${read} chunks were read`);
      assert.ok(stream.queuedMs < 4000, `${stream.queuedMs} ms are queued`);
      // What is played behind it waits in its turn, up to the same bound.
      let accepted = 0;
      while (code(() => stream.play(new Int16Array(8000))) === 'fine') accepted++;
      assert.ok(accepted >= 6 && accepted <= 10, `${accepted} s were accepted behind it`);
      assert.equal(
        code(() => stream.play(new Int16Array(8000))),
        'SIDETONE_QUEUE_FULL',
      );
      await stream.clear();
      assert.equal(stopped, 1);
      assert.equal(stream.queuedMs, 0);
    }
    assert.equal(
      code(() => stream.play(new Int16Array(8000 * 11))),
      'SIDETONE_QUEUE_FULL',
    );
    assert.equal(stream.queuedMs, 0);
    // Ever so many sources, each one empty or not.
    let sources = 0;
    while (sources < 5000 && code(() => stream.play(endless())) === 'fine') sources++;
    assert.equal(sources, 1000);
    await stream.clear();
    let marks = 0;
    stream.play(new Int16Array(80_000));
    while (marks < 5000 && code(() => void stream.mark(`m${marks}`)) === 'fine') marks++;
    assert.equal(marks, 1000);
    await stream.clear();
  });
  assert.ok(counters.playsRefused! >= 1);
});

test('fault 53: a source that gives nothing, for ever and at once, does not hold the thread', async () => {
  const empty = new Int16Array(0);
  let read = 0;
  const sources: (() => PlayableAudio)[] = [
    function* () {
      for (;;) {
        read++;
        yield empty;
      }
    },
    async function* () {
      for (;;) {
        read++;
        yield empty;
      }
    },
  ];
  await onStream({}, async (stream, pass) => {
    for (const source of sources) {
      read = 0;
      const playback = stream.play(source());
      await pass(700);
      assert.ok(read > 0 && read <= 4000, `${read} empty chunks were read`);
      assert.equal(playback.finished, false);
      await stream.clear();
      assert.deepEqual(await playback, { playedMs: 0, interrupted: true });
    }
  });
});

test('fault 53: a piece longer than the queue goes through it in parts', async () => {
  await onStream({ queueMaxMs: 100 }, async (stream, pass) => {
    const playback = stream.play([new Int16Array(8000)]);
    const outcome = code(() => stream.play(new Int16Array(8000)));
    assert.equal(outcome, 'SIDETONE_QUEUE_FULL');
    await pass(500);
    assert.ok(playback.playedMs > 300, 'parts of it are played');
    await pass(1000);
    assert.equal(playback.playedMs, 1000);
    await stream.clear();
  });
});

test('fault 53: when other streams have taken all memory, a source waits and play() says so', async () => {
  const greedy: Stream[] = [];
  const hog = definePlugin({
    name: 'hog',
    onStart(stream) {
      greedy.push(stream);
      return {};
    },
  });
  // A megabyte is 131 s of PCMU.
  const virtual = new VirtualReactor({ queueBytesMax: 1 << 20, queueMaxMs: 3600e3 });
  for (const _ of [1, 2]) virtual.connect(hog).receive(new WireCall().start());
  const [first, second] = greedy as [Stream, Stream];
  let error = 'fine';
  while (error === 'fine') error = code(() => first.play(new Int16Array(8000)));
  assert.equal(error, 'SIDETONE_QUEUE_FULL');
  const patient = second.play([new Int16Array(8000 * 3)]);
  await virtual.clock.advanceAsync(600);
  assert.equal(patient.finished, false);
  assert.ok(virtual.reactor.snapshot(0).queueBytes <= 1 << 20);
  await first.clear();
  await virtual.clock.advanceAsync(1000);
  assert.ok(patient.playedMs > 100, 'the source goes on');
  assert.ok(virtual.reactor.counters().playsRefused! >= 2);
  await virtual.close();
});
