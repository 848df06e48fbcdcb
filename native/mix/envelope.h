#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sidetone {

/**
 * A level over the samples that go out: straight ramps, with no jump between them. Ramps whose samples may
 * not have been heard are kept, so that what the far end drops can be taken back exactly.
 */
class Envelope {
 public:
  /** It stands at `level` from `position` on. */
  explicit Envelope(float level, int64_t position = 0) : target_(level) {
    ramps_.push_back({position, position, level, level});
  }

  /** What it is on its way to. */
  float target() const { return target_; }
  float at(int64_t position) const;
  /** From `position` on it goes to `target` within `samples`. What was to come behind `position` is
   * forgotten. */
  void to(float target, int64_t position, int64_t samples);
  /** What lies behind `position` is to go out again: the way to the target begins there, if it had not begun.
   */
  void takeBack(int64_t position);
  /** What lies before `position` has been heard. */
  void forget(int64_t position);
  /** Whether it stands at `level` from `position` on. */
  bool stands(float level, int64_t position) const {
    return ramps_.back().end == level && ramps_.back().to <= position;
  }
  /** The levels of `count` samples from `position` on. */
  void fill(int64_t position, float* levels, size_t count) const;

 private:
  struct Ramp {
    int64_t from;
    int64_t to;
    float begin;
    float end;
  };
  size_t rampAt(int64_t position) const;

  std::vector<Ramp> ramps_;  // by rising `from`; each holds until the next begins
  float target_;
  int64_t lastSamples_ = 0;  // of the ramp to the target
};

}  // namespace sidetone
