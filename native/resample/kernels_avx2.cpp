#include <immintrin.h>

#include "resample/kernels.h"

// Only intrinsics and functions local to this file: an inline function from a header, compiled here with
// AVX2, could be the copy that the linker keeps for everybody.

namespace sidetone {
namespace {

__m128i roundToInt16(__m256 values) {
  // Packing saturates; the clamp keeps the conversion to int32 in range.
  const __m256 limited =
      _mm256_min_ps(_mm256_max_ps(values, _mm256_set1_ps(-32768.0F)), _mm256_set1_ps(32767.0F));
  const __m256i wide = _mm256_cvtps_epi32(limited);
  return _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
}

void widen(const int16_t* in, size_t samples, float* out) {
  size_t i = 0;
  for (; i + 8 <= samples; i += 8) {
    const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i));
    _mm256_storeu_ps(out + i, _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(narrow)));
  }
  for (; i < samples; i++) out[i] = static_cast<float>(in[i]);
}

template <size_t Vectors>
void runBlock(const TapRun* runs, size_t runCount, size_t at, int16_t* out) {
  __m256 sums[Vectors];
  for (size_t v = 0; v < Vectors; v++) sums[v] = _mm256_setzero_ps();
  for (const TapRun* run = runs; run != runs + runCount; run++) {
    const float* x = run->x + at;
    for (size_t j = 0; j < run->taps; j++, x++) {
      const __m256 c = _mm256_broadcast_ss(run->coefficients + j);
      for (size_t v = 0; v < Vectors; v++) {
        sums[v] = _mm256_add_ps(sums[v], _mm256_mul_ps(c, _mm256_loadu_ps(x + 8 * v)));
      }
    }
  }
  for (size_t v = 0; v < Vectors; v++) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + at + 8 * v), roundToInt16(sums[v]));
  }
}

void runs(const TapRun* runs, size_t runCount, size_t outputs, int16_t* out) {
  size_t i = 0;
  for (; i + 64 <= outputs; i += 64) runBlock<8>(runs, runCount, i, out);
  for (; i + 32 <= outputs; i += 32) runBlock<4>(runs, runCount, i, out);
  for (; i + 16 <= outputs; i += 16) runBlock<2>(runs, runCount, i, out);
  for (; i < outputs; i += 8) runBlock<1>(runs, runCount, i, out);
}

/** s0..s7 of one window. */
__m256 partialSums(const TapWindow& window, size_t taps) {
  __m256 sums = _mm256_setzero_ps();
  for (size_t j = 0; j < taps; j += 8) {
    sums = _mm256_add_ps(
        sums, _mm256_mul_ps(_mm256_loadu_ps(window.coefficients + j), _mm256_loadu_ps(window.x + j)));
  }
  return sums;
}

/** s0+s4, s1+s5, s2+s6, s3+s7 */
__m128 foldHalves(__m256 sums) {
  return _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
}

void windows(const TapWindow* windows, size_t taps, size_t outputs, int16_t* out) {
  size_t i = 0;
  for (; i + 4 <= outputs; i += 4) {
    __m128 a = foldHalves(partialSums(windows[i], taps));
    __m128 b = foldHalves(partialSums(windows[i + 1], taps));
    __m128 c = foldHalves(partialSums(windows[i + 2], taps));
    __m128 d = foldHalves(partialSums(windows[i + 3], taps));
    _MM_TRANSPOSE4_PS(a, b, c, d);
    const __m128 sums = _mm_add_ps(_mm_add_ps(a, c), _mm_add_ps(b, d));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i), roundToInt16(_mm256_castps128_ps256(sums)));
  }
  for (; i < outputs; i++) {
    const __m128 folded = foldHalves(partialSums(windows[i], taps));
    const __m128 pairs = _mm_add_ps(folded, _mm_movehl_ps(folded, folded));
    const __m128 sum = _mm_add_ss(pairs, _mm_shuffle_ps(pairs, pairs, 1));
    out[i] = static_cast<int16_t>(_mm_extract_epi16(roundToInt16(_mm256_castps128_ps256(sum)), 0));
  }
}

}  // namespace

const ResampleKernels* resampleKernelsAvx2() {
  static constexpr ResampleKernels kernels{"avx2", widen, runs, windows};
  return __builtin_cpu_supports("avx2") != 0 ? &kernels : nullptr;
}

}  // namespace sidetone
