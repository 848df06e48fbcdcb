/**
 * G.711 µ-law as a good JavaScript sample does it: a table of 256 for decoding and one of 65,536 for encoding, both
 * made once. They follow ITU-T G.711: decoding by the formula, encoding by the nearest decision value.
 */
const BIAS = 0x84;
const CLIP = 32635;

function decodeOne(code: number): number {
  const inverted = ~code & 0xff;
  const magnitude = ((((inverted & 0x0f) << 3) + BIAS) << ((inverted & 0x70) >> 4)) - BIAS;
  return inverted & 0x80 ? -magnitude : magnitude;
}

function encodeOne(sample: number): number {
  const sign = sample < 0 ? 0x80 : 0;
  const magnitude = Math.min(Math.abs(sample), CLIP) + BIAS;
  const exponent = 31 - Math.clz32(magnitude) - 7;
  const mantissa = (magnitude >> (exponent + 3)) & 0x0f;
  return ~(sign | (exponent << 4) | mantissa) & 0xff;
}

const decodeTable = Int16Array.from({ length: 256 }, (_, code) => decodeOne(code));
const encodeTable = Uint8Array.from({ length: 65536 }, (_, index) => encodeOne((index << 16) >> 16));

export function decodeUlaw(bytes: Uint8Array): Int16Array {
  const pcm = new Int16Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) pcm[i] = decodeTable[bytes[i]!]!;
  return pcm;
}

export function encodeUlaw(pcm: Int16Array): Buffer {
  const bytes = Buffer.allocUnsafe(pcm.length);
  for (let i = 0; i < pcm.length; i++) bytes[i] = encodeTable[pcm[i]! & 0xffff]!;
  return bytes;
}

/** Three seconds of a voice-like sweep at 8 kHz, for the baselines that speak. */
export function phrase(): Int16Array {
  return Int16Array.from({ length: 24000 }, (_, i) => {
    const t = i / 8000;
    const pitch = 120 + 30 * Math.sin(2 * Math.PI * 0.7 * t);
    const voice = Math.sin(2 * Math.PI * pitch * t) + 0.5 * Math.sin(2 * Math.PI * pitch * 5 * t);
    return Math.round(6000 * voice * (0.6 + 0.4 * Math.sin(2 * Math.PI * 3 * t)));
  });
}
