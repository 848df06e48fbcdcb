#pragma once
#include <array>
#include <cstdint>

namespace sidetone {

/** The six encodings of the wire. */
enum class Encoding : uint8_t { Pcmu, Pcma, G722, Opus, AmrWb, L16 };
constexpr int kEncodingCount = 6;
/** As the specification spells them. */
constexpr std::array<const char*, kEncodingCount> kEncodingNames = {"PCMU", "PCMA",   "G722",
                                                                    "OPUS", "AMR-WB", "L16"};

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
