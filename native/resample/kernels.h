#pragma once
#include <cstddef>
#include <cstdint>

namespace sidetone {

/** Taps that lie on consecutive samples: contributes sum over j of coefficients[j] * x[j + i] to output i. */
struct TapRun {
  const float* coefficients;
  const float* x;
  size_t taps;
};

/** One window and its coefficients, `taps` (a multiple of 8) each. */
struct TapWindow {
  const float* coefficients;
  const float* x;
};

/**
 * The arithmetic of the resampler for one instruction set. All sets give the same bits: each product is
 * rounded before it is added (no fused multiply-add), and each sum has one stated order.
 */
struct ResampleKernels {
  const char* name;
  /** int16 to float, `samples` values. */
  void (*widen)(const int16_t* in, size_t samples, float* out);
  /**
   * `outputs` neighbouring outputs of one phase: out[i] = round(sum over runs, then over taps, in order).
   * Computed 8 at a time: `x` must be readable, and `out` writable, as if `outputs` were a multiple of 8.
   */
  void (*runs)(const TapRun* runs, size_t runCount, size_t outputs, int16_t* out);
  /**
   * Outputs of differing phases: out[i] = round(sum over taps of windows[i]). Partial sums s0..s7 over the
   * taps congruent modulo 8 are added as ((s0+s4)+(s2+s6)) + ((s1+s5)+(s3+s7)).
   */
  void (*windows)(const TapWindow* windows, size_t taps, size_t outputs, int16_t* out);
};

/** The reference; runs anywhere. */
const ResampleKernels& resampleKernelsScalar();
/** nullptr where the build or the machine lacks the instruction set. */
const ResampleKernels* resampleKernelsAvx2();
const ResampleKernels* resampleKernelsNeon();
/** The fastest that this machine runs. Chosen once. */
const ResampleKernels& resampleKernelsBest();

}  // namespace sidetone
