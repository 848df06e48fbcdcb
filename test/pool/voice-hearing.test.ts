/** Windows of many streams through one model, in batches. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { VOICE } from '../../src/native/addon.js';
import { VoiceHearing, type VoiceModel } from '../../src/pool/voice-hearing.js';
import { VoiceMemory } from '../../src/pool/voice-memory.js';
import { propertyRuns } from '../helpers/runs.js';

const CONTEXT = 4;

/** Its answer names the stream's windows so far (the state), the last sample before the window and the window's first one. */
function countingModel(rowsMax: number): VoiceModel & { rounds: number[] } {
  const columns = CONTEXT + VOICE.samples;
  const model = {
    rounds: [] as number[],
    rowsMax,
    contextSamples: CONTEXT,
    stateSize: 1,
    input: new Float32Array(rowsMax * columns),
    state: new Float32Array(rowsMax),
    probabilities: new Float32Array(rowsMax),
    async hear(rows: number) {
      model.rounds.push(rows);
      await null;
      for (let row = 0; row < rows; row++) {
        const before = model.input[row * columns + CONTEXT - 1]! * 32768;
        const first = model.input[row * columns + CONTEXT]! * 32768;
        model.state[row]! += 1;
        model.probabilities[row] = model.state[row]! * 10_000 + before * 100 + first;
      }
    },
  };
  return model;
}

test('each stream hears its windows in order, with its own state and context, once a round', async () => {
  const window = fc.record({ seat: fc.nat(9), value: fc.integer({ min: 1, max: 99 }), fresh: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(window, { maxLength: 40 }), { maxLength: 4 }),
      fc.integer({ min: 1, max: 6 }),
      async (batches, rowsMax) => {
        const memory = new VoiceMemory();
        const model = countingModel(rowsMax);
        const hearing = new VoiceHearing(model, memory);
        const known = new Map<number, { count: number; last: number }>();
        for (const batch of batches) {
          const expected = batch.map(({ seat, value, fresh }, i) => {
            memory.fields.set([seat, 1, fresh ? VOICE.fresh : 0], i * VOICE.fields);
            memory.samples.fill(value, i * VOICE.samples, (i + 1) * VOICE.samples);
            const { count, last } = (fresh ? undefined : known.get(seat)) ?? { count: 0, last: 0 };
            known.set(seat, { count: count + 1, last: value });
            return (count + 1) * 10_000 + last * 100 + value;
          });
          model.rounds.length = 0;
          await hearing.hear(batch.length);
          const heard = [...memory.probabilities.subarray(0, batch.length)].map(Math.round);
          assert.deepEqual(heard, expected);
          const most = Math.max(0, ...batch.map(one => batch.filter(({ seat }) => seat === one.seat).length));
          assert.ok(model.rounds.length <= Math.max(most, Math.ceil(batch.length / rowsMax)) + most);
          assert.ok(model.rounds.every(rows => rows >= 1 && rows <= rowsMax));
        }
      },
    ),
    { numRuns: propertyRuns(60) },
  );
});

test('streams that come together are heard together', async () => {
  const memory = new VoiceMemory();
  const model = countingModel(8);
  // Three streams with two windows each, one after the other.
  [0, 0, 1, 1, 2, 2].forEach((seat, i) => {
    memory.fields.set([seat, 1, 0], i * VOICE.fields);
  });
  await new VoiceHearing(model, memory).hear(6);
  assert.deepEqual(model.rounds, [3, 3]);
});
