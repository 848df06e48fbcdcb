import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Feed } from '../../src/playback/feed.js';
import { Ledger, type PlaybackEntry } from '../../src/playback/ledger.js';
import { queueFull } from '../../src/playback/output.js';

/** A feed into a queue that takes files as long as `room` is true. */
function feeding() {
  const positions = () => ({ accepted: 0, sent: 0, played: 0, samplesPerMs: 8 });
  const ledger = new Ledger(
    { positions, cutAt: () => {} },
    { sendText: () => {} },
    { marksWait: () => {}, endLive: () => {}, progress: () => {} },
  );
  const state = {
    room: true,
    queuedMs: 0,
    queued: [] as string[],
    closed: [] as PlaybackEntry[],
    blocked: [] as number[],
    idle: false,
  };
  const feed = new Feed({
    queueMaxMs: 600_000,
    readAheadMs: 10_000,
    queuedMs: () => state.queuedMs,
    enqueue: (_playback, samples) => void state.queued.push(`pcm ${samples.length}`),
    close: playback => void state.closed.push(playback),
    failed: error => assert.fail(error),
    blocked: ms => void state.blocked.push(ms),
    idle: () => {
      state.idle = true;
    },
  });
  const file = (name: string, bytes = 1000): PlaybackEntry => {
    const playback = ledger.open();
    const queueFile = (): void => {
      if (!state.room) throw queueFull(1000, 600_000, 600_000);
      state.queued.push(name);
    };
    feed.addWhole('playFile', playback, queueFile, 1000, bytes);
    return playback;
  };
  return { feed, ledger, state, file };
}

/** A source that gives nothing until it is ended. */
function pending() {
  let end = (): void => {};
  const ended = new Promise<IteratorResult<Int16Array>>(resolve => {
    end = () => resolve({ done: true, value: undefined });
  });
  return { source: { next: () => ended }, end: () => end() };
}

test('a file waits for the source before it, then for room, and is queued once', async () => {
  const { feed, ledger, state, file } = feeding();
  const { source, end } = pending();
  const sourcePlayback = ledger.open();
  feed.add(sourcePlayback, source, { sampleRate: 8000, liveLatencyMaxMs: 0, idleMaxMs: 3000 });
  const filePlayback = file('file');
  feed.addPcm(ledger.open(), new Int16Array(80), 8000, 0);
  assert.deepEqual(state.queued, []);
  assert.equal(feed.waitingMs, 1010);

  state.room = false;
  end();
  await new Promise(resolve => setImmediate(resolve));
  assert.deepEqual(state.closed, [sourcePlayback]);
  assert.deepEqual(state.queued, []);
  assert.equal(feed.waitingMs, 1010);

  state.room = true;
  feed.pump();
  assert.deepEqual(state.queued, ['file', 'pcm 80']);
  assert.equal(state.closed[1], filePlayback);
  assert.equal(feed.waitingMs, 0);
  assert.ok(state.idle);
});

test('files of too many bytes behind a source are refused in bytes, not in milliseconds', () => {
  const { feed, ledger, state, file } = feeding();
  feed.add(ledger.open(), pending().source, { sampleRate: 8000, liveLatencyMaxMs: 0, idleMaxMs: 3000 });
  file('first', 10e6);
  file('second', 10e6);
  assert.throws(() => file('third', 10e6), {
    code: 'SIDETONE_QUEUE_FULL',
    message:
      'playFile: 10000000 bytes do not fit behind the 20000000 bytes that wait for a source to end ' +
      '(24000000 at most): await their playbacks first',
  });
  assert.equal(feed.drop(), 2000);
  assert.deepEqual(state.queued, []);
});

test('a source that gives nothing is told of once, and only while something waits behind it', async () => {
  const { feed, ledger, state, file } = feeding();
  const { source, end } = pending();
  feed.add(ledger.open(), source, { sampleRate: 8000, liveLatencyMaxMs: 0, idleMaxMs: 3000 });
  for (let ms = 0; ms <= 10_000; ms += 500) feed.sweep(ms);
  assert.deepEqual(state.blocked, []);
  const behind = file('behind');
  for (let ms = 10_500; ms <= 13_000; ms += 500) feed.sweep(ms);
  assert.deepEqual(state.blocked, []);
  for (let ms = 13_500; ms <= 30_000; ms += 500) feed.sweep(ms);
  assert.deepEqual(state.blocked, [3000]);
  end();
  await new Promise(resolve => setImmediate(resolve));
  assert.deepEqual(state.queued, ['behind']);
  feed.pump();
  assert.equal(state.closed.at(-1), behind);
});

test('one that is removed lets those behind it go on, whatever its source still gives', async () => {
  const { feed, ledger, state, file } = feeding();
  const { source, end } = pending();
  const first = ledger.open();
  feed.add(first, source, { sampleRate: 8000, liveLatencyMaxMs: 0, idleMaxMs: 3000 });
  file('behind');
  const last = ledger.open();
  feed.addPcm(last, new Int16Array(80), 8000, 0);
  assert.equal(feed.remove(last), 10);
  assert.equal(feed.remove(first), 0);
  feed.pump();
  assert.deepEqual(state.queued, ['behind']);
  end();
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(state.closed.includes(first), false);
  assert.ok(state.idle);
});
