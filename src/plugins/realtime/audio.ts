/** Audio between a stream and the service: G.711 as it is, everything else as PCM at 24 kHz. */
import { StreamResampler } from '../../audio/resampler.js';
import { createEncoder } from '../../codecs/create.js';
import type { Encoding } from '../../formats.js';
import type { AudioFrame, Playback, Stream } from '../../plugin/stream.js';
import type { WireFormat } from './events.js';

const PCM_RATE = 24000;

/** What the service is told of a direction. In MP3 mode nothing is encoded by then. */
export const inputFormat = (stream: Stream): WireFormat => wireFormat(stream.inbound.encoding);
export const outputFormat = (stream: Stream): WireFormat =>
  stream.mode === 'mp3' ? wireFormat('L16') : wireFormat(stream.outbound.encoding);

function wireFormat(encoding: Encoding): WireFormat {
  if (encoding === 'PCMU') return { type: 'audio/pcmu' };
  if (encoding === 'PCMA') return { type: 'audio/pcma' };
  return { type: 'audio/pcm', rate: PCM_RATE };
}

/** Bytes of one ms of a wire format. */
export function bytesPerMs({ type }: WireFormat): number {
  return type === 'audio/pcm' ? (2 * PCM_RATE) / 1000 : 8;
}

/** The caller's frames as bytes of the wire format. What it returns is valid until the next frame. */
export type FrameReader = (frame: AudioFrame) => Uint8Array;

export function frameReader(stream: Stream): FrameReader {
  const { encoding } = stream.inbound;
  if (encoding === 'PCMU' || encoding === 'PCMA') {
    const encoder = createEncoder(encoding);
    // What was lost came in no payload.
    return frame => (frame.concealed ? encoder.encode(frame.samples) : frame.payload);
  }
  if (stream.sampleRate === PCM_RATE) return frame => bytesOf(frame.samples);
  const resampler = new StreamResampler(stream.sampleRate, PCM_RATE);
  return frame => bytesOf(resampler.process(frame.samples));
}

/** Plays bytes of the wire format into the call. @throws SidetoneError SIDETONE_QUEUE_FULL */
export type BytesPlayer = (bytes: Uint8Array) => Playback;

export function bytesPlayer(stream: Stream): BytesPlayer {
  const { encoding } = stream.outbound;
  if (outputFormat(stream).type !== 'audio/pcm') return bytes => stream.playEncoded(encoding, bytes);
  return bytes => stream.play(samplesOf(bytes), { sampleRate: PCM_RATE });
}

function bytesOf(samples: Int16Array): Uint8Array {
  return new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
}

function samplesOf(bytes: Uint8Array): Int16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  return new Int16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >> 1);
}
