/** What stands around the mixing: recordings, who hears of joins and leaves, memory that comes later, threads that end. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { engineConferences } from '../../src/conference/conferences.js';
import { type RoomMemory, RoomRegistry } from '../../src/conference/registry.js';
import { type Call, readWav } from '../../src/index.js';
import { indexOf, VirtualHouse } from '../helpers/conference.js';

/** A call that says this level on L16 until it is hung up. */
function level(house: VirtualHouse, value: number, reactor = 0, options: object = {}) {
  const samples = new Int16Array(320).fill(value);
  const spoken = house.simulator.speech({ samples, sampleRate: 8000 }, { encoding: 'L16', sampleRate: 8000 });
  return house.call({ ...spoken, idle: spoken.inbound[0]!, ...options }, reactor);
}

/** The level that a caller hears now. */
const hears = (house: VirtualHouse, call: Call): number | undefined => {
  const before = call.soFar().heard.length;
  house.advance(200);
  const { heard } = call.soFar();
  if (heard.length === before) return undefined;
  return new Int16Array(new Uint8Array(heard.at(-1)!.payload).buffer)[0];
};

test('one recording has everybody of all threads, at its own rate, and the silence between', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'sidetone-room-'));
  const house = new VirtualHouse(2);
  const room = house.conference('recorded');
  const file = join(directory, 'room.wav');
  const recording = room.record(file, { sampleRate: 16000 });
  assert.throws(() => room.record(file), { message: /is being recorded already/ });
  const a = level(house, 1000);
  const b = level(house, 2000, 1);
  const one = room.join(a.stream);
  const two = house.conference('recorded', 1).join(b.stream);
  house.advance(1000);
  one.mute();
  house.advance(1000);
  two.mute();
  house.advance(1000);
  one.unmute();
  house.advance(1000);
  assert.equal(recording.closed, false);
  await recording.close();
  const { channels, sampleRate } = await readWav(file);
  assert.equal(sampleRate, 16000);
  const pcm = channels[0]!;
  assert.ok(Math.abs(pcm.length / 16000 - 4) < 0.1, `${pcm.length / 16000} s`);
  const at = (seconds: number): number => pcm[Math.round(seconds * 16000)]!;
  for (const [seconds, expected] of [
    [0.8, 3000],
    [1.8, 2000],
    [2.8, 0],
    [3.8, 1000],
  ] as const) {
    assert.ok(Math.abs(at(seconds) - expected) < 5, `${at(seconds)} after ${seconds} s, not ${expected}`);
  }
  // Another may follow, and ends with the last participant.
  const pieces: { at: number; level: number; length: number }[] = [];
  const next = room.record((samples, at) => pieces.push({ at, level: samples[0]!, length: samples.length }), {
    sampleRate: 8000,
  });
  house.advance(1000);
  a.call.hangup();
  house.advance(500);
  assert.equal(next.closed, false, 'one is there in another thread');
  two.leave();
  house.advance(500);
  assert.equal(next.closed, true);
  assert.ok(pieces.length >= 4);
  assert.deepEqual([pieces[0]!.at, pieces[0]!.level], [0, 1000]);
  assert.equal(pieces[1]!.at, pieces[0]!.length);
  assert.equal(house.registry.size, 0);
  await house.close();
  rmSync(directory, { recursive: true });
});

test('joins and leaves are told in their thread, the size in all of them', async () => {
  const house = new VirtualHouse(2);
  const rooms = [0, 1].map(reactor => house.conference('told', reactor));
  const told: string[] = [];
  for (const [reactor, room] of rooms.entries()) {
    room.onJoin(({ stream }) => told.push(`${reactor} join ${stream === a.stream ? 'a' : 'b'}`));
    room.onLeave(({ stream, left }) =>
      told.push(`${reactor} leave ${stream === a.stream ? 'a' : 'b'} ${left}`),
    );
    room.onSize(size => told.push(`${reactor} size ${size}`));
  }
  const a = level(house, 1);
  const b = level(house, 2, 1);
  rooms[0]!.join(a.stream);
  house.advance(200);
  rooms[1]!.join(b.stream);
  house.advance(200);
  assert.deepEqual([rooms[0]!.size, rooms[1]!.size], [2, 2]);
  assert.equal(rooms[0]!.participants.length, 1);
  b.call.hangup();
  house.advance(200);
  assert.deepEqual(told.sort(), [
    '0 join a',
    '0 size 1',
    '0 size 1',
    '0 size 2',
    '1 join b',
    '1 leave b true',
    '1 size 2',
  ]);
  assert.equal(house.conference('told'), rooms[0], 'one object as long as somebody holds it');
  await house.close();
});

test('a listener that throws ends its own call, and no leave', async () => {
  const house = new VirtualHouse();
  const room = house.conference('bad');
  room.onLeave(() => {
    throw new Error('as planned');
  });
  const a = level(house, 1);
  room.join(a.stream);
  a.call.hangup();
  assert.equal(room.participants.length, 0);
  assert.equal(house.registry.size, 0);
  await house.close();
});

test('memory that comes later: who has joined is heard then, who has left is not, who is too many is told', async () => {
  const house = new VirtualHouse();
  const registry = new RoomRegistry();
  const waiting: (() => void)[] = [];
  const conferences = engineConferences(1, {
    open(name, shape, ready: (room: RoomMemory) => void) {
      let isWanted = true;
      waiting.push(() => isWanted && ready(registry.open(name, shape, 1)));
      return () => {
        isWanted = false;
        registry.close(name, 1);
      };
    },
  });
  const room = conferences.get('late', { participantsMax: 2 });
  const errors: unknown[] = [];
  const calls = [1000, 2000, 3000, 4000].map(value => level(house, value));
  const full = house.call({}, 0, {
    onStart: () => ({ onError: error => errors.push(error) }),
  });
  const gone = room.join(calls[0]!.stream);
  const b = room.join(calls[1]!.stream);
  b.mute();
  const c = room.join(calls[2]!.stream);
  const tooMany = room.join(full.stream);
  gone.leave();
  assert.equal(room.size, 3);
  house.advance(200);
  for (const ready of waiting) ready();
  assert.equal(room.size, 2);
  assert.deepEqual([gone.left, b.left, c.left, tooMany.left], [true, false, false, true]);
  assert.equal((errors[0] as { code: string }).code, 'SIDETONE_CONFERENCE_FULL');
  house.advance(200);
  assert.deepEqual(
    calls.map(({ call }) => hears(house, call)),
    [undefined, 3000, undefined, undefined],
  );
  c.leave();
  b.leave();
  assert.equal(registry.size, 0);
  await house.close();
});

test('a thread that ends leaves its seats to others, and is silent for them', async () => {
  const house = new VirtualHouse(2);
  const a = level(house, 1000);
  const b = level(house, 2000, 1);
  const room = house.conference('ends', 0, { participantsMax: 2 });
  room.join(a.stream);
  const lost = house.conference('ends', 1).join(b.stream);
  house.advance(300);
  assert.equal(hears(house, a.call), 2000);
  const c = level(house, 4000);
  assert.throws(() => room.join(c.stream), { code: 'SIDETONE_CONFERENCE_FULL' });
  // It says nothing any more, and gives nothing back.
  lost.mute();
  house.registry.ended(1);
  assert.equal(room.size, 1);
  room.join(c.stream);
  house.advance(300);
  assert.equal(hears(house, a.call), 4000);
  a.call.hangup();
  c.call.hangup();
  assert.equal(house.registry.size, 0);
  await house.close();
});

test('who joins gets the rest of a sound from there on', async () => {
  const house = new VirtualHouse();
  const a = level(house, 1000);
  const b = level(house, 2000);
  const room = house.conference('later');
  room.join(a.stream);
  house.advance(1000);
  assert.equal(hears(house, a.call), undefined);
  room.join(b.stream);
  house.advance(200);
  assert.equal(hears(house, a.call), 2000);
  assert.ok(indexOf(house.heard(b.call), new Int16Array(1600).fill(1000)) >= 0);
  await house.close();
});
