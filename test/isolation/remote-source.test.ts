/** A source in a plugin's thread, as the feed of its stream reads it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RemoteSource } from '../../src/isolation/remote-source.js';

test('a piece that comes for a waiting reader counts as waiting until it is read', async () => {
  let pulls = 0;
  let stops = 0;
  const source = new RemoteSource({ pull: () => pulls++, stop: () => stops++ }, 8000);
  const step = source.next();
  assert.equal(pulls, 1);
  source.push(new Int16Array(4000));
  source.push(new Int16Array(800));
  // A cancel() in the same turn of the event loop asks for it.
  assert.equal(source.waitingMs, 600);
  assert.equal((await step).value!.length, 0);
  const lengths: number[] = [];
  for (let i = 0; i < 2; i++) lengths.push((await source.next()).value!.length);
  assert.deepEqual(lengths, [4000, 800]);
  assert.equal(source.waitingMs, 0);
  const last = source.next();
  source.end();
  assert.equal((await last).done, true);
  assert.deepEqual([pulls, stops], [2, 0]);
});

test('after a cancel nothing is read, and the thread is told once', async () => {
  let stops = 0;
  const source = new RemoteSource({ pull: () => {}, stop: () => stops++ }, 8000);
  source.push(new Int16Array(4000));
  await source.return();
  await source.return();
  source.push(new Int16Array(4000));
  assert.equal(source.waitingMs, 0);
  assert.equal((await source.next()).done, true);
  assert.equal(stops, 1);
});
