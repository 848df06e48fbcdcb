/** The ring between two threads: what goes in comes out, in order and whole, whatever the lengths and the turns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageChannel, Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { attached, Outlet } from '../../src/isolation/outlet.js';
import { HEAD, Ring } from '../../src/isolation/ring.js';
import { propertyRuns } from '../helpers/runs.js';

const CELLS = 64;

function pair(): { writer: Ring; reader: Ring } {
  const writer = new Ring(CELLS);
  return { writer, reader: new Ring(writer.memory) };
}

function write(ring: Ring, id: number, bytes: Uint8Array): boolean {
  const cell = ring.begin(bytes.length);
  if (cell < 0) return false;
  const at = ring.head(cell);
  ring.words[at + HEAD.type] = 1;
  ring.words[at + HEAD.id] = id;
  ring.words[at + HEAD.bytes] = bytes.length;
  ring.doubles[ring.figures(cell)] = id / 3;
  ring.doubles[ring.figures(cell) + 3] = -id;
  ring.putBytes(cell, bytes);
  ring.commit();
  return true;
}

interface Read {
  id: number;
  a: number;
  d: number;
  bytes: Uint8Array;
}

function read(ring: Ring): Read | undefined {
  const cell = ring.take();
  if (cell < 0) return undefined;
  const at = ring.head(cell);
  const found = {
    id: ring.words[at + HEAD.id]!,
    a: ring.doubles[ring.figures(cell)]!,
    d: ring.doubles[ring.figures(cell) + 3]!,
    bytes: ring.copyBytes(cell, ring.words[at + HEAD.bytes]!),
  };
  ring.release();
  return found;
}

const filled = (id: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (id * 31 + i) & 0xff);

test('what is written is read, in order and whole; what does not fit is refused whole', () => {
  const turn = fc.oneof(
    fc.record({ kind: fc.constant('write' as const), bytes: fc.integer({ min: 0, max: 8000 }) }),
    fc.record({ kind: fc.constant('read' as const), bytes: fc.constant(0) }),
  );
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 400 }), turns => {
      const { writer, reader } = pair();
      const waiting: number[][] = [];
      let id = 0;
      const readOne = (): void => {
        const found = read(reader);
        const wanted = waiting.shift();
        if (wanted === undefined) {
          assert.equal(found, undefined);
          return;
        }
        const [wantedId, length] = wanted as [number, number];
        assert.ok(found, 'a record that was written');
        assert.equal(found.id, wantedId);
        assert.equal(found.a, wantedId / 3);
        assert.equal(found.d, -wantedId);
        assert.deepEqual(found.bytes, filled(wantedId, length));
      };
      for (const { kind, bytes } of turns) {
        if (kind === 'read') readOne();
        else if (write(writer, ++id, filled(id, bytes))) waiting.push([id, bytes]);
        else assert.ok(waiting.length > 0, 'an empty ring takes every record that is not too long');
        assert.equal(reader.empty, waiting.length === 0);
      }
      while (waiting.length > 0) readOne();
      assert.equal(read(reader), undefined);
    }),
    { numRuns: propertyRuns(300) },
  );
});

test('a full ring refuses, keeps what it has, and takes more once some was read', () => {
  const { writer, reader } = pair();
  let written = 0;
  while (write(writer, written + 1, filled(written + 1, 900))) written++;
  assert.equal(written, CELLS - 1);
  assert.equal(writer.free, 0);
  assert.equal(read(reader)!.id, 1);
  assert.ok(write(writer, written + 1, filled(written + 1, 900)));
  assert.ok(!write(writer, 0, filled(0, 0)));
  for (let id = 2; id <= written + 1; id++) assert.equal(read(reader)!.id, id);
});

test('a share that is kept free is free for those who do not keep it', () => {
  const { writer } = pair();
  while (writer.begin(0, 1 / 4) >= 0) writer.commit();
  assert.ok(writer.free >= CELLS / 4 && writer.free <= CELLS / 4 + 1, String(writer.free));
  assert.ok(writer.begin(0) >= 0);
});

test('samples come out as they went in, and a view of one cell and length is made once', () => {
  const { writer, reader } = pair();
  const samples = Int16Array.from({ length: 160 }, (_, i) => i * 100 - 8000);
  const views = new Set<Int16Array>();
  for (let round = 0; round < 3 * CELLS; round++) {
    const cell = writer.begin(samples.byteLength);
    writer.words[writer.head(cell) + HEAD.type] = 1;
    writer.putSamples(cell, samples);
    writer.commit();
    const at = reader.take();
    assert.deepEqual(reader.samples(at, 160), samples);
    views.add(reader.samples(at, 160));
    reader.release();
  }
  assert.equal(views.size, CELLS);
});

test('what is attached comes with its record, also where the record had to wait', () => {
  const { writer, reader } = pair();
  const { port1, port2 } = new MessageChannel();
  const later: (() => boolean)[] = [];
  const outlet = new Outlet(writer, port1, again => later.push(again));
  const values = Array.from({ length: CELLS + 10 }, (_, i) => ({ at: new Date(i), list: [i] }));
  for (const [i, value] of values.entries()) {
    outlet.attach(2, 7, value, { id: i });
    // What happens to it afterwards is not told.
    value.list.push(-1);
  }
  assert.equal(later.length, values.length - (CELLS - 1));
  for (let i = 0; i < values.length; i++) {
    const cell = reader.take();
    assert.ok(cell >= 0);
    assert.equal(reader.words[reader.head(cell) + HEAD.id], i);
    assert.deepEqual(attached(port2), { at: new Date(i), list: [i] });
    reader.release();
    if (later.length > 0) assert.ok(later.shift()!());
  }
  port1.close();
});

test('two threads at once: 5,000 records of all lengths arrive in order', async () => {
  const records = 5000;
  const ring = new Ring(CELLS);
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    (async () => {
      const { HEAD, Ring } = await import(workerData.module);
      const ring = new Ring(workerData.memory);
      for (let id = 1; id <= workerData.records; id++) {
        const length = (id * 7919) % 2000;
        let cell;
        while ((cell = ring.begin(length)) < 0) ring.waitForReader(50);
        const at = ring.head(cell);
        ring.words[at + HEAD.type] = 1;
        ring.words[at + HEAD.id] = id;
        ring.words[at + HEAD.bytes] = length;
        ring.putBytes(cell, new Uint8Array(length).fill(id & 0xff));
        ring.commit();
      }
    })();`;
  const module = new URL('../../src/isolation/ring.js', import.meta.url).href;
  const worker = new Worker(code, { eval: true, workerData: { module, memory: ring.memory, records } });
  const failed = new Promise<never>((_, reject) => worker.once('error', reject));
  let id = 0;
  while (id < records) {
    const found = read(ring);
    if (!found) {
      await Promise.race([failed, new Promise(resolve => setImmediate(resolve))]);
      continue;
    }
    assert.equal(found.id, ++id);
    assert.equal(found.bytes.length, (id * 7919) % 2000);
    assert.ok(found.bytes.every(byte => byte === (id & 0xff)));
  }
  await worker.terminate();
});
