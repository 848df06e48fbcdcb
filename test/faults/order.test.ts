/** Payloads that are not what was declared, and frames out of order or out of time (rows 28 to 37). */
import assert from 'node:assert/strict';
import { after, afterEach, before, mock, test } from 'node:test';
import {
  createDecoder,
  createEncoder,
  definePlugin,
  ENCODINGS,
  type Encoding,
  type Server,
  Simulator,
  type Stream,
} from '../../src/index.js';
import echo from '../../src/plugins/echo.js';
import { RawSocket } from '../helpers/raw-socket.js';
import { beside, eventually, startedCall, startServer, stopServer } from '../helpers/servers.js';
import { rms, speechLike } from '../helpers/speech.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

interface Heard {
  samples: Int16Array;
  concealed: boolean;
  timestampMs: number;
}
/** What the listening plugin has heard, by call. */
const heard = new Map<string, Heard[]>();
const errors: Error[] = [];
const listener = definePlugin({
  name: 'listener',
  onStart(stream: Stream) {
    const frames: Heard[] = [];
    heard.set(stream.call.callControlId, frames);
    return {
      onAudio: frame => {
        const { concealed, timestampMs } = frame;
        frames.push({ samples: frame.copy(), concealed, timestampMs });
      },
      onError: error => {
        errors.push(error);
      },
    };
  },
});

let server: Server;
before(async () => {
  server = await startServer([listener]);
});
afterEach(() => RawSocket.destroyAll());
after(() => stopServer(server));

/** A call to the listening plugin over a real socket. */
async function listeningCall(encoding: Encoding = 'PCMU') {
  const { socket, call } = await startedCall(server, { path: '/listener', encoding });
  await eventually(() => heard.has(call.callControlId), 'the start');
  return { socket, call, frames: heard.get(call.callControlId)! };
}

interface Listening {
  call: WireCall;
  frames: Heard[];
  send(message: object): void;
  /** Lets time go by, in ms. */
  pass(ms: number): void;
}

/** Calls to the listening plugin in virtual time; returns the counters that are not zero afterwards. */
async function hearing(
  act: (listen: (encoding?: Encoding) => Listening) => Promise<void>,
): Promise<Record<string, number>> {
  const virtual = new VirtualReactor();
  await act((encoding = 'PCMU') => {
    const call = new WireCall({ encoding });
    const { receive } = virtual.connect(listener);
    receive(call.start());
    const frames = heard.get(call.callControlId)!;
    return { call, frames, send: receive, pass: ms => virtual.clock.advance(ms) };
  });
  const counters = virtual.reactor.counters();
  await virtual.close();
  return Object.fromEntries(Object.entries(counters).filter(([, value]) => value !== 0));
}

const pcm = (frames: readonly Heard[]): Buffer =>
  Buffer.concat(frames.map(({ samples }) => Buffer.from(samples.buffer)));
/** Four bytes of each payload, enough to tell which frames were heard in which order. */
function orderOf(frames: readonly Heard[], spoken: readonly Uint8Array[]): number[] {
  const decoder = createDecoder('PCMU');
  const keys = spoken.map(payload => Buffer.from(decoder.decode(payload).buffer).toString('hex'));
  return frames
    .filter(({ concealed }) => !concealed)
    .map(({ samples }) => keys.indexOf(Buffer.from(samples.buffer).toString('hex')));
}
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

test("fault 28: payloads that are not the declared codec's are contained", async () => {
  for (const declared of ENCODINGS) {
    const said = payloads(20, 61, 7);
    errors.length = 0;
    const grown = await beside(
      server,
      async () => {
        const { socket, call, frames } = await listeningCall(declared);
        for (const payload of said) socket.send(call.media(payload));
        await eventually(
          () => frames.length > 0 || errors.length > 0,
          `${declared}: something is heard or reported`,
        );
        // The stream is as good as before: a proper frame is heard.
        const encoder = createEncoder(declared);
        for (const frame of [0, 1, 2, 3]) {
          const voice = speechLike(encoder.sampleRate, 1).subarray(frame * encoder.frameSamples);
          socket.send(call.media(encoder.encode(voice.slice(0, encoder.frameSamples))));
        }
        encoder.close();
        const expected = encoder.sampleRate / 50;
        await eventually(
          () => frames.at(-1)?.samples.length === expected && !frames.at(-1)!.concealed,
          `${declared}: a good frame is heard`,
        );
        for (const { samples } of frames) assert.ok(samples.length <= 48_000);
        socket.send(call.stop());
        await eventually(() => server.streams === 1, 'the stop');
        socket.destroy();
      },
      300,
    );
    assert.equal(grown.handlerFailures, undefined);
    for (const error of errors) assert.match((error as { code?: string }).code ?? '', /^SIDETONE_/);
  }
});

test('fault 29: payloads of any length are accounted for to the sample', async () => {
  const bytes: [Encoding, number[]][] = [
    ['PCMU', [160, 1, 792, 3, 33, 960, 161, 20]],
    ['PCMA', [792, 7, 480, 159, 2]],
    ['L16', [640, 2, 1234, 38, 6, 1922]],
    ['G722', [160, 1, 792, 3, 33]],
  ];
  for (const [encoding, lengths] of bytes) {
    await hearing(async listen => {
      const { send, pass, call, frames } = listen(encoding);
      const spoken = lengths.map((length, i) => payloads(1, length, i)[0]!);
      for (const payload of spoken) send(call.media(payload));
      const decoder = createDecoder(encoding);
      const expected = Buffer.concat(spoken.map(payload => Buffer.from(decoder.decode(payload).buffer)));
      pass(100);
      assert.deepEqual(pcm(frames), expected);
      let at = 0;
      for (const { timestampMs, samples, concealed } of frames) {
        assert.ok(
          !concealed && Math.abs(timestampMs - at) < 1e-6,
          `${encoding}: ${timestampMs} is not ${at}`,
        );
        at += (samples.length * 1000) / decoder.sampleRate;
      }
    });
  }
});

test('fault 30: a chunk that comes twice is heard once', async () => {
  const spoken = payloads(50);
  const grown = await hearing(async listen => {
    const { send, pass, call, frames } = listen();
    const messages = spoken.map(payload => call.media(payload));
    messages.forEach((message, i) => {
      send(message);
      send(message);
      if (i >= 5) send(messages[i - 5]!);
    });
    send(call.dtmf('1'));
    pass(100);
    assert.deepEqual(orderOf(frames, spoken), range(50));
  });
  assert.equal(grown.framesDuplicate, 50 + 45);
});

test('fault 31: what is out of order inside the window is mended, outside it is late and counted', async () => {
  const spoken = payloads(60);
  const grown = await hearing(async listen => {
    const { send, pass, call, frames } = listen();
    const messages = spoken.map(payload => call.media(payload));
    for (let i = 0; i < 60; i += 4) {
      for (const k of [2, 0, 3, 1]) send(messages[i + k]!);
    }
    pass(100);
    assert.deepEqual(orderOf(frames, spoken), range(60));
    assert.ok(frames.every(({ concealed }) => !concealed));
  });
  assert.ok(grown.framesReordered! >= 15, JSON.stringify(grown));
  assert.equal(grown.framesLate, undefined);

  const grownLate = await hearing(async listen => {
    const { send, pass, call, frames } = listen();
    const messages = spoken.slice(0, 6).map(payload => call.media(payload));
    for (const i of [0, 1, 3, 4]) send(messages[i]!);
    pass(59);
    assert.equal(frames.length, 2, 'the gap waits for its frame');
    pass(3);
    assert.equal(frames.length, 5, 'the gap is given up');
    send(messages[2]!);
    send(messages[5]!);
    assert.equal(frames.length, 6, 'the last frame');
    // The frame behind a gap is faded in, so it is not the one that was sent.
    assert.deepEqual(orderOf(frames, spoken), [0, 1, -1, 4, 5]);
    assert.deepEqual(
      frames.map(({ concealed }) => concealed),
      [false, false, true, false, false, false],
    );
  });
  assert.equal(grownLate.framesLate, 1);
  assert.equal(grownLate.framesConcealed, 1);
});

test('fault 32: gaps of 5, 50 and 500 frames are concealed, then silent, and never a long loop', async () => {
  const encoder = createEncoder('PCMU');
  const voice = speechLike(8000, 12);
  for (const gap of [5, 50, 500]) {
    const grown = await hearing(async listen => {
      const { send, pass, call, frames } = listen();
      const messages = Array.from({ length: 20 + gap + 5 }, (_, i) =>
        call.media(encoder.encode(voice.slice(i * 160, i * 160 + 160))),
      );
      for (const message of messages.slice(0, 20)) send(message);
      for (const message of messages.slice(20 + gap)) send(message);
      const filled = Math.min(gap, 50); // gapFillMaxMs
      pass(100);
      assert.equal(frames.length, 25 + filled, 'the frames behind the gap');
      const concealed = frames.slice(20, 20 + filled);
      assert.ok(concealed.every(frame => frame.concealed));
      assert.ok(frames.slice(20 + filled).every(frame => !frame.concealed));
      assert.ok(rms(concealed[0]!.samples) > 0);
      for (const { samples } of concealed.slice(6)) assert.ok(rms(samples) <= 1, 'silence after 120 ms');
      assert.equal(frames.at(-1)!.timestampMs, (messages.length - 1) * 20);
    });
    assert.equal(grown.framesLost, gap);
  }
});

test('fault 33: chunk numbers that wrap, restart or jump by 20 either way are followed without a loss', async () => {
  const jumps: [string, (i: number) => number][] = [
    ['wrap at 2^16', i => (65_526 + i) & 0xffff],
    ['wrap at 2^32', i => (4_294_967_286 + i) % 2 ** 32],
    ['restart at 1', i => (i < 30 ? 1000 + i : i - 29)],
    ['jump by 20', i => (i < 30 ? i : i + 20)],
    ['jump back by 20', i => (i < 30 ? 100 + i : 80 + i)],
  ];
  const spoken = payloads(60);
  for (const [name, number] of jumps) {
    const grown = await hearing(async listen => {
      const { send, pass, call, frames } = listen();
      spoken.forEach((payload, i) => {
        const message = call.media(payload);
        send({ ...message, media: { ...message.media, chunk: String(number(i)) } });
      });
      pass(100);
      const order = orderOf(frames, spoken);
      assert.deepEqual(order, range(60), name);
      assert.ok(
        frames.every(({ concealed }) => !concealed),
        name,
      );
    });
    if (name !== 'jump by 20') assert.equal(grown.resyncs, 1, name);
  }
});

test('fault 69: a message whose numbers are near 2^53 costs that message at most, and no counter jumps', async () => {
  const huge = String(Number.MAX_SAFE_INTEGER);
  const spoken = payloads(100);
  const garbled = [
    { chunk: huge },
    { timestamp: huge },
    { sequence_number: huge },
    { chunk: huge, timestamp: huge },
    { chunk: huge, timestamp: huge, sequence_number: huge },
    { chunk: Number(huge), timestamp: Number(huge), sequence_number: Number(huge) },
  ];
  for (const at of [0, 50]) {
    for (const { sequence_number, ...numbers } of garbled) {
      const name = `${JSON.stringify({ sequence_number, ...numbers })} at ${at}`;
      const virtual = new VirtualReactor();
      const frames: Heard[] = [];
      const { receive } = virtual.connect(
        definePlugin({
          name: 'listener',
          onStart: () => ({
            onAudio: frame => {
              const { concealed, timestampMs } = frame;
              frames.push({ samples: frame.copy(), concealed, timestampMs });
            },
          }),
        }),
      );
      const call = new WireCall();
      receive(call.start());
      for (const [i, payload] of spoken.entries()) {
        const message = call.media(payload);
        const number = i === at ? (sequence_number ?? message.sequence_number) : message.sequence_number;
        const media = i === at ? { ...message.media, ...numbers } : message.media;
        receive({ ...message, sequence_number: number, media });
        virtual.clock.advance(20);
      }
      virtual.clock.advance(1000);
      // -1: the frame behind a concealed one, which fades into it.
      const order = orderOf(frames, spoken).filter(i => i >= 0);
      const sorted = [...order].sort((a, b) => a - b);
      assert.deepEqual(order, sorted, name);
      assert.ok(order.length >= 98 && order.at(-1) === 99, `${name}: ${order.length} frames were heard`);
      const counters = virtual.reactor.counters();
      for (const counter of ['framesLost', 'framesConcealed', 'framesLate', 'resyncs', 'pauses'] as const) {
        assert.ok(counters[counter]! <= 2, `${name}: ${counter}: ${counters[counter]}`);
      }
      const lengthMs = frames.at(-1)!.timestampMs;
      assert.ok(
        lengthMs >= 98 * 20 && lengthMs <= 100 * 20,
        `${name}: the last frame stands at ${lengthMs} ms`,
      );
      await virtual.close();
    }
  }
});

test('fault 34: after a stall of 3 s and its burst, hearing is in time again and memory is given back', async () => {
  const virtual = new VirtualReactor();
  const times: number[] = [];
  const { socket, receive } = virtual.connect(
    definePlugin({
      name: 'timed',
      onStart: () => ({
        onAudio: () => {
          times.push(virtual.clock.now());
        },
      }),
    }),
  );
  const call = new WireCall();
  receive(call.start());
  const say = (count: number): void => {
    for (const payload of payloads(count)) {
      receive(call.media(payload));
      virtual.clock.advance(20);
    }
  };
  say(50);
  virtual.clock.advance(3000);
  const burstMs = virtual.clock.now();
  for (const payload of payloads(150)) receive(call.media(payload));
  assert.equal(times.length, 200);
  assert.ok(times.slice(50).every(time => time === burstMs));
  const { queueBytes, counters } = virtual.reactor.snapshot(0);
  assert.equal(queueBytes, 0);
  assert.equal(counters.framesConcealed, 0);
  const before = virtual.clock.now();
  say(50);
  assert.deepEqual(
    times.slice(200),
    range(50).map(i => before + i * 20),
  );
  assert.equal(socket.ended, undefined);
  await virtual.close();
});

for (const drift of [1.1, 0.9]) {
  test(`fault 35: an hour of a clock that runs at ${drift} keeps every queue bounded`, async () => {
    const queueMaxMs = 2000;
    const virtual = new VirtualReactor({ queueMaxMs });
    const { socket, receive, connection } = virtual.connect(echo);
    let sentBytes = 0;
    socket.onSend = text => {
      sentBytes += Buffer.byteLength(/"payload":"([^"]*)"/.exec(text)?.[1] ?? '', 'base64');
      socket.sent.length = 0;
    };
    const call = new WireCall();
    receive(call.start());
    const payload = Buffer.alloc(160, 0x31).toString('base64');
    const frames = Math.round(3600 * 50 * drift);
    let queueBytesMax = 0;
    for (let i = 0; i < frames; i++) {
      receive(
        `{"event":"media","sequence_number":"${i + 2}","stream_id":"${call.streamId}","media":{"track":"inbound",` +
          `"chunk":"${i + 1}","timestamp":"${i * 160}","payload":"${payload}"}}`,
      );
      virtual.clock.advance(20 / drift);
      if (i % 500 === 0) queueBytesMax = Math.max(queueBytesMax, virtual.reactor.snapshot(0, 0).queueBytes);
    }
    assert.equal(socket.ended, undefined);
    assert.ok(connection.stream!.queuedMs <= queueMaxMs + 300);
    // 2 s of PCMU in blocks of 1 KiB, the engine's own for the stream included.
    assert.ok(queueBytesMax <= 24 * 1024, `${queueBytesMax} bytes`);
    const counters = virtual.reactor.counters();
    assert.equal(counters.framesConcealed, 0);
    assert.equal(counters.framesHeard, frames);
    if (drift > 1) {
      // What comes in beyond an hour an hour has to go somewhere.
      const { liveDropped, livePauseCutSeconds, liveSpeechCutSeconds, liveSkippedSeconds } = counters;
      const gone = liveDropped! / 50 + livePauseCutSeconds! + liveSpeechCutSeconds! + liveSkippedSeconds!;
      assert.ok(Math.abs(gone - 360) < 4, `${gone} s`);
      assert.ok(Math.abs(sentBytes / 8000 - 3600) < 5, `${sentBytes / 8000} s went out`);
    } else {
      assert.equal(counters.liveDropped, 0);
      assert.ok(Math.abs(sentBytes / 8000 - 3240) < 1, `${sentBytes / 8000} s went out`);
    }
    await virtual.close();
  });
}

test('fault 36: a thread blocked for 200 ms loses nothing, sends no burst, and no caller hears a gap', async () => {
  const virtual = new VirtualReactor();
  const simulator = new Simulator({ clock: virtual.clock, seed: 36 });
  const speech = speechLike(8000, 5);
  const speaker = definePlugin({
    name: 'speaker',
    onStart(stream) {
      stream.play(speech);
      return {};
    },
  });
  const speaking = virtual.call(simulator, speaker, { durationMs: 6000 });
  const echoing = virtual.call(simulator, echo, { inbound: payloads(200), lingerMs: 1000 });
  virtual.clock.advance(1000);
  const before = speaking.socket.sent.length;
  virtual.clock.block(200);
  virtual.clock.advance(20);
  // Two chunks of 100 ms were due meanwhile; a third may follow at once.
  assert.ok(
    speaking.socket.sent.length - before <= 3,
    `${speaking.socket.sent.length - before} messages at once`,
  );
  virtual.clock.advance(6000);
  await new Promise(resolve => setImmediate(resolve));
  const [spoken, echoed] = await Promise.all([speaking.call.result, echoing.call.result]);
  assert.deepEqual(spoken.gaps, []);
  assert.ok(Math.abs(spoken.heardMs - 5000) < 1);
  assert.deepEqual(spoken.errors, []);
  assert.deepEqual(echoed.echo, { sent: 200, matched: 200 });
  assert.deepEqual(echoed.errors, []);
  await virtual.close();
});

test('fault 37: a wall clock that steps by an hour changes nothing', async () => {
  try {
    const grown = await beside(server, async () => {
      for (const stepMs of [3600e3, -7200e3]) {
        mock.timers.enable({ apis: ['Date'], now: Date.now() + stepMs });
        const { socket, call, frames } = await listeningCall();
        for (const payload of payloads(10)) socket.send(call.media(payload));
        await eventually(() => frames.length === 10, 'what was said');
        socket.destroy();
        mock.timers.reset();
      }
    });
    // A wall clock would make the frames look late, lost or from another time.
    for (const counter of ['framesConcealed', 'framesLost', 'framesLate', 'resyncs', 'idleTimeouts']) {
      assert.equal(grown[counter], undefined, counter);
    }
  } finally {
    mock.timers.reset();
  }
});
