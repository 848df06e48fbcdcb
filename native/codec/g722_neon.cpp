#include <arm_neon.h>

#include "codec/g722_single.h"

namespace sidetone::g722 {
namespace {

struct NeonOps {
  using V = int16x8_t;
  static V load(const int16_t* lanes) { return vld1q_s16(lanes); }
  static void store(V v, int16_t* lanes) { vst1q_s16(lanes, v); }
  static V set(int32_t x) { return vdupq_n_s16(static_cast<int16_t>(x)); }
  static V shiftIn(V v, int32_t x) { return vextq_s16(set(x), v, 7); }
  static V adds(V a, V b) { return vqaddq_s16(a, b); }
  static V product(V a, V b) { return vqdmulhq_s16(a, b); }
  static V pull(int32_t difference, V differences) {
    static constexpr int16_t kPull[8] = {128, 128, 128, 128, 128, 128, 0, 0};
    const V opposed = vshrq_n_s16(veorq_s16(set(difference), differences), 15);
    const V pulls = vandq_s16(vld1q_s16(kPull), set(difference == 0 ? 0 : -1));
    return vsubq_s16(veorq_s16(pulls, opposed), opposed);
  }
  static int32_t chainSum(V v) {
    V sum = vqaddq_s16(vextq_s16(v, v, 5), vextq_s16(v, v, 4));
    sum = vqaddq_s16(sum, vextq_s16(v, v, 3));
    sum = vqaddq_s16(sum, vextq_s16(v, v, 2));
    sum = vqaddq_s16(sum, vextq_s16(v, v, 1));
    sum = vqaddq_s16(sum, v);
    return vgetq_lane_s16(sum, 0);
  }
  static uint32_t levelsReached(int32_t magnitude, int32_t scale) {
    int16x8_t reached = vdupq_n_s16(0);  // counted downwards: a mask is -1
    for (int i = 0; i < 32; i += 8) {
      const V decisions = vreinterpretq_s16_u16(vshlq_n_u16(vld1q_u16(kDecision + i), 3));
      const V levels = vqdmulhq_s16(decisions, set(scale));
      reached = vaddq_s16(reached, vreinterpretq_s16_u16(vcleq_s16(levels, set(magnitude))));
    }
    // The zeros that fill the table are always reached.
    return static_cast<uint32_t>(-vaddvq_s16(reached)) - (32 - kDecisions);
  }
};

int16x8_t descale(int32x4_t first, int32x4_t second, int shift, int16_t limit) {
  const int32x4_t bits = vdupq_n_s32(-shift);
  const int16x8_t packed =
      vcombine_s16(vqmovn_s32(vshlq_s32(first, bits)), vqmovn_s32(vshlq_s32(second, bits)));
  return vmaxq_s16(vminq_s16(packed, vdupq_n_s16(limit)), vdupq_n_s16(static_cast<int16_t>(-limit - 1)));
}

void mirror(const int16_t* x, size_t count, const MirrorTaps& tapsA, const MirrorTaps& tapsB, int shift,
            int16_t limit, int16_t* a, int16_t* b) {
  for (size_t t = 0; t < count; t += 8) {
    int32x4_t sums[4] = {};
    for (size_t i = 0; i < 12; i++) {
      const int16x8x2_t pairs = vld2q_s16(x + 2 * (t + i));
      for (size_t part = 0; part < 2; part++) {
        const int16x4_t first = vget_low_s16(pairs.val[part]);
        const int16x4_t second = vget_high_s16(pairs.val[part]);
        sums[0] = vmlal_n_s16(sums[0], first, tapsA[i][part]);
        sums[1] = vmlal_n_s16(sums[1], second, tapsA[i][part]);
        sums[2] = vmlal_n_s16(sums[2], first, tapsB[i][part]);
        sums[3] = vmlal_n_s16(sums[3], second, tapsB[i][part]);
      }
    }
    vst1q_s16(a + t, descale(sums[0], sums[1], shift, limit));
    vst1q_s16(b + t, descale(sums[2], sums[3], shift, limit));
  }
}

}  // namespace

const Kernels* kernelsNeon() {
  using Coder = Single<NeonOps>;
  static constexpr Kernels kernels{"neon", mirror, Coder::encodeBands, Coder::decodeBands, nullptr, nullptr};
  return &kernels;
}

}  // namespace sidetone::g722
