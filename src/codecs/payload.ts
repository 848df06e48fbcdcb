import type { Encoding } from '../formats.js';

/** How the payloads that the application sends are to be read. */
export interface PayloadFormat {
  encoding: Encoding;
  /** Sample rate of L16, in Hz; payloads of the other encodings tell their duration themselves. */
  sampleRate: number;
  /** RFC 4867, sections 4.3 and 4.4. */
  amrWbFraming: 'bandwidth-efficient' | 'octet-aligned';
}

/** Either how long a payload plays, or what is wrong with it. */
export type Duration = { ms: number } | { problem: string };

/** How long `payload` plays, in ms, judged by its encoding's own rules; nothing is decoded. */
export function payloadDuration(payload: Uint8Array, format: PayloadFormat): Duration {
  switch (format.encoding) {
    case 'PCMU':
    case 'PCMA':
    case 'G722':
      return { ms: payload.length / 8 };
    case 'L16':
      if (payload.length % 2 !== 0)
        return { problem: `L16 payload has an odd length of ${payload.length} bytes` };
      return { ms: (payload.length / 2 / format.sampleRate) * 1000 };
    case 'OPUS':
      return opusDuration(payload);
    case 'AMR-WB':
      return format.amrWbFraming === 'octet-aligned'
        ? amrWbOctetAligned(payload)
        : amrWbBandwidthEfficient(payload);
  }
}

/** Bytes that one ms takes, for encodings whose payloads can be cut anywhere between samples; otherwise undefined. */
export function bytesPerMs(format: PayloadFormat): number | undefined {
  switch (format.encoding) {
    case 'PCMU':
    case 'PCMA':
    case 'G722':
      return 8;
    case 'L16':
      return (2 * format.sampleRate) / 1000;
    default:
      return undefined;
  }
}

/**
 * Whether a 12-byte RTP header (RFC 3550, section 5.1: version 2, no extension, no CSRC) seems to stand in front of
 * whole 20 ms frames. Audio may begin with the same byte, hence the test of the size.
 */
export function hasRtpHeader(payload: Uint8Array, format: PayloadFormat): boolean {
  if (payload.length <= 12 || (payload[0]! & 0xdf) !== 0x80) return false;
  const perMs = bytesPerMs(format);
  return perMs === undefined || (payload.length - 12) % (20 * perMs) === 0;
}

const OPUS_FRAME_BYTES_MAX = 1275;

/** RFC 6716, section 3.1: the TOC byte's five configuration bits give the length of a frame. */
function opusFrameMs(toc: number): number {
  const config = toc >> 3;
  if (config < 12) return [10, 20, 40, 60][config % 4]!;
  if (config < 16) return [10, 20][config % 2]!;
  return [2.5, 5, 10, 20][config % 4]!;
}

/** One packet to the rules of RFC 6716, section 3.4 (R1 to R7). */
function opusDuration(packet: Uint8Array): Duration {
  const problem = (what: string): Duration => ({ problem: `not an Opus packet: ${what}` });
  if (packet.length === 0) return problem('it is empty');
  const frameMs = opusFrameMs(packet[0]!);
  let frames = 1;
  switch (packet[0]! & 3) {
    case 0:
      if (packet.length - 1 > OPUS_FRAME_BYTES_MAX) return problem(`a frame of ${packet.length - 1} bytes`);
      break;
    case 1:
      frames = 2;
      if ((packet.length - 1) % 2 !== 0) return problem('two frames of equal size in an odd number of bytes');
      if ((packet.length - 1) / 2 > OPUS_FRAME_BYTES_MAX)
        return problem(`frames of ${(packet.length - 1) / 2} bytes`);
      break;
    case 2: {
      frames = 2;
      const first = opusLength(packet, 1);
      const rest = first ? packet.length - 1 - first.lengthBytes - first.frameBytes : -1;
      if (rest < 0) return problem('the first frame ends beyond the packet');
      if (rest > OPUS_FRAME_BYTES_MAX) return problem(`a frame of ${rest} bytes`);
      break;
    }
    default: {
      const code3 = opusCode3(packet);
      if (typeof code3 === 'string') return problem(code3);
      frames = code3;
    }
  }
  if (frames * frameMs > 120) return problem(`${frames} frames of ${frameMs} ms are more than 120 ms`);
  return { ms: frames * frameMs };
}

function opusLength(packet: Uint8Array, at: number): { frameBytes: number; lengthBytes: number } | undefined {
  const first = packet[at];
  if (first === undefined) return undefined;
  if (first < 252) return { frameBytes: first, lengthBytes: 1 };
  const second = packet[at + 1];
  return second === undefined ? undefined : { frameBytes: second * 4 + first, lengthBytes: 2 };
}

/** RFC 6716, section 3.2.5: a signalled number of frames. Gives it, or what is wrong. */
function opusCode3(packet: Uint8Array): number | string {
  const counts = packet[1];
  if (counts === undefined) return 'the frame count is missing';
  const frames = counts & 0x3f;
  if (frames === 0) return 'it announces no frame';
  let at = 2;
  let paddingBytes = 0;
  if (counts & 0x40) {
    let more = 255;
    while (more === 255) {
      const byte = packet[at++];
      if (byte === undefined) return 'the padding length is cut off';
      more = byte;
      paddingBytes += byte === 255 ? 254 : byte;
    }
  }
  let audioBytes = packet.length - at - paddingBytes;
  if (audioBytes < 0) return 'the padding is longer than the packet';
  if (!(counts & 0x80)) {
    if (audioBytes % frames !== 0) return `${audioBytes} bytes are not ${frames} frames of equal size`;
    return audioBytes / frames > OPUS_FRAME_BYTES_MAX ? `frames of ${audioBytes / frames} bytes` : frames;
  }
  for (let i = 0; i < frames - 1; i++) {
    const length = opusLength(packet, at);
    if (!length) return 'a frame length is cut off';
    at += length.lengthBytes;
    audioBytes -= length.lengthBytes + length.frameBytes;
  }
  if (audioBytes < 0) return 'the frames end beyond the packet';
  return audioBytes > OPUS_FRAME_BYTES_MAX ? `a frame of ${audioBytes} bytes` : frames;
}

/** Speech bits of AMR-WB frame types 0 to 9 (RFC 4867, section 4.1.1; 9 is comfort noise); 14 and 15 carry none. */
const AMR_WB_BITS = [132, 177, 253, 285, 317, 365, 397, 461, 477, 40];

function amrWbFrameBits(frameType: number): number | undefined {
  return frameType >= 14 ? 0 : AMR_WB_BITS[frameType];
}

/** RFC 4867, section 4.3: 4 bits CMR, 6 bits a frame (F, FT, Q), then the frames' bits without gaps. */
function amrWbBandwidthEfficient(payload: Uint8Array): Duration {
  const bitsTotal = payload.length * 8;
  let at = 4;
  let speechBits = 0;
  let frames = 0;
  for (let follows = true; follows; frames++) {
    if (at + 6 > bitsTotal)
      return { problem: 'AMR-WB table of contents is cut off (bandwidth-efficient framing)' };
    const entry = (((payload[at >> 3]! << 8) | (payload[(at >> 3) + 1] ?? 0)) >> (10 - (at & 7))) & 0x3f;
    follows = (entry & 0x20) !== 0;
    const bits = amrWbFrameBits((entry >> 1) & 0x0f);
    if (bits === undefined) return { problem: `AMR-WB frame type ${(entry >> 1) & 0x0f} is reserved` };
    speechBits += bits;
    at += 6;
  }
  const bytes = Math.ceil((at + speechBits) / 8);
  if (bytes !== payload.length) return amrWbSizeProblem(bytes, payload.length, 'bandwidth-efficient');
  return { ms: frames * 20 };
}

/** RFC 4867, section 4.4: one byte CMR, one byte a frame (F, FT, Q), then each frame in whole bytes. */
function amrWbOctetAligned(payload: Uint8Array): Duration {
  let at = 1;
  let speechBytes = 0;
  let frames = 0;
  for (let follows = true; follows; frames++) {
    const entry = payload[at++];
    if (entry === undefined)
      return { problem: 'AMR-WB table of contents is cut off (octet-aligned framing)' };
    follows = (entry & 0x80) !== 0;
    const bits = amrWbFrameBits((entry >> 3) & 0x0f);
    if (bits === undefined) return { problem: `AMR-WB frame type ${(entry >> 3) & 0x0f} is reserved` };
    speechBytes += Math.ceil(bits / 8);
  }
  if (at + speechBytes !== payload.length)
    return amrWbSizeProblem(at + speechBytes, payload.length, 'octet-aligned');
  return { ms: frames * 20 };
}

function amrWbSizeProblem(wanted: number, given: number, framing: string): Duration {
  return {
    problem: `AMR-WB table of contents asks for ${wanted} bytes, the payload has ${given} (${framing} framing)`,
  };
}

/**
 * Decodes base64 to the letter of RFC 4648, section 4: the standard alphabet, padded, no white space, and the unused
 * bits of the last character zero (section 3.5). Gives undefined for anything else.
 */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  if (/[^A-Za-z0-9+/]/.test(padding ? text.slice(0, -padding) : text)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  if (padding) {
    const tail = bytes.subarray(bytes.length - (3 - padding)).toString('base64');
    if (tail !== text.slice(-4)) return undefined;
  }
  // A plain array of its own: views of a Buffer may lie anywhere in a pool that others share.
  return new Uint8Array(bytes);
}
