#pragma once
#include <emmintrin.h>

#include "codec/g722_tables.h"

namespace sidetone::g722 {

/** What codec/g722_single.h asks for, on SSE2. `File` is a type of the including file's own: compiled for
 * another instruction set, these are other functions. */
template <class File>
struct Sse2Ops {
  using V = __m128i;
  static V load(const int16_t* lanes) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(lanes)); }
  static void store(V v, int16_t* lanes) { _mm_storeu_si128(reinterpret_cast<__m128i*>(lanes), v); }
  static V set(int32_t x) { return _mm_set1_epi16(static_cast<int16_t>(x)); }
  static V shiftIn(V v, int32_t x) { return _mm_insert_epi16(_mm_slli_si128(v, 2), x, 0); }
  static V adds(V a, V b) { return _mm_adds_epi16(a, b); }
  static V product(V a, V b) {
    const V high = _mm_slli_epi16(_mm_mulhi_epi16(a, b), 1);
    return _mm_or_si128(high, _mm_srli_epi16(_mm_mullo_epi16(a, b), 15));
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

}  // namespace sidetone::g722
