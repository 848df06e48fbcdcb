import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { AmrWbPayloadDecoder, AmrWbPayloadEncoder } from '../../src/codecs/amrwb.js';
import { haveVectors, vector } from '../helpers/paths.js';
import { rms, speechLike } from '../helpers/speech.js';

const haveLibraries = (() => {
  try {
    new AmrWbPayloadDecoder().close();
    new AmrWbPayloadEncoder().close();
    return true;
  } catch {
    return false;
  }
})();

const FRAME_BYTES = [17, 23, 32, 36, 40, 46, 50, 58, 60, 5, 0, 0, 0, 0, 0, 0];
const FRAME_BITS = [132, 177, 253, 285, 317, 365, 397, 461, 477, 40, 0, 0, 0, 0, 0, 0];

/** Frames of a storage file (RFC 4867 section 5.3): a header byte and the speech bytes. */
function* storageFrames(name: string): Generator<Buffer> {
  const bytes = readFileSync(vector(`amrwb/ts26173/mime/${name}.awb`));
  for (let at = '#!AMR-WB\n'.length; at < bytes.length; ) {
    const length = 1 + FRAME_BYTES[(bytes[at]! >> 3) & 15]!;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

const octetAligned = (frames: Uint8Array[]): Uint8Array =>
  Buffer.concat([
    Uint8Array.of(0xf0),
    Uint8Array.from(frames, (frame, i) => frame[0]! | (i + 1 < frames.length ? 0x80 : 0)),
    ...frames.map(frame => frame.subarray(1)),
  ]);

/** Written as the RFC reads, in a string of bits. */
function bandwidthEfficient(frames: Uint8Array[]): Uint8Array {
  let bits = '1111';
  frames.forEach((frame, i) => {
    const header = frame[0]!.toString(2).padStart(8, '0');
    bits += (i + 1 < frames.length ? '1' : '0') + header.slice(1, 6);
  });
  for (const frame of frames) {
    const all = [...frame.subarray(1)].map(byte => byte.toString(2).padStart(8, '0')).join('');
    bits += all.slice(0, FRAME_BITS[(frame[0]! >> 3) & 15]);
  }
  const bytes = bits.match(/.{1,8}/g) ?? [];
  return Uint8Array.from(bytes, byte => Number.parseInt(byte.padEnd(8, '0'), 2));
}

function samplesOf(name: string): Int16Array {
  const bytes = readFileSync(vector(`amrwb/ts26173/${name}`));
  return new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

function decodeAll(decoder: AmrWbPayloadDecoder, payloads: Iterable<Uint8Array>): Int16Array {
  const pcm: number[] = [];
  for (const payload of payloads) pcm.push(...decoder.decode(payload));
  return Int16Array.from(pcm);
}

describe('AMR-WB conforms (3GPP TS 26.173)', { skip: !haveVectors || !haveLibraries }, () => {
  for (const mode of ['0', '1', '3', '4', '6', '7', '8', 'd']) {
    const want = () => samplesOf(`tst_m${mode}.out`);
    for (const [form, pack] of [
      ['octet-aligned', octetAligned],
      ['bandwidth-efficient', bandwidthEfficient],
    ] as const) {
      test(`m${mode} ${form}: decodes to the bit, one frame a payload and three, form found or told`, () => {
        const frames = [...storageFrames(`m${mode}`)];
        assert.ok(frames.length >= 200);
        const single = frames.map(frame => pack([frame]));
        const triple: Uint8Array[] = [];
        for (let i = 0; i < frames.length; i += 3) triple.push(pack(frames.slice(i, i + 3)));
        for (const payloads of [single, triple]) {
          for (const option of ['auto', form] as const) {
            const decoder = new AmrWbPayloadDecoder({ form: option });
            assert.deepEqual(decodeAll(decoder, payloads), want());
            decoder.close();
          }
        }
      });
    }
  }

  for (const [name, mode, dtx, input] of [
    ['m3', 3, false, 'tst'],
    ['m4', 4, false, 'tst'],
    ['m6', 6, false, 'tst'],
    ['m7', 7, false, 'tst'],
    ['md', 2, true, 'dtx'],
  ] as const) {
    test(`${name}: encodes to the bit in both forms`, () => {
      const pcm = samplesOf(`${input}.inp`);
      const frames = [...storageFrames(name)];
      for (const [form, pack] of [
        ['octet-aligned', octetAligned],
        ['bandwidth-efficient', bandwidthEfficient],
      ] as const) {
        const encoder = new AmrWbPayloadEncoder({ mode, dtx, form });
        frames.forEach((frame, i) => {
          const payload = encoder.encode(pcm.subarray(i * 320, i * 320 + 320));
          assert.deepEqual([...payload], [...pack([frame])], `frame ${i}`);
        });
        encoder.close();
      }
    });
  }
});

describe('AMR-WB streams', { skip: !haveLibraries }, () => {
  const pcm = speechLike(16000, 1);
  const payloadsOf = (encoder: AmrWbPayloadEncoder): Uint8Array[] => {
    const payloads: Uint8Array[] = [];
    for (let at = 0; at < pcm.length; at += 320)
      payloads.push(encoder.encode(pcm.subarray(at, at + 320)).slice());
    encoder.close();
    return payloads;
  };

  test('every mode survives the way there and back', () => {
    for (let mode = 0; mode <= 8; mode++) {
      const payloads = payloadsOf(new AmrWbPayloadEncoder({ mode }));
      assert.equal(payloads[0]!.length, Math.ceil((10 + FRAME_BITS[mode]!) / 8));
      const decoder = new AmrWbPayloadDecoder();
      const ratio = rms(decodeAll(decoder, payloads)) / rms(pcm);
      assert.ok(ratio > 0.8 && ratio < 1.2, `mode ${mode}: level changed by ${ratio}`);
      decoder.close();
    }
  });

  test('bad payloads are errors with a code; the decoder goes on and says how long a loss is', () => {
    const decoder = new AmrWbPayloadDecoder();
    const badPayload = { name: 'SidetoneError', code: 'SIDETONE_BAD_PAYLOAD' };
    const payloads = payloadsOf(new AmrWbPayloadEncoder());
    assert.equal(decoder.conceal().length, 320);
    for (const payload of payloads) {
      assert.throws(() => decoder.decode(new Uint8Array(0)), badPayload);
      assert.throws(() => decoder.decode(payload.subarray(0, 20)), badPayload);
      for (let mode = 10; mode <= 13; mode++) {
        const reserved = Buffer.concat([Uint8Array.of(0xf0, (mode << 3) | 4), new Uint8Array(32)]);
        const wrong = bandwidthEfficient([Uint8Array.of((mode << 3) | 4)]);
        assert.throws(() => decoder.decode(wrong), { ...badPayload, message: /reserved frame type/ });
        const octet = new AmrWbPayloadDecoder({ form: 'octet-aligned' });
        assert.throws(() => octet.decode(reserved), { ...badPayload, message: /reserved frame type/ });
        octet.close();
      }
      assert.equal(decoder.decode(payload).length, 320);
    }
    const lost = Array.from({ length: 20 }, () => rms(decoder.conceal()));
    assert.ok(lost[19]! < 100, 'a long loss fades');
    const two = octetAligned([Uint8Array.of((15 << 3) | 4), Uint8Array.of((14 << 3) | 4)]);
    assert.equal(decoder.decode(two).length, 640);
    assert.equal(decoder.conceal().length, 640);
    decoder.close();
  });

  test('a frame with Q=0 is concealed, not decoded', () => {
    const clean = new AmrWbPayloadDecoder({ form: 'octet-aligned' });
    const damaged = new AmrWbPayloadDecoder({ form: 'octet-aligned' });
    const payloads = payloadsOf(new AmrWbPayloadEncoder({ form: 'octet-aligned' }));
    payloads.forEach((payload, i) => {
      const want = clean.decode(payload).slice();
      const marked = payload.slice();
      // Half of the bits are wrong as well: nobody may hear them.
      if (i >= 15 && i < 25) marked.fill(0xaa, 2).fill(marked[1]! & ~4, 1, 2);
      const heard = damaged.decode(marked);
      if (i < 15) assert.deepEqual(heard, want);
      if (i >= 20 && i < 25) assert.ok(rms(heard) < rms(want) / 3);
    });
    clean.close();
    damaged.close();
  });

  test("the peer's mode request is reported", () => {
    const decoder = new AmrWbPayloadDecoder();
    assert.equal(decoder.modeRequest, undefined);
    const [payload] = payloadsOf(new AmrWbPayloadEncoder());
    decoder.decode(Uint8Array.from(payload!, (byte, i) => (i === 0 ? (byte & 0x0f) | 0x80 : byte)));
    assert.equal(decoder.modeRequest, 8);
    decoder.close();
  });

  test('random payloads give whole frames or SIDETONE_BAD_PAYLOAD', () => {
    const decoder = new AmrWbPayloadDecoder();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 130 }), payload => {
        try {
          const { length } = decoder.decode(payload);
          assert.ok(length > 0 && length % 320 === 0);
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'SIDETONE_BAD_PAYLOAD');
        }
      }),
      { numRuns: 3000 },
    );
    decoder.close();
  });

  test('wrong options and use after close are refused', () => {
    const refused = { code: 'SIDETONE_BAD_OPTION' };
    assert.throws(() => new AmrWbPayloadEncoder({ mode: 9 }), {
      ...refused,
      message: /AMR-WB mode: 9 is not allowed/,
    });
    assert.throws(() => new AmrWbPayloadEncoder({ form: 'auto' as never }), refused);
    assert.throws(() => new AmrWbPayloadDecoder({ form: 'interleaved' as never }), refused);
    const encoder = new AmrWbPayloadEncoder();
    const decoder = new AmrWbPayloadDecoder();
    assert.throws(() => encoder.encode(new Int16Array(160)), { code: 'SIDETONE_BAD_ARGUMENT' });
    assert.throws(() => decoder.decode('abc' as never), TypeError);
    for (const codec of [encoder, decoder]) {
      codec.close();
      codec.close();
    }
    assert.throws(() => encoder.encode(new Int16Array(320)), { code: 'SIDETONE_CODEC_CLOSED' });
    assert.throws(() => decoder.conceal(), { code: 'SIDETONE_CODEC_CLOSED' });
  });

  test('workers load, code and end, again and again', async () => {
    const library = new URL('../../src/codecs/amrwb.js', import.meta.url).href;
    const body = `
      const { AmrWbPayloadDecoder, AmrWbPayloadEncoder } = await import(${JSON.stringify(library)});
      const encoder = new AmrWbPayloadEncoder();
      const decoder = new AmrWbPayloadDecoder();
      for (let i = 0; i < 20; i++) decoder.decode(encoder.encode(new Int16Array(320).fill(i)));
      process.exit(7);  // with both codecs open
    `;
    for (let round = 0; round < 3; round++) {
      const codes = await Promise.all(
        [0, 1].map(() => {
          const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(body)}`));
          return new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject));
        }),
      );
      assert.deepEqual(codes, [7, 7]);
    }
  });
});

test('without the libraries AMR-WB says which packages to install, and OPUS works', t => {
  // In a mount namespace of its own, /dev/null lies over the libraries.
  const script = `
    const codecs = new URL('dist/src/codecs/', 'file://' + process.cwd() + '/');
    const { AmrWbPayloadDecoder, AmrWbPayloadEncoder } = await import(new URL('amrwb.js', codecs));
    const { OpusPayloadDecoder } = await import(new URL('opus.js', codecs));
    new OpusPayloadDecoder().close();
    for (const open of [() => new AmrWbPayloadDecoder(), () => new AmrWbPayloadEncoder()]) {
      try { open(); } catch (error) { console.log(error.name, error.code, error.message); }
    }
  `;
  const hidden = spawnSync(
    'unshare',
    [
      '-rm',
      'sh',
      '-c',
      'for f in /usr/lib/*/libopencore-amrwb.so.0 /usr/lib/*/libvo-amrwbenc.so.0; do ' +
        '[ -e "$f" ] && { mount --bind /dev/null "$f" || exit 99; }; done; exec "$0" --input-type=module -e "$1"',
      process.execPath,
      script,
    ],
    { encoding: 'utf8' },
  );
  if (hidden.error || hidden.status === 99 || /unshare/.test(hidden.stderr)) {
    t.skip('no mount namespace here');
    return;
  }
  assert.equal(hidden.status, 0, hidden.stderr);
  const lines = hidden.stdout.trim().split('\n');
  assert.equal(lines.length, 2, hidden.stdout);
  for (const line of lines) {
    assert.match(line, /^SidetoneError SIDETONE_CODEC_UNAVAILABLE .*libopencore-amrwb0 libvo-amrwbenc0/);
  }
});
