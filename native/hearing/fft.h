#pragma once
#include <array>
#include <cstddef>

namespace sidetone {

/** The power spectrum of 256 real samples, by a Stockham transform of 128 complex numbers. */
class PowerSpectrum {
 public:
  static constexpr size_t kSamples = 256;
  /** From 0 to just below half the sample rate. */
  static constexpr size_t kBins = kSamples / 2;

  /** Under a Hann window. `power` has room for kBins; a full-scale sine has about 1 / 4 in its bin. */
  static void compute(const float* samples, float* power);
};

}  // namespace sidetone
