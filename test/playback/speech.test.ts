/** speak(): written in bursts, cancelled, paused; the ledger held against what the caller heard, in virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Encoding, SidetoneError, type Speech } from '../../src/index.js';
import { Calling, type Played, RATES } from '../helpers/calling.js';
import { propertyRuns } from '../helpers/runs.js';

const base64 = (bytes: Int16Array | Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');

/** A speech of the test, and what was written to it. */
class Spoken {
  readonly speech: Speech;
  readonly played: Played;

  constructor(
    private readonly calling: Calling,
    private readonly isEncoded: boolean,
  ) {
    const { stream, encoding } = calling;
    this.speech = stream.speak(isEncoded ? { encoding } : {});
    this.played = { playback: this.speech, samples: [], progress: [] };
    calling.played.push(this.played);
  }

  write(ms: number, isText: boolean): boolean {
    const pcm = this.calling.next((ms * this.calling.rate) / 1000);
    const bytes = this.calling.encoded(pcm);
    const audio = this.isEncoded ? bytes : pcm;
    // A Buffer whose memory is used again at once.
    const buffer = Buffer.from(bytes);
    const isWanted = this.speech.write(isText ? base64(audio) : this.isEncoded ? buffer : pcm);
    buffer.fill(0);
    if (!this.speech.finished) this.played.samples.push(...this.calling.decoded(bytes));
    return isWanted;
  }
}

const milliseconds = fc.integer({ min: 1, max: 1200 });
const which = fc.nat({ max: 2 });
const step = fc.oneof(
  fc.record({ do: fc.constant('speak' as const), ms: milliseconds, is: fc.boolean() }),
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('write' as const), ms: milliseconds, is: fc.boolean(), which }),
  },
  fc.record({
    do: fc.constant('play' as const),
    ms: milliseconds,
    isEncoded: fc.boolean(),
    isAwaited: fc.boolean(),
  }),
  fc.record({ do: fc.constant('end' as const), which }),
  fc.record({ do: fc.constant('cancel' as const), which }),
  fc.record({ do: fc.constant('mark' as const) }),
  fc.record({ do: fc.constant('pause' as const) }),
  fc.record({ do: fc.constant('resume' as const) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: milliseconds }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

for (const encoding of Object.keys(RATES) as Encoding[]) {
  test(`${encoding}: what is cancelled stops there, and all the rest is heard once and in order`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 24 }), async steps => {
        const calling = await Calling.open(encoding);
        const { call, stream } = calling;
        const spoken: Spoken[] = [];
        const ended = new Set<Spoken>();
        const cancelled = new Map<Spoken, number>();
        const marks: Promise<{ played: boolean }>[] = [];
        const take = async (one: Step): Promise<void> => {
          const at = 'which' in one ? spoken.at(-1 - one.which) : undefined;
          if (one.do === 'speak') spoken.push(new Spoken(calling, one.is));
          else if (one.do === 'write' && at && !ended.has(at)) at.write(one.ms, one.is);
          else if (one.do === 'play') calling.play(one);
          else if (one.do === 'end' && at) ended.add(at) && at.speech.end();
          else if (one.do === 'cancel' && at) {
            const before = at.speech.playedMs;
            const wasOver = at.speech.finished;
            const queuedMs = stream.queuedMs;
            const { playedMs, discardedMs } = at.speech.cancel();
            assert.ok(Math.abs(playedMs - before) < 1e-6 && at.speech.finished);
            assert.ok(Math.abs(at.speech.playedMs - playedMs) < 1e-6);
            const lengthMs = (at.played.samples.length * 1000) / calling.rate;
            if (wasOver) assert.equal(discardedMs, 0);
            else
              assert.ok(
                Math.abs(playedMs + discardedMs - lengthMs) < 1e-3,
                `${playedMs} ${discardedMs} ${lengthMs}`,
              );
            // Silence that filled a message up may have been taken back.
            const lessMs = queuedMs - stream.queuedMs - discardedMs;
            assert.ok(lessMs > -1e-3 && lessMs < 20, `${lessMs} ms`);
            if (!wasOver) cancelled.set(at, playedMs);
          } else if (one.do === 'mark') marks.push(stream.mark());
          else if (one.do === 'pause') stream.pause();
          else if (one.do === 'resume') stream.resume();
          else if (one.do === 'advance') await call.advance(one.ms);
        };
        for (const one of steps) await take(one);
        stream.resume();
        for (const { speech } of spoken) speech.end();
        await call.advance(0);
        await call.until(() => stream.queuedMs === 0);
        await call.advance(500);
        assert.deepEqual(calling.heard(), calling.told());
        for (const one of spoken) {
          const { playedMs, interrupted } = await one.speech;
          assert.equal(interrupted, cancelled.has(one));
          assert.equal(playedMs, one.speech.playedMs);
          if (!interrupted) assert.equal(calling.heardOf(one.played), one.played.samples.length);
          else assert.equal(playedMs, cancelled.get(one));
        }
        const sumMs = calling.playedMs;
        await Promise.all(marks);
        assert.deepEqual(calling.errors, []);
        assert.equal(stream.queuedMs, 0);
        assert.ok(sumMs >= 0);
        await call.hangup();
      }),
      { numRuns: propertyRuns(12) },
    );
  });
}

test('an answer that comes at once and is longer than the queue is heard whole, at another rate', async () => {
  const calling = await Calling.open('PCMU', { queueMaxMs: 4000 });
  const { call, stream } = calling;
  const speech = stream.speak({ sampleRate: 24000 });
  const piece = Int16Array.from({ length: 24000 }, (_, i) => 9000 * Math.sin(i / 10));
  const wanted = Array.from({ length: 20 }, () => speech.write(base64(piece)));
  assert.deepEqual([wanted[0], wanted[4], wanted[5], wanted[19]], [true, true, false, false]);
  assert.ok(Math.abs(stream.queuedMs - 20_000) < 1e-6);
  speech.end();
  let isReady = false;
  void speech.ready.then(() => {
    isReady = true;
  });
  const heard: number[] = [];
  speech.onProgress(ms => heard.push(ms), 500);
  await call.advance(10_000);
  assert.equal(isReady, false);
  await call.advance(5000);
  assert.equal(isReady, true);
  const result = speech.then(({ playedMs, interrupted }) => ({ playedMs, interrupted }));
  await call.advance(6000);
  const { playedMs, interrupted } = await result;
  assert.equal(interrupted, false);
  assert.ok(Math.abs(playedMs - 20_000) < 10, `${playedMs}`);
  assert.equal(call.heard().parts.length, 1);
  assert.ok(heard.length >= 39 && heard.length <= 41, `${heard.length} times`);
  assert.ok(heard.every((ms, i) => i === 0 || ms > heard[i - 1]!));
  assert.equal(heard.at(-1), playedMs);
  await call.hangup();
});

test('a speech that waits for words, is over, or is written wrongly', async () => {
  const calling = await Calling.open('L16');
  const { call, stream } = calling;
  const fails = (run: () => unknown, code: string, message: RegExp): void => {
    assert.throws(run, (error: unknown) => {
      assert.ok(error instanceof SidetoneError, String(error));
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
  };
  fails(() => stream.speak({ sampleRate: 5 }), 'SIDETONE_BAD_ARGUMENT', /sampleRate: 5/);
  fails(
    () => stream.speak({ encoding: 'PCMU' }),
    'SIDETONE_BAD_ARGUMENT',
    /speak encoding: "PCMU": this stream sends L16/,
  );
  fails(() => stream.speak({ idleMs: 1 }), 'SIDETONE_BAD_ARGUMENT', /speak idleMs: 1/);
  const speech = stream.speak({ idleMs: 2000 });
  fails(() => speech.write(new Float32Array(4) as never), 'SIDETONE_BAD_ARGUMENT', /pass an Int16Array/);
  fails(() => speech.write('AAA'), 'SIDETONE_BAD_ARGUMENT', /3 characters: pass base64/);
  fails(() => speech.onProgress(5 as never), 'SIDETONE_BAD_ARGUMENT', /onProgress: 5: give a function/);
  fails(() => speech.onProgress(() => {}, 1), 'SIDETONE_BAD_ARGUMENT', /everyMs: 1/);
  speech.write(new Int16Array(1600).fill(5000));
  const behind = stream.play(new Int16Array(1600).fill(6000));
  await call.advance(1000);
  assert.equal(speech.playedMs, 100);
  assert.equal(behind.playedMs, 0);
  assert.equal(calling.errors.length, 0);
  await call.advance(2500);
  assert.deepEqual(
    calling.errors.map(error => (error as SidetoneError).code),
    ['SIDETONE_SOURCE_IDLE'],
  );
  assert.deepEqual(speech.cancel(), { playedMs: 100, discardedMs: 0 });
  assert.equal(speech.write(new Int16Array(10)), true);
  await call.advance(500);
  assert.equal(behind.playedMs, 100);
  const ended = stream.speak().end();
  fails(() => ended.write(new Int16Array(10)), 'SIDETONE_STREAM_CLOSED', /after end/);
  const cleared = stream.speak();
  cleared.write(new Int16Array(160_000).fill(5));
  await call.advance(300);
  await stream.clear();
  assert.equal(cleared.finished, true);
  await cleared.ready;
  const open = stream.speak();
  open.write(new Int16Array(1600));
  await call.hangup();
  assert.equal(open.finished, true);
  const late = stream.speak();
  assert.equal(late.write(new Int16Array(1600)), true);
  assert.deepEqual(await late.end(), { playedMs: 0, interrupted: true });
  assert.deepEqual(late.cancel(), { playedMs: 0, discardedMs: 0 });
});

for (const isEncoded of [false, true]) {
  test(`bytes in pieces that end anywhere are heard as they are in one, ${isEncoded ? 'encoded' : 'as PCM'}`, async () => {
    const calling = await Calling.open('L16');
    const pcm = calling.next(calling.rate / 2);
    const encoded = calling.encoded(pcm);
    const bytes = isEncoded ? encoded : new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength);
    const speech = calling.stream.speak(isEncoded ? { encoding: 'L16' } : {});
    const lengths = [1, 1, 3, 0, 640, 641, 2, 1001];
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const piece = bytes.slice(at, at + lengths[i % lengths.length]!);
      at += piece.length;
      speech.write(i % 2 === 0 ? piece : base64(piece));
      piece.fill(0);
    }
    speech.end();
    await calling.call.advance(1500);
    assert.equal(speech.playedMs, 500);
    assert.deepEqual(calling.heard(), calling.decoded(encoded));
    await calling.call.hangup();
  });
}
