/** What the service is told that the caller has heard of each item, held against what the caller heard, in virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createEncoder, type Encoding } from '../../src/index.js';
import { bytesPerMs, outputFormat, speechOptions } from '../../src/plugins/realtime/audio.js';
import { Speaker } from '../../src/plugins/realtime/speaker.js';
import { Calling } from '../helpers/calling.js';
import { propertyRuns } from '../helpers/runs.js';

const ITEMS = 4;
/** Every item has a level of its own, by which the caller's record knows it. */
const levelOf = (item: number): number => 3000 * (item + 1);

const steps = fc.array(
  fc.record({
    /** Whether this is the next item's. */
    isNext: fc.boolean(),
    ms: fc.integer({ min: 20, max: 1500 }),
    /** Bytes of the delta before that are sent with this one. */
    shift: fc.nat({ max: 3 }),
    waitMs: fc.integer({ min: 0, max: 700 }),
    /** Others are to be heard in between. */
    rests: fc.boolean(),
  }),
  { minLength: 1, maxLength: 12 },
);

/** How long the caller heard each level, in ms, and anything else that was loud. */
function heardLevels(calling: Calling): { ms: number[]; other: number } {
  const { samples, sampleRate } = calling.call.heard();
  const counts = new Array<number>(ITEMS).fill(0);
  let other = 0;
  for (const sample of samples) {
    if (sample < 1000) continue;
    const item = Math.round(sample / 3000) - 1;
    if (item >= 0 && item < ITEMS && Math.abs(sample - levelOf(item)) < 1000) counts[item]!++;
    else other++;
  }
  return { ms: counts.map(count => (count * 1000) / sampleRate), other };
}

// Codecs that smear a level over some samples leave those at its ends uncertain.
const cases: { encoding: Encoding; toleranceMs: number }[] = [
  { encoding: 'PCMU', toleranceMs: 1 },
  { encoding: 'PCMA', toleranceMs: 1 },
  { encoding: 'L16', toleranceMs: 3 },
];

for (const { encoding, toleranceMs } of cases) {
  test(`${encoding}: an item is cut where the caller stopped hearing it`, async () => {
    await fc.assert(
      fc.asyncProperty(steps, async given => {
        const calling = await Calling.open(encoding);
        const { call, stream } = calling;
        const format = outputFormat(stream);
        const perMs = bytesPerMs(format);
        const speaker = new Speaker(stream, speechOptions(stream), perMs);
        const wire = (item: number, ms: number): Uint8Array => {
          const isPcm = format.type === 'audio/pcm';
          const pcm = new Int16Array(ms * (isPcm ? 24 : 8)).fill(levelOf(item));
          return isPcm ? new Uint8Array(pcm.buffer) : createEncoder(encoding).encode(pcm).slice();
        };
        const received = new Array<number>(ITEMS).fill(0);
        let item = 0;
        let left: Uint8Array = new Uint8Array(0);
        for (const { isNext, ms, shift, waitMs, rests } of given) {
          if (isNext && item < ITEMS - 1 && received[item]! > 0) {
            speaker.say(`item ${item}`, true, left);
            left = new Uint8Array(0);
            item++;
          }
          const all = Buffer.concat([left, wire(item, ms)]);
          received[item]! += ms;
          left = all.subarray(all.length - shift);
          speaker.say(`item ${item}`, true, all.subarray(0, all.length - shift));
          // The half sample that a delta ends with would be lost: a rest comes between whole ones.
          if (rests && shift % 2 === 0) speaker.rest();
          await call.advance(waitMs);
        }
        const cuts = speaker.cut();
        await call.advance(500);
        const heard = heardLevels(calling);
        assert.ok(
          heard.other * (1000 / 8000) <= toleranceMs * ITEMS * 2,
          `${heard.other} samples of no level`,
        );
        for (let i = 0; i <= item; i++) {
          const cut = cuts.find(({ itemId }) => itemId === `item ${i}`);
          const toldMs = cut
            ? Math.floor(cut.playedMs)
            : received[i]! - (i === item ? left.length / perMs : 0);
          const message = `item ${i}: told ${toldMs}, heard ${heard.ms[i]} of ${received[i]} ms`;
          assert.ok(Math.abs(toldMs - heard.ms[i]!) <= toleranceMs, message);
          if (cut) assert.ok(cut.playedMs <= cut.receivedMs && cut.receivedMs <= received[i]!, message);
        }
        assert.equal(speaker.speaking, false);
        assert.equal(speaker.droppedMs, 0);
        assert.deepEqual(calling.errors, []);
        await call.hangup();
      }),
      { numRuns: propertyRuns(25), seed: 11 },
    );
  });
}
