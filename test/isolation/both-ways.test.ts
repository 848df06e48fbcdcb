/** A handler is told the same and may do the same in the reactor's thread and in one of its plugin's own. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ENCODINGS, type Encoding } from '../../src/formats.js';
import { type Isolation, type Server, Simulator } from '../../src/index.js';
import { haveAmrWb } from '../helpers/amr-wb.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { counts, eventually, growth, stopServer, url } from '../helpers/servers.js';
import { MODES, SteeredCall, startSteered } from '../helpers/steered.js';
import { payloads } from '../helpers/telnyx-messages.js';
import { tonesOf } from '../helpers/tones.js';

/** Runs the same test for each place where a handler may run. */
function both(name: string, run: (isolation: Isolation) => Promise<void>): void {
  for (const isolation of MODES) test(`${name} (${String(isolation)})`, () => run(isolation));
}

/** One server for each, because a thread takes its time to start. */
const servers = new Map<Isolation, Promise<Server>>();
after(async () => {
  for (const server of servers.values()) await stopServer(await server);
});

function serverOf(isolation: Isolation): Promise<Server> {
  const options = { isolation: isolation as 'thread', queueMaxMs: 60_000, resumeWindowMs: 60_000 };
  const server = servers.get(isolation) ?? startSteered(options);
  servers.set(isolation, server);
  return server;
}

/** One call that runs while `run` does. */
async function calling(
  isolation: Isolation,
  run: (call: SteeredCall, server: Server) => Promise<void>,
  query = '',
): Promise<void> {
  const server = await serverOf(isolation);
  const call = await SteeredCall.start(server, query);
  try {
    await run(call, server);
  } finally {
    call.close();
  }
}

both('a stream tells what it is, and its handler hears and echoes each frame', isolation =>
  calling(isolation, async call => {
    const facts = await call.do('facts');
    assert.deepEqual(facts, {
      id: call.wire.streamId,
      callControlId: call.wire.callControlId,
      query: `call=${call.name}`,
      name: `context of ${call.name}`,
      inbound: { encoding: 'PCMU', sampleRate: 8000 },
      outbound: { encoding: 'PCMU', sampleRate: 8000 },
      mode: 'rtp',
      sampleRate: 8000,
      resumed: undefined,
    });
    call.say(50);
    await call.socket.until(() => call.socket.audio().length >= 8000, 'the echo');
    call.heardAllSaid();
    const heard = await call.do('heard');
    assert.deepEqual(
      { ...heard, played: 0 },
      { frames: 50, samples: 8000, payloadBytes: 8000, concealed: 0, holes: 0, played: 0, outbound: 0 },
    );
    await eventually(async () => (await call.do('heard')).played === 8000, 'onPlayed of all that was echoed');
  }),
);

both('a tone comes back in every encoding', async isolation => {
  const server = await serverOf(isolation);
  const simulator = new Simulator();
  const samples = Int16Array.from(
    { length: 16_000 },
    (_, i) => 8000 * Math.sin((2 * Math.PI * 700 * i) / 16_000),
  );
  const comesBack = async (encoding: Encoding): Promise<void> => {
    const call = simulator.call(url(server, `/steered?call=${encoding}`), {
      ...simulator.speech({ samples, sampleRate: 16_000 }, { encoding }),
      durationMs: Number.POSITIVE_INFINITY,
    });
    await eventually(() => call.soFar().heardMs >= 1000, `the echo of ${encoding}`);
    call.hangup();
    const result = await call.result;
    assert.deepEqual(result.errors, [], encoding);
    // In pieces of 100 ms, because the echo may begin late on a slow machine.
    const { samples: heard, sampleRate } = simulator.render(result);
    const pieces = Array.from({ length: Math.floor((heard.length * 10) / sampleRate) }, (_, i) =>
      heard.subarray((i * sampleRate) / 10, ((i + 1) * sampleRate) / 10),
    );
    const loudest = pieces.map(piece => tonesOf(piece, sampleRate, [350, 700, 1050, 1400])[0] ?? 0);
    const count = (hz: number): number => loudest.filter(each => each === hz).length;
    assert.ok(count(700) >= 5 && count(700) + count(0) === loudest.length, `${encoding}: ${loudest.join()}`);
  };
  await Promise.all(ENCODINGS.filter(encoding => encoding !== 'AMR-WB' || haveAmrWb).map(comesBack));
});

both('of both tracks the handler hears both, each with all that was said', isolation =>
  calling(
    isolation,
    async call => {
      await call.startedHandler();
      for (const payload of payloads(20)) call.socket.send(call.wire.media(payload, 'outbound'));
      call.say(10);
      await eventually(async () => (await call.do('heard')).samples === 1600, 'the inbound track');
      assert.equal((await call.do('heard')).outbound, 3200);
      await call.socket.until(() => call.socket.audio().length >= 1600, 'the echo');
      call.heardAllSaid();
    },
    '&both',
  ),
);

both('a file is played in MP3 mode, and a mark behind it returns', isolation =>
  calling(
    isolation,
    async call => {
      const { result, mark } = await call.do('file', 500);
      assert.equal(result.interrupted, false);
      assert.ok(result.playedMs >= 500 && result.playedMs < 650, JSON.stringify(result));
      assert.deepEqual(mark, { name: 'behind the file', played: true });
      const [file] = call.socket.messages('media');
      assert.equal(Buffer.from(file.media.payload, 'base64')[0], 0xff);
    },
    '&mp3',
  ),
);

both('what is played is heard, and settles with its mark', isolation =>
  calling(isolation, async call => {
    const played = await call.do('play', 300);
    assert.deepEqual(played, {
      result: { playedMs: 300, interrupted: false },
      mark: { name: 'behind', played: true },
      finished: true,
    });
    await call.wasTold('onMark', 'behind');
    assert.equal(call.socket.audio().length, 2400);
    assert.deepEqual(await call.do('encoded', 100), { playedMs: 100, interrupted: false });
    assert.deepEqual(call.socket.audio().subarray(2400), Buffer.alloc(800, 0x55));
    const { playedMs, steps } = await call.do('progress', 200);
    assert.equal(playedMs, 200);
    assert.equal(steps.at(-1), 200);
    assert.deepEqual(
      steps,
      steps.toSorted((a: number, b: number) => a - b),
    );
  }),
);

both('long audio goes to the caller whole, and its state is known at once', isolation =>
  calling(isolation, async call => {
    const begun = await call.do('start', 30_000);
    assert.ok(begun.queuedMs <= 30_000 && begun.queuedMs > 20_000, String(begun.queuedMs));
    assert.ok(begun.playedMs < 10_000, String(begun.playedMs));
    await eventually(async () => (await call.do('state')).playedMs > 100, 'some of it has been heard');
    const state = await call.do('state');
    assert.ok(!state.finished && !state.paused && state.sent > 0, JSON.stringify(state));
    assert.ok(state.queuedMs + state.playedMs < 30_500, JSON.stringify(state));
    // Paused, nothing is heard.
    assert.equal(await call.do('pause'), true);
    const { playedMs } = await call.do('state');
    await call.do('heard');
    assert.equal((await call.do('state')).playedMs, playedMs);
    assert.equal(await call.do('resume'), false);
    await eventually(async () => (await call.do('state')).playedMs > playedMs, 'it goes on');
  }),
);

both('a clear tells to the millisecond what was heard, and what comes behind it is heard', isolation =>
  calling(isolation, async call => {
    await call.do('start', 5000);
    await eventually(async () => (await call.do('state')).playedMs > 200, 'some of it has been heard');
    await call.do('pause');
    const { playedMs } = await call.do('state');
    const { clear, playback, next, pausedAtOnce } = await call.do('clear');
    assert.equal(pausedAtOnce, false);
    assert.deepEqual(playback, { playedMs: clear.playedMs, interrupted: true });
    assert.equal(clear.playedMs, playedMs);
    assert.ok(Math.abs(clear.playedMs + clear.discardedMs - 5000) < 0.01, JSON.stringify(clear));
    assert.deepEqual(next, { playedMs: 40, interrupted: false });
  }),
);

both('sources are read to their end, fail with their own error, and are stopped by a clear', isolation =>
  calling(isolation, async call => {
    assert.deepEqual(await call.do('source', 600), {
      result: { playedMs: 600, interrupted: false },
      stopped: true,
    });
    assert.equal(call.socket.audio().length, 4800);
    assert.deepEqual(await call.do('failingSource'), { isSame: true });
    await call.do('endlessSource');
    await eventually(async () => (await call.do('state')).playedMs > 0, 'it is heard');
    const { playback } = await call.do('clear');
    assert.equal(playback.interrupted, true);
    await eventually(() => call.do('sourceStopped'), 'the source has been stopped');
  }),
);

both('a speech is written in bursts, says when there is enough, and is cancelled alone', isolation =>
  calling(isolation, async call => {
    assert.deepEqual(await call.do('speak'), {
      room: [true, true],
      late: 'SIDETONE_STREAM_CLOSED',
      result: { playedMs: 200, interrupted: false },
    });
    const { room, queuedMs } = await call.do('burst');
    assert.equal(room, false);
    assert.ok(queuedMs > 15_000 && queuedMs < 21_000, String(queuedMs));
    const { cancelled, speech, after } = await call.do('cancel');
    assert.equal(speech.interrupted, true);
    assert.equal(speech.playedMs, cancelled.playedMs);
    assert.ok(
      Math.abs(cancelled.playedMs + cancelled.discardedMs - 20_000) < 0.01,
      JSON.stringify(cancelled),
    );
    assert.deepEqual(after, { playedMs: 100, interrupted: false });
  }),
);

both('a full queue and wrong arguments throw where they are given', isolation =>
  calling(isolation, async call => {
    const { codes, queuedMs } = await call.do('full', 25_000);
    const fits = 'nothing thrown';
    assert.deepEqual(codes, [fits, fits, 'SIDETONE_QUEUE_FULL', 'SIDETONE_QUEUE_FULL']);
    assert.ok(queuedMs > 0 && queuedMs <= 60_000, String(queuedMs));
    assert.deepEqual(await call.do('wrong'), Array(10).fill('SIDETONE_BAD_ARGUMENT'));
    assert.ok(!call.told.some(([event]) => event === 'onError'));
  }),
);

both('a background, comfort noise and gain are heard, and end', isolation =>
  calling(isolation, async (call, server) => {
    assert.deepEqual(await call.do('mix'), { stopped: false, gainDb: 0 });
    await call.hearsOnly(0x8f);
    await call.do('mixGain', -6.0206);
    await call.hearsOnly(0x9f);
    // The same samples in another call.
    const other = await SteeredCall.start(server);
    await other.do('mix');
    await other.hearsOnly(0x8f);
    other.close();
    assert.equal(await call.do('unmix'), true);
    await call.do('noise');
    await call.socket.until(() => new Set(call.socket.audio().subarray(-160)).size > 20, 'noise');
    assert.equal(await call.do('unmix'), true);
    const before = call.socket.audio().length;
    assert.equal(await call.do('gainDb', -6.0206), -6.0206);
    assert.ok(call.socket.audio().subarray(before).includes(Buffer.alloc(800, 0x9f)), 'half as loud');
    await call.do('backgroundFile');
    const silence = call.socket.audio().length;
    await call.socket.until(() => {
      const heard = call.socket.audio().subarray(silence);
      return heard.length > 8000 && new Set(heard).size > 50;
    }, 'the file');
  }),
);

both('what cannot be mixed throws where it is given', isolation =>
  calling(isolation, async call => {
    await call.do('mix');
    const codes = [
      ...Array(7).fill('SIDETONE_BAD_ARGUMENT'),
      ...Array(7).fill('nothing thrown'),
      ...Array(2).fill('SIDETONE_QUEUE_FULL'),
    ];
    assert.deepEqual(await call.do('mixWrong'), [...codes, 0]);
    assert.ok(!call.told.some(([event]) => event === 'onError'));
  }),
);

both('keys, speech and errors are told, and a metric counts', isolation =>
  calling(isolation, async (call, server) => {
    call.press('5');
    await call.wasTold('onDtmf', '5');
    const payload = { code: 100002, title: 'unknown', detail: 'a test' };
    call.socket.send({ event: 'error', stream_id: call.wire.streamId, payload });
    await call.wasTold('onError', 'SIDETONE_TELNYX_ERROR');
    const keys = async (): Promise<number | undefined> => {
      const [first] = await server.snapshot(0);
      return first!.pluginMetrics.find(({ name }) => name.includes('keys'))?.values[0]?.value;
    };
    await eventually(async () => (await keys()) === 1, 'the metric');
  }),
);

both(
  'after its end a stream does nothing and throws nothing; onStop comes once and is waited for',
  isolation =>
    calling(isolation, async (call, server) => {
      const before = (await counts(server)).playsAfterEnd!;
      call.hangUp();
      await call.wasTold('onStop', 'stop');
      const over = { playedMs: 0, interrupted: true };
      const late = await call.do('afterEnd');
      const cleared = { playedMs: 0, discardedMs: 0 };
      assert.deepEqual(late, [over, { name: 'late', played: false }, cleared, over, 0, {}, true, true]);
      await eventually(async () => (await counts(server)).playsAfterEnd === before + 5, 'each is counted');
      await call.wasTold('onStop over', 'stop');
      assert.deepEqual(
        call.told.filter(([event]) => String(event).startsWith('onStop')),
        [
          ['onStop', 'stop'],
          ['onStop over', 'stop'],
        ],
      );
    }),
);

both(
  'a handler that throws is told of it, and its stream ends; so it is where it rejects',
  async isolation => {
    const server = await serverOf(isolation);
    const grown = await growth(server, async () => {
      for (const key of ['*', '#']) {
        const call = await SteeredCall.start(server);
        call.press(key);
        await call.wasTold('onError', 'SIDETONE_HANDLER_FAILED');
        await call.wasTold('onStop', 'handler_failed');
        await call.socket.until(() => call.socket.frames.some(({ opcode }) => opcode === 8), 'a close frame');
        call.close();
      }
    });
    assert.equal(grown.handlerFailures, 2);
  },
);

both('a handler closes its stream, and a plugin refuses one', isolation =>
  calling(isolation, async (call, server) => {
    await call.order('close');
    await call.wasTold('onStop', 'closed');
    const refused = await RawSocket.open(server.port, { path: '/steered?refuse=1' });
    assert.equal(refused.status, 403);
  }),
);

for (const isNoticed of [true, false]) {
  const when = isNoticed ? 'after the loss of the first' : 'before the loss of the first is noticed';
  both(`a handler goes on with the stream that comes back ${when}`, isolation =>
    calling(isolation, async (call, server) => {
      call.say(5);
      await call.socket.until(() => call.socket.audio().length >= 800, 'the echo');
      const first = call.socket;
      await call.come(server, isNoticed);
      await call.wasTold('onResume', 'disconnected');
      await first.end();
      assert.equal((await call.do('facts')).id, call.wire.streamId);
      call.say(5);
      await call.socket.until(() => call.socket.audio().length >= 800, 'the echo on the new stream');
      call.heardAllSaid();
      assert.equal(call.told.filter(([event]) => event === 'onStart').length, 1);
      assert.equal(call.told.filter(([event]) => event === 'onStop').length, 0);
    }),
  );
}
