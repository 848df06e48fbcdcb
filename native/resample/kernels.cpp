#include "resample/kernels.h"

namespace sidetone {
namespace {

/** Nearest int16, ties to even, by way of the float whose last bit weighs 1 (1.5 * 2^23). */
int16_t roundToInt16(float value) {
  constexpr float kUnit = 12582912.0F;
  const float limited = value < -32768.0F ? -32768.0F : value > 32767.0F ? 32767.0F : value;
  return static_cast<int16_t>((limited + kUnit) - kUnit);
}

void widen(const int16_t* in, size_t samples, float* out) {
  for (size_t i = 0; i < samples; i++) out[i] = static_cast<float>(in[i]);
}

void runs(const TapRun* runs, size_t runCount, size_t outputs, int16_t* out) {
  for (size_t i = 0; i < outputs; i += 8) {
    float sums[8] = {};
    for (const TapRun* run = runs; run != runs + runCount; run++) {
      for (size_t j = 0; j < run->taps; j++) {
        for (size_t lane = 0; lane < 8; lane++) sums[lane] += run->coefficients[j] * run->x[i + j + lane];
      }
    }
    for (size_t lane = 0; lane < 8; lane++) out[i + lane] = roundToInt16(sums[lane]);
  }
}

void windows(const TapWindow* windows, size_t taps, size_t outputs, int16_t* out) {
  for (size_t i = 0; i < outputs; i++) {
    const float* c = windows[i].coefficients;
    const float* x = windows[i].x;
    float s[8] = {};
    for (size_t j = 0; j < taps; j += 8) {
      for (size_t lane = 0; lane < 8; lane++) s[lane] += c[j + lane] * x[j + lane];
    }
    out[i] = roundToInt16(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])));
  }
}

}  // namespace

const ResampleKernels& resampleKernelsScalar() {
  static constexpr ResampleKernels kernels{"scalar", widen, runs, windows};
  return kernels;
}

#if !defined(__x86_64__)
const ResampleKernels* resampleKernelsAvx2() { return nullptr; }
#endif
#if !defined(__aarch64__)
const ResampleKernels* resampleKernelsNeon() { return nullptr; }
#endif

const ResampleKernels& resampleKernelsBest() {
  static const ResampleKernels* const best = [] {
    if (const ResampleKernels* kernels = resampleKernelsAvx2()) return kernels;
    if (const ResampleKernels* kernels = resampleKernelsNeon()) return kernels;
    return &resampleKernelsScalar();
  }();
  return *best;
}

}  // namespace sidetone
