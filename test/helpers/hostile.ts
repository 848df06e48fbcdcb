/** Payloads that no encoder made, as a broken or malicious peer could send them. */

import { createDecoder, createEncoder } from '../../src/codecs/create.js';
import type { Encoding } from '../../src/formats.js';
import { Random } from '../../src/simulator/random.js';
import { speechLike } from './speech.js';

/** Real payloads of an encoding, to be spoilt. */
function realPayloads(encoding: Encoding): Uint8Array[] {
  const encoder = createEncoder(encoding);
  const pcm = speechLike(encoder.sampleRate, 1);
  const payloads: Uint8Array[] = [];
  for (let at = 0; at + encoder.frameSamples <= pcm.length; at += encoder.frameSamples) {
    payloads.push(encoder.encode(pcm.subarray(at, at + encoder.frameSamples)));
  }
  encoder.close();
  return payloads;
}

/**
 * `count` payloads that follow from `seed`: noise, one byte over and over, real payloads with bits turned, cut,
 * lengthened or glued together, lengths from 0 to 4,000 bytes.
 */
export function hostilePayloads(encoding: Encoding, count: number, seed: number): Uint8Array[] {
  const random = new Random(seed);
  const real = realPayloads(encoding);
  const pick = (): Uint8Array => real[random.below(real.length)]!;
  const noise = (length: number): Uint8Array => Uint8Array.from({ length }, () => random.below(256));
  const length = (): number => random.below([4, 70, 400, 4001][random.below(4)]!);
  return Array.from({ length: count }, () => {
    switch (random.below(6)) {
      case 0:
        return noise(length());
      case 1:
        return new Uint8Array(length()).fill(random.below(256));
      case 2: {
        const spoilt = pick().slice();
        for (let turns = 1 + random.below(20); turns > 0 && spoilt.length > 0; turns--) {
          spoilt[random.below(spoilt.length)]! ^= 1 << random.below(8);
        }
        return spoilt;
      }
      case 3:
        return pick().slice(0, random.below(pick().length + 1));
      case 4:
        return Uint8Array.from([...pick(), ...noise(random.below(100))]);
      default:
        return Uint8Array.from(Array.from({ length: 1 + random.below(4) }, () => [...pick()]).flat());
    }
  });
}

/** Whether the encoding's libraries are on this machine. */
export function isAvailable(encoding: Encoding): boolean {
  try {
    createDecoder(encoding).close();
    createEncoder(encoding).close();
    return true;
  } catch {
    return false;
  }
}
