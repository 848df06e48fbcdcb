import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { words } from '../helpers/dsp.js';
import { fastest, kernels } from '../helpers/kernels.js';
import { mediaMessage, mutated, referenceScan, strictBase64 } from '../helpers/media-messages.js';
import { haveVectors, vector } from '../helpers/paths.js';
import { propertyRuns } from '../helpers/runs.js';

// How many cases each property gets. A few seconds by default; SIDETONE_PROPERTY_RUNS=200000 for a long look.
const numRuns = propertyRuns(2000);

const GUARD = 0xa5;

/** Runs `write` on an output of exactly `length` bytes in the middle of a larger block, which must stay as it was. */
function guarded(length: number, write: (out: Uint8Array) => number): { result: number; out: Uint8Array } {
  const block = new Uint8Array(length + 64).fill(GUARD);
  const out = block.subarray(32, 32 + length);
  const result = write(out);
  assert.ok(
    block.every((byte, i) => (i >= 32 && i < 32 + length) || byte === GUARD),
    'wrote outside of its output',
  );
  return { result, out };
}

const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const encodedLength = (bytes: number): number => Math.ceil(bytes / 3) * 4;
const decodedCapacity = (chars: number): number => Math.floor(chars / 4) * 3;

/** What Buffer makes of text that the strict rule accepts; undefined for all other text. */
function strictDecode(text: string): Buffer | undefined {
  return strictBase64(text) ? Buffer.from(text, 'base64') : undefined;
}

for (const [name, kernel] of Object.entries(kernels.base64)) {
  const decode = (text: string): Buffer | undefined => {
    const { result, out } = guarded(decodedCapacity(text.length), out => kernel.decode(ascii(text), out));
    return result === -1 ? undefined : Buffer.from(out.subarray(0, result));
  };

  describe(`base64, ${name}`, () => {
    test('agrees with Buffer on all bytes', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 700, size: 'max' }), bytes => {
          const expected = Buffer.from(bytes).toString('base64');
          const { result, out } = guarded(encodedLength(bytes.length), out => kernel.encode(bytes, out));
          assert.equal(result, expected.length);
          assert.equal(Buffer.from(out).toString('latin1'), expected);
          assert.deepEqual(decode(expected), Buffer.from(bytes));
        }),
        { numRuns },
      );
    });

    test('refuses exactly what the documented rule refuses', () => {
      const base64 = fc
        .uint8Array({ maxLength: 300, size: 'max' })
        .map(bytes => Buffer.from(bytes).toString('base64'));
      const urlSafe = base64.map(text => text.replaceAll('+', '-').replaceAll('/', '_'));
      const unpadded = base64.map(text => text.replaceAll('=', ''));
      const byte = fc.integer({ min: 0, max: 255 }).map(code => String.fromCharCode(code));
      const special = fc.constantFrom('=', '==', ' ', '\n', '\0', '-', '_', '+', '/', '"', '\\', 'A', '====');
      const spoiled = fc
        .tuple(base64, fc.nat(), fc.nat({ max: 2 }), fc.oneof(byte, special))
        .map(([text, at, removed, put]) => {
          const index = at % (text.length + 1);
          return text.slice(0, index) + put + text.slice(index + removed);
        });
      fc.assert(
        fc.property(fc.oneof({ weight: 4, arbitrary: spoiled }, urlSafe, unpadded), text => {
          assert.deepEqual(decode(text), strictDecode(text));
        }),
        { numRuns },
      );
    });
  });
}

for (const law of ['ulaw', 'alaw'] as const) {
  for (const [name, kernel] of Object.entries(kernels[law])) {
    describe(`${law}, ${name}`, () => {
      test('is the ITU reference on all 65,536 samples and all 256 codes', { skip: !haveVectors }, () => {
        const wordsOf = (file: string): Int16Array => words(readFileSync(vector(`g711/${file}`)));
        const letter = law === 'ulaw' ? 'u' : 'a';
        const source = wordsOf('sweep.src');
        const codes = Uint8Array.from(wordsOf(`sweep-r.${letter}`), word => word & 0xff);
        assert.equal(new Set(source).size, 65536);
        assert.equal(new Set(codes).size, 256);

        const coded = new Uint8Array(source.length);
        assert.equal(kernel.encode(source, coded), source.length);
        assert.deepEqual(coded, codes);
        const pcm = new Int16Array(source.length);
        assert.equal(kernel.decode(codes, pcm), codes.length);
        assert.deepEqual(pcm, wordsOf(`sweep-r.${letter}-${letter}`));
      });

      test('gives the same for a block as for its samples one by one, and writes nothing else', () => {
        const scalar = kernels[law].scalar!;
        fc.assert(
          fc.property(fc.int16Array({ maxLength: 500, size: 'max' }), pcm => {
            const { out } = guarded(pcm.length, out => kernel.encode(pcm, out));
            const one = new Uint8Array(1);
            for (let i = 0; i < pcm.length; i++) {
              scalar.encode(pcm.subarray(i, i + 1), one);
              assert.equal(out[i], one[0]);
            }
            const decoded = new Int16Array(pcm.length + 32).fill(0x5a5a);
            kernel.decode(out, decoded.subarray(16, 16 + pcm.length));
            const expected = new Int16Array(pcm.length + 32).fill(0x5a5a);
            scalar.decode(out, expected.subarray(16, 16 + pcm.length));
            assert.deepEqual(decoded, expected);
          }),
          { numRuns: Math.min(numRuns, 2000) },
        );
      });
    });
  }
}

describe('scanMedia', () => {
  const decoder = fastest(kernels.base64);

  /** The scanner as a stream uses it: what base64 refuses, the JSON parser judges. */
  function scan(text: Uint8Array) {
    const found = kernels.scanMedia(text);
    if (found === null) return null;
    const chars = text.subarray(found.payload.offset, found.payload.offset + found.payload.length);
    if (decoder.decode(chars, new Uint8Array(decodedCapacity(chars.length))) === -1) return null;
    return { ...found, payload: Buffer.from(chars).toString('latin1') };
  }

  test('accepts every media message in any order of keys, with any white space', () => {
    fc.assert(
      fc.property(mediaMessage, ({ text, fields }) => {
        assert.deepEqual(scan(Buffer.from(text)), fields);
        assert.deepEqual(referenceScan(Buffer.from(text)), fields);
      }),
      { numRuns },
    );
  });

  test('accepts nothing that JSON.parse and a strict validator would refuse or read otherwise', () => {
    let accepted = 0;
    let cases = 0;
    fc.assert(
      fc.property(mutated(mediaMessage), text => {
        const found = scan(text);
        cases++;
        if (found === null) return;
        accepted++;
        assert.deepEqual(found, referenceScan(text));
      }),
      { numRuns },
    );
    // The property says something only as long as many mutants are accepted and many are not.
    assert.ok(accepted > cases / 50, `${accepted} of ${cases} mutants were accepted`);
    assert.ok(accepted < cases * 0.9, `${accepted} of ${cases} mutants were accepted`);
  });

  test("accepts the specification's own example", () => {
    const payload = 'no+JhoaJjpzSHxAKBgYJDhtEopGKh4aIjZm7JhILBwYIDRg1qZSLh4aIjJev';
    const text = JSON.stringify(
      {
        event: 'media',
        sequence_number: '4',
        stream_id: '32DE0DEA-53CB-4B21-89A4-9E1819C043BC',
        media: { track: 'inbound', chunk: '2', timestamp: '5', payload },
      },
      null,
      2,
    );
    assert.deepEqual(scan(Buffer.from(text)), {
      track: 'inbound',
      sequence: 4,
      chunk: 2,
      timestamp: 5,
      streamId: '32DE0DEA-53CB-4B21-89A4-9E1819C043BC',
      payload,
    });
  });
});

test('writeMedia writes what JSON.stringify would', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700, size: 'max' }), payload => {
      const expected = JSON.stringify({
        event: 'media',
        media: { payload: Buffer.from(payload).toString('base64') },
      });
      const { result, out } = guarded(expected.length, out => kernels.writeMedia(payload, out));
      assert.equal(result, expected.length);
      assert.equal(Buffer.from(out).toString('latin1'), expected);
    }),
    { numRuns },
  );
});

test('ulawFromMedia is scanMedia, base64 and µ-law in one', () => {
  fc.assert(
    fc.property(mediaMessage, ({ text, fields }) => {
      const payload = Buffer.from(fields.payload, 'base64');
      const expected = new Int16Array(payload.length);
      kernels.ulaw.scalar!.decode(payload, expected);
      const pcm = new Int16Array(payload.length);
      assert.equal(kernels.ulawFromMedia(Buffer.from(text), pcm), payload.length);
      assert.deepEqual(pcm, expected);
    }),
    { numRuns: Math.min(numRuns, 500) },
  );
  assert.equal(kernels.ulawFromMedia(Buffer.from('{}'), new Int16Array(0)), -1);
});

test('wrong arguments throw a TypeError and touch nothing', () => {
  const bytes = new Uint8Array(30);
  const pcm = new Int16Array(30);
  const base64 = fastest(kernels.base64);
  const ulaw = fastest(kernels.ulaw);
  // biome-ignore lint/suspicious/noExplicitAny: wrong types are the point
  const any = (value: unknown): any => value;
  const wrong: (() => unknown)[] = [
    () => base64.encode(any('text'), bytes),
    () => base64.encode(bytes, any(undefined)),
    () => base64.encode(bytes, new Uint8Array(39)),
    () => base64.decode(bytes, new Uint8Array(20)),
    () => base64.decode(any(pcm), bytes),
    () => base64.decode(any(null), bytes),
    () => ulaw.encode(any(bytes), bytes),
    () => ulaw.encode(pcm, any(pcm)),
    () => ulaw.encode(pcm, new Uint8Array(29)),
    () => ulaw.decode(bytes, any(bytes)),
    () => ulaw.decode(bytes, new Int16Array(29)),
    () => kernels.scanMedia(any('{}')),
    () => kernels.scanMedia(any(new ArrayBuffer(8))),
    () => kernels.scanMedia(any(undefined)),
    () => kernels.writeMedia(bytes, new Uint8Array(79)),
    () => kernels.writeMedia(any([]), bytes),
    () => kernels.ulawFromMedia(bytes, any(bytes)),
  ];
  for (const call of wrong) assert.throws(call, TypeError, String(call));
});
