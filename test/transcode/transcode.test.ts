import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { joinPcm, pcmBytes } from '../../src/audio/pcm.js';
import { parseWav, readWav, wavBytes } from '../../src/audio/wav.js';
import { createDecoder, createEncoder, resample } from '../../src/codecs/create.js';
import { PACKET_BYTES_MAX } from '../../src/transcode/formats.js';
import { transcode } from '../../src/transcode/transcode.js';
import { haveAmrWb } from '../helpers/amr-wb.js';
import { words } from '../helpers/dsp.js';
import { haveVectors, root, vector } from '../helpers/paths.js';
import { propertyRuns } from '../helpers/runs.js';
import { rms, speechLike } from '../helpers/speech.js';

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'sidetone-transcode-'));
});
after(() => rmSync(dir, { recursive: true }));

let files = 0;
const path = (name: string): string => join(dir, `${files++}-${name}`);
function given(name: string, bytes: Uint8Array): string {
  const file = path(name);
  writeFileSync(file, bytes);
  return file;
}
const wav = (samples: Int16Array, sampleRate: number): string =>
  given('in.wav', wavBytes({ sampleRate, channels: [samples] }));
async function mono(file: string): Promise<{ samples: Int16Array; sampleRate: number }> {
  const { channels, sampleRate } = await readWav(file);
  return { samples: channels[0]!, sampleRate };
}
function packets(...payloads: Uint8Array[]): Buffer {
  return Buffer.concat(
    payloads.flatMap(payload => {
      const header = Buffer.alloc(8);
      header.writeUInt32BE(payload.length, 0);
      return [header, payload];
    }),
  );
}
const code = (wanted: string) => (error: unknown) => (error as { code?: string }).code === wanted;

for (const [encoding, letter] of [
  ['PCMU', 'u'],
  ['PCMA', 'a'],
] as const) {
  test(`${encoding}: every 16-bit value as in G.191's sweep, both ways`, { skip: !haveVectors }, async () => {
    const codes = readFileSync(vector(`g711/sweep-r.${letter}`)).filter((_, i) => i % 2 === 0);
    const encoded = path('sweep.raw');
    await transcode(vector('g711/sweep.src'), encoded, { from: 'L16@8000', to: encoding });
    assert.deepEqual(readFileSync(encoded), Buffer.from(codes));
    const decoded = path('sweep.l16');
    const result = await transcode(encoded, decoded, { from: encoding, to: 'L16', rate: 8000 });
    assert.deepEqual(readFileSync(decoded), readFileSync(vector(`g711/sweep-r.${letter}-${letter}`)));
    assert.equal(result.durationMs, 8192);
  });
}

test('G722: the full codec of G.191, from a WAV file and to one', { skip: !haveVectors }, async () => {
  const input = wav(words(readFileSync(vector('g722/itu-t/inpsp.bin'))), 16000);
  const encoded = path('speech.g722');
  await transcode(input, encoded, { to: 'G722' });
  const codes = readFileSync(vector('g722/itu-t/codspw.cod')).filter((_, i) => i % 2 === 0);
  assert.deepEqual(readFileSync(encoded), Buffer.from(codes));
  const output = path('speech.wav');
  await transcode(encoded, output, { from: 'G722' });
  const { samples, sampleRate } = await mono(output);
  assert.equal(sampleRate, 16000);
  assert.deepEqual(samples, words(readFileSync(vector('g722/itu-t/outsp1.bin'))));
});

for (const mode of ['0', '1', '3', '4', '6', '7', '8', 'd']) {
  test(`AMR-WB: m${mode}.awb is the reference decoder's output`, {
    skip: !haveVectors || !haveAmrWb,
  }, async () => {
    const output = path('out.wav');
    await transcode(vector(`amrwb/ts26173/mime/m${mode}.awb`), output);
    const { samples, sampleRate } = await mono(output);
    const wanted = words(readFileSync(vector(`amrwb/ts26173/tst_m${mode}.out`)));
    assert.equal(sampleRate, 16000);
    assert.deepEqual(
      samples.map(sample => sample & ~3),
      wanted.map(sample => sample & ~3),
    );
  });
}

for (const mode of [3, 4, 6, 7]) {
  test(`AMR-WB: a WAV file to mode ${mode} is the reference coder's file`, {
    skip: !haveVectors || !haveAmrWb,
  }, async () => {
    const output = path('out.awb');
    const input = wav(words(readFileSync(vector('amrwb/ts26173/tst.inp'))), 16000);
    // The reference files were made with DTX on.
    await transcode(input, output, { amrMode: mode, dtx: true });
    assert.deepEqual(readFileSync(output), readFileSync(vector(`amrwb/ts26173/mime/m${mode}.awb`)));
  });
}

test('OPUS: a packet file of opus_demo, packet by packet as the decoder gives it', {
  skip: !haveVectors,
}, async () => {
  const file = readFileSync(vector('opus/testvector02.bit'));
  const output = path('out.wav');
  const result = await transcode(vector('opus/testvector02.bit'), output, { from: 'OPUS', rate: 48000 });
  const decoder = createDecoder('OPUS', { sampleRate: 48000 });
  const wanted: Int16Array[] = [];
  for (let at = 0; at < file.length; ) {
    const length = file.readUInt32BE(at);
    wanted.push(decoder.decode(file.subarray(at + 8, at + 8 + length)));
    at += 8 + length;
  }
  decoder.close();
  const { samples, sampleRate } = await mono(output);
  assert.equal(sampleRate, 48000);
  assert.deepEqual(samples, joinPcm(wanted));
  assert.equal(result.payloads, wanted.length);
  assert.equal(result.refused, 0);
});

test('OPUS and AMR-WB: there and back, whole frames, recognisably the same sound', async () => {
  const speech = speechLike(16000, 1.01);
  for (const [encoding, dbMin] of [['OPUS', -3], ...(haveAmrWb ? [['AMR-WB', -3] as const] : [])] as const) {
    const encoded = path('speech.packets');
    const output = path('out.wav');
    const there = await transcode(wav(speech, 16000), encoded, { to: encoding });
    const back = await transcode(encoded, output, { from: encoding });
    const { samples } = await mono(output);
    assert.equal(back.payloads, 51);
    assert.equal(samples.length, 51 * 320, 'the last frame is filled up');
    assert.equal(there.durationMs, 1010);
    const levelDb = 20 * Math.log10(rms(samples) / rms(speech));
    assert.ok(levelDb > dbMin && levelDb < 3, `${encoding}: level changed by ${levelDb} dB`);
  }
});

test('--rate: every open side that no @rate says; resampled as the library resamples', async () => {
  const speech = speechLike(16000, 0.5);
  const eight = path('out.wav');
  await transcode(wav(speech, 16000), eight, { rate: 8000 });
  assert.deepEqual(await mono(eight), { samples: resample(speech, 16000, 8000), sampleRate: 8000 });

  const raw = given('speech.l16', pcmBytes(speech));
  const kept = path('out.wav');
  await transcode(raw, kept, { from: 'L16', rate: 24000 });
  assert.deepEqual(await mono(kept), { samples: speech, sampleRate: 24000 });

  const up = path('out.wav');
  await transcode(raw, up, { from: 'L16@16000', rate: 48000 });
  assert.deepEqual(await mono(up), { samples: resample(speech, 16000, 48000), sampleRate: 48000 });

  const between = path('out.l16');
  await transcode(raw, between, { from: 'L16@16000', to: 'L16@8000' });
  assert.deepEqual(readFileSync(between), pcmBytes(resample(speech, 16000, 8000)));
});

test('L16 keeps its samples whatever the length, in both byte orders', async () => {
  await fc.assert(
    fc.asyncProperty(fc.int16Array({ maxLength: 2000 }), fc.constantFrom('le', 'be'), async (pcm, order) => {
      const bytes = pcmBytes(pcm);
      const raw = given('in.l16', order === 'be' ? Buffer.from(bytes).swap16() : bytes);
      const out = path('out.wav');
      await transcode(raw, out, { from: 'L16', l16ByteOrder: order as 'le' | 'be' });
      assert.deepEqual((await mono(out)).samples, pcm);
      const again = path('again.l16');
      await transcode(out, again, { to: 'L16', l16ByteOrder: order as 'le' | 'be' });
      assert.deepEqual(readFileSync(again), readFileSync(raw));
      for (const file of [raw, out, again]) rmSync(file);
    }),
    { numRuns: propertyRuns(50) },
  );
});

test('a stereo WAV: the channel that is asked for; refused where none is', async () => {
  const left = speechLike(8000, 0.2);
  const right = left.map(sample => -sample >> 1);
  const input = given('stereo.wav', wavBytes({ sampleRate: 8000, channels: [left, right] }));
  for (const [channel, wanted] of [
    ['left', left],
    ['right', right],
  ] as const) {
    const output = path('out.wav');
    await transcode(input, output, { channel });
    assert.deepEqual((await mono(output)).samples, wanted);
  }
  await assert.rejects(transcode(input, path('out.wav')), /channels is 2: .*--channel/);
});

test('a WAV file whose sizes were never filled in, and with chunks before the sound', async () => {
  const whole = wavBytes({ sampleRate: 8000, channels: [speechLike(8000, 0.1)] });
  whole.writeUInt32LE(0xffff_ffff, 4);
  whole.writeUInt32LE(0xffff_ffff, 40);
  const list = Buffer.concat([Buffer.from('LIST\x03\x00\x00\x00abc\x00', 'latin1')]);
  const input = given('in.wav', Buffer.concat([whole.subarray(0, 36), list, whole.subarray(36)]));
  const output = path('out.wav');
  await transcode(input, output);
  assert.deepEqual((await mono(output)).samples, parseWav(whole).channels[0]);
});

test('payloads that the decoder refuses are concealed and counted', async () => {
  const encoder = createEncoder('OPUS');
  const good = encoder.encode(speechLike(16000, 0.02));
  encoder.close();
  const output = path('out.wav');
  const bad = Uint8Array.of(0xff, 0xff); // code 3 with 63 frames: more than 120 ms
  const result = await transcode(given('in.packets', packets(good, bad, good)), output, { from: 'OPUS' });
  assert.deepEqual([result.payloads, result.refused], [3, 1]);
  assert.equal((await mono(output)).samples.length, 3 * 320);
});

test('damaged files: code, place and remedy; nothing is left of the output', async () => {
  const awb = (...bytes: number[]): Buffer => Buffer.from([...Buffer.from('#!AMR-WB\n'), ...bytes]);
  const huge = Buffer.alloc(8);
  huge.writeUInt32BE(PACKET_BYTES_MAX + 1);
  const cases: [string, Buffer, object, string, RegExp][] = [
    [
      'cut.packets',
      packets(new Uint8Array(20)).subarray(0, 20),
      { from: 'OPUS' },
      'SIDETONE_BAD_PAYLOAD',
      /at byte 0/,
    ],
    ['short.packets', Buffer.alloc(5), { from: 'OPUS' }, 'SIDETONE_BAD_PAYLOAD', /inside a packet header/],
    ['huge.packets', huge, { from: 'OPUS' }, 'SIDETONE_BAD_PAYLOAD', /is it a packet file/],
    ...(haveAmrWb
      ? ([
          ['reserved.awb', awb(0x5c), {}, 'SIDETONE_BAD_PAYLOAD', /at byte 9: frame type 11 is reserved/],
          ['cut.awb', awb(0x04, 1, 2), {}, 'SIDETONE_BAD_PAYLOAD', /inside a frame of 17 bytes/],
          ['narrow.awb', Buffer.from('#!AMR\n'), {}, 'SIDETONE_BAD_ARGUMENT', /its beginning is "#!AMR\\n"/],
        ] as [string, Buffer, object, string, RegExp][])
      : []),
    ['no.wav', Buffer.from('hello'), {}, 'SIDETONE_BAD_ARGUMENT', /RIFF/],
    ['empty.wav', Buffer.from('RIFF\0\0\0\0WAVE', 'latin1'), {}, 'SIDETONE_BAD_ARGUMENT', /its data chunk/],
  ];
  for (const [name, bytes, options, wanted, message] of cases) {
    const output = path('out.wav');
    await assert.rejects(transcode(given(name, bytes), output, options), error => {
      assert.match((error as Error).message, message);
      return code(wanted)(error);
    });
    assert.ok(!existsSync(output), name);
  }
});

test('bad usage: the option, its value and the remedy', async () => {
  const input = wav(new Int16Array(160), 8000);
  const raw = given('in.raw', new Uint8Array(160));
  const cases: [string, string, object, RegExp][] = [
    [raw, 'out.wav', {}, /--from: missing: .*in\.raw does not say what it holds/],
    [input, 'out.raw', {}, /--to: missing/],
    [input, 'out.raw', { to: 'pcmu' }, /--to: pcmu: give one of PCMU/],
    [input, 'out.wav', { to: 'PCMU' }, /--to: PCMU: .*is a WAV file/],
    [input, 'out.wav', { from: 'L16@16000' }, /--from: L16@16000: .*says its own rate/],
    [input, 'out.awb', { to: 'L16' }, /--to: L16: .*is an AMR-WB file/],
    [input, 'out.raw', { to: 'PCMU', rate: 16000 }, /--rate: 16000: .*a rate of their own/],
    [input, 'out.raw', { to: 'PCMU@16000' }, /--to: 16000: PCMU has a rate of its own/],
    [input, 'out.raw', { to: 'L16', rate: 11025 }, /--rate: 11025: for L16 give one of 8000, 16000/],
    [input, 'out.raw', { to: 'OPUS', bitrate: 5 }, /bitrateBps: 5 is not allowed/],
  ];
  for (const [from, to, options, message] of cases) {
    await assert.rejects(transcode(from, join(dir, to), options), error => {
      assert.match((error as Error).message, message);
      return code('SIDETONE_BAD_OPTION')(error);
    });
  }
  await assert.rejects(transcode(raw, raw, { from: 'PCMU', to: 'PCMA' }), /OUT: .*: is IN/);
  assert.equal(readFileSync(raw).length, 160, 'and IN is still there');
});

test('the command: exit 0, 1 and 2', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(root, 'dist/src/cli/main.js'), 'transcode', ...args], {
      encoding: 'utf8',
    });
  const raw = given('in.ulaw', new Uint8Array(1600).fill(0xff));
  const output = path('out.wav');
  const fine = run('--from', 'PCMU', '--json', raw, output);
  assert.equal(fine.status, 0, fine.stderr);
  assert.equal(JSON.parse(fine.stdout).durationMs, 200);
  const garbled = run('--from', 'OPUS', given('in.packets', packets(Uint8Array.of(0xff, 0xff))), output);
  assert.equal(garbled.status, 1);
  assert.match(garbled.stderr, /1 of 1 payloads .* is --from right\?/);
  const missing = run('--from', 'PCMU', join(dir, 'nowhere'), output);
  assert.equal(missing.status, 2);
  assert.match(missing.stderr, /nowhere cannot be read/);
  assert.equal(run('--from', 'PCMU', '--rate', 'fast', raw, output).status, 2);
});
