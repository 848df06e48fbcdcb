/** When a reactor's deadlines are looked at: by its timer, by messages in between, and never ahead of unread ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../src/clock.js';
import { Ticker } from '../src/ticker.js';
import { payloads, WireCall } from './helpers/telnyx-messages.js';
import { VirtualReactor } from './helpers/virtual-reactor.js';

test('a message brings a tick a millisecond after the last one', () => {
  const clock = new VirtualClock();
  const ticks: number[] = [];
  const ticker = new Ticker(clock, () => {
    ticks.push(clock.now());
    ticker.ticked(clock.now(), true);
  });
  assert.equal(ticker.isDue(clock.now() + 5), false, 'it does not run');
  ticker.start();
  clock.advance(0.5);
  assert.equal(ticker.isDue(clock.now()), false);
  clock.advance(0.5);
  assert.equal(ticker.isDue(clock.now()), true);
  clock.advance(1);
  assert.deepEqual(ticks, [2]);
  assert.equal(ticker.isDue(clock.now()), false, 'the timer has just ticked');
});

test('behind a block no message brings one: what came meanwhile is read first', () => {
  const clock = new VirtualClock();
  const ticks: number[] = [];
  const ticker = new Ticker(clock, () => {
    ticks.push(clock.now());
    ticker.ticked(clock.now(), true);
  });
  ticker.start();
  clock.advance(2);
  clock.block(50);
  assert.equal(ticker.isDue(clock.now()), false, 'the timer has not come for too long');
  const unblockedMs = clock.now();
  // The timer sees the block and puts its tick behind the sockets, which are read in between.
  const stopReading = clock.every(0.01, () => {
    if (ticks.length === 1) assert.equal(ticker.isDue(clock.now() + 5), false);
  });
  clock.advance(0.1);
  stopReading();
  assert.deepEqual(ticks, [2, unblockedMs]);
});

test('with messages every millisecond, none that is due waits for the timer', async () => {
  const virtual = new VirtualReactor();
  const wire = new WireCall();
  const { receive } = virtual.connect({
    name: 'test',
    onStart: stream => void stream.play(new Int16Array(8000 * 5)),
  });
  receive(wire.connected());
  receive(wire.start());
  // Deadlines lie anywhere between two timers.
  virtual.clock.advance(0.7);
  for (const payload of payloads(3000)) {
    receive(wire.media(payload));
    virtual.clock.advance(1);
  }
  const { lateness } = virtual.reactor.snapshot(0);
  await virtual.close();
  const late = lateness.slice(5).reduce((sum, count) => sum + count, 0);
  assert.ok(lateness.reduce((sum, count) => sum + count, 0) > 20);
  assert.equal(late, 0, `${late} messages more than 1.25 ms late: ${lateness.slice(0, 20)}`);
});
