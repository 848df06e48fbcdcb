import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dealingOrder } from '../../src/server/acceptor.js';
import { Random } from '../../src/simulator/random.js';

test('connections are dealt in turn; webhooks between them cannot direct all streams to one reactor', () => {
  assert.deepEqual(dealingOrder(3, 1), [0, 1, 2]);
  const random = new Random(1);
  for (const count of [1, 2, 3, 4, 8, 16]) {
    const order = dealingOrder(count, 1024, () => random.float());
    assert.equal(order.length, count * 1024);
    for (let round = 0; round < 1024; round++) {
      const turn = order.slice(round * count, (round + 1) * count);
      assert.equal(new Set(turn).size, count);
    }
    // Every `stride`-th connection is a stream.
    for (let stride = 1; stride <= 12; stride++) {
      const streams = Array.from({ length: 512 * count }, (_, i) => order[(i * stride) % order.length]!);
      for (let listener = 0; listener < count; listener++) {
        const share = streams.filter(index => index === listener).length / 512;
        assert.ok(share > 0.6 && share < 1.4, `${listener} of ${count}, every ${stride}: ${share}`);
      }
    }
  }
});
