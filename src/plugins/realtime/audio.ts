/** Audio between a stream and the service: G.711 as it is, everything else as PCM at 24 kHz. */
import { StreamResampler } from '../../audio/resampler.js';
import { createEncoder } from '../../codecs/create.js';
import type { Encoding } from '../../formats.js';
import type { AudioFrame, SpeechOptions, Stream } from '../../plugin/stream.js';
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

/** How the service's audio is spoken into the call. */
export function speechOptions(stream: Stream): SpeechOptions {
  const isPcm = outputFormat(stream).type === 'audio/pcm';
  return isPcm ? { sampleRate: PCM_RATE } : { encoding: stream.outbound.encoding };
}

function bytesOf(samples: Int16Array): Uint8Array {
  return new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
}
