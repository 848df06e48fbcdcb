/** Encodes utterances, one after the other. LAME in WebAssembly takes floating-point samples. */
import { Piscina } from 'piscina';
import { createMp3Encoder } from 'wasm-media-encoders';

export interface Mp3Job {
  pcm: Int16Array;
  sampleRate: number;
  bitrateKbps: number;
}

type Encoder = Awaited<ReturnType<typeof createMp3Encoder>>;
let encoder: Encoder | undefined;

export default async function encode({ pcm, sampleRate, bitrateKbps }: Mp3Job): Promise<unknown> {
  encoder ??= await createMp3Encoder();
  encoder.configure({
    channels: 1,
    sampleRate,
    outputSampleRate: sampleRate as 16000,
    bitrate: bitrateKbps as 48,
  });
  const parts: Uint8Array[] = [];
  let bytes = 0;
  // Each part is still the encoder's memory, which the next call overwrites.
  const keep = (part: Uint8Array) => {
    parts.push(part.slice());
    bytes += part.length;
  };
  for (let at = 0; at < pcm.length; at += sampleRate) {
    keep(encoder.encode([Float32Array.from(pcm.subarray(at, at + sampleRate), sample => sample / 32768)]));
  }
  keep(encoder.finalize());

  const file = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return Piscina.move(file);
}
