/** When a reactor's deadlines are looked at: by its timer, by messages in between, and never ahead of unread ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../src/clock.js';
import { Ticker } from '../../src/media/ticker.js';
import { payloads, WireCall } from '../helpers/telnyx-messages.js';
import { VirtualReactor } from '../helpers/virtual-reactor.js';

/** A ticker whose timers come when the test says so. */
function handDriven() {
  let nowMs = 0;
  let timer = (): void => {};
  let after = (): void => {};
  const clock: Clock = {
    now: () => nowMs,
    every: (_intervalMs, callback) => {
      timer = callback;
      return () => {};
    },
    after: (_delayMs, callback) => {
      after = callback;
      return () => {};
    },
  };
  const ticks: number[] = [];
  const ticker = new Ticker(clock, () => {
    ticks.push(nowMs);
    ticker.ticked(nowMs, true);
  });
  return {
    ticker,
    ticks,
    isDueAt: (ms: number) => {
      nowMs = ms;
      return ticker.isDue(ms);
    },
    timerAt: (ms: number) => {
      nowMs = ms;
      timer();
    },
    lateTickAt: (ms: number) => {
      nowMs = ms;
      after();
    },
  };
}

test('a message brings a tick a millisecond after the last one', () => {
  const { ticker, ticks, isDueAt, timerAt } = handDriven();
  assert.equal(isDueAt(5), false, 'it does not run');
  ticker.start();
  assert.equal(isDueAt(5.5), false);
  assert.equal(isDueAt(6), true);
  timerAt(7);
  assert.deepEqual(ticks, [7]);
  assert.equal(isDueAt(7.5), false, 'the timer has just ticked');
  ticker.stop();
  assert.equal(isDueAt(9), false, 'it has stopped');
});

test('behind a block no message brings one: what came meanwhile is read first', () => {
  const { ticker, ticks, isDueAt, timerAt, lateTickAt } = handDriven();
  ticker.start();
  timerAt(2);
  assert.equal(isDueAt(52), false, 'the timer has not come for too long');
  timerAt(52);
  assert.deepEqual(ticks, [2], 'the timer sees the block and puts its tick behind the sockets');
  assert.equal(isDueAt(54), false, 'they are being read');
  lateTickAt(55);
  assert.deepEqual(ticks, [2, 55]);
});

test('with messages every millisecond, none that is due waits for the timer', async () => {
  const virtual = new VirtualReactor();
  const start = () => {
    const wire = new WireCall();
    const { receive } = virtual.connect({
      name: 'test',
      onStart: stream => void stream.play(new Int16Array(8000 * 5)),
    });
    receive(wire.connected());
    receive(wire.start());
    return () => receive(wire.media(payloads(1)[0]!));
  };
  // The first stream starts the timer; the second one's deadlines lie 1.3 ms before it.
  start();
  virtual.clock.advance(0.7);
  const message = start();
  for (let ms = 0; ms < 3000; ms++) {
    message();
    virtual.clock.advance(1);
  }
  const { lateness } = virtual.reactor.snapshot(0);
  await virtual.close();
  const sum = (counts: number[]): number => counts.reduce((total, count) => total + count, 0);
  assert.ok(sum(lateness) > 40, `${sum(lateness)} messages`);
  assert.equal(sum(lateness.slice(5)), 0, `quarters of a millisecond late: ${lateness.slice(0, 20)}`);
});
