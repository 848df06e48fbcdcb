import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { OPUS_RATES, OpusPayloadDecoder, OpusPayloadEncoder } from '../../src/codecs/opus.js';
import { opusLibrary } from '../../src/codecs/opus-library.js';
import { haveVectors, vector } from '../helpers/paths.js';
import { rms, speechLike } from '../helpers/speech.js';

const badPayload = { name: 'SidetoneError', code: 'SIDETONE_BAD_PAYLOAD' };

/** Packets of an opus_demo file with the encoder's final range after each. */
function* packetsOf(file: string): Generator<{ packet: Uint8Array; finalRange: number }> {
  const bytes = readFileSync(vector(file));
  for (let at = 0; at + 8 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    yield { packet: bytes.subarray(at + 8, at + 8 + length), finalRange: bytes.readUInt32BE(at + 4) };
    at += 8 + length;
  }
}

function encodeAll(encoder: OpusPayloadEncoder, pcm: Int16Array): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let at = 0; at + encoder.frameSamples <= pcm.length; at += encoder.frameSamples) {
    packets.push(encoder.encode(pcm.subarray(at, at + encoder.frameSamples)).slice());
  }
  return packets;
}

describe('the decoder conforms (RFC 8251)', { skip: !haveVectors }, () => {
  const flac = ['flac', 'ffmpeg'].find(tool => spawnSync(tool, ['-version']).status === 0);
  for (const number of ['01', '02', '03', '04', '05', '06', '08', '09', '10', '12']) {
    test(`testvector${number}: the encoder's final range on every packet`, () => {
      const decoder = new (opusLibrary().Decoder)({ channels: 2, sample_rate: 48000 });
      let packets = 0;
      for (const { packet, finalRange } of packetsOf(`opus/testvector${number}.bit`)) {
        decoder.decode(packet);
        assert.equal(decoder.ctl(4031) >>> 0, finalRange, `packet ${packets}`);
        packets++;
      }
      assert.ok(packets > 500);
    });
  }
  for (const number of ['02', '03', '04']) {
    const file = vector(`opus/testvector${number}.flac`);
    test(`testvector${number}: PCM to the bit`, { skip: !flac || !existsSync(file) }, () => {
      const args =
        flac === 'flac'
          ? ['-dcs', '--force-raw-format', '--endian=little', '--sign=signed', file]
          : ['-v', 'error', '-i', file, '-f', 's16le', '-'];
      const want = spawnSync(flac!, args, { maxBuffer: 1 << 28 }).stdout;
      const decoder = new (opusLibrary().Decoder)({ channels: 2, sample_rate: 48000 });
      const have: Uint8Array[] = [];
      for (const { packet } of packetsOf(`opus/testvector${number}.bit`))
        have.push(decoder.decode(packet).slice());
      assert.ok(want.equals(Buffer.concat(have)));
    });
  }
  test('modes, bandwidths and frame sizes that change mid-call decode at telephone rates', () => {
    for (const number of ['08', '09', '10', '12']) {
      const decoders = [8000, 16000].map(
        rate => new OpusPayloadDecoder({ sampleRate: rate as 8000 | 16000 }),
      );
      for (const { packet } of packetsOf(`opus/testvector${number}.bit`)) {
        const [narrow, wide] = decoders.map(decoder => decoder.decode(packet).length);
        assert.equal(narrow! * 2, wide);
        const [lostNarrow, lostWide] = decoders.map(decoder => decoder.conceal().length);
        assert.deepEqual([lostNarrow, lostWide], [narrow, wide], 'a loss is as long as the packet before it');
      }
      for (const decoder of decoders) decoder.close();
    }
  });
});

describe('coding', () => {
  for (const sampleRate of OPUS_RATES) {
    test(`speech survives the way there and back at ${sampleRate} Hz`, () => {
      const pcm = speechLike(sampleRate, 3);
      const encoder = new OpusPayloadEncoder({ sampleRate });
      const decoder = new OpusPayloadDecoder({ sampleRate });
      assert.equal(encoder.frameSamples, sampleRate / 50);
      const heard: number[] = [];
      for (const packet of encodeAll(encoder, pcm)) {
        const samples = decoder.decode(packet);
        assert.equal(samples.length, encoder.frameSamples);
        heard.push(rms(samples));
      }
      const ratio = Math.hypot(...heard) / Math.sqrt(heard.length) / rms(pcm);
      assert.ok(ratio > 0.7 && ratio < 1.3, `level changed by ${ratio}`);
      encoder.close();
      decoder.close();
    });
  }

  test('options reach the encoder', () => {
    const pcm = speechLike(16000, 4);
    const bytes = (options: object) =>
      encodeAll(new OpusPayloadEncoder(options), pcm).reduce((sum, packet) => sum + packet.length, 0);
    const rate = bytes({}) / 4 / 125;
    assert.ok(rate > 12 && rate < 30, `${rate} kbit/s by default`);
    assert.ok(bytes({ bitrateBps: 12000 }) < 0.8 * bytes({ bitrateBps: 32000 }));
    const silence = new Int16Array(16000);
    const short = encodeAll(new OpusPayloadEncoder({ dtx: true }), silence).filter(
      packet => packet.length <= 2,
    );
    assert.ok(short.length > 25, `${short.length} of 50 silent packets are one byte`);
    const full = encodeAll(new OpusPayloadEncoder({}), silence).filter(packet => packet.length <= 2);
    assert.equal(full.length, 0);
    const plain = encodeAll(new OpusPayloadEncoder({ complexity: 5 }), pcm);
    assert.notDeepEqual(plain, encodeAll(new OpusPayloadEncoder({ complexity: 0 }), pcm));
    assert.notDeepEqual(plain, encodeAll(new OpusPayloadEncoder({ fec: true, packetLossPercent: 20 }), pcm));
  });

  test('wrong options are refused with the field and what is allowed', () => {
    for (const options of [
      { sampleRate: 11025 },
      { complexity: 11 },
      { complexity: 1.5 },
      { bitrateBps: 100 },
      { dtx: 1 },
      { packetLossPercent: 101 },
    ] as never[]) {
      const [field] = Object.keys(options);
      const refusal = {
        code: 'SIDETONE_BAD_OPTION',
        message: new RegExp(`OPUS ${field}: .* is not allowed; use`),
      };
      assert.throws(() => new OpusPayloadEncoder(options), refusal);
    }
    assert.throws(() => new OpusPayloadDecoder({ sampleRate: 44100 as never }), {
      code: 'SIDETONE_BAD_OPTION',
    });
  });
});

describe('losses and damage', () => {
  test('a fresh decoder conceals with 20 ms of silence', () => {
    const decoder = new OpusPayloadDecoder({ sampleRate: 8000 });
    assert.deepEqual(decoder.conceal(), new Int16Array(160));
    decoder.close();
  });

  test('concealment goes on with the sound, then fades', () => {
    const encoder = new OpusPayloadEncoder();
    const decoder = new OpusPayloadDecoder();
    let level = 0;
    for (const packet of encodeAll(encoder, speechLike(16000, 0.3))) level = rms(decoder.decode(packet));
    const lost = Array.from({ length: 50 }, () => rms(decoder.conceal()));
    assert.ok(lost[0]! > level / 4, `first ${lost[0]} after ${level}`);
    assert.ok(lost[49]! < level / 20, `after a second ${lost[49]}`);
    encoder.close();
    decoder.close();
  });

  test('a bad packet is an error with a code, and the decoder goes on', () => {
    const encoder = new OpusPayloadEncoder();
    const packets = encodeAll(encoder, speechLike(16000, 1));
    const clean = new OpusPayloadDecoder();
    const tried = new OpusPayloadDecoder();
    for (const packet of packets) {
      for (const bad of [
        new Uint8Array(0),
        new Uint8Array(2000),
        Uint8Array.of(0x4b),
        Uint8Array.of(0xff, 0xff),
      ]) {
        assert.throws(() => tried.decode(bad), badPayload);
      }
      assert.deepEqual(tried.decode(packet), clean.decode(packet));
    }
    for (const codec of [encoder, clean, tried]) codec.close();
  });

  test('random payloads give audio or SIDETONE_BAD_PAYLOAD', () => {
    const decoder = new OpusPayloadDecoder();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1600 }), payload => {
        try {
          const { length } = decoder.decode(payload);
          assert.ok(length > 0 && length <= 1920);
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'SIDETONE_BAD_PAYLOAD');
        }
        const { length } = decoder.conceal();
        assert.ok(length > 0 && length <= 1920);
      }),
      { numRuns: 3000 },
    );
    decoder.close();
  });

  test('full-scale square waves and DC encode', () => {
    const encoder = new OpusPayloadEncoder({ complexity: 10 });
    const square = Int16Array.from({ length: 320 }, (_, i) => ((i >> 3) & 1 ? 32767 : -32768));
    for (let i = 0; i < 50; i++) assert.ok(encoder.encode(square).length > 0);
    for (let i = 0; i < 50; i++) assert.ok(encoder.encode(new Int16Array(320).fill(-32768)).length > 0);
    encoder.close();
  });
});

describe('lifetimes', () => {
  test('use after close, and a frame of the wrong length, are refused', () => {
    const encoder = new OpusPayloadEncoder();
    const decoder = new OpusPayloadDecoder();
    assert.throws(() => encoder.encode(new Int16Array(319)), {
      code: 'SIDETONE_BAD_ARGUMENT',
      message: /320/,
    });
    for (const codec of [encoder, decoder]) {
      codec.close();
      codec.close();
    }
    const closed = { code: 'SIDETONE_CODEC_CLOSED' };
    assert.throws(() => encoder.encode(new Int16Array(320)), closed);
    assert.throws(() => decoder.decode(new Uint8Array(1)), closed);
    assert.throws(() => decoder.conceal(), closed);
  });

  test('a codec that served one stream is as new for the next', () => {
    const pcm = speechLike(16000, 1);
    const run = (encoder: OpusPayloadEncoder, decoder: OpusPayloadDecoder) => {
      const packets = encodeAll(encoder, pcm);
      const heard = packets.map(packet => decoder.decode(packet).slice());
      encoder.close();
      decoder.close();
      return { packets, heard };
    };
    const fresh = run(new OpusPayloadEncoder(), new OpusPayloadDecoder());
    // The other stream leaves every setting different.
    run(
      new OpusPayloadEncoder({ bitrateBps: 64000, complexity: 0, dtx: true, fec: true }),
      new OpusPayloadDecoder(),
    );
    assert.deepEqual(run(new OpusPayloadEncoder(), new OpusPayloadDecoder()), fresh);
    const conceals = new OpusPayloadDecoder();
    assert.deepEqual(conceals.conceal(), new Int16Array(320));
    conceals.close();
  });

  // A sanitizer keeps freed memory for a while.
  const sanitized = process.env.LD_PRELOAD?.includes('asan');
  test('ten thousand streams one after the other do not grow', { skip: sanitized }, () => {
    const pcm = speechLike(16000, 0.02);
    const stream = () => {
      const encoder = new OpusPayloadEncoder();
      const decoder = new OpusPayloadDecoder();
      decoder.decode(encoder.encode(pcm));
      encoder.close();
      decoder.close();
    };
    for (let i = 0; i < 1000; i++) stream();
    const before = process.memoryUsage().rss;
    for (let i = 0; i < 10000; i++) stream();
    const grownMb = (process.memoryUsage().rss - before) / 2 ** 20;
    assert.ok(grownMb < 40, `${grownMb.toFixed(1)} MB; 10,000 codecs that were not reused would be 670`);
  });
});

describe('threads', () => {
  const library = new URL('../../src/codecs/opus.js', import.meta.url).href;
  const body = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { OpusPayloadDecoder, OpusPayloadEncoder } = await import(workerData.library);
    const encoder = new OpusPayloadEncoder();
    const pcm = new Int16Array(320);
    const packets = [];
    for (let frame = 0; frame < 50; frame++) {
      for (let i = 0; i < 320; i++) pcm[i] = 8000 * Math.sin((frame * 320 + i) * workerData.pitch);
      packets.push(encoder.encode(pcm).slice());
    }
    const decodeAll = () => {
      const decoder = new OpusPayloadDecoder();
      const all = Buffer.concat(packets.map(packet => {
        const { buffer, byteOffset, byteLength } = decoder.decode(packet).slice();
        return Buffer.from(buffer, byteOffset, byteLength);
      }));
      decoder.close();
      return all;
    };
    const want = decodeAll();
    let wrong = 0;
    for (let round = 0; round < 150; round++) if (!decodeAll().equals(want)) wrong++;
    parentPort.postMessage(wrong);
  `;
  const script = new URL(`data:text/javascript,${encodeURIComponent(body)}`);
  const workers: Worker[] = [];
  after(() => Promise.all(workers.map(worker => worker.terminate())));

  test('threads that code at the same time do not hear each other, and end without harm', async () => {
    const wrongs = await Promise.all(
      [0.05, 0.3].map(pitch => {
        const worker = new Worker(script, { workerData: { library, pitch } });
        workers.push(worker);
        return new Promise<number>((resolve, reject) => {
          let wrong: number;
          worker.on('message', count => {
            wrong = count;
          });
          worker.on('error', reject);
          worker.on('exit', () => resolve(wrong));
        });
      }),
    );
    assert.deepEqual(wrongs, [0, 0]);
  });

  test('the WebAssembly build gives the same audio to the bit', async () => {
    const compare = `
      import { createHash } from 'node:crypto';
      const { OpusPayloadDecoder } = await import(${JSON.stringify(library)});
      const { opusLibrary } = await import(${JSON.stringify(library.replace('opus.js', 'opus-library.js'))});
      const decoder = new OpusPayloadDecoder();
      const hash = createHash('sha1');
      const add = pcm => hash.update(new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength));
      for (const packet of JSON.parse(process.env.PACKETS)) add(decoder.decode(Uint8Array.from(packet)));
      add(decoder.conceal());
      decoder.close();
      const reused = new OpusPayloadDecoder();
      add(reused.conceal());
      console.log(opusLibrary().build, hash.digest('hex'));
    `;
    const encoder = new OpusPayloadEncoder();
    const packets = JSON.stringify(encodeAll(encoder, speechLike(16000, 1)).map(packet => [...packet]));
    encoder.close();
    const run = (env: object) => {
      const result = spawnSync(process.execPath, ['--input-type=module', '-e', compare], {
        env: { ...process.env, PACKETS: packets, ...env },
        encoding: 'utf8',
      });
      assert.equal(result.status, 0, result.stderr);
      return result.stdout.trim().split(' ');
    };
    const [wasm, wasmHash] = run({ OPUS_FORCE_WASM: '1' });
    const [build, hash] = run({ OPUS_FORCE_WASM: '' });
    assert.equal(wasm, 'wasm');
    assert.ok(build === 'native' || build === 'wasm');
    assert.equal(wasmHash, hash);
  });
});
