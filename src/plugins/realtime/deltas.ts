/** Pieces of an answer, which are most of what a service sends: the addon finds them, and nothing of them is parsed as JSON. */
import { native } from '../../native/addon.js';
import type { ServiceEvent } from './events.js';

/** A piece of an answer's audio, in the session's output format, or of its words. */
export interface Delta {
  itemId: string;
  /** Empty where it was not told. */
  responseId: string;
  /** Valid until the next message. */
  audio: Uint8Array | undefined;
  words: string;
}

/** Audio of one delta: five seconds of PCM. A longer one goes the way of other events. */
const AUDIO_BYTES_MAX = 256 * 1024;
const KIND = { none: 0, audio: 1 } as const;
// All connections of a thread share them: what is in them is used before the next message.
const audio = new Uint8Array(AUDIO_BYTES_MAX);
const places = new Int32Array(6);

/** A message that is a delta in one of the usual ways of writing one; undefined for any other, which is for `parseEvent`. */
export function scanDelta(message: Buffer): Delta | undefined {
  const kind = native.scanDelta(message, audio, places);
  if (kind === KIND.none) return undefined;
  const isAudio = kind === KIND.audio;
  return {
    itemId: message.toString('latin1', places[0], places[1]),
    responseId: message.toString('latin1', places[2], places[3]),
    audio: isAudio ? audio.subarray(0, places[5]) : undefined,
    words: isAudio ? '' : message.toString('utf8', places[4], places[5]),
  };
}

/** The piece of an answer that an event of `parseEvent` is; undefined for any other event. */
export function deltaOf({
  type,
  delta,
  item_id: itemId,
  response_id: responseId,
}: ServiceEvent): Delta | undefined {
  const isAudio = type === 'response.output_audio.delta';
  if (!isAudio && type !== 'response.output_audio_transcript.delta') return undefined;
  if (typeof delta !== 'string' || typeof itemId !== 'string') return undefined;
  return {
    itemId,
    responseId: typeof responseId === 'string' ? responseId : '',
    audio: isAudio ? Buffer.from(delta, 'base64') : undefined,
    words: isAudio ? '' : delta,
  };
}
