/** MP3 files: what may be played, and the message that carries one. */

import { mp3DurationMs } from '../codecs/mp3.js';
import { SidetoneError } from '../errors.js';
import { LEAD_MS } from './mp3-playout.js';

/** A file, as it goes out. */
export interface Mp3File {
  message: string;
  payloadBytes: number;
  durationMs: number;
}

/** Telnyx is assumed to queue ten minutes; the lead may still be playing when a file comes. */
const FILE_MS_MAX = 600_000 - 2 * LEAD_MS;
/** Ten minutes at 106 kbit/s. */
const FILE_BYTES_MAX = 8e6;

/**
 * @param bytes a file, which is copied
 * @throws SidetoneError SIDETONE_BAD_ARGUMENT for what is not MP3, over 8 MB or over about ten minutes
 */
export function mp3File(bytes: Uint8Array): Mp3File {
  const fail = (problem: string): never => {
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `playFile bytes: ${problem}`);
  };
  if (!(bytes instanceof Uint8Array)) fail(`${typeof bytes}: pass the file's content as a Uint8Array`);
  if (bytes.length > FILE_BYTES_MAX) {
    fail(`${bytes.length} bytes: give at most ${FILE_BYTES_MAX}, at a lower bit rate or in several files`);
  }
  const durationMs = mp3DurationMs(bytes);
  if (durationMs === 0) {
    fail(`${bytes.length} bytes hold no MP3 audio: pass an MP3 file; PCM goes to play()`);
  }
  if (durationMs > FILE_MS_MAX) {
    fail(`${Math.round(durationMs / 1000)} s: Telnyx takes ten minutes at once: give shorter files`);
  }
  return toFile(bytes, durationMs);
}

/** What the encoder made. */
export function fileOf(bytes: Uint8Array): Mp3File {
  return toFile(bytes, mp3DurationMs(bytes));
}

function toFile(bytes: Uint8Array, durationMs: number): Mp3File {
  const payload = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
  const message = `{"event":"media","media":{"payload":"${payload}"}}`;
  return { message, payloadBytes: bytes.length, durationMs };
}

/** The error of a playFile() in RTP mode. */
export function noFiles(): SidetoneError {
  const problem =
    'this stream is in RTP mode, which has no files: pass its PCM to play(), or start the stream';
  const remedy = "with stream_bidirectional_mode=mp3 and say so here: plugin outbound: { mode: 'mp3' }";
  return new SidetoneError('SIDETONE_BAD_ARGUMENT', `playFile: ${problem} ${remedy}`);
}

/** The error of a pause() in MP3 mode. */
export function noPause(): SidetoneError {
  const problem = 'this stream is in MP3 mode, where Telnyx plays whole files';
  return new SidetoneError('SIDETONE_BAD_ARGUMENT', `pause: ${problem}: use clear(), or mode 'rtp'`);
}
