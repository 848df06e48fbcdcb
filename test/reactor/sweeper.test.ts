import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { VirtualClock } from '../../src/clock.js';
import { Sweeper } from '../../src/reactor/sweeper.js';

class Swept {
  times: number[] = [];
  sweep(nowMs: number): void {
    this.times.push(nowMs);
  }
}

test('everything is looked after once in 500 ms, a slice at a time', () => {
  const clock = new VirtualClock();
  const all = new Set(Array.from({ length: 1000 }, () => new Swept()));
  const sweeper = new Sweeper(clock, all);
  sweeper.start();
  clock.advance(50);
  assert.equal([...all].filter(({ times }) => times.length === 1).length, 100);
  clock.advance(450);
  assert.ok([...all].every(({ times }) => times.length === 1));
  clock.advance(5000);
  assert.ok([...all].every(({ times }) => times.length === 11));
});

test('what joins, leaves or ends the sweeping while it goes on harms nothing', () => {
  const clock = new VirtualClock();
  const all = new Set<{ sweep(nowMs: number): void }>();
  const sweeper = new Sweeper(clock, all);
  let swept = 0;
  for (let i = 0; i < 100; i++) {
    const one = {
      sweep(): void {
        swept++;
        all.delete(one);
        if (all.size === 0) sweeper.stop();
      },
    };
    all.add(one);
  }
  sweeper.start();
  clock.advance(60_000);
  assert.deepEqual([swept, all.size], [100, 0]);
  const late = new Swept();
  all.add(late);
  sweeper.start();
  clock.advance(500);
  assert.equal(late.times.length, 1);
});

test('what has left is not held until the next sweep', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const clock = new VirtualClock();
  const all = new Set<Swept>();
  const sweeper = new Sweeper(clock, all);
  const gone: WeakRef<Swept>[] = [];
  // In a function of its own, so that nothing of it is left on the stack.
  const comeAndGo = (): void => {
    for (let i = 0; i < 5000; i++) {
      const swept = new Swept();
      all.add(swept);
      gone.push(new WeakRef(swept));
    }
    sweeper.start();
    clock.advance(120);
    all.clear();
    sweeper.stop();
  };
  comeAndGo();
  await new Promise(resolve => setImmediate(resolve));
  collect();
  await new Promise(resolve => setImmediate(resolve));
  collect();
  assert.equal(gone.filter(reference => reference.deref() !== undefined).length, 0);
  sweeper.start();
});
