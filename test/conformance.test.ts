/**
 * The conformance data through the public codecs, file by file. docs/conformance.md says which test covers which file;
 * the first tests hold it to that.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { joinPcm, pcmBytes } from '../src/audio/pcm.js';
import { VirtualClock } from '../src/clock.js';
import { createDecoder, createEncoder, type EncoderOptions } from '../src/codecs/create.js';
import { opusLibrary } from '../src/codecs/opus-library.js';
import type { Encoding } from '../src/formats.js';
import { createLog } from '../src/log/log.js';
import { resolveOptions } from '../src/options/options.js';
import { definePlugin } from '../src/plugin/define.js';
import { bareInstance } from '../src/plugin/instance.js';
import { Reactor } from '../src/reactor/reactor.js';
import { Connection } from '../src/server/connection.js';
import { virtualRequest } from '../src/testing/virtual-server.js';
import { haveAmrWb } from './helpers/amr-wb.js';
import { matroskaFrames, mp4Samples, oggPackets } from './helpers/containers.js';
import { words } from './helpers/dsp.js';
import { haveVectors, root, vector } from './helpers/paths.js';

const bytes = (name: string): Buffer => readFileSync(vector(name));
const pcmOf = (name: string): Int16Array => words(bytes(name));
const lowBytes = (name: string): Uint8Array => Uint8Array.from(pcmOf(name), word => word & 255);
const hash = (kind: 'sha1' | 'sha256', data: Uint8Array): string =>
  createHash(kind).update(data).digest('hex');

/** All payloads through one decoder. */
function decodeAll(encoding: Encoding, payloads: readonly Uint8Array[], options = {}): Int16Array {
  const decoder = createDecoder(encoding, options);
  const parts = payloads.map(payload => decoder.decode(payload));
  decoder.close();
  return joinPcm(parts);
}

/** PCM through one encoder, `frame` samples at a time. */
function encodeAll(
  encoding: Encoding,
  pcm: Int16Array,
  frame: number,
  options: EncoderOptions = {},
): Uint8Array[] {
  const encoder = createEncoder(encoding, options);
  const payloads: Uint8Array[] = [];
  for (let at = 0; at < pcm.length; at += frame) payloads.push(encoder.encode(pcm.subarray(at, at + frame)));
  encoder.close();
  return payloads;
}

function cut(payload: Uint8Array, length: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(payload.length / length) }, (_, i) =>
    payload.subarray(i * length, (i + 1) * length),
  );
}

/** Signal to difference, in dB. */
function likenessDb(want: Int16Array, have: Int16Array): number {
  assert.equal(have.length, want.length);
  let signal = 0;
  let difference = 0;
  for (let i = 0; i < want.length; i++) {
    signal += want[i]! ** 2;
    difference += (want[i]! - have[i]!) ** 2;
  }
  return 10 * Math.log10(signal / Math.max(difference, 1e-9));
}

const haveFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0;

function ffmpeg(file: string): Int16Array {
  const run = spawnSync('ffmpeg', ['-v', 'error', '-i', file, '-f', 's16le', '-'], { maxBuffer: 1 << 28 });
  assert.equal(run.status, 0, run.stderr.toString());
  return words(run.stdout);
}

describe('the list of files', { skip: !haveVectors }, () => {
  const sums = bytes('SHA256SUMS')
    .toString()
    .trim()
    .split('\n')
    .map(line => /^([0-9a-f]{64}) {2}\.\/(.+)$/.exec(line)!);

  test('every file has the checksum that it came with', () => {
    assert.ok(sums.length >= 97);
    for (const [, sum, name] of sums) assert.equal(hash('sha256', bytes(name!)), sum, name);
  });

  test('every file is in exactly one row of docs/conformance.md, every row names files and tests that exist', () => {
    const rows = readFileSync(join(root, 'docs/conformance.md'), 'utf8')
      .split('\n')
      .map(line => /^\| ((?:`[^`]+`(?:, )?)+) \|.*\| ([^|]+) \|$/.exec(line))
      .filter(match => match !== null)
      .map(([, files, tests]) => ({
        patterns: files!.split(', ').map(name => {
          const escaped = name.replaceAll('`', '').replaceAll('.', '\\.').replaceAll('*', '[^/]*');
          return new RegExp(
            `^${escaped.replace(/\{([^}]+)\}/g, (_, list) => `(${list.replaceAll(',', '|')})`)}$`,
          );
        }),
        tests: [...tests!.matchAll(/`(test\/[^`]+)`/g)].map(match => match[1]!),
      }));
    const names = sums.map(match => match[2]!);
    for (const name of names) {
      const covering = rows.filter(row => row.patterns.some(pattern => pattern.test(name)));
      assert.equal(covering.length, 1, `${name} is in ${covering.length} rows`);
    }
    for (const { patterns, tests } of rows) {
      for (const pattern of patterns)
        assert.ok(
          names.some(name => pattern.test(name)),
          `${pattern}: no such file`,
        );
      for (const file of tests) assert.ok(existsSync(join(root, file)), file);
    }
  });
});

describe('G.711', { skip: !haveVectors }, () => {
  for (const [encoding, letter] of [
    ['PCMU', 'u'],
    ['PCMA', 'a'],
  ] as const) {
    test(`${encoding}: every sample and every code, and the way there and back`, () => {
      const source = pcmOf('g711/sweep.src');
      const payloads = encodeAll(encoding, source, 160);
      assert.deepEqual(Uint8Array.from(Buffer.concat(payloads)), lowBytes(`g711/sweep-r.${letter}`));
      const decoded = decodeAll(encoding, cut(lowBytes(`g711/sweep-r.${letter}`), 160));
      assert.deepEqual(decoded, pcmOf(`g711/sweep-r.${letter}-${letter}`));
      assert.deepEqual(decodeAll(encoding, payloads), pcmOf(`g711/sweep-r.re${letter}`));
    });
  }
});

/** What a handler hears of 10 ms frames of L16, of which `lost` never come. */
function heardOver(
  input: Int16Array,
  lost: (frame: number) => boolean,
  concealment: 'on' | 'silence',
): Int16Array {
  const clock = new VirtualClock();
  const reactor = new Reactor({ clock, log: createLog('silent'), options: resolveOptions({ concealment }) });
  const parts: Int16Array[] = [];
  const plugin = definePlugin({
    name: 'ear',
    onStart: () => ({ onAudio: frame => void parts.push(frame.copy()) }),
  });
  const setup = {
    plugin: bareInstance(plugin, clock),
    accepted: {},
    request: virtualRequest(plugin),
    gate: undefined,
    boundCall: undefined,
  };
  const connection = new Connection(reactor, setup);
  connection.open({ send: () => 1, end: () => {}, getBufferedAmount: () => 0 });
  const tell = (message: object): void =>
    connection.message(Uint8Array.from(Buffer.from(JSON.stringify(message))).buffer, false);
  const media_format = { encoding: 'L16', sample_rate: 8000, channels: 1 };
  const start = { user_id: 'u', call_control_id: 'c', media_format };
  tell({ event: 'start', sequence_number: '1', stream_id: 's', start });
  for (let frame = 0; frame * 80 < input.length; frame++) {
    const payload = pcmBytes(input.subarray(frame * 80, frame * 80 + 80)).toString('base64');
    const media = { track: 'inbound', chunk: String(frame + 1), timestamp: String(frame * 80), payload };
    if (!lost(frame)) tell({ event: 'media', sequence_number: String(frame + 2), stream_id: 's', media });
    clock.advance(10);
  }
  clock.advance(200);
  connection.closed();
  return joinPcm(parts);
}

test('G.711 Appendix I: losses as silence are its output with silence, concealed ones are not, the rest is untouched', {
  skip: !haveVectors,
}, () => {
  const input = pcmOf('g711-appI-plc/f2.le');
  const pattern = pcmOf('g711-appI-plc/fe10.g192');
  const isLost = (frame: number): boolean => pattern[frame % pattern.length] !== 0x6b21;
  const silent = pcmOf('g711-appI-plc/f2_10m.raw');
  const heard = heardOver(input, isLost, 'silence');
  // A loss at the very end is never known as one.
  assert.ok(silent.length - heard.length < 160);
  assert.deepEqual(heard, silent.subarray(0, heard.length));
  const concealed = heardOver(input, isLost, 'on');
  assert.equal(concealed.length, heard.length);
  for (let frame = 1; frame * 80 < heard.length; frame++) {
    const at = frame * 80;
    if (isLost(frame) || isLost(frame - 1)) continue;
    assert.deepEqual(concealed.subarray(at, at + 80), input.subarray(at, at + 80), `frame ${frame}`);
  }
  const reference = pcmOf('g711-appI-plc/f2_10.raw').subarray(0, heard.length);
  assert.ok(likenessDb(reference, concealed) > likenessDb(reference, heard) + 1);
});

describe('G.722', { skip: !haveVectors }, () => {
  test('full codec at 64 kbit/s: code words and output', () => {
    const input = pcmOf('g722/itu-t/inpsp.bin');
    const codes = lowBytes('g722/itu-t/codspw.cod');
    assert.deepEqual(Uint8Array.from(Buffer.concat(encodeAll('G722', input, 320))), codes);
    assert.deepEqual(decodeAll('G722', cut(codes, 160)), pcmOf('g722/itu-t/outsp1.bin'));
    // The same octets, two a word, high one first.
    assert.deepEqual(Uint8Array.from(bytes('g722/itu-t/codsp.cod').swap16()), codes);
  });

  test('another implementation: checksums of what it decodes and encodes', () => {
    const listed =
      bytes('g722/sippy/test.checksum').toString() + bytes('g722/sippy/pcminb.checksum').toString();
    const sum = (name: string): string =>
      new RegExp(`([0-9a-f]{64}) \\*${name.replaceAll('.', '\\.')}`).exec(listed)![1]!;
    const decoded = (name: string): string =>
      hash('sha256', pcmBytes(decodeAll('G722', cut(bytes(`g722/sippy/${name}`), 160))));
    assert.equal(decoded('test.g722'), sum('test.raw.16k.out'));
    assert.equal(decoded('fullscale.g722'), sum('fullscale.raw.out'));
    const payloads = encodeAll('G722', words(bytes('g722/sippy/pcminb.dat').swap16()), 320);
    assert.equal(hash('sha256', Buffer.concat(payloads)), sum('pcminb.g722.out'));
  });
});

/** Packets of an opus_demo file. */
function opusPackets(number: string): Buffer[] {
  const file = bytes(`opus/testvector${number}.bit`);
  const packets: Buffer[] = [];
  for (let at = 0; at + 8 <= file.length; ) {
    const length = file.readUInt32BE(at);
    packets.push(file.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return packets;
}

/** Samples of a packet at `rate` (RFC 6716, 3.1 and 3.2). */
function opusSamples(packet: Uint8Array, rate: number): number {
  const config = packet[0]! >> 3;
  const ms =
    config < 12
      ? [10, 20, 40, 60][config & 3]!
      : config < 16
        ? [10, 20][config & 1]!
        : [2.5, 5, 10, 20][config & 3]!;
  const code = packet[0]! & 3;
  return (rate / 1000) * ms * (code === 0 ? 1 : code < 3 ? 2 : packet[1]! & 63);
}

describe('Opus', { skip: !haveVectors }, () => {
  const sha1 = new Map(
    bytes('opus/RFC8251-section11-sha1.txt')
      .toString()
      .trim()
      .split('\n')
      .map(line => line.split(/\s+/).reverse() as [string, string]),
  );
  for (const number of ['01', '02', '03', '04', '05', '06', '08', '09', '10', '12']) {
    test(`testvector${number}: what RFC 8251 lists, every packet is audio of its length at every rate`, () => {
      assert.equal(hash('sha1', bytes(`opus/testvector${number}.bit`)), sha1.get(`testvector${number}.bit`));
      const packets = opusPackets(number);
      for (const sampleRate of [8000, 16000, 48000] as const) {
        const decoder = createDecoder('OPUS', { sampleRate });
        for (const packet of packets)
          assert.equal(decoder.decode(packet).length, opusSamples(packet, sampleRate));
        decoder.close();
      }
    });
  }

  for (const number of ['01', '02', '03', '04', '08', '12']) {
    test(`testvector${number}: the reference's PCM`, { skip: !haveFfmpeg }, () => {
      const want = ffmpeg(vector(`opus/testvector${number}.flac`));
      assert.equal(hash('sha1', pcmBytes(want)), sha1.get(`testvector${number}.dec`));
      const decoder = new (opusLibrary().Decoder)({ channels: 2, sample_rate: 48000 });
      const have = joinPcm(opusPackets(number).map(packet => words(Buffer.from(decoder.decode(packet)))));
      const db = likenessDb(want, have);
      assert.ok(db > 60, `${db.toFixed(1)} dB`);
    });
  }

  test('in-band FEC, pre-skip and a cut beginning: every packet of the files decodes to its length', () => {
    for (const [name, packets, least] of [
      ['silk-lbrr.mka', matroskaFrames(bytes('opus/silk-lbrr.mka')), 50],
      ['codec_delay_opus.mka', matroskaFrames(bytes('opus/codec_delay_opus.mka')), 10],
      [
        'intro-partial.opus',
        oggPackets(bytes('opus/intro-partial.opus')).filter(
          packet => !/^Opus(Head|Tags)/.test(packet.toString('latin1', 0, 8)),
        ),
        10,
      ],
    ] as const) {
      assert.ok(packets.length >= least, `${name}: ${packets.length} packets`);
      const decoder = createDecoder('OPUS', { sampleRate: 48000 });
      let loudest = 0;
      for (const packet of packets) {
        const pcm = decoder.decode(packet);
        assert.equal(pcm.length, opusSamples(packet, 48000), name);
        loudest = pcm.reduce((max, sample) => Math.max(max, Math.abs(sample)), loudest);
      }
      assert.ok(loudest > 1000, `${name}: peak ${loudest}`);
      decoder.close();
    }
  });
});

const AMRWB_BITS = [132, 177, 253, 285, 317, 365, 397, 461, 477, 40];
const AMRWB_BYTES = AMRWB_BITS.map(bits => Math.ceil(bits / 8));

/** Frames of an RFC 4867 storage file (5.3): a table-of-contents byte, then the bits. */
function storageFrames(file: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = '#!AMR-WB\n'.length; at < file.length; ) {
    const length = 1 + (AMRWB_BYTES[(file[at]! >> 3) & 15] ?? 0);
    frames.push(file.subarray(at, at + length));
    at += length;
  }
  return frames;
}
const octetAligned = (frame: Uint8Array): Buffer => Buffer.concat([Uint8Array.of(0xf0), frame]);

describe('AMR-WB', { skip: !haveVectors || !haveAmrWb }, () => {
  for (const mode of ['0', '1', '3', '4', '6', '7', '8', 'd']) {
    test(`m${mode}: decodes to the reference's output`, () => {
      const payloads = storageFrames(bytes(`amrwb/ts26173/mime/m${mode}.awb`)).map(octetAligned);
      const options = { form: 'octet-aligned' } as const;
      assert.deepEqual(decodeAll('AMR-WB', payloads, options), pcmOf(`amrwb/ts26173/tst_m${mode}.out`));
    });

    test(`m${mode}: the reference coder's own file holds the same bits, in the coder's order`, () => {
      const frames = storageFrames(bytes(`amrwb/ts26173/mime/m${mode}.awb`));
      const coded = pcmOf(`amrwb/ts26173/tst_m${mode}.cod`);
      const columns = new Map<string, number>();
      const speechMode = mode === 'd' ? 2 : Number(mode);
      let at = 0;
      const ours: string[] = Array(AMRWB_BITS[speechMode]!).fill('');
      const theirs: string[] = Array(AMRWB_BITS[speechMode]!).fill('');
      for (const frame of frames) {
        assert.equal(coded[at], 0x6b21);
        const type = coded[at + 1]!; // 0 speech, 1 first SID, 2 SID, 3 no data
        const frameType = (frame[0]! >> 3) & 15;
        assert.equal(frameType, type === 0 ? speechMode : type === 3 ? 15 : 9);
        const bits = type === 0 ? AMRWB_BITS[speechMode]! : 35;
        for (let i = 0; type === 0 && i < bits; i++) {
          ours[i] = `${ours[i]}${(frame[1 + (i >> 3)]! >> (7 - (i & 7))) & 1}`;
          theirs[i] = `${theirs[i]}${coded[at + 3 + i]! > 0 ? 1 : 0}`;
        }
        at += 3 + bits;
      }
      assert.equal(at, coded.length);
      for (const column of theirs) columns.set(column, (columns.get(column) ?? 0) + 1);
      for (const column of ours) columns.set(column, (columns.get(column) ?? 0) - 1);
      assert.ok([...columns.values()].every(count => count === 0));
    });
  }

  for (const [name, mode, input] of [
    ['m3', 3, 'tst'],
    ['m4', 4, 'tst'],
    ['m6', 6, 'tst'],
    ['m7', 7, 'tst'],
    ['md', 2, 'dtx'],
  ] as const) {
    test(`${name}: encodes to the reference's frames`, () => {
      const options = { form: 'octet-aligned', mode, dtx: name === 'md' } as const;
      const want = storageFrames(bytes(`amrwb/ts26173/mime/${name}.awb`)).map(octetAligned);
      const have = encodeAll('AMR-WB', pcmOf(`amrwb/ts26173/${input}.inp`), 320, options);
      assert.deepEqual(
        have.map(payload => Buffer.from(payload)),
        want,
      );
    });
  }

  ['6k60', '8k85', '12k65', '14k25', '15k85', '18k25', '19k85', '23k05', '23k85'].forEach((rate, mode) => {
    test(`seed-${rate}.3gp: 512 frames of mode ${mode}`, () => {
      const name = `amrwb/fate/seed-${rate}.3gp`;
      // A sample of the file may hold several frames, each with its own byte of contents.
      const frames = mp4Samples(bytes(name)).flatMap(sample =>
        storageFrames(Buffer.concat([Buffer.alloc(9), sample])),
      );
      assert.equal(frames.length, 512);
      assert.ok(frames.every(frame => ((frame[0]! >> 3) & 15) === mode));
      const pcm = decodeAll('AMR-WB', frames.map(octetAligned), { form: 'octet-aligned' });
      assert.equal(pcm.length, 512 * 320);
      if (!haveFfmpeg) return;
      // ffmpeg decodes in floating point: alike, not equal.
      const db = likenessDb(ffmpeg(vector(name)).subarray(0, pcm.length), pcm);
      assert.ok(db > 15, `${db.toFixed(1)} dB beside ffmpeg`);
    });
  });
});
