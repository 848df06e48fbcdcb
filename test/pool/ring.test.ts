import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { RECORD_BYTES_MAX, RingReader, RingWriter, ringBuffer, SLOT_BYTES } from '../../src/pool/ring.js';

describe('ring', () => {
  test('every record comes out in order, or is refused because the ring is full', () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ bytes: fc.integer({ min: 0, max: 3000 }), reserve: fc.nat(20) }) },
      {
        weight: 1,
        arbitrary: fc.record({ bytes: fc.integer({ min: 0, max: RECORD_BYTES_MAX }), reserve: fc.nat(20) }),
      },
      { weight: 3, arbitrary: fc.constant('read' as const) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), steps => {
        const buffer = ringBuffer(64);
        const writer = new RingWriter(buffer);
        const reader = new RingReader(buffer);
        const model: { stream: number; data: Uint8Array }[] = [];
        const readOne = () => {
          const want = model.shift();
          assert.equal(reader.next(), want !== undefined);
          if (!want) return;
          assert.equal(reader.stream, want.stream);
          assert.equal(reader.value, 1000 - want.stream);
          assert.equal(reader.kind, 1 + (want.stream % 5));
          assert.deepEqual(reader.payload(), want.data);
          if (want.data.length % 2 === 0) {
            assert.deepEqual(reader.samples(), new Int16Array(want.data.slice().buffer));
          }
        };
        steps.forEach((action, i) => {
          if (action === 'read') {
            readOne();
            return;
          }
          const data = Uint8Array.from({ length: action.bytes }, (_, at) => (i * 7 + at) & 255);
          const free = writer.freeSlots;
          const slots = Math.ceil((16 + action.bytes) / SLOT_BYTES);
          if (writer.write(1 + (i % 5), i, 1000 - i, data, action.reserve)) {
            model.push({ stream: i, data });
            assert.ok(writer.freeSlots >= action.reserve);
          } else {
            // A record lies in one piece, so the end of the ring may be skipped for it.
            assert.ok(free < 2 * slots - 1 + action.reserve);
            assert.equal(writer.freeSlots, free);
          }
        });
        while (model.length > 0) readOne();
        readOne();
        assert.equal(writer.freeSlots, 64);
      }),
      { numRuns: 300 },
    );
  });

  test('counters wrap around 2^31', () => {
    const buffer = ringBuffer(64);
    const control = new Int32Array(buffer);
    control[0] = 0x7ffffffc;
    control[16] = 0x7ffffffc;
    const writer = new RingWriter(buffer);
    const reader = new RingReader(buffer);
    for (let i = 0; i < 20; i++) {
      assert.ok(writer.write(1, i, 0, Uint8Array.of(i)));
      assert.equal(writer.freeSlots, 63);
      assert.ok(reader.next());
      assert.deepEqual([...reader.payload()], [i]);
    }
    assert.ok(control[0]! < 0);
  });

  test('two threads: a hundred thousand records arrive whole and in order', async () => {
    const buffer = ringBuffer(256);
    const ring = new URL('../../src/pool/ring.js', import.meta.url).href;
    const body = `
      import { workerData } from 'node:worker_threads';
      const { RingWriter } = await import(${JSON.stringify(ring)});
      const writer = new RingWriter(workerData);
      const data = new Uint8Array(1400);
      for (let i = 0; i < 100000; i++) {
        const bytes = 1 + (i * 37) % 1400;
        data.fill(i & 255, 0, bytes);
        while (!writer.write(1, i, 0, data.subarray(0, bytes)));
      }
    `;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(body)}`), {
      workerData: buffer,
    });
    // It may end before the last record is read.
    const ended = once(worker, 'exit');
    const reader = new RingReader(buffer);
    let expected = 0;
    while (expected < 100000) {
      if (!reader.next()) {
        await new Promise(resolve => setImmediate(resolve));
        continue;
      }
      assert.equal(reader.stream, expected);
      assert.equal(reader.bytes, 1 + ((expected * 37) % 1400));
      const payload = reader.payload();
      assert.ok(payload[0] === (expected & 255) && payload[reader.bytes - 1] === (expected & 255));
      expected++;
    }
    assert.deepEqual(await ended, [0]);
  });
});
