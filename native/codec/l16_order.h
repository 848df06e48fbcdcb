#pragma once
#include <cstddef>
#include <cstdint>

#include "codec/l16.h"

namespace sidetone {

/**
 * Finds the byte order of an L16 stream by listening, without holding any audio back.
 *
 * Read in the wrong order, the fast low byte becomes the loud high one, and sound turns into noise near full
 * scale. Sound so soft that only the low byte moved turns into itself, 48 dB louder. Either way what a short
 * linear predictor (Burg's method, order 4) cannot foretell grows by several bits a sample. The order that
 * leaves the smaller residual is the likelier one, at any level and pitch. A low byte that never moves (8-bit
 * sound in 16 bits) counts for nothing.
 *
 * Constant audio tells nothing, nor does anything whose two readings differ by less than a bit a sample:
 * noise at full scale. Until something tells, the order is little-endian, which is what Telnyx sends.
 */
class L16OrderFinder {
 public:
  /** Telling signal after which the order stands. */
  static constexpr int kSettleMs = 200;

  explicit L16OrderFinder(int sampleRateHz)
      : settleSamples_(static_cast<size_t>(sampleRateHz) * kSettleMs / 1000) {}

  /** Listens to the stream's next `samples` samples (2 bytes each). Returns the order in which to read them.
   */
  ByteOrder judge(const uint8_t* payload, size_t samples);

  ByteOrder order() const { return score_ > 0 ? ByteOrder::Big : ByteOrder::Little; }
  /** Whether the order stands for the rest of the stream. */
  bool settled() const { return toldSamples_ >= settleSamples_; }

 private:
  size_t settleSamples_;
  size_t toldSamples_ = 0;
  double score_ = 0;  // bits by which little-endian is the worse reading of what told something
};

}  // namespace sidetone
