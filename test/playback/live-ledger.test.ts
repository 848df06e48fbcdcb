/** Compares the ledger of shortened live audio with what the simulated caller heard, in virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { definePlugin, type Playback, type PlaybackResult, type Stream } from '../../src/index.js';
import { type LateCall, lateCall } from '../helpers/late-echo.js';
import { propertyRuns } from '../helpers/runs.js';

const SECONDS = 14;
const FROM_HZ = 300;
const HZ_A_SECOND = 200;

/** A tone whose pitch tells the place in it. Shortening keeps the pitch. */
function rising(rate: number): Int16Array {
  return Int16Array.from({ length: SECONDS * rate }, (_, i) => {
    const t = i / rate;
    return Math.round(8000 * Math.sin(2 * Math.PI * (FROM_HZ * t + (HZ_A_SECOND * t * t) / 2)));
  });
}

/** Where in `rising` the last 50 ms of `sound` before `endMs` stand, in ms, by their pitch. */
function placeMs(sound: Int16Array, endMs: number, rate: number): number {
  const end = Math.floor((endMs * rate) / 1000);
  const crossings: number[] = [];
  for (let i = end - rate / 20; i < end; i++) {
    const [before, now] = [sound[i - 1]!, sound[i]!];
    if (before < 0 && now >= 0) crossings.push(i - now / (now - before));
  }
  const hz = ((crossings.length - 1) * rate) / (crossings.at(-1)! - crossings[0]!);
  return ((hz - FROM_HZ) / HZ_A_SECOND) * 1000 + 25;
}

interface Followed {
  call: LateCall;
  stream: () => Stream;
  playback: () => Playback;
}

/** An echo over L16, whose live playback can be watched. */
function followed(onMark: (name: string) => void = () => {}): Followed {
  let stream: Stream | undefined;
  let playback: Playback | undefined;
  const plugin = definePlugin({
    name: 'followed',
    onStart: started => {
      stream = started;
      return {
        onMark,
        onAudio: frame => {
          playback = started.play(frame);
        },
      };
    },
  });
  return { call: lateCall(plugin, rising, 'L16'), stream: () => stream!, playback: () => playback! };
}

test('clear at any moment after a stall: playedMs is how much of the original was heard', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 500, max: 3000 }),
      fc.integer({ min: 0, max: 6000 }),
      fc.integer({ min: 100, max: 4000 }),
      async (beforeMs, stallMs, afterMs) => {
        const { call, stream, playback } = followed();
        const { clock, reactor } = call.virtual;
        clock.advance(beforeMs);
        call.stall();
        clock.advance(stallMs);
        call.burst();
        let heard = 0;
        for (let ms = 0; ms < afterMs; ms += 10) {
          clock.advance(Math.min(10, afterMs - ms));
          const { playedMs } = playback();
          assert.ok(playedMs >= heard - 1e-6, `${playedMs} after ${heard}`);
          heard = playedMs;
        }
        const live = playback();
        const acceptedMs = reactor.counters().framesHeard! * 20;
        const skippedMs = reactor.counters().liveSkippedSeconds! * 1000;
        const cleared = await stream().clear();
        const result = (await live) as PlaybackResult;
        const clearedAtMs = clock.now();
        assert.ok(Math.abs(cleared.playedMs - result.playedMs) < 1e-6);
        assert.equal(result.interrupted, cleared.discardedMs > 0);
        // What was left out is passed over as soon as it would have been heard, and counts as discarded before.
        const sum = cleared.playedMs + cleared.discardedMs;
        assert.ok(
          Math.abs(sum - acceptedMs) < 1 || Math.abs(sum + skippedMs - acceptedMs) < 1 || skippedMs > 0,
          `${sum} of ${acceptedMs}, ${skippedMs} skipped`,
        );
        assert.ok(sum <= acceptedMs + 1 && sum >= acceptedMs - skippedMs - 1);
        // The sound itself says which place was being heard.
        if (skippedMs === 0 || afterMs > 1000) {
          const place = placeMs(call.heard(), clearedAtMs - call.startedMs, call.sampleRate);
          const played = result.playedMs + (acceptedMs - sum);
          assert.ok(Math.abs(place - played) < 60, `at ${place} by its sound, at ${played} by the ledger`);
        }
        await call.virtual.close();
      },
    ),
    { numRuns: propertyRuns(12) },
  );
});

test('marks behind live audio come back in order, when its shortened sound has been heard', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 500, max: 5000 }),
      fc.array(fc.integer({ min: 10, max: 900 }), { minLength: 1, maxLength: 6 }),
      async (stallMs, waits) => {
        const returned: { name: string; atMs: number }[] = [];
        const { call, stream } = followed(name => returned.push({ name, atMs: call.virtual.clock.now() }));
        const { clock, reactor } = call.virtual;
        clock.advance(1000);
        call.stall();
        clock.advance(stallMs);
        call.burst();
        const placed: { name: string; acceptedMs: number }[] = [];
        for (const [i, wait] of waits.entries()) {
          placed.push({ name: `m${i}`, acceptedMs: reactor.counters().framesHeard! * 20 });
          void stream().mark(`m${i}`);
          clock.advance(wait);
        }
        clock.advance(6000);
        assert.deepEqual(
          returned.map(({ name }) => name),
          placed.map(({ name }) => name),
        );
        // A jump within the sound has no pitch that says where it is.
        if (reactor.counters().liveSkippedSeconds === 0) {
          const sound = call.heard();
          for (const [i, { atMs }] of returned.entries()) {
            // The place of the mark is being heard when it comes back: not earlier, and no more than a message later.
            const late = placeMs(sound, atMs - call.startedMs, call.sampleRate) - placed[i]!.acceptedMs;
            assert.ok(late > -60 && late < 160, `${late} ms behind its place`);
          }
        }
        await call.virtual.close();
      },
    ),
    { numRuns: propertyRuns(8) },
  );
});
