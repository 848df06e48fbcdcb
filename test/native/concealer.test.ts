import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { joinPcm } from '../../src/audio/pcm.js';
import { SAMPLE_RATES } from '../../src/formats.js';
import { dsp, words } from '../helpers/dsp.js';
import { haveVectors, vector } from '../helpers/paths.js';

const GOOD = 0x6b21;

/** The standard's test: 10 ms frames, every tenth lost, output shifted back by the 30 samples it comes late. */
function conformance(cut: (samples: number) => number[]): Int16Array {
  const input = words(readFileSync(vector('g711-appI-plc/f2.le')));
  const pattern = words(readFileSync(vector('g711-appI-plc/fe10.g192')));
  const concealer = new dsp.Concealer(8000, { standardTiming: true });
  const parts: Int16Array[] = [];
  for (let at = 0; at < input.length; at += 80) {
    let from = at;
    for (const length of cut(80)) {
      if (pattern[(at / 80) % pattern.length] === GOOD) {
        const frame = input.slice(from, from + length);
        concealer.receive(frame);
        parts.push(frame);
      } else {
        parts.push(concealer.conceal(length));
      }
      from += length;
    }
  }
  const last = new Int16Array(concealer.delaySamples);
  concealer.receive(last);
  return joinPcm([...parts, last]).subarray(concealer.delaySamples);
}

test("the standard's reference output, byte for byte", { skip: !haveVectors }, () => {
  const expected = words(readFileSync(vector('g711-appI-plc/f2_10.raw')));
  assert.deepEqual(
    conformance(samples => [samples]),
    expected,
  );
});

test('the same from frames of other lengths', { skip: !haveVectors }, () => {
  const expected = words(readFileSync(vector('g711-appI-plc/f2_10.raw')));
  assert.deepEqual(
    conformance(() => [1, 17, 0, 62]),
    expected,
  );
  assert.deepEqual(
    conformance(() => [40, 40]),
    expected,
  );
});

test('without delay, good audio far from a loss is untouched and the gap is filled', {
  skip: !haveVectors,
}, () => {
  const input = words(readFileSync(vector('g711-appI-plc/f2.le')));
  const concealer = new dsp.Concealer(8000);
  let gapEnergy = 0;
  let cleanEnergy = 0;
  for (let at = 0, n = 0; at + 160 <= input.length; at += 160, n++) {
    const sent = input.slice(at, at + 160);
    if (n % 10 === 9) {
      for (const sample of concealer.conceal(160)) gapEnergy += sample * sample;
      for (const sample of sent) cleanEnergy += sample * sample;
      continue;
    }
    const heard = sent.slice();
    concealer.receive(heard);
    if (n % 10 === 0 && n > 0) {
      assert.deepEqual(heard.subarray(80), sent.subarray(80)); // the cross-fade is 10 ms at most
    } else {
      assert.deepEqual(heard, sent);
    }
  }
  const ratioDb = 10 * Math.log10(gapEnergy / cleanEnergy);
  assert.ok(Math.abs(ratioDb) < 3, `energy of the filled gaps is ${ratioDb.toFixed(1)} dB off`);
});

test('any order of frames and gaps gives audio whose cut does not matter', () => {
  const event = fc.record({ lost: fc.boolean(), samples: fc.nat({ max: 900 }) });
  fc.assert(
    fc.property(
      fc.constantFrom(...SAMPLE_RATES),
      fc.boolean(),
      fc.array(event, { maxLength: 10 }),
      fc.integer({ min: 1, max: 200 }),
      (rate, standardTiming, events, cut) => {
        const run = (size: number): Int16Array => {
          const concealer = new dsp.Concealer(rate, { standardTiming });
          const parts: Int16Array[] = [];
          let time = 0;
          for (const { lost, samples } of events) {
            for (let at = 0; at < samples; at += size) {
              const count = Math.min(size, samples - at);
              if (lost) {
                parts.push(concealer.conceal(count));
              } else {
                const frame = Int16Array.from({ length: count }, (_, i) =>
                  Math.round(20000 * Math.sin((time + i) ** 1.3)),
                );
                concealer.receive(frame);
                parts.push(frame);
              }
              time += count;
            }
          }
          return joinPcm(parts);
        };
        assert.deepEqual(run(cut), run(900));
      },
    ),
    { numRuns: 150 },
  );
});

test('wrong arguments throw a TypeError that names them', () => {
  const concealer = new dsp.Concealer(8000);
  const wrong: [() => unknown, RegExp][] = [
    [() => new dsp.Concealer(4000), /rateHz must be one of/],
    [() => new dsp.Concealer(8000, 'standard' as never), /options must be an object/],
    [() => concealer.receive(new Float32Array(4) as never), /Int16Array/],
    [() => concealer.conceal(-1), /samples must be a whole number/],
    [() => concealer.conceal(1.5), /samples/],
    [() => concealer.conceal(1e12), /samples/],
    [() => concealer.conceal('160' as never), /samples/],
  ];
  for (const [call, message] of wrong) assert.throws(call, { name: 'TypeError', message });
});
