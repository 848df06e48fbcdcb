#pragma once
#include <cstdint>

#include "reorder/number_jump.h"

namespace sidetone {

/**
 * Follows the sequence numbers of one connection. Telnyx numbers every frame it sends (start, media of all
 * tracks, dtmf, mark, stop) in one series. So the numbers show whether anything sent earlier is still on its
 * way. A number that is farther away than a call can lose tells nothing, unless the next one follows it.
 */
class SequenceTracker {
 public:
  /** Media of both tracks for two minutes, and marks and digits between them. */
  static constexpr uint64_t kJumpMax = 16384;

  struct Arrival {
    bool fresh;           // newer than everything seen so far
    bool nothingMissing;  // every frame numbered lower, from the first one on, has arrived
  };

  Arrival note(uint64_t sequence) {
    if (!started_) {
      started_ = true;
      highest_ = sequence;
      missing_ = 0;
      return {true, true};
    }
    const uint64_t distance = sequence > highest_ ? sequence - highest_ : highest_ - sequence;
    if (distance > kJumpMax) {
      if (!far_.follows(sequence, 64)) return {false, false};
      highest_ = sequence;
      missing_ = 0;
      return {true, false};
    }
    if (sequence > highest_) {
      const uint64_t step = sequence - highest_;
      // Bit i of missing_ stands for highest_ - i. What falls off after 64 numbers is given up as lost.
      missing_ = step >= 64 ? 0 : (missing_ << step) | ((uint64_t{1} << step) - 2);
      const bool jumped = step >= 64;
      highest_ = sequence;
      return {true, missing_ == 0 && !jumped};
    }
    const uint64_t back = highest_ - sequence;
    if (back < 64) missing_ &= ~(uint64_t{1} << back);
    const bool nothingMissing = back < 64 && (missing_ >> back) == 0;
    return {false, nothingMissing};
  }

 private:
  bool started_ = false;
  uint64_t highest_ = 0;
  uint64_t missing_ = 0;
  FarNumber far_;
};

}  // namespace sidetone
