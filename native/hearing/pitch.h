#pragma once
#include <array>
#include <cstddef>

namespace sidetone {

/**
 * How periodic a signal of 8 kHz is, as a voice is and breath is not: the highest correlation of its last 32
 * ms below 900 Hz with what lay 2.5 to 16 ms (62 to 400 Hz) before.
 */
class Periodicity {
 public:
  static constexpr size_t kHopSamples = 160;

  /** The next 20 ms. */
  void take(const float* hop);
  /** 0 to 1. */
  float value() const;

 private:
  static constexpr size_t kDown = 4;  // to 2 kHz
  static constexpr size_t kTaps = 16;
  static constexpr size_t kWindow = 64;
  static constexpr size_t kLagMin = 5;
  static constexpr size_t kLagMax = 32;
  static constexpr size_t kHop = kHopSamples / kDown;

  std::array<float, kTaps - kDown> before_{};  // the last samples of the hop before
  std::array<float, kWindow + kLagMax> slow_{};
};

}  // namespace sidetone
