import type { Duration } from '../codecs/payload.js';

// ISO/IEC 11172-3, 2.4.2.3 and ISO/IEC 13818-3, 2.4.2.3: kbit/s of layer III by bit rate index, and Hz by rate index.
const KBIT_MPEG1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const KBIT_MPEG2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const HZ_MPEG1 = [44100, 48000, 32000];

/** How long an MP3 file plays, in ms, by walking its frame headers; at least one whole frame must be there. */
export function mp3Duration(file: Uint8Array): Duration {
  let at = id3Bytes(file);
  let ms = 0;
  while (at + 4 <= file.length) {
    const frame = mp3Frame(file, at);
    if (!frame || at + frame.bytes > file.length) break;
    ms += frame.ms;
    at += frame.bytes;
  }
  return ms > 0 ? { ms } : { problem: 'the payload holds no MPEG layer III frame' };
}

/** ID3v2, section 3.1: a ten-byte header with the size in four seven-bit bytes; a footer adds ten. */
function id3Bytes(file: Uint8Array): number {
  if (file.length < 10 || file[0] !== 0x49 || file[1] !== 0x44 || file[2] !== 0x33) return 0;
  const size =
    ((file[6]! & 0x7f) << 21) | ((file[7]! & 0x7f) << 14) | ((file[8]! & 0x7f) << 7) | (file[9]! & 0x7f);
  return 10 + size + (file[5]! & 0x10 ? 10 : 0);
}

function mp3Frame(file: Uint8Array, at: number): { bytes: number; ms: number } | undefined {
  const second = file[at + 1]!;
  if (file[at] !== 0xff || (second & 0xe0) !== 0xe0 || (second & 0x06) !== 0x02) return undefined;
  const version = (second >> 3) & 3; // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
  const third = file[at + 2]!;
  const kbit = (version === 3 ? KBIT_MPEG1 : KBIT_MPEG2)[third >> 4];
  const baseHz = HZ_MPEG1[(third >> 2) & 3];
  if (version === 1 || !kbit || !baseHz) return undefined;
  const rate = version === 3 ? baseHz : version === 2 ? baseHz / 2 : baseHz / 4;
  const samples = version === 3 ? 1152 : 576;
  const bytes = Math.floor(((samples / 8) * kbit * 1000) / rate) + ((third >> 1) & 1);
  return { bytes, ms: (samples / rate) * 1000 };
}
