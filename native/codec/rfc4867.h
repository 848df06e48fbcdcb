#pragma once
#include <cstddef>
#include <cstdint>

namespace sidetone {

/**
 * RTP payloads of AMR-WB, RFC 4867. One speech frame is 20 ms, 320 samples at 16 kHz.
 *
 * Frame types (FT, 3GPP TS 26.201 table 1a): 0 to 8 speech at 6.60 to 23.85 kbit/s, 9 comfort noise (SID),
 * 10 to 13 reserved, 14 speech lost, 15 no data.
 */
constexpr uint8_t kAmrWbSid = 9;
constexpr uint8_t kAmrWbSpeechLost = 14;
constexpr uint8_t kAmrWbNoData = 15;

/** Bits of one frame by frame type (RFC 4867 section 3.6, TS 26.201); 0 where there is none. */
constexpr uint16_t kAmrWbFrameBits[16] = {132, 177, 253, 285, 317, 365, 397, 461, 477, 40, 0, 0, 0, 0, 0, 0};

/** The longest frame in storage form: one header byte and 477 bits. */
constexpr size_t kAmrWbStorageBytesMax = 61;

/** Frames a payload may hold: 24 are 480 ms, twice the longest packet (maxptime 240) that the RFC's examples
 * offer.
 */
constexpr size_t kAmrWbFramesMax = 24;

/** Bytes a payload of `kAmrWbFramesMax` frames can have: CMR, one header byte a frame, 60 bytes of speech a
 * frame. */
constexpr size_t kAmrWbPayloadBytesMax = 1 + kAmrWbFramesMax * kAmrWbStorageBytesMax;

/** A codec mode request that asks for nothing (section 4.3.1). */
constexpr uint8_t kAmrWbNoRequest = 15;

enum class Rfc4867Form : uint8_t {
  BandwidthEfficient,  // section 4.3
  OctetAligned,        // section 4.4, without CRC, robust sorting and interleaving
};

/** One frame in storage form (section 5.3): `bytes[0]` is 0|FT(4)|Q|00, then the speech bits, most
 * significant bit first, padded with zeros. */
struct AmrWbFrame {
  uint8_t bytes[kAmrWbStorageBytesMax];

  uint8_t frameType() const { return static_cast<uint8_t>((bytes[0] >> 3) & 15); }
  /** Q: false says that the frame was damaged on the way. */
  bool good() const { return (bytes[0] & 4) != 0; }
};

constexpr uint8_t amrWbStorageHeader(uint8_t frameType, bool good) {
  return static_cast<uint8_t>((frameType << 3) | (good ? 4 : 0));
}

enum class Rfc4867Error : uint8_t {
  None,
  Empty,          // no byte, or no room for one table-of-contents entry
  ReservedMode,   // a frame type of 10 to 13: the whole packet is to be discarded (section 4.3.2)
  TooManyFrames,  // more than kAmrWbFramesMax
  Truncated,      // the table of contents runs past the end, or the payload ends before its first frame does
};

struct Rfc4867Payload {
  Rfc4867Error error;
  /** Frames written. Those that the payload is too short for are given as speech lost. */
  uint8_t frameCount;
  /** Codec mode request: 0 to 8, or `kAmrWbNoRequest`. */
  uint8_t modeRequest;
  /** The payload's length is just what its table of contents says, and its padding is zero. */
  bool exact;
};

/** Takes a payload apart. `frames` has room for `kAmrWbFramesMax`. Never reads past `payload + payloadBytes`.
 */
Rfc4867Payload unpackRfc4867(const uint8_t* payload, size_t payloadBytes, Rfc4867Form form,
                             AmrWbFrame* frames);

/**
 * As `unpackRfc4867`, in the form that the payload is consistent with; where it is with both or neither, in
 * `*form`. `*form` is then the form that was taken, for the next payload of the stream.
 */
Rfc4867Payload unpackRfc4867Auto(const uint8_t* payload, size_t payloadBytes, Rfc4867Form* form,
                                 AmrWbFrame* frames);

/**
 * Puts 1 to `kAmrWbFramesMax` frames of types 0 to 9, 14 or 15 into one payload.
 * `payload` has room for `kAmrWbPayloadBytesMax`. Returns the bytes written, 0 where the arguments are wrong.
 */
size_t packRfc4867(const AmrWbFrame* frames, size_t frameCount, uint8_t modeRequest, Rfc4867Form form,
                   uint8_t* payload);

}  // namespace sidetone
