/** What `playEncoded()` takes, and the checking of it. */

import { SidetoneError, shown } from '../errors.js';
import type { Format, OutboundMode } from '../formats.js';
import { native } from '../native/addon.js';

function fail(problem: string): never {
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `playEncoded ${problem}`);
}

/**
 * The bytes of `audio`, which is theirs or base64 of them.
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT
 */
export function toBytes(audio: unknown, what: string): Uint8Array {
  if (audio instanceof Uint8Array) return audio;
  if (typeof audio !== 'string') {
    const problem = `${what}: ${shown(audio)}: pass a Uint8Array, or base64 text of it`;
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
  }
  const bytes = native.decodeBase64(audio);
  if (bytes) return bytes;
  const problem = `${what}: a text of ${audio.length} characters: pass base64 (RFC 4648, section 4)`;
  throw new SidetoneError('SIDETONE_BAD_ARGUMENT', problem);
}

/**
 * Audio that is to go out as it is, and how long it plays.
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is not in the stream's outbound encoding
 */
export function encodedAudio(
  encoding: unknown,
  audio: unknown,
  { outbound, mode }: { outbound: Format; mode: OutboundMode },
): { bytes: Uint8Array; ms: number } {
  if (mode === 'mp3')
    fail("encoding: this stream is in MP3 mode: play files with playFile(), or use mode 'rtp'");
  if (encoding !== outbound.encoding) {
    const own = `${outbound.encoding} at ${outbound.sampleRate} Hz`;
    fail(`encoding: ${shown(encoding)}: this stream sends ${own}: pass that, or PCM to play()`);
  }
  if (!['PCMU', 'PCMA', 'L16'].includes(outbound.encoding)) {
    fail(
      `encoding: ${outbound.encoding}: play its PCM with play(); what can be cut at any sample goes out as it is`,
    );
  }
  const bytes = toBytes(audio, 'playEncoded bytes');
  if (outbound.encoding === 'L16') {
    if (bytes.length % 2 !== 0) fail(`bytes: ${bytes.length} bytes: L16 has two bytes a sample`);
    return { bytes, ms: (bytes.length * 500) / outbound.sampleRate };
  }
  return { bytes, ms: bytes.length / 8 };
}
