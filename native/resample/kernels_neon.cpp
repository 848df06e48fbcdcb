#include <arm_neon.h>

#include "resample/kernels.h"

namespace sidetone {
namespace {

int16x4_t roundToInt16(float32x4_t values) {
  // To nearest, ties to even; both conversions saturate.
  return vqmovn_s32(vcvtnq_s32_f32(values));
}

void widen(const int16_t* in, size_t samples, float* out) {
  size_t i = 0;
  for (; i + 8 <= samples; i += 8) {
    const int16x8_t narrow = vld1q_s16(in + i);
    vst1q_f32(out + i, vcvtq_f32_s32(vmovl_s16(vget_low_s16(narrow))));
    vst1q_f32(out + i + 4, vcvtq_f32_s32(vmovl_s16(vget_high_s16(narrow))));
  }
  for (; i < samples; i++) out[i] = static_cast<float>(in[i]);
}

// vmulq and vaddq, not vfmaq: a fused step would give other bits than the reference.
template <size_t Vectors>
void runBlock(const TapRun* runs, size_t runCount, size_t at, int16_t* out) {
  float32x4_t sums[Vectors];
  for (size_t v = 0; v < Vectors; v++) sums[v] = vdupq_n_f32(0.0F);
  for (const TapRun* run = runs; run != runs + runCount; run++) {
    const float* x = run->x + at;
    for (size_t j = 0; j < run->taps; j++, x++) {
      const float32x4_t c = vdupq_n_f32(run->coefficients[j]);
      for (size_t v = 0; v < Vectors; v++) sums[v] = vaddq_f32(sums[v], vmulq_f32(c, vld1q_f32(x + 4 * v)));
    }
  }
  for (size_t v = 0; v < Vectors; v++) vst1_s16(out + at + 4 * v, roundToInt16(sums[v]));
}

void runs(const TapRun* runs, size_t runCount, size_t outputs, int16_t* out) {
  size_t i = 0;
  for (; i + 32 <= outputs; i += 32) runBlock<8>(runs, runCount, i, out);
  for (; i < outputs; i += 8) runBlock<2>(runs, runCount, i, out);
}

void windows(const TapWindow* windows, size_t taps, size_t outputs, int16_t* out) {
  for (size_t i = 0; i < outputs; i++) {
    const float* c = windows[i].coefficients;
    const float* x = windows[i].x;
    float32x4_t low = vdupq_n_f32(0.0F);
    float32x4_t high = vdupq_n_f32(0.0F);
    for (size_t j = 0; j < taps; j += 8) {
      low = vaddq_f32(low, vmulq_f32(vld1q_f32(c + j), vld1q_f32(x + j)));
      high = vaddq_f32(high, vmulq_f32(vld1q_f32(c + j + 4), vld1q_f32(x + j + 4)));
    }
    const float32x4_t folded = vaddq_f32(low, high);
    const float32x2_t pairs = vadd_f32(vget_low_f32(folded), vget_high_f32(folded));
    const float32x2_t sum = vpadd_f32(pairs, pairs);
    out[i] = vget_lane_s16(roundToInt16(vcombine_f32(sum, sum)), 0);
  }
}

}  // namespace

const ResampleKernels* resampleKernelsNeon() {
  static constexpr ResampleKernels kernels{"neon", widen, runs, windows};
  return &kernels;
}

}  // namespace sidetone
