/** The work on one 20 ms PCMU frame (160 samples, 160 bytes), beside what a JavaScript server does instead. */
import alawmulaw from 'alawmulaw';
import type { Bench } from 'tinybench';
import { fastest, kernels } from '../../test/helpers/kernels.js';

export const name = 'kernels';

const SAMPLES = 160;

/** A second of a 440 Hz tone with a little noise, cut into frames, so that no frame is all one value. */
function speechLike(frames: number): Int16Array[] {
  let noise = 1;
  return Array.from({ length: frames }, (_, frame) =>
    Int16Array.from({ length: SAMPLES }, (_, i) => {
      noise = (Math.imul(noise, 1103515245) + 12345) | 0;
      const tone = 9000 * Math.sin((2 * Math.PI * 440 * (frame * SAMPLES + i)) / 8000);
      return tone + (noise >> 22);
    }),
  );
}

function mediaText(payload: Uint8Array, frame: number): Buffer {
  return Buffer.from(
    JSON.stringify({
      event: 'media',
      sequence_number: String(frame + 2),
      stream_id: '32DE0DEA-53CB-4B21-89A4-9E1819C043BC',
      media: {
        track: 'inbound',
        chunk: String(frame + 1),
        timestamp: String(frame * SAMPLES),
        payload: Buffer.from(payload).toString('base64'),
      },
    }),
  );
}

export async function define(bench: Bench): Promise<void> {
  const base64 = fastest(kernels.base64);
  const ulaw = fastest(kernels.ulaw);

  const frames = speechLike(50);
  const payloads = frames.map(pcm => {
    const payload = new Uint8Array(SAMPLES);
    ulaw.encode(pcm, payload);
    return payload;
  });
  const texts = payloads.map(mediaText);
  const strings = payloads.map(payload => Buffer.from(payload).toString('base64'));
  const chars = strings.map(text => Buffer.from(text, 'latin1'));

  // The tables that a JavaScript server has.
  const decodeTable = new Int16Array(256);
  ulaw.decode(
    Uint8Array.from({ length: 256 }, (_, code) => code),
    decodeTable,
  );
  const encodeTable = new Uint8Array(65536);
  ulaw.encode(
    Int16Array.from({ length: 65536 }, (_, sample) => sample),
    encodeTable,
  );
  const tableDecode = (payload: Uint8Array, out: Int16Array): void => {
    for (let i = 0; i < payload.length; i++) out[i] = decodeTable[payload[i]!]!;
  };
  const tableEncode = (pcm: Int16Array, out: Uint8Array): void => {
    for (let i = 0; i < pcm.length; i++) out[i] = encodeTable[pcm[i]! & 0xffff]!;
  };

  const bytesOut = new Uint8Array(512);
  const codesOut = new Uint8Array(SAMPLES);
  const pcmOut = new Int16Array(SAMPLES);
  let turn = 0;
  const next = <Item>(items: Item[]): Item => items[turn++ % items.length]!;

  bench
    .add('base64 encode 160 bytes: sidetone', () => base64.encode(next(payloads), bytesOut))
    .add('base64 encode 160 bytes: Buffer', () => Buffer.from(next(payloads).buffer).toString('base64'))
    .add('base64 decode 216 characters: sidetone', () => base64.decode(next(chars), bytesOut))
    .add('base64 decode 216 characters: Buffer', () => Buffer.from(next(strings), 'base64'))
    .add('µ-law encode 160 samples: sidetone', () => ulaw.encode(next(frames), bytesOut))
    .add('µ-law encode 160 samples: JS table', () => tableEncode(next(frames), bytesOut))
    .add('µ-law encode 160 samples: alawmulaw', () => alawmulaw.mulaw.encode(next(frames)))
    .add('µ-law decode 160 samples: sidetone', () => ulaw.decode(next(payloads), pcmOut))
    .add('µ-law decode 160 samples: JS table', () => tableDecode(next(payloads), pcmOut))
    .add('µ-law decode 160 samples: alawmulaw', () => alawmulaw.mulaw.decode(next(payloads)))
    .add('media message to PCM: sidetone', () => kernels.ulawFromMedia(next(texts), pcmOut))
    .add('media message to PCM: JSON.parse + Buffer + table', () => {
      const message = JSON.parse(next(texts).toString()) as { media: { payload: string } };
      tableDecode(Buffer.from(message.media.payload, 'base64'), pcmOut);
    })
    .add('PCM to media message: sidetone', () => {
      ulaw.encode(next(frames), codesOut);
      kernels.writeMedia(codesOut, bytesOut);
    })
    .add('PCM to media message: table + Buffer + JSON.stringify', () => {
      const payload = Buffer.allocUnsafe(SAMPLES);
      tableEncode(next(frames), payload);
      return JSON.stringify({ event: 'media', media: { payload: payload.toString('base64') } });
    });
}
