#include "hearing/noise_floor.h"

#include <algorithm>

namespace sidetone {
namespace {

constexpr float kUp = 0.08F;
// In the first half second, when nothing is known of the line.
constexpr float kUpFirst = 0.25F;
constexpr int kFirstHops = 25;
constexpr float kDown = 0.2F;
constexpr float kSmooth = 0.4F;
// The lowest of a noise's smoothed levels lies this far below their mean.
constexpr float kMinimumBias = 1.0F;
constexpr float kHighest = 20;
// -93 dBFS a band, the rounding of 16 bits.
constexpr float kLowest = -31;
// A line that has said nothing yet is taken for a quiet one: -66 dBFS a band.
constexpr float kBeginning = -22;

}  // namespace

NoiseFloor::NoiseFloor() : first_(kFirstHops) {
  floor_.fill(kBeginning);
  lowest_.fill(kHighest);
  for (Bands& bands : lowestOf_) bands.fill(kHighest);
}

void NoiseFloor::hear(const Bands& level, bool isNoise) {
  if (first_ == kFirstHops) smooth_ = level;
  if (first_ > 0) first_--;
  const bool windowEnds = ++hops_ == kWindowHops;
  for (size_t band = 0; band < kBands; band++) {
    float& smooth = smooth_[band];
    smooth += kSmooth * (level[band] - smooth);
    lowest_[band] = std::min(lowest_[band], smooth);
    float& floor = floor_[band];
    if (smooth < floor) {
      floor += kDown * (smooth - floor);
    } else if (isNoise) {
      floor += (first_ > 0 ? kUpFirst : kUp) * (level[band] - floor);
    }
  }
  if (windowEnds) {
    lowestOf_[window_] = lowest_;
    window_ = (window_ + 1) % kWindows;
    lowest_.fill(kHighest);
    hops_ = 0;
    for (size_t band = 0; band < kBands; band++) {
      float lowest = kHighest;
      for (const Bands& bands : lowestOf_) lowest = std::min(lowest, bands[band]);
      if (lowest < kHighest) floor_[band] = std::max(floor_[band], lowest + kMinimumBias);
    }
  }
  for (float& floor : floor_) floor = std::max(floor, kLowest);
}

}  // namespace sidetone
