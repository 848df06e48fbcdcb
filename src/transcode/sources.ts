/** Where `transcode` reads from: files as PCM, piece by piece. */
import { ByteReader } from '../audio/byte-reader.js';
import { badWav, parseFormat } from '../audio/wav.js';
import { createDecoder } from '../codecs/create.js';
import type { PayloadDecoder } from '../codecs/types.js';
import { SidetoneError } from '../errors.js';
import type { Encoding } from '../formats.js';
import {
  AWB_MAGIC,
  awbFrameBytes,
  NO_MODE_REQUEST,
  PACKET_BYTES_MAX,
  PACKET_HEADER_BYTES,
} from './formats.js';
import type { AudioFormat, TranscodeOptions } from './options.js';

/** PCM of a file. */
export interface Source {
  readonly sampleRate: number;
  /** Payloads read, and those that the decoder refused: concealment stands in their place. */
  readonly counts: { payloads: number; refused: number };
  /** The sound, piece by piece; a piece is valid until the next is asked for. */
  pcm(): AsyncGenerator<Int16Array>;
  close(): Promise<void>;
}

/** Throws SIDETONE_BAD_ARGUMENT where the file cannot be read or is none of its kind. */
export async function openSource(
  path: string,
  format: AudioFormat,
  options: TranscodeOptions,
): Promise<Source> {
  const reader = await ByteReader.open(path);
  try {
    if (format.container === 'wav') return await openWav(reader, options.channel);
    const decoder = createDecoder(format.encoding, {
      ...(format.sampleRate !== undefined && { sampleRate: format.sampleRate }),
      l16ByteOrder: options.l16ByteOrder ?? 'le',
      ...(format.container === 'awb' && { form: 'octet-aligned' as const }),
    });
    const payloads = {
      awb: awbPayloads,
      packets: packetPayloads,
      raw: (from: ByteReader) => rawPayloads(from, rawBlockBytes(decoder, format.encoding)),
    }[format.container];
    return decoded(reader, decoder, payloads(reader));
  } catch (error) {
    await reader.close();
    throw error;
  }
}

/** 20 ms, or all but: a piece may be cut anywhere between samples. */
function rawBlockBytes(decoder: PayloadDecoder, encoding: Encoding): number {
  const samples = Math.floor(decoder.sampleRate / 50);
  return encoding === 'L16' ? samples * 2 : encoding === 'G722' ? samples / 2 : samples;
}

function decoded(reader: ByteReader, decoder: PayloadDecoder, payloads: AsyncGenerator<Uint8Array>): Source {
  const counts = { payloads: 0, refused: 0 };
  return {
    sampleRate: decoder.sampleRate,
    counts,
    async *pcm() {
      for await (const payload of payloads) {
        counts.payloads++;
        yield decodeOrConceal(decoder, payload, counts);
      }
    },
    async close() {
      decoder.close();
      await reader.close();
    },
  };
}

function decodeOrConceal(decoder: PayloadDecoder, payload: Uint8Array, counts: Source['counts']): Int16Array {
  try {
    return decoder.decode(payload);
  } catch (error) {
    if (!(error instanceof SidetoneError && error.code === 'SIDETONE_BAD_PAYLOAD')) throw error;
    counts.refused++;
    return decoder.conceal();
  }
}

async function* rawPayloads(reader: ByteReader, blockBytes: number): AsyncGenerator<Uint8Array> {
  for (let block = await reader.take(blockBytes); block.length > 0; block = await reader.take(blockBytes)) {
    yield block;
  }
}

function corrupt(reader: ByteReader, at: number, what: string): SidetoneError {
  return new SidetoneError('SIDETONE_BAD_PAYLOAD', `${reader.path}: at byte ${at}: ${what}`);
}

async function* packetPayloads(reader: ByteReader): AsyncGenerator<Uint8Array> {
  for (;;) {
    const at = reader.position;
    const header = await reader.take(PACKET_HEADER_BYTES);
    if (header.length === 0) return;
    if (header.length < PACKET_HEADER_BYTES)
      throw corrupt(reader, at, 'the file ends inside a packet header');
    const length = header.readUInt32BE(0);
    if (length > PACKET_BYTES_MAX) {
      throw corrupt(
        reader,
        at,
        `a packet of ${length} bytes, more than ${PACKET_BYTES_MAX}: is it a packet file (32-bit big-endian length, 32 bits, packet)?`,
      );
    }
    const packet = await reader.take(length);
    if (packet.length < length) throw corrupt(reader, at, `the file ends inside a packet of ${length} bytes`);
    yield packet;
  }
}

/** RFC 4867 section 5.3: each frame becomes an octet-aligned payload of one frame, with no mode request. */
async function* awbPayloads(reader: ByteReader): AsyncGenerator<Uint8Array> {
  const magic = await reader.take(AWB_MAGIC.length);
  if (!magic.equals(AWB_MAGIC)) {
    const remedy = 'give a single-channel AMR-WB file, which begins with #!AMR-WB and a line feed';
    const begins = JSON.stringify(magic.toString('latin1'));
    throw new SidetoneError('SIDETONE_BAD_ARGUMENT', `${reader.path}: its beginning is ${begins}: ${remedy}`);
  }
  for (;;) {
    const at = reader.position;
    const header = (await reader.take(1))[0];
    if (header === undefined) return;
    const speechBytes = awbFrameBytes(header);
    if (speechBytes === undefined) {
      throw corrupt(
        reader,
        at,
        `frame type ${(header >> 3) & 15} is reserved: the file is damaged from here on`,
      );
    }
    const speech = await reader.take(speechBytes);
    if (speech.length < speechBytes) {
      throw corrupt(reader, at, `the file ends inside a frame of ${speechBytes} bytes`);
    }
    yield Uint8Array.of(NO_MODE_REQUEST, header, ...speech);
  }
}

const RIFF_BYTES = 12;
const CHUNK_HEADER_BYTES = 8;
const SKIP_BYTES = 4096;

async function openWav(reader: ByteReader, channel: TranscodeOptions['channel']): Promise<Source> {
  const name = reader.path;
  const riff = (await reader.take(RIFF_BYTES)).toString('latin1');
  if (riff.slice(0, 4) !== 'RIFF' || riff.slice(8) !== 'WAVE')
    throw badWav(name, 'its beginning', 'not RIFF … WAVE', 'give a WAV file');
  let format: { channels: 1 | 2; sampleRate: number } | undefined;
  for (;;) {
    const chunk = await reader.take(CHUNK_HEADER_BYTES);
    if (chunk.length < CHUNK_HEADER_BYTES) {
      throw badWav(name, 'its data chunk', 'missing', 'give a WAV file that holds sound');
    }
    const tag = chunk.toString('latin1', 0, 4);
    const bytes = chunk.readUInt32LE(4);
    if (tag === 'data') {
      if (!format) throw badWav(name, 'its fmt chunk', 'missing', 'give a WAV file with fmt before data');
      return wavSource(reader, format, bytes, channel);
    }
    let left = bytes + (bytes & 1); // chunks are padded to even sizes
    if (tag === 'fmt ') {
      const body = await reader.take(Math.min(left, SKIP_BYTES));
      left -= body.length;
      format = parseFormat(new DataView(body.buffer, body.byteOffset, body.length), 0, body.length, name);
    }
    while (left > 0) {
      const skipped = await reader.take(Math.min(left, SKIP_BYTES));
      if (skipped.length === 0) break;
      left -= skipped.length;
    }
  }
}

function wavSource(
  reader: ByteReader,
  { channels, sampleRate }: { channels: 1 | 2; sampleRate: number },
  dataBytes: number,
  channel: TranscodeOptions['channel'],
): Source {
  if (channels === 2 && channel === undefined) {
    throw badWav(reader.path, 'channels', 2, 'say which one with --channel left or --channel right');
  }
  const offset = channels === 2 && channel === 'right' ? 2 : 0;
  const frameBytes = 2 * channels;
  return {
    sampleRate,
    counts: { payloads: 0, refused: 0 },
    async *pcm() {
      const blockBytes = Math.floor(sampleRate / 50) * frameBytes;
      for (let left = dataBytes; left >= frameBytes; ) {
        const block = await reader.take(Math.min(left, blockBytes));
        if (block.length < frameBytes) return; // a recording that was cut off
        left -= block.length;
        const length = Math.floor(block.length / frameBytes);
        yield Int16Array.from({ length }, (_, i) => block.readInt16LE(i * frameBytes + offset));
      }
    },
    close: () => reader.close(),
  };
}
