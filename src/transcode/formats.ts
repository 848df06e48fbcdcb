/** The file formats of payloads. */

/**
 * A packet file, for payloads that do not tell their own length (OPUS, AMR-WB). Each payload follows its length in
 * bytes and the encoder's final range, both as 32 bits big-endian. It is what libopus's `opus_demo` reads and writes;
 * a final range of 0 says that it is not known.
 */
export const PACKET_HEADER_BYTES = 8;
/** More bytes than any payload of a media message has. A larger number is not a length. */
export const PACKET_BYTES_MAX = 16_384;

/** RFC 4867 section 5.1: what a single-channel AMR-WB file begins with. */
export const AWB_MAGIC: Buffer = Buffer.from('#!AMR-WB\n', 'latin1');
/** The first byte of an octet-aligned payload that asks for no mode (RFC 4867 section 4.4.1). */
export const NO_MODE_REQUEST = 0xf0;

/** Bytes of speech by frame type 0 to 9 (RFC 4867 section 3.6, rounded up to whole bytes). */
const AWB_SPEECH_BYTES = [17, 23, 32, 36, 40, 46, 50, 58, 60, 5];

/** Bytes that follow a frame's header in an .awb file (section 5.3); undefined for reserved types. */
export function awbFrameBytes(header: number): number | undefined {
  const frameType = (header >> 3) & 15;
  return frameType >= 14 ? 0 : AWB_SPEECH_BYTES[frameType];
}
