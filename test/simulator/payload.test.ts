import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Decoder } from '@evan/opus';
import fc from 'fast-check';
import { decodeBase64, payloadDuration } from '../../src/codecs/payload.js';
import { ENCODINGS } from '../../src/formats.js';
import { haveVectors, vector } from '../helpers/paths.js';
import { makeCall } from './harness.js';

const opus = { encoding: 'OPUS', sampleRate: 16000, amrWbFraming: 'bandwidth-efficient' } as const;
const aligned = { encoding: 'AMR-WB', sampleRate: 16000, amrWbFraming: 'octet-aligned' } as const;

/** What libopus makes of a packet: ms, or undefined where it refuses it. */
function libopusMs(packet: Uint8Array): number | undefined {
  try {
    return new Decoder({ channels: 1, sample_rate: 48000 }).decode(packet).length / 2 / 48;
  } catch {
    return undefined;
  }
}

test('the duration of random Opus packets is what libopus says, refusals included', () => {
  const packet = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 60 }),
    // Signalled frame counts are the intricate case.
    fc
      .tuple(fc.nat(31), fc.nat(255), fc.uint8Array({ maxLength: 300 }))
      .map(([config, counts, rest]) => Uint8Array.from([(config << 3) | 3, counts, ...rest])),
  );
  let accepted = 0;
  fc.assert(
    fc.property(packet, bytes => {
      const duration = payloadDuration(bytes, opus);
      const expected = libopusMs(bytes);
      if (expected !== undefined) accepted++;
      assert.equal('ms' in duration ? duration.ms : undefined, expected, JSON.stringify(duration));
    }),
    { numRuns: 2000 },
  );
  assert.ok(accepted > 200, `only ${accepted} packets were good`);
});

test('every packet of the official Opus vectors is accepted, with the duration of libopus', {
  skip: !haveVectors,
}, () => {
  const files = readdirSync(vector('opus')).filter(name => /^testvector\d+\.bit$/.test(name));
  assert.ok(files.length > 0);
  for (const name of files) {
    const bytes = readFileSync(vector(`opus/${name}`));
    let packets = 0;
    for (let at = 0; at < bytes.length && packets < 300; packets++) {
      const length = bytes.readUInt32BE(at);
      const packet = bytes.subarray(at + 8, at + 8 + length);
      at += 8 + length;
      assert.deepEqual(
        payloadDuration(packet, opus),
        { ms: libopusMs(packet) },
        `${name}, packet ${packets}`,
      );
    }
  }
});

test('every frame of the AMR-WB conformance files is 20 ms in both framings', { skip: !haveVectors }, () => {
  const sizes = [17, 23, 32, 36, 40, 46, 50, 58, 60, 5];
  for (const name of readdirSync(vector('amrwb/ts26173/mime'))) {
    const bytes = readFileSync(vector(`amrwb/ts26173/mime/${name}`)).subarray('#!AMR-WB\n'.length);
    let frames = 0;
    for (let at = 0; at < bytes.length; frames++) {
      const type = (bytes[at]! >> 3) & 15;
      const length = 1 + (sizes[type] ?? 0);
      const payload = Buffer.concat([Uint8Array.of(0xf0), bytes.subarray(at, at + length)]);
      assert.deepEqual(payloadDuration(payload, aligned), { ms: 20 }, `${name}, frame ${frames}`);
      at += length;
    }
    assert.equal(frames, 200, name);
  }
});

test('base64 is accepted exactly where encoding again gives the same text', () => {
  const alphabet = fc.constantFrom(...'ABab01+/=-_ \n\u00e9');
  fc.assert(
    fc.property(fc.string({ unit: alphabet, maxLength: 12 }), text => {
      const again = Buffer.from(text, 'base64').toString('base64');
      assert.deepEqual(
        decodeBase64(text),
        again === text ? Uint8Array.from(Buffer.from(text, 'base64')) : undefined,
      );
    }),
    { numRuns: 5000 },
  );
});

test('whatever arrives, a call answers with an error frame or obeys, and never throws', () => {
  const payload = fc.uint8Array({ maxLength: 400 }).map(bytes => Buffer.from(bytes).toString('base64'));
  const message = fc.oneof(
    fc.string(),
    fc.json(),
    fc.record({
      event: fc.constantFrom('media', 'mark', 'clear', 'stop'),
      media: fc.anything(),
      mark: fc.anything(),
    }),
    fc.record({ event: fc.constant('media'), media: fc.record({ payload }) }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...ENCODINGS),
      fc.constantFrom('rtp', 'mp3'),
      message,
      (encoding, mode, given) => {
        const { clock, call, events } = makeCall({ encoding, mode: mode as 'rtp' | 'mp3' });
        call.opened();
        call.receive(typeof given === 'string' ? given : String(JSON.stringify(given)));
        clock.advance(1000);
        const { frames, marks, errorsSent } = call.result();
        assert.equal(frames.mediaReceived + marks.received + frames.clearsReceived + errorsSent, 1);
        assert.equal(events('error').length, errorsSent);
        assert.equal(events('mark').length, marks.returned);
      },
    ),
    { numRuns: 1000 },
  );
});
