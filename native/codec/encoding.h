#pragma once
#include <cstdint>

namespace sidetone {

/** The six encodings of the wire, in the order in which the TypeScript side numbers them. */
enum class Encoding : uint8_t { Pcmu = 0, Pcma = 1, G722 = 2, Opus = 3, AmrWb = 4, L16 = 5 };
constexpr int kEncodingCount = 6;

/** Codecs whose cost would stall a reactor run in the worker pool, packet by packet. */
constexpr bool runsInPool(Encoding encoding) {
  return encoding == Encoding::Opus || encoding == Encoding::AmrWb;
}

/** Rate of the RTP timestamps, in Hz: G.722 counts at 8000 although it carries 16 kHz audio (RFC
 * 3551, 4.5.2). */
constexpr int clockRateHz(Encoding encoding, int announcedHz) {
  switch (encoding) {
    case Encoding::Pcmu:
    case Encoding::Pcma:
    case Encoding::G722:
      return 8000;
    case Encoding::AmrWb:
      return 16000;
    default:
      return announcedHz;
  }
}

/** Rate of the decoded PCM, in Hz. */
constexpr int sampleRateHz(Encoding encoding, int announcedHz) {
  return encoding == Encoding::G722 ? 16000 : clockRateHz(encoding, announcedHz);
}

}  // namespace sidetone
