/** Frames on a steady clock (audio.playout), from the wire to the handler, judged by what the frames hold. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AudioOptions, createEncoder, definePlugin, type SidetoneError } from '../../src/index.js';
import { propertyRuns } from '../helpers/runs.js';
import { eventually } from '../helpers/servers.js';
import { WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

const FRAME = 320; // L16 at 16 kHz
const STEP = 8;

/** All samples of a frame say which one it is. */
const payload = (frame: number): Uint8Array => {
  const samples = new Int16Array(FRAME).fill(STEP * (frame + 1));
  return new Uint8Array(samples.buffer);
};

interface Heard {
  atMs: number;
  timestampMs: number;
  concealed: boolean;
  samples: number;
  /** Samples of each frame in it, by the frame's number. */
  parts: Map<number, number>;
}

function heardBy(virtual: VirtualReactor, audio: AudioOptions) {
  const heard: Heard[] = [];
  const plugin = definePlugin({
    name: 'mixer',
    audio,
    onStart: () => ({
      onAudio: ({ samples, timestampMs, concealed }) => {
        const parts = new Map<number, number>();
        for (const sample of samples) {
          if (sample > 0 && sample % STEP === 0) {
            const frame = sample / STEP - 1;
            parts.set(frame, (parts.get(frame) ?? 0) + 1);
          }
        }
        heard.push({ atMs: virtual.clock.now(), timestampMs, concealed, samples: samples.length, parts });
      },
    }),
  });
  return { heard, plugin };
}

interface Arrival {
  frame: number;
  atMs: number;
}

/** A call whose frames come as `arrivals` says, in rising order of time, and what was heard `untilMs` after its start. */
async function call(arrivals: readonly Arrival[], untilMs: number, audio: AudioOptions = { playout: true }) {
  const virtual = new VirtualReactor({ l16ByteOrder: 'le' });
  try {
    const { heard, plugin } = heardBy(virtual, audio);
    const { receive, connection } = virtual.connect(plugin);
    const wire = new WireCall({ encoding: 'L16' });
    receive(wire.start());
    // As Telnyx numbers them: what is lost had its number.
    const frames = Math.max(...arrivals.map(({ frame }) => frame)) + 1;
    const messages = Array.from({ length: frames }, (_, i) => wire.media(payload(i)));
    const startMs = virtual.clock.now();
    const runTo = (ms: number): void => virtual.clock.advance(startMs + ms - virtual.clock.now());
    for (const { frame, atMs } of arrivals) {
      runTo(atMs);
      receive(messages[frame]!);
    }
    runTo(untilMs);
    const counters = { ...virtual.reactor.counters() };
    const { queueBytes } = virtual.reactor.snapshot(0, 0);
    assert.equal(connection.stream?.closed, false);
    return { heard, counters, queueBytes, firstMs: startMs + arrivals[0]!.atMs };
  } finally {
    await virtual.close();
  }
}

/** One frame of 20 ms each 20 ms, on an axis without holes. */
function assertSteady(heard: readonly Heard[], firstMs: number): void {
  for (const [i, frame] of heard.entries()) {
    assert.equal(frame.timestampMs, i * 20);
    assert.equal(frame.samples, FRAME);
    // The engine is asked every 2 ms.
    const lateMs = frame.atMs - (firstMs + (i + 1) * 20);
    assert.ok(lateMs >= 0 && lateMs <= 2, `frame ${i} came ${lateMs} ms late`);
  }
}

/** What is made up within a frame is less than half of one, and may have the level of the frame before. */
function assertNothingTwice(heard: readonly Heard[]): void {
  const totals = new Map<number, number>();
  for (const { parts, concealed } of heard) {
    if (concealed) continue;
    for (const [frame, samples] of parts) totals.set(frame, (totals.get(frame) ?? 0) + samples);
  }
  for (const [frame, samples] of totals) assert.ok(samples < 2 * FRAME, `frame ${frame}: ${samples} samples`);
}

test('a frame comes every 20 ms, whole and in order, though they arrive in bursts, out of order and with losses', async () => {
  const arrivals: Arrival[] = [];
  for (let i = 0; i < 500; i++) {
    if (i % 50 === 30) continue;
    // In threes, the first two of which change places.
    const atMs = Math.floor(i / 3) * 60;
    arrivals.push({ frame: i, atMs: i % 3 === 0 ? atMs + 1 : atMs });
  }
  arrivals.sort((a, b) => a.atMs - b.atMs || a.frame - b.frame);
  const { heard, counters, firstMs } = await call(arrivals, 10_010);
  assert.equal(heard.length, 500);
  assertSteady(heard, firstMs);
  assertNothingTwice(heard);
  const whole = new Set(
    heard.flatMap(({ parts }) => [...parts].filter(([, n]) => n === FRAME).map(([frame]) => frame)),
  );
  assert.ok(whole.size > 430, `${whole.size} frames were heard whole`);
  const lost = heard.filter(({ concealed }) => concealed).length;
  assert.ok(lost >= 10 && lost < 25, `${lost} frames were made up`);
  assert.equal(counters.playoutFrames, 500);
  assert.equal(counters.framesHeard, 500);
});

test('any order, loss and jitter give floor(elapsed / 20) frames, and no frame twice', async () => {
  const arrival = fc.record({ lateMs: fc.integer({ min: 0, max: 180 }), lost: fc.nat({ max: 9 }) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(arrival, { minLength: 20, maxLength: 300 }),
      fc.boolean(),
      fc.option(fc.record({ at: fc.nat({ max: 250 }), ms: fc.integer({ min: 100, max: 3000 }) })),
      fc.integer({ min: 0, max: 3000 }),
      async (frames, overtakes, stall, restMs) => {
        let last = 0;
        const arrivals: Arrival[] = [];
        for (const [frame, { lateMs, lost }] of frames.entries()) {
          if (lost === 0 && frame > 0) continue;
          let atMs = frame * 20 + lateMs;
          if (stall && frame >= stall.at) atMs = Math.max(atMs, stall.at * 20 + stall.ms);
          if (!overtakes) atMs = last = Math.max(last, atMs);
          arrivals.push({ frame, atMs });
        }
        arrivals.sort((a, b) => a.atMs - b.atMs);
        const untilMs = arrivals.at(-1)!.atMs + restMs;
        const { heard, queueBytes, firstMs } = await call(arrivals, untilMs);
        // The clock begins with the first frame that may be heard: at once, unless one sent before it is missing.
        const first = heard[0]?.atMs ?? firstMs;
        const startMs = Math.max(firstMs, Math.floor(first) - 20);
        if (!overtakes) {
          const due = Math.floor((1000 + untilMs - firstMs) / 20);
          assert.ok(heard.length === due || heard.length === due - 1, `${heard.length} of ${due} frames`);
          assertSteady(heard, firstMs);
        } else {
          const due = Math.floor((1000 + untilMs - startMs) / 20);
          assert.ok(Math.abs(heard.length - due) <= 1, `${heard.length} of ${due} frames`);
        }
        for (const [i, { timestampMs }] of heard.entries()) assert.equal(timestampMs, i * 20);
        assertNothingTwice(heard);
        assert.ok(queueBytes < 200 * 1024);
      },
    ),
    { numRuns: propertyRuns(30) },
  );
});

test('OPUS, decoded in the pool, comes on the steady clock too, and its losses are made up', async () => {
  const virtual = new VirtualReactor({ pool: 1 });
  try {
    const levels: number[] = [];
    const concealed: boolean[] = [];
    const { receive } = virtual.connect(
      definePlugin({
        name: 'opus',
        audio: { playout: { delayMinMs: 60 }, sampleRate: 8000 },
        onStart: () => ({
          onAudio: frame => {
            assert.equal(frame.samples.length, 160);
            assert.equal(frame.timestampMs, levels.length * 20);
            assert.equal(frame.payload.length, 0);
            levels.push(Math.sqrt(frame.samples.reduce((sum, sample) => sum + sample * sample, 0) / 160));
            concealed.push(frame.concealed);
          },
        }),
      }),
    );
    const wire = new WireCall({ encoding: 'OPUS' });
    receive(wire.start());
    const encoder = createEncoder('OPUS', { sampleRate: 16000 });
    const tone = Int16Array.from({ length: FRAME }, (_, i) => 8000 * Math.sin((2 * Math.PI * i) / 40));
    const jobsDone = (): number => virtual.reactor.snapshot(0, 0).pool!.jobsPending;
    for (let i = 0; i < 100; i++) {
      const message = wire.media(encoder.encode(tone).slice());
      if (i !== 50) receive(message);
      // The workers are real: what they have is decoded before time goes on.
      await eventually(() => jobsDone() === 0, 'decoding');
      virtual.clock.advance(20);
    }
    encoder.close();
    assert.ok(levels.length >= 99, `${levels.length} frames`);
    const loud = levels.filter(level => level > 4500).length;
    assert.ok(loud >= 93, `${loud} frames hold the tone`);
    const at = concealed.indexOf(true, 10);
    assert.ok(at >= 50 && at <= 56, `the loss was made up in frame ${at}`);
    assert.ok(levels[at]! > 3000);
    assert.ok(concealed.filter(Boolean).length <= 6);
  } finally {
    await virtual.close();
  }
});

test('voice activity, the silence option and a track that nobody hears go with the steady clock', async () => {
  const arrivals = Array.from({ length: 100 }, (_, frame) => ({ frame, atMs: frame * 20 }));
  const { heard } = await call(arrivals, 2010, { playout: true, vad: true });
  assert.equal(heard.length, 100);
  const virtual = new VirtualReactor({});
  const { receive } = virtual.connect(
    definePlugin({ name: 'deaf', audio: { playout: true }, onStart: () => ({ onDtmf: () => {} }) }),
  );
  const wire = new WireCall({ encoding: 'L16' });
  receive(wire.start());
  for (let i = 0; i < 50; i++) {
    receive(wire.media(payload(i)));
    virtual.clock.advance(20);
  }
  const { queueBytes } = virtual.reactor.snapshot(0, 0);
  assert.equal(queueBytes, 0);
  assert.equal(virtual.reactor.counters().framesHeard, 0);
  await virtual.close();
});

test('what is wrong with audio.playout is told, with the remedy', () => {
  const refused = (playout: unknown, message: RegExp): void => {
    assert.throws(
      () => definePlugin({ name: 'mixer', audio: { playout: playout as boolean }, onStart: () => undefined }),
      (error: SidetoneError) => error.code === 'SIDETONE_PLUGIN_INVALID' && message.test(error.message),
    );
  };
  refused('yes', /audio\.playout: .*use true, or an object with delayMinMs, delayMaxMs/);
  refused({ delayMinMs: 10 }, /audio\.playout\.delayMinMs: 10: give 20 to 1000 ms/);
  refused({ delayMaxMs: 1001 }, /audio\.playout\.delayMaxMs: 1001: give 20 to 1000 ms/);
  refused({ delayMinMs: 200, delayMaxMs: 100 }, /delayMaxMs: 100: give delayMinMs \(200\) or more/);
  refused({ delay: 1 }, /audio\.playout\.delay: 1: there is no such option/);
});
