import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { parseWav, readWav, WavWriter, wavBytes } from '../../src/audio/wav.js';
import { root } from '../helpers/paths.js';

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'sidetone-wav-'));
});
after(() => rmSync(dir, { recursive: true }));

const ramp = (length: number, from = 1): Int16Array => Int16Array.from({ length }, (_, i) => from + i);

test('what is written is read again, mono and stereo', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(8000, 16000, 44100, 48000),
      fc.array(fc.integer({ min: -32768, max: 32767 })),
      fc.boolean(),
      (sampleRate, values, stereo) => {
        const left = Int16Array.from(values);
        const channels = stereo ? [left, left.map(value => ~value)] : [left];
        assert.deepEqual(parseWav(wavBytes({ sampleRate, channels })), { sampleRate, channels });
      },
    ),
  );
});

/** A chunk with its tag, its size and its padding. */
function chunk(tag: string, body: Uint8Array): Buffer {
  const head = Buffer.alloc(8);
  head.write(tag, 'latin1');
  head.writeUInt32LE(body.length, 4);
  return Buffer.concat([head, body, new Uint8Array(body.length & 1)]);
}

function format({ code = 1, channels = 1, rate = 16000, bits = 16 } = {}): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt16LE(code, 0);
  body.writeUInt16LE(channels, 2);
  body.writeUInt32LE(rate, 4);
  body.writeUInt16LE(bits, 14);
  return body;
}

const riff = (...chunks: Buffer[]): Buffer =>
  Buffer.concat([Buffer.from('RIFF\xff\xff\xff\xffWAVE', 'latin1'), ...chunks]);

test('unknown chunks, also of odd size, are skipped; the extensible header is understood; a cut file gives what it has', () => {
  const data = Buffer.from(ramp(4).buffer);
  const expected = { sampleRate: 16000, channels: [ramp(4)] };
  const odd = chunk('LIST', Buffer.from('abc'));
  assert.deepEqual(parseWav(riff(odd, chunk('fmt ', format()), odd, chunk('data', data), odd)), expected);
  const extensible = Buffer.concat([format({ code: 0xfffe }), Buffer.alloc(24)]);
  extensible.writeUInt16LE(1, 24);
  assert.deepEqual(parseWav(riff(chunk('fmt ', extensible), chunk('data', data))), expected);
  const cut = riff(chunk('fmt ', format()), chunk('data', data)).subarray(0, -3);
  assert.deepEqual(parseWav(cut), { sampleRate: 16000, channels: [ramp(2)] });
});

test('other files are refused with the field, the value and the remedy', async () => {
  const data = chunk('data', Buffer.alloc(4));
  for (const [bytes, message] of [
    [Buffer.from('ID3'), /x\.wav: its beginning is not RIFF/],
    [riff(data), /fmt chunk is missing/],
    [riff(chunk('fmt ', format())), /data chunk is missing/],
    [riff(chunk('fmt ', format({ code: 7 })), data), /format code is 7: convert it to 16-bit PCM/],
    [riff(chunk('fmt ', format({ bits: 24 })), data), /bits per sample is 24: convert/],
    [riff(chunk('fmt ', format({ channels: 6 })), data), /channels is 6: give a mono or stereo file/],
    [riff(chunk('fmt ', format({ rate: 96000 })), data), /sample rate is 96000 Hz: resample it to 8000/],
  ] as const) {
    assert.throws(() => parseWav(bytes, 'x.wav'), { code: 'SIDETONE_BAD_ARGUMENT', message });
  }
  await assert.rejects(readWav(join(dir, 'none.wav')), {
    code: 'SIDETONE_BAD_ARGUMENT',
    message: /none\.wav cannot be read/,
  });
});

test('the built-in speech is 16 kHz mono and small', async () => {
  const speech = await readWav(join(root, 'assets/speech.wav'));
  assert.equal(speech.sampleRate, 16000);
  assert.equal(speech.channels.length, 1);
  assert.ok(speech.channels[0]!.length > 4 * 16000);
  assert.ok(readFileSync(join(root, 'assets/speech.wav')).length < 200_000);
});

test('the writer puts each channel where it belongs in time, whatever the order of the pieces', async () => {
  const piece = fc.record({
    channel: fc.constantFrom(0, 1),
    at: fc.nat({ max: 3000 }),
    values: fc.array(fc.integer({ min: -32768, max: 32767 }), { maxLength: 300 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async pieces => {
      const path = join(dir, 'order.wav');
      const writer = new WavWriter(path, { sampleRate: 8000, channels: 2 });
      const expected = [new Int16Array(4000), new Int16Array(4000)];
      let length = 0;
      for (const { channel, at, values } of pieces) {
        writer.append(Int16Array.from(values), channel, at);
        expected[channel]!.set(values, at);
        if (values.length > 0) length = Math.max(length, at + values.length);
      }
      await writer.close();
      const { channels } = await readWav(path);
      assert.ok(channels[0]!.length >= length);
      for (const channel of [0, 1]) {
        assert.deepEqual(channels[channel], expected[channel]!.subarray(0, channels[0]!.length));
      }
      assert.equal(writer.droppedSamples, 0);
    }),
    { numRuns: 50 },
  );
});

test('long recordings go to the disk as they come; the header says their length at the end', async () => {
  const path = join(dir, 'long.wav');
  const writer = new WavWriter(path, { sampleRate: 8000, channels: 1 });
  const second = ramp(8000);
  for (let i = 0; i < 60; i++) writer.append(second);
  assert.equal(writer.length(), 480_000);
  await writer.close();
  const { channels } = await readWav(path);
  assert.equal(channels[0]!.length, 480_000);
  for (const at of [0, 16_000, 472_000]) assert.deepEqual(channels[0]!.subarray(at, at + 8000), second);
  assert.equal(readFileSync(path).readUInt32LE(40), 960_000);
  assert.throws(() => writer.append(second), { code: 'SIDETONE_STREAM_CLOSED' });
});

test('a channel may lag by the window; what comes later still is dropped and counted', async () => {
  const path = join(dir, 'lag.wav');
  const writer = new WavWriter(path, { sampleRate: 8000, channels: 2, windowMsMax: 100 });
  writer.append(ramp(2000), 0, 0);
  writer.append(ramp(100), 1, 1150);
  writer.append(ramp(100), 1, 1300);
  assert.equal(writer.droppedSamples, 50);
  await writer.close();
  const { channels } = await readWav(path);
  assert.deepEqual(channels[0], ramp(2000));
  const right = new Int16Array(2000);
  right.set(ramp(50, 51), 1200);
  right.set(ramp(100), 1300);
  assert.deepEqual(channels[1], right);
});

test('a pause far longer than the window is silence', async () => {
  const path = join(dir, 'pause.wav');
  const writer = new WavWriter(path, { sampleRate: 8000, channels: 1, windowMsMax: 100 });
  writer.append(ramp(100));
  writer.append(ramp(100), 0, 100_000);
  await writer.close();
  const expected = new Int16Array(100_100);
  expected.set(ramp(100));
  expected.set(ramp(100), 100_000);
  assert.deepEqual((await readWav(path)).channels[0], expected);
});

test('a file that cannot be made and a wrong option say so', () => {
  assert.throws(() => new WavWriter(join(dir, 'no/such/dir.wav'), { sampleRate: 8000, channels: 1 }), {
    code: 'SIDETONE_BAD_ARGUMENT',
    message: /cannot be written/,
  });
  assert.throws(
    () => new WavWriter(join(dir, 'x.wav'), { sampleRate: 96000, channels: 1 }),
    /sampleRate is 96000: give/,
  );
  const writer = new WavWriter(join(dir, 'y.wav'), { sampleRate: 8000, channels: 1 });
  assert.throws(() => writer.append(ramp(1), 1), /channel is 1: give 0 to 0/);
  assert.throws(() => writer.append(ramp(1), 0, 0.5), /atSample is 0.5/);
  return writer.close();
});

test('a channel that is known to stay silent does not hold the other one back', async () => {
  const path = join(dir, 'silent.wav');
  const writer = new WavWriter(path, { sampleRate: 8000, channels: 2 });
  for (let i = 0; i < 100; i++) {
    writer.append(ramp(800), 0);
    writer.advance(1, writer.length(0) - 80);
  }
  while (statSync(path).size < 250_000) await new Promise(resolve => setImmediate(resolve));
  writer.append(ramp(80, 7), 1);
  writer.advance(1, 5); // back is nowhere
  await writer.close();
  const { channels } = await readWav(path);
  assert.equal(channels[0]!.length, 80_000);
  assert.deepEqual(channels[1]!.subarray(79_920), ramp(80, 7));
  assert.ok(channels[1]!.subarray(0, 79_920).every(sample => sample === 0));
});

test('a full disk is an error when the file is closed', { skip: !existsSync('/dev/full') }, async () => {
  const writer = new WavWriter('/dev/full', { sampleRate: 8000, channels: 1 });
  for (let i = 0; i < 10; i++) writer.append(ramp(8000));
  await assert.rejects(writer.close(), /ENOSPC|EINVAL/);
});
