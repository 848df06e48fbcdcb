#if defined(__SSE2__)
#include <emmintrin.h>

#include "codec/g722_single.h"

namespace sidetone::g722 {
namespace {

struct Sse2 {
  using V = __m128i;
  static V load(const int16_t* lanes) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(lanes)); }
  static void store(V v, int16_t* lanes) { _mm_storeu_si128(reinterpret_cast<__m128i*>(lanes), v); }
  static V set(int32_t x) { return _mm_set1_epi16(static_cast<int16_t>(x)); }
  static V shiftIn(V v, int32_t x) { return _mm_insert_epi16(_mm_slli_si128(v, 2), x, 0); }
  static V adds(V a, V b) { return _mm_adds_epi16(a, b); }
  static V product(V a, V b) {
    const V high = _mm_slli_epi16(_mm_mulhi_epi16(a, b), 1);
    const V shifted = _mm_or_si128(high, _mm_srli_epi16(_mm_mullo_epi16(a, b), 15));
    // Only -1 * -1 gives -32768 here: it becomes 32767.
    return _mm_xor_si128(shifted, _mm_cmpeq_epi16(shifted, set(-32768)));
  }
  static V pull(int32_t difference, V differences) {
    const V all = set(difference);
    const V opposed = _mm_srai_epi16(_mm_xor_si128(all, differences), 15);
    const V signs =
        _mm_add_epi16(_mm_and_si128(opposed, _mm_setr_epi16(-256, -256, -256, -256, -256, -256, 0, 0)),
                      _mm_setr_epi16(128, 128, 128, 128, 128, 128, 0, 0));
    return _mm_andnot_si128(_mm_cmpeq_epi16(all, _mm_setzero_si128()), signs);
  }
  static int32_t chainSum(V v) {
    V sum = _mm_adds_epi16(_mm_srli_si128(v, 10), _mm_srli_si128(v, 8));
    sum = _mm_adds_epi16(sum, _mm_srli_si128(v, 6));
    sum = _mm_adds_epi16(sum, _mm_srli_si128(v, 4));
    sum = _mm_adds_epi16(sum, _mm_srli_si128(v, 2));
    sum = _mm_adds_epi16(sum, v);
    return static_cast<int16_t>(_mm_cvtsi128_si32(sum));
  }
  static uint32_t levelsReached(int32_t magnitude, int32_t scale) {
    const V all = set(magnitude);
    const V scales = set(scale);
    const auto* decisions = reinterpret_cast<const __m128i*>(kDecision);
    V above[4];
    for (int i = 0; i < 4; i++) {
      const V levels = _mm_mulhi_epu16(_mm_slli_epi16(_mm_loadu_si128(decisions + i), 4), scales);
      above[i] = _mm_cmpgt_epi16(levels, all);
    }
    // Levels rise, so the lowest one above the magnitude tells how many are not.
    const auto mask = static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(above[0], above[1]))) |
                      static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(above[2], above[3]))) << 16;
    return static_cast<uint32_t>(__builtin_ctz(mask | 1U << kDecisions));
  }
};

/** a . b of pairs, for 4 neighbouring t from `x` on. */
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
  static constexpr Kernels kernels{"sse2", mirror, Single<Sse2>::encodeBands, Single<Sse2>::decodeBands};
  return &kernels;
}

}  // namespace sidetone::g722
#endif
