#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "resample/resampler.h"

namespace sidetone {

/** A room's recording on its way to whoever writes it down, at one rate whatever the room's. */
class Tape {
 public:
  /** Longest sound that waits to be fetched; what does not fit becomes silence. */
  static constexpr int kHeldMaxMs = 1000;

  explicit Tape(int sampleHz);

  void append(const int16_t* pcm, size_t samples, int fromHz);
  /** So many ticks of silence. */
  void skip(uint64_t ticks);
  /** The next samples into `pcm`: how many, or less than 0 for so many of silence that come first; 0: none. */
  int64_t take(int16_t* pcm, size_t samplesMax);

 private:
  void silence(size_t samples);

  int sampleHz_;
  int fromHz_;
  std::unique_ptr<Resampler> resampler_;
  std::vector<int16_t> converted_;
  std::vector<int16_t> held_;
  size_t heldSamples_ = 0;
  int64_t silenceBefore_ = 0;  // what stands before held_ …
  int64_t silenceBehind_ = 0;  // … and behind it
};

}  // namespace sidetone
