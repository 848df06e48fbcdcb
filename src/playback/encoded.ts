/** What `playEncoded()` and an encoded `speak()` take, and the checking of it. */

import { SidetoneError, shown } from '../errors.js';
import type { Encoding, Format, OutboundMode } from '../formats.js';
import { native } from '../native/addon.js';

interface Sender {
  readonly outbound: Format;
  readonly mode: OutboundMode;
}

function fail(problem: string): never {
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
}

/**
 * The bytes of `audio`, which is theirs or base64 of them. `what` stands in the error.
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT
 */
export function toBytes(audio: unknown, what: string): Uint8Array {
  if (audio instanceof Uint8Array) return audio;
  if (typeof audio !== 'string') fail(`${what}: ${shown(audio)}: pass a Uint8Array, or base64 text of it`);
  const bytes = native.decodeBase64(audio);
  return bytes ?? fail(`${what}: a text of ${audio.length} characters: pass base64 (RFC 4648, section 4)`);
}

/**
 * Bytes a second of what goes out as it is.
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT for another encoding than the stream's, and for one that cannot be cut
 */
export function encodedRate(method: string, encoding: Encoding, { outbound, mode }: Sender): number {
  if (mode === 'mp3') {
    fail(`${method} encoding: this stream is in MP3 mode: play files with playFile(), or use mode 'rtp'`);
  }
  if (encoding !== outbound.encoding) {
    const own = `${outbound.encoding} at ${outbound.sampleRate} Hz`;
    fail(`${method} encoding: ${shown(encoding)}: this stream sends ${own}: pass that, or PCM to play()`);
  }
  if (encoding === 'L16') return 2 * outbound.sampleRate;
  if (encoding !== 'OPUS' && encoding !== 'AMR-WB') return 8000;
  return fail(
    `${method} encoding: ${encoding}: its packets cannot be cut for a pause: pass their PCM to play()`,
  );
}

/**
 * Audio that is to go out as it is, and how long it plays.
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is not in the stream's outbound encoding
 */
export function encodedAudio(
  encoding: Encoding,
  audio: unknown,
  stream: Sender,
): { bytes: Uint8Array; ms: number } {
  const rate = encodedRate('playEncoded', encoding, stream);
  const bytes = toBytes(audio, 'playEncoded bytes');
  if (encoding === 'L16' && bytes.length % 2 !== 0) {
    fail(`playEncoded bytes: ${bytes.length} bytes: L16 has two bytes a sample`);
  }
  return { bytes, ms: (bytes.length * 1000) / rate };
}
