/** MP3 for streams in MP3 mode: encoding whole utterances, and how long a file plays. */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { SidetoneError } from '../errors.js';
import { SAMPLE_RATES } from '../formats.js';
import { wantPeer } from '../peer.js';
import type { Mp3Job } from './mp3-worker.js';
import { oneOf } from './options.js';

/** Bit rates in kbit/s that MPEG-1 and MPEG-2 Layer III share, so that every sample rate has them. */
export const MP3_BITRATES = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160] as const;

export interface Mp3Options {
  /** Constant bit rate in kbit/s. Default 32 up to 12 kHz, 48 up to 16 kHz, 64 above. */
  bitrateKbps?: number;
}

/** The longest utterance: 10 minutes take some 5 s to encode, and about 5 MB as MP3. */
const UTTERANCE_S_MAX = 600;
/** Utterances that may wait: each holds its PCM, at most 57 MB and usually under 1 MB. */
const UTTERANCES_MAX = 32;

/**
 * A thread apart from the codec pool: an utterance takes the time of a hundred frames and more, which the pool's calls
 * would hear. One thread encodes about a hundred times faster than the audio plays. It ends when it has been idle.
 */
let encoders: Piscina<Mp3Job, Uint8Array> | undefined;
let waiting = 0;

/**
 * A whole utterance of mono PCM as one MP3 file (MPEG-1, 2 or 2.5 Layer III by `sampleRate`, constant bit rate), in
 * a thread of its own. `pcm` is copied before this returns. The file plays some 50 to 150 ms longer than the PCM:
 * the encoder's delay and the padding of the last frame.
 *
 * Rejects with `SIDETONE_BAD_OPTION`, `SIDETONE_BAD_ARGUMENT` (empty, or over 10 minutes), `SIDETONE_QUEUE_FULL` (32
 * utterances are waiting), `SIDETONE_PACKAGE_MISSING` (wasm-media-encoders is not installed) or `SIDETONE_WORKER_DIED`.
 */
export async function encodeMp3(
  pcm: Int16Array,
  sampleRate: number,
  options: Mp3Options = {},
): Promise<Uint8Array> {
  const rate = oneOf<number>('MP3 sampleRate', sampleRate, sampleRate, SAMPLE_RATES);
  const fallback = rate <= 12000 ? 32 : rate <= 16000 ? 48 : 64;
  // MPEG-2.5, which the lowest rates need, ends at 64 kbit/s.
  const allowed = MP3_BITRATES.filter(kbps => rate > 12000 || kbps <= 64);
  const bitrateKbps = oneOf<number>('MP3 bitrateKbps', options.bitrateKbps, fallback, allowed);
  if (pcm.length === 0 || pcm.length > UTTERANCE_S_MAX * rate) {
    throw new SidetoneError(
      'SIDETONE_BAD_ARGUMENT',
      `MP3 encode: pcm has ${pcm.length} samples; give 1 to ${UTTERANCE_S_MAX * rate} (${UTTERANCE_S_MAX} s)`,
    );
  }
  if (waiting >= UTTERANCES_MAX) {
    throw new SidetoneError(
      'SIDETONE_QUEUE_FULL',
      `MP3 encode: ${waiting} utterances are waiting; play fewer at once`,
    );
  }
  encoders ??= startEncoders();
  const copy = pcm.slice();
  waiting++;
  try {
    return await encoders.run({ pcm: copy, sampleRate: rate, bitrateKbps }, { transferList: [copy.buffer] });
  } catch (cause) {
    throw new SidetoneError('SIDETONE_WORKER_DIED', `MP3 encode: ${(cause as Error).message}`, { cause });
  } finally {
    waiting--;
  }
}

/** @throws SIDETONE_PACKAGE_MISSING */
export function wantMp3Encoder(): void {
  wantPeer('wasm-media-encoders', 'utterances that are sent as MP3');
}

function startEncoders(): Piscina<Mp3Job, Uint8Array> {
  wantMp3Encoder();
  return new Piscina({
    filename: fileURLToPath(new URL('./mp3-worker.js', import.meta.url)),
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: 30_000,
    recordTiming: false,
  });
}

/** Ends the thread that `encodeMp3` uses, if there is one; what is pending rejects. The next call starts another. */
export async function closeMp3(): Promise<void> {
  const ending = encoders;
  encoders = undefined;
  await ending?.destroy();
}

// ISO/IEC 11172-3 section 2.4.2.3 and 13818-3 section 2.4.2.3, in kbit/s by bitrate_index; 0 is free format, which
// has no length to go by.
const BITRATES: Record<string, readonly number[]> = {
  '1/1': [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
  '1/2': [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
  '1/3': [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  '2/1': [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
  '2/2': [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  '2/3': [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
};
const RATES = [44100, 48000, 32000];

interface FrameHeader {
  bytes: number;
  samples: number;
  sampleRate: number;
  /** Version, layer and sample rate, which do not change within a file. */
  kind: number;
}

/** The MPEG audio frame that begins at `at`, or undefined. */
function frameAt(bytes: Uint8Array, at: number): FrameHeader | undefined {
  if (at + 4 > bytes.length || bytes[at] !== 0xff) return undefined;
  const [second, third] = [bytes[at + 1]!, bytes[at + 2]!];
  const version = (second >> 3) & 3; // 0: 2.5, 1: reserved, 2: MPEG-2, 3: MPEG-1
  const layerBits = (second >> 1) & 3; // 0: reserved, 1: III, 2: II, 3: I
  const bitrateIndex = third >> 4;
  const rateIndex = (third >> 2) & 3;
  if ((second & 0xe0) !== 0xe0 || version === 1 || layerBits === 0) return undefined;
  if (bitrateIndex === 0 || bitrateIndex === 15 || rateIndex === 3) return undefined;
  const layer = 4 - layerBits;
  const lowRate = version !== 3;
  const kbps = BITRATES[`${lowRate ? 2 : 1}/${layer}`]![bitrateIndex]!;
  const sampleRate = RATES[rateIndex]! >> (version === 3 ? 0 : version === 2 ? 1 : 2);
  const samples = layer === 1 ? 384 : layer === 3 && lowRate ? 576 : 1152;
  const padding = (third >> 1) & 1;
  const slotBytes = layer === 1 ? 4 : 1;
  const slots = Math.floor(((samples / 8 / slotBytes) * kbps * 1000) / sampleRate) + padding;
  return { bytes: slots * slotBytes, samples, sampleRate, kind: ((second & 0xfe) << 8) | (third & 0x0c) };
}

/** Bytes of the ID3v2 tag at `at` (its footer included), or 0. */
function id3Bytes(bytes: Uint8Array, at: number): number {
  if (at + 10 > bytes.length || bytes[at] !== 0x49 || bytes[at + 1] !== 0x44 || bytes[at + 2] !== 0x33)
    return 0;
  const size = bytes.subarray(at + 6, at + 10);
  if (size.some(byte => byte > 127)) return 0;
  const body = size.reduce((sum, byte) => sum * 128 + byte, 0);
  return 10 + body + ((bytes[at + 5]! & 0x10) !== 0 ? 10 : 0);
}

/** Whether a frame holds the table of contents of a file ("Xing", "Info") instead of audio. */
function isContents(bytes: Uint8Array, at: number, frame: FrameHeader): boolean {
  // It lies where the side information ends: 4 + 9, 17 or 32 bytes, by version and channels.
  for (const offset of [13, 21, 36]) {
    if (offset + 4 > frame.bytes) return false;
    const name = String.fromCharCode(...bytes.subarray(at + offset, at + offset + 4));
    if (name === 'Xing' || name === 'Info') return true;
  }
  return false;
}

/**
 * How long an MP3 file plays, in milliseconds: its whole frames, without tags and tables of contents. Bytes that are
 * no frame are skipped as a player does. The audio begins where two frames of one kind follow each other, or with the
 * last frame of the file. 0 where there is no audio. Takes any bytes.
 */
export function mp3DurationMs(bytes: Uint8Array): number {
  let durationMs = 0;
  let at = 0;
  let inStep = false;
  let first = true;
  while (at + 4 <= bytes.length) {
    const tag = id3Bytes(bytes, at);
    if (tag > 0) {
      at += tag;
      continue;
    }
    const frame = frameAt(bytes, at);
    const end = at + (frame?.bytes ?? 0);
    const follows = frame && (end === bytes.length || frameAt(bytes, end)?.kind === frame.kind);
    if (!frame || end > bytes.length || !(inStep || follows)) {
      inStep = false;
      at++;
      continue;
    }
    if (!(first && isContents(bytes, at, frame))) durationMs += (frame.samples * 1000) / frame.sampleRate;
    first = false;
    inStep = true;
    at = end;
  }
  return durationMs;
}
