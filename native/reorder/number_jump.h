#pragma once
#include <cstdint>

namespace sidetone {

/**
 * Numbers that are too far from where their series stands: one alone is garbled, a second that follows it
 * closely says that the series goes on there.
 */
class FarNumber {
 public:
  /** Whether `number` follows the last far one by at most `stepMax`. */
  bool follows(uint64_t number, uint64_t stepMax) {
    const bool near = seen_ && number > last_ && number - last_ <= stepMax;
    seen_ = !near;
    last_ = number;
    return near;
  }

 private:
  uint64_t last_ = 0;
  bool seen_ = false;
};

}  // namespace sidetone
