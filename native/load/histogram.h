#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sidetone::load {

/**
 * Counts of microsecond values in fixed memory (16 KB): exact up to 127 µs, then 64 buckets an octave, so a
 * quantile is right to 1.6 %. Values below 0 count as 0, values of 2^36 µs (19 hours) and more as the last
 * bucket.
 */
class Histogram {
 public:
  static constexpr size_t kBuckets = 1984;

  void record(int64_t valueUs) {
    const uint64_t value = valueUs < 0 ? 0 : std::min(static_cast<uint64_t>(valueUs), kValueMax);
    counts_[bucketOf(value)]++;
    count_++;
    sumUs_ += value;
    minUs_ = std::min(minUs_, value);
    maxUs_ = std::max(maxUs_, value);
  }

  void clear() { *this = Histogram{}; }

  uint64_t count() const { return count_; }
  uint64_t minUs() const { return count_ == 0 ? 0 : minUs_; }
  uint64_t maxUs() const { return maxUs_; }
  double meanUs() const {
    return count_ == 0 ? 0 : static_cast<double>(sumUs_) / static_cast<double>(count_);
  }

  /** The value that a share `q` (0 to 1) of all values do not exceed: the upper edge of its bucket. 0 without
   * values. */
  double quantileUs(double q) const {
    const double wanted = q * static_cast<double>(count_);
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < kBuckets; bucket++) {
      seen += counts_[bucket];
      if (seen > 0 && static_cast<double>(seen) >= wanted) {
        return static_cast<double>(std::min(lowUs(bucket) + widthUs(bucket) - 1, maxUs_));
      }
    }
    return static_cast<double>(maxUs_);
  }

  uint64_t bucketCount(size_t bucket) const { return counts_[bucket]; }
  static uint64_t lowUs(size_t bucket) {
    const size_t shift = shiftOf(bucket);
    return static_cast<uint64_t>(bucket - shift * 64) << shift;
  }
  static uint64_t widthUs(size_t bucket) { return uint64_t{1} << shiftOf(bucket); }

 private:
  static constexpr uint64_t kValueMax = (uint64_t{1} << 36) - 1;

  static size_t bucketOf(uint64_t value) {
    const int width = static_cast<int>(std::bit_width(value));
    const size_t shift = width > 7 ? static_cast<size_t>(width) - 7 : 0;
    return shift * 64 + static_cast<size_t>(value >> shift);
  }
  static size_t shiftOf(size_t bucket) { return bucket < 128 ? 0 : bucket / 64 - 1; }

  std::array<uint64_t, kBuckets> counts_{};
  uint64_t count_ = 0;
  uint64_t sumUs_ = 0;
  uint64_t minUs_ = UINT64_MAX;
  uint64_t maxUs_ = 0;
};

}  // namespace sidetone::load
