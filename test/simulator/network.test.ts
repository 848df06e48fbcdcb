import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Impairments } from '../../src/simulator/network.js';
import { Random } from '../../src/simulator/random.js';

function run(
  seed: number,
  options: { shuffle: number; loss: number; duplicate: number },
  count: number,
): number[] {
  const network = new Impairments<number>(options, new Random(seed));
  const left: number[] = [];
  for (let i = 0; i < count; i++) left.push(...network.push(i));
  return [...left, ...network.flush()];
}

test('a perfect network changes nothing', () => {
  for (const shuffle of [0, 1]) {
    assert.deepEqual(run(1, { shuffle, loss: 0, duplicate: 0 }, 50), [...Array(50).keys()]);
  }
});

test('no frame moves by as much as the window, none is lost or doubled by shuffling', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 2, max: 12 }), (seed, shuffle) => {
      const left = run(seed, { shuffle, loss: 0, duplicate: 0 }, 200);
      assert.deepEqual(
        [...left].sort((a, b) => a - b),
        [...Array(200).keys()],
      );
      left.forEach((frame, place) => {
        assert.ok(Math.abs(frame - place) < shuffle, `frame ${frame} at ${place}`);
      });
    }),
  );
});

test('probabilities 0 and 1 are certain, others come near', () => {
  assert.deepEqual(run(7, { shuffle: 0, loss: 1, duplicate: 0 }, 50), []);
  assert.deepEqual(run(7, { shuffle: 0, loss: 0, duplicate: 1 }, 3), [0, 0, 1, 1, 2, 2]);
  const kept = run(7, { shuffle: 0, loss: 0.1, duplicate: 0 }, 10_000).length;
  assert.ok(kept > 8800 && kept < 9200, `${kept} of 10000 kept`);
});

test('which frames are lost does not depend on shuffling', () => {
  const lost = (shuffle: number): number[] =>
    run(5, { shuffle, loss: 0.3, duplicate: 0 }, 100).sort((a, b) => a - b);
  assert.deepEqual(lost(8), lost(0));
});
