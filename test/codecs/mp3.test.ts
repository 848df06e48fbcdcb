import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { closeMp3, encodeMp3, mp3DurationMs } from '../../src/codecs/mp3.js';
import { SAMPLE_RATES } from '../../src/formats.js';
import { rms, speechLike } from '../helpers/speech.js';

after(() => closeMp3());

const haveFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;

/** Silent frames by hand, MPEG-2 Layer III at 16 kHz and 48 kbit/s: 576 samples, 216 bytes. */
function frames(count: number): Buffer {
  const frame = Buffer.alloc(216);
  frame.set([0xff, 0xf3, 0x68, 0xc4]);
  return Buffer.concat(Array(count).fill(frame));
}

/** An ID3v2.4 tag with `body` bytes. */
function id3(body: number): Buffer {
  const size = [body >> 21, body >> 14, body >> 7, body].map(part => part & 127);
  return Buffer.concat([Buffer.from([0x49, 0x44, 0x33, 4, 0, 0, ...size]), Buffer.alloc(body, 0xff)]);
}

describe('encodeMp3', () => {
  for (const rate of SAMPLE_RATES) {
    test(`${rate} Hz: a file of the right length, made the same again`, async () => {
      const pcm = speechLike(rate, 2.345);
      const file = await encodeMp3(pcm, rate);
      const durationMs = mp3DurationMs(file);
      assert.ok(durationMs >= 2345 && durationMs < 2345 + 350, `${durationMs} ms for 2345`);
      assert.deepEqual(await encodeMp3(pcm, rate), file);
    });
  }

  test('an independent decoder hears the same speech, and as long as is said', {
    skip: !haveFfmpeg,
  }, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'mp3-'));
    try {
      for (const [rate, bitrateKbps] of [
        [8000, 32],
        [16000, 48],
        [48000, 128],
      ] as const) {
        const pcm = speechLike(rate, 3);
        const name = join(dir, 'a.mp3');
        const file = await encodeMp3(pcm, rate, { bitrateKbps });
        writeFileSync(name, file);
        const args = ['-v', 'error', '-i', name, '-f', 's16le', '-'];
        const { stdout } = spawnSync('ffmpeg', args, { maxBuffer: 1 << 26 });
        const heard = new Int16Array(
          stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.length),
        );
        assert.ok(Math.abs((heard.length * 1000) / rate - mp3DurationMs(file)) < 0.01);
        const ratio = rms(heard) / rms(pcm);
        assert.ok(ratio > 0.85 && ratio < 1.1, `level changed by ${ratio}`);
        assert.ok(Math.abs((file.length * 8) / mp3DurationMs(file) - bitrateKbps) < 1);
      }
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  test('several at once come back each to its own caller', async () => {
    const jobs = Array.from({ length: 8 }, (_, i) => speechLike(16000, 0.3 + i / 10));
    const files = await Promise.all(jobs.map(pcm => encodeMp3(pcm, 16000)));
    for (const [i, pcm] of jobs.entries()) {
      assert.equal(pcm.length, 16000 * 0.3 + i * 1600, 'the caller keeps its samples');
      assert.deepEqual(await encodeMp3(pcm, 16000), files[i]);
    }
  });

  test('wrong options, no audio, too much and too many are refused', async () => {
    const pcm = new Int16Array(160);
    await assert.rejects(encodeMp3(pcm, 12345), { code: 'SIDETONE_BAD_OPTION', message: /12345/ });
    await assert.rejects(encodeMp3(pcm, 16000, { bitrateKbps: 50 }), { code: 'SIDETONE_BAD_OPTION' });
    await assert.rejects(encodeMp3(pcm, 8000, { bitrateKbps: 128 }), { code: 'SIDETONE_BAD_OPTION' });
    await assert.rejects(encodeMp3(new Int16Array(0), 8000), { code: 'SIDETONE_BAD_ARGUMENT' });
    await assert.rejects(encodeMp3(new Int16Array(8000 * 601), 8000), { code: 'SIDETONE_BAD_ARGUMENT' });
    const results = await Promise.allSettled(Array.from({ length: 33 }, () => encodeMp3(pcm, 8000)));
    const codes = results.map(result => (result.status === 'rejected' ? result.reason.code : 'fine'));
    assert.deepEqual(codes, [...Array(32).fill('fine'), 'SIDETONE_QUEUE_FULL']);
  });
});

describe('mp3DurationMs', () => {
  test('counts whole frames, passing over tags, tables of contents and what was cut off', () => {
    const ms = (count: number): number => (count * 576) / 16;
    assert.equal(mp3DurationMs(frames(10)), ms(10));
    assert.equal(mp3DurationMs(Buffer.concat([id3(1000), frames(10)])), ms(10));
    assert.equal(mp3DurationMs(Buffer.concat([id3(10), id3(0), frames(1)])), ms(1));
    assert.equal(mp3DurationMs(Buffer.concat([frames(10), Buffer.from('TAG'), Buffer.alloc(125)])), ms(10));
    assert.equal(mp3DurationMs(frames(10).subarray(0, -1)), ms(9));
    const contents = frames(10);
    contents.write('Xing', 13);
    assert.equal(mp3DurationMs(contents), ms(9));
    assert.equal(mp3DurationMs(Buffer.concat([frames(5), Buffer.alloc(77), frames(5)])), ms(10));
    assert.equal(mp3DurationMs(new Uint8Array(0)), 0);
    assert.equal(mp3DurationMs(Buffer.alloc(5000, 0xff)), 0);
    assert.equal(mp3DurationMs(id3(268435455 >> 10).subarray(0, 20)), 0);
  });

  test('knows every version and layer', () => {
    for (const [header, ms, bytes] of [
      [[0xff, 0xfb, 0x90, 0xc4], (1152 * 1000) / 44100, 417], // MPEG-1 Layer III 128 kbit/s
      [[0xff, 0xfb, 0x92, 0xc4], (1152 * 1000) / 44100, 418], // the same, padded
      [[0xff, 0xfd, 0x84, 0xc4], 24, 384], // MPEG-1 Layer II 128 kbit/s 48 kHz
      [[0xff, 0xff, 0x48, 0xc4], 12, 192], // MPEG-1 Layer I 128 kbit/s 32 kHz
      [[0xff, 0xe3, 0x48, 0xc4], 72, 288], // MPEG-2.5 Layer III 32 kbit/s 8 kHz
    ] as const) {
      const frame = Buffer.alloc(bytes);
      frame.set(header);
      const file = Buffer.concat([frame, frame, frame]);
      assert.ok(Math.abs(mp3DurationMs(file) - 3 * ms) < 1e-9, `${Buffer.from(header).toString('hex')}`);
    }
  });

  test('any bytes give a duration that fits into them', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 5000 }),
      // Full of things that look like headers.
      fc
        .array(fc.constantFrom(0xff, 0xfb, 0xf3, 0xe3, 0x90, 0x48, 0x00, 0x49, 0x44, 0x33), {
          maxLength: 3000,
        })
        .map(list => Uint8Array.from(list)),
      fc
        .tuple(fc.uint8Array({ maxLength: 500 }), fc.nat(5), fc.uint8Array({ maxLength: 500 }))
        .map(([before, count, rest]) => Buffer.concat([before, frames(count), rest])),
    );
    fc.assert(
      fc.property(bytes, junk => {
        const ms = mp3DurationMs(junk);
        // The thinnest frame is 8 kbit/s, one millisecond a byte.
        assert.ok(ms >= 0 && ms <= junk.length * 1.01, `${ms} ms in ${junk.length} bytes`);
      }),
      { numRuns: 3000 },
    );
  });

  test('junk without a sync byte before the audio changes nothing', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ max: 0x48, maxLength: 2000 }),
        fc.integer({ min: 1, max: 20 }),
        (junk, count) => {
          assert.equal(mp3DurationMs(Buffer.concat([junk, frames(count)])), count * 36);
        },
      ),
      { numRuns: 300 },
    );
  });
});
