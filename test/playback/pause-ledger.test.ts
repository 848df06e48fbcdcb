/** Pause, resume, fade, progress and encoded audio: the ledger held against what the simulated caller heard, in virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createDecoder, definePlugin, type Encoding, type Playback, type Stream } from '../../src/index.js';
import { testCall } from '../../src/testing/index.js';
import { Calling, LOUDER, RATES } from '../helpers/calling.js';
import { propertyRuns } from '../helpers/runs.js';

const milliseconds = fc.integer({ min: 1, max: 900 });
const step = fc.oneof(
  fc.record({
    do: fc.constant('play' as const),
    ms: milliseconds,
    isEncoded: fc.boolean(),
    isAwaited: fc.boolean(),
  }),
  fc.record({ do: fc.constant('advance' as const), ms: milliseconds }),
  fc.record({ do: fc.constant('pause' as const), ms: milliseconds }),
  fc.record({ do: fc.constant('pause and resume' as const), ms: milliseconds }),
  fc.record({ do: fc.constant('resume' as const), ms: milliseconds }),
  fc.record({ do: fc.constant('mark' as const), ms: milliseconds }),
);

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

async function take(calling: Calling, one: Step): Promise<void> {
  const { stream, call } = calling;
  const { do: what, ms } = one;
  if (one.do === 'play') calling.play(one);
  else if (what === 'pause' || what === 'pause and resume') stream.pause();
  else if (what === 'mark') calling.mark();
  if (what === 'resume' || what === 'pause and resume') stream.resume();
  if (what !== 'play' && what !== 'mark') await call.advance(ms);
}

/** Nothing of it changes where a background goes out all the time: one that is silence, so that the rest can be compared. */
const variants = (Object.keys(RATES) as Encoding[]).flatMap(encoding => [
  { encoding, isMixed: false, name: encoding },
  { encoding, isMixed: true, name: `${encoding} under a background` },
]);

for (const { encoding, isMixed, name: variant } of variants) {
  test(`${variant}: every sample is heard once and in order, however often it is paused`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async steps => {
        const calling = await Calling.open(encoding, {}, isMixed);
        const { call, stream } = calling;
        let playedMs = 0;
        for (const one of steps) {
          await take(calling, one);
          assert.ok(calling.playedMs >= playedMs - 1e-6, 'playedMs goes back');
          playedMs = calling.playedMs;
          // Silence that fills a message up is queued too, but not while it is paused.
          const queuedMs = calling.played.reduce((sum, { samples }) => sum + samples.length, 0);
          const sumMs = playedMs + stream.queuedMs - (queuedMs * 1000) / calling.rate;
          assert.ok(sumMs > -1e-3 && sumMs < (stream.paused ? 1e-3 : 20), `${sumMs} ms too many`);
        }
        stream.resume();
        await call.until(() => stream.queuedMs === 0);
        await call.advance(200);
        assert.deepEqual(calling.heard(), calling.told());
        for (const { playback } of calling.played) assert.equal((await playback).interrupted, false);
        calling.checkProgress();
        assert.deepEqual(
          calling.played.map(one => calling.heardOf(one)),
          calling.played.map(({ samples }) => samples.length),
        );
        assert.deepEqual(
          calling.returned.map(({ name }) => name),
          calling.marks.map(({ name }) => name),
        );
        for (const [i, { position, result }] of calling.marks.entries()) {
          assert.equal((await result).played, true);
          assert.ok(calling.returned[i]!.heardSamples >= position, `mark ${i} came back too early`);
        }
        assert.equal(stream.stats.underruns, 0);
        await call.hangup();
      }),
      { numRuns: propertyRuns(8) },
    );
  });

  test(`${variant}: clear drops what was paused and what waits; playbacks say what was heard`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 2, maxLength: 8 }),
        fc.array(step, { minLength: 2, maxLength: 6 }),
        async (before, after) => {
          const calling = await Calling.open(encoding, {}, isMixed);
          const { call, stream } = calling;
          for (const one of before) await take(calling, one);
          const playedMs = calling.playedMs;
          const cleared = await stream.clear();
          assert.equal(stream.paused, false);
          assert.ok(Math.abs(calling.playedMs - playedMs) < 1e-6);
          assert.ok(cleared.playedMs <= playedMs + 1e-6);
          for (const { playback } of calling.played) assert.equal(playback.finished, true);
          const { length } = calling.marks;
          for (const one of after) await take(calling, one);
          stream.resume();
          await call.until(() => stream.queuedMs === 0);
          await call.advance(200);
          assert.deepEqual(calling.heard(), calling.told());
          calling.checkProgress();
          for (const { result } of calling.marks.slice(length)) assert.equal((await result).played, true);
          await call.hangup();
        },
      ),
      { numRuns: propertyRuns(5) },
    );
  });

  test(`${variant}: clear with a fade: what was heard ends softly, and is what the ledger says`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 20, max: 1500 }),
        fc.integer({ min: 0, max: 1600 }),
        fc.integer({ min: 1, max: 400 }),
        async (lengthMs, afterMs, fadeMs) => {
          const calling = await Calling.open(encoding, {}, isMixed);
          const { call, stream, rate } = calling;
          const { samples } = calling.play({ ms: lengthMs, isEncoded: false, isAwaited: false });
          await call.advance(afterMs);
          const before = calling.playedMs;
          const { playedMs, discardedMs } = await stream.clear({ fadeMs });
          // What Telnyx has and what waits behind it fades; what has been sent and is over does not.
          const fadedMs = Math.min(fadeMs, lengthMs - before);
          assert.ok(Math.abs(calling.playedMs - before - fadedMs) < 1e-6);
          assert.ok(Math.abs(discardedMs - (lengthMs - before - fadedMs)) < 1e-6);
          if (discardedMs > 0) assert.ok(Math.abs(playedMs + discardedMs - lengthMs) < 1e-6);
          const next = calling.play({ ms: 100, isEncoded: false, isAwaited: false });
          await call.until(() => stream.queuedMs === 0);
          await call.advance(100);
          const heard = [...call.heard().samples];
          const first = heard.findIndex(sample => Math.abs(sample) > LOUDER);
          const whole = Math.round((before * rate) / 1000);
          const faded = Math.round((fadedMs * rate) / 1000);
          if (whole > 0) assert.deepEqual(heard.slice(first, first + whole), samples.slice(0, whole));
          for (let i = 0; i < faded; i++) {
            const gain = 0.5 * (1 + Math.cos((Math.PI * (i + 1)) / (faded + 1)));
            const sample = heard[Math.max(first, 0) + whole + i]!;
            const wanted = samples[whole + i]! * gain;
            // As coarse as the encoding's steps.
            if (whole > 0)
              assert.ok(Math.abs(sample - wanted) <= 9 + wanted / 16, `${i}: ${sample}, ${wanted}`);
          }
          assert.deepEqual(
            heard.filter(sample => Math.abs(sample) > LOUDER).slice(-next.samples.length),
            next.samples,
          );
          await call.hangup();
        },
      ),
      { numRuns: propertyRuns(10) },
    );
  });
}

test('G722: encoded audio goes out byte for byte, whatever is paused, and PCM goes on behind it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 700 }), { maxLength: 6 }),
      fc.boolean(),
      async (lengths, pauses, hasPcm) => {
        const calling = await Calling.open('G722');
        const { call, stream } = calling;
        const waiting = [...lengths];
        const given: number[] = [];
        const playbacks: Playback[] = [];
        const play = (): void => {
          const length = waiting.shift();
          if (length === undefined) return;
          const bytes = Uint8Array.from({ length }, (_, i) => (given.length + i) % 251);
          given.push(...bytes);
          playbacks.push(stream.playEncoded('G722', bytes));
        };
        play();
        for (const waitMs of pauses) {
          await call.advance(waitMs);
          stream.pause();
          play();
          await call.advance(100);
          stream.resume();
        }
        while (waiting.length > 0) play();
        if (hasPcm) playbacks.push(stream.play(new Int16Array(1600)));
        await call.until(() => stream.queuedMs === 0);
        await call.advance(200);
        // Eight bytes a ms; what was cut was heard up to there.
        const heard = call.result.heard.flatMap(({ payload, clearedAfterMs = Number.POSITIVE_INFINITY }) => [
          ...payload.subarray(0, Math.round(clearedAfterMs * 8)),
        ]);
        // Messages are filled up where nothing more was queued: those bytes stand between the pieces, and at the end.
        let at = 0;
        for (const byte of heard) if (byte === given[at]) at++;
        assert.equal(at, given.length);
        const pcmBytes = hasPcm ? 800 : 0;
        assert.ok(heard.length >= given.length + pcmBytes);
        assert.ok(heard.length < given.length + pcmBytes + 160 * (playbacks.length + pauses.length));
        const playedMs = playbacks.reduce((sum, playback) => sum + playback.playedMs, 0);
        assert.ok(Math.abs(playedMs - given.length / 8 - pcmBytes / 8) < 1e-6, `${playedMs} ms`);
        assert.equal(stream.stats.underruns, 0);
        await call.hangup();
      },
    ),
    // The second message begins with a byte that an RTP header could begin with.
    { numRuns: propertyRuns(15), examples: [[[492, 1], [], false]] },
  );
});

test('live audio: what Telnyx had at a pause counts as not heard, and the rest goes on', async () => {
  let stream: Stream | undefined;
  let live: Playback | undefined;
  const plugin = definePlugin({
    name: 'echo-held',
    audio: { sampleRate: 16000 },
    onStart: started => {
      stream = started;
      return {
        onAudio: frame => {
          live = started.play(frame, { liveLatencyMaxMs: 0 });
        },
      };
    },
  });
  const call = await testCall(plugin, { encoding: 'L16' });
  const samples = Int16Array.from({ length: 16000 * 2 }, (_, i) => 1000 + (i % 30000));
  call.say({ samples, sampleRate: 16000 });
  await call.advance(1000);
  stream!.pause();
  const playedMs = live!.playedMs;
  await call.advance(300);
  assert.equal(live!.playedMs, playedMs);
  stream!.resume();
  await call.advance(2500);
  const heard = [...call.heard().samples].filter(sample => sample !== 0);
  assert.ok(heard.length >= samples.length - 40 * 16 && heard.length <= samples.length, `${heard.length}`);
  const [at] = heard.map((sample, i) => sample - heard[0]! - i).flatMap((shift, i) => (shift ? [i] : []));
  // One place where some is left out, or none.
  if (at !== undefined) assert.ok(heard.slice(at).every((sample, i) => sample === heard[at]! + i));
  await call.hangup();
});

test('what is wrong with encoded audio is told, and after the end everything is over', async () => {
  const calling = await Calling.open('L16');
  const { stream, call } = calling;
  const refuses = (run: () => unknown, message: RegExp): void => {
    assert.throws(run, (error: Error & { code?: string }) => {
      assert.equal(error.code, 'SIDETONE_BAD_ARGUMENT');
      assert.match(error.message, message);
      return true;
    });
  };
  refuses(() => stream.playEncoded('PCMA', new Uint8Array(160)), /encoding: "PCMA": this stream sends L16/);
  refuses(() => stream.playEncoded('L16', new Uint8Array(161)), /161 bytes/);
  refuses(() => stream.playEncoded('L16', 'no base64!'), /a text of 10 characters/);
  refuses(() => stream.playEncoded('L16', 5 as never), /bytes: 5: pass/);
  refuses(() => void stream.clear({ fadeMs: -1 }), /clear fadeMs: -1/);
  const pcm = calling.next(1600);
  const base64 = Buffer.from(calling.encoded(pcm)).toString('base64');
  const playback = stream.playEncoded('L16', base64);
  assert.equal(stream.playEncoded('L16', '').finished, false);
  await call.advance(500);
  assert.equal(playback.playedMs, 100);
  assert.deepEqual(calling.heard(), [...pcm]);
  await call.hangup();
  stream.pause();
  assert.equal(stream.paused, false);
  stream.resume();
  assert.deepEqual(await stream.playEncoded('L16', base64), { playedMs: 0, interrupted: true });
});

test("a frame's payload is what came in; a concealed frame, and one that is kept, has none", async () => {
  for (const encoding of ['PCMU', 'L16', 'G722'] as const) {
    const kept: { frame: { payload: Uint8Array } }[] = [];
    const payloads: Uint8Array[] = [];
    let concealed = 0;
    const plugin = definePlugin({
      name: 'payloads',
      audio: { sampleRate: 24000 },
      onStart: () => ({
        onAudio: frame => {
          kept[0] = { frame };
          if (frame.concealed) {
            concealed++;
            assert.equal(frame.payload.length, 0);
          } else payloads.push(frame.payload.slice());
        },
      }),
    });
    const call = await testCall(plugin, { encoding, loss: 0.1, seed: 5 });
    call.say({
      samples: Int16Array.from({ length: 32000 }, (_, i) => 9000 * Math.sin(i / 5)),
      sampleRate: 16000,
    });
    await call.advance(2500);
    assert.ok(concealed > 0);
    assert.equal(kept[0]!.frame.payload.length, 0);
    const bytes = { PCMU: 160, L16: 640, G722: 160 }[encoding];
    assert.ok(payloads.every(payload => payload.length === bytes));
    const decoder = createDecoder(encoding);
    const loudest = payloads.map(payload => Math.max(...decoder.decode(payload)));
    assert.ok(loudest.filter(peak => peak > 8000).length > 60, `${loudest}`);
    decoder.close();
    await call.hangup();
  }
});

test('onPlayed has what the caller heard, once, through a pause and a fade', async () => {
  const played: number[] = [];
  let stream: Stream | undefined;
  const plugin = definePlugin({
    name: 'taped',
    audio: { sampleRate: 16000 },
    onStart: started => {
      stream = started;
      return { onPlayed: frame => played.push(...frame.samples) };
    },
  });
  const call = await testCall(plugin, { encoding: 'L16' });
  const pcm = Int16Array.from({ length: 32000 }, (_, i) => 1000 + (i % 30000));
  const playback = stream!.play(pcm);
  await call.advance(700);
  stream!.pause();
  await call.advance(400);
  stream!.resume();
  await call.advance(500);
  const { playedMs } = await stream!.clear({ fadeMs: 50 });
  await call.advance(1000);
  const heard = [...call.heard().samples].filter(sample => sample !== 0);
  assert.deepEqual(
    played.filter(sample => sample !== 0),
    heard,
  );
  assert.equal(playback.playedMs, playedMs);
  // The last samples of a fade are nearly none.
  assert.ok(Math.abs(heard.length - playedMs * 16) < 10, `${heard.length} ${playedMs}`);
  await call.hangup();
});

test('an echo that is paused and goes on is caught up, and stays in step with its ledger', async () => {
  for (const encoding of ['PCMU', 'L16', 'G722'] as const) {
    let stream: Stream | undefined;
    let live: Playback | undefined;
    const plugin = definePlugin({
      name: 'echo-held',
      onStart: started => {
        stream = started;
        return {
          onAudio: frame => {
            live = started.play(frame);
          },
        };
      },
    });
    const call = await testCall(plugin, { encoding });
    call.say({
      samples: Int16Array.from({ length: 64000 }, (_, i) => 9000 * Math.sin(i / 5)),
      sampleRate: 16000,
    });
    await call.advance(1000);
    stream!.pause();
    const { playedMs } = live!;
    const heardMs = call.heard().samples.length;
    await call.advance(600);
    assert.equal(live!.playedMs, playedMs);
    assert.ok(stream!.queuedMs > 500);
    assert.ok(call.heard().samples.length >= heardMs);
    stream!.resume();
    await call.advance(5000);
    assert.ok(stream!.queuedMs < 400, `${encoding}: ${stream!.queuedMs} ms late`);
    assert.ok(live!.playedMs > 5500 && live!.playedMs < 6700, `${encoding}: ${live!.playedMs} ms`);
    await call.hangup();
  }
});
