#if defined(__x86_64__)
#include "codec/g722_single.h"
#include "codec/g722_sse2_ops.h"

namespace sidetone::g722 {
namespace {

struct ThisFile;
using Coder = Single<Sse2Ops<ThisFile>>;

void mirror(const int16_t* x, size_t count, const MirrorTaps& tapsA, const MirrorTaps& tapsB, int shift,
            int16_t limit, int16_t* a, int16_t* b) {
  const __m128i bits = _mm_cvtsi32_si128(shift);
  const __m128i most = _mm_set1_epi16(limit);
  const __m128i least = _mm_set1_epi16(static_cast<int16_t>(-limit - 1));
  for (size_t t = 0; t < count; t += 8) {
    __m128i sums[4] = {};
    for (size_t i = 0; i < 12; i++) {
      const __m128i pairs0 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + 2 * (t + i)));
      const __m128i pairs1 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + 2 * (t + i) + 8));
      const __m128i forA = _mm_set1_epi32(static_cast<uint16_t>(tapsA[i][0]) | tapsA[i][1] * 65536);
      const __m128i forB = _mm_set1_epi32(static_cast<uint16_t>(tapsB[i][0]) | tapsB[i][1] * 65536);
      sums[0] = _mm_add_epi32(sums[0], _mm_madd_epi16(pairs0, forA));
      sums[1] = _mm_add_epi32(sums[1], _mm_madd_epi16(pairs1, forA));
      sums[2] = _mm_add_epi32(sums[2], _mm_madd_epi16(pairs0, forB));
      sums[3] = _mm_add_epi32(sums[3], _mm_madd_epi16(pairs1, forB));
    }
    for (auto& sum : sums) sum = _mm_sra_epi32(sum, bits);
    const __m128i packedA = _mm_packs_epi32(sums[0], sums[1]);
    const __m128i packedB = _mm_packs_epi32(sums[2], sums[3]);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(a + t), _mm_max_epi16(_mm_min_epi16(packedA, most), least));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(b + t), _mm_max_epi16(_mm_min_epi16(packedB, most), least));
  }
}

}  // namespace

const Kernels* kernelsSse2() {
  static constexpr Kernels kernels{"sse2", mirror, Coder::encodeBands, Coder::decodeBands, nullptr, nullptr};
  return &kernels;
}

}  // namespace sidetone::g722
#endif
