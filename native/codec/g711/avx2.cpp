// AVX2: sixteen samples a step, in 16-bit lanes. AVX2 has no variable shift for them. So a shift to the right
// by n is the high half of a multiplication by 2^(16−n), and the power comes from a 16-entry byte shuffle.
// Nothing here is inline or from the standard library, so that no code built with -mavx2 can be merged into
// what a machine without it runs.
#include <immintrin.h>

#include "codec/g711/kernels.h"
#include "codec/g711/steps.h"

namespace sidetone::g711::avx2 {
namespace {

constexpr size_t kStep = 16;

__m256i lookUp(__m128i table, __m256i index) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), index);
}
__m256i word(int value) { return _mm256_set1_epi16(static_cast<int16_t>(value)); }

__m256i load16(const int16_t* pcm) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pcm)); }
__m256i loadCodes(const uint8_t* payload) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(payload)));
}
void store16(int16_t* pcm, __m256i samples) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(pcm), samples); }
// Sixteen words of 0 … 255 become sixteen bytes.
void storeCodes(uint8_t* payload, __m256i codes) {
  const __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(payload), packed);
}

// The number of bits of each word (0 … 255), less `one`, and 0 for the word 0. Where the upper nibble is not
// 0, its answer is the larger one. The words' upper bytes are 0 and look up 0.
//   nibble      0   1       2–3     4–7     8–15
//   as lower    0   1−one   2−one   3−one   4−one
//   as upper    0   5−one   6−one   7−one   8−one
__m256i bitWidth(__m256i words, char one) {
  const char a = static_cast<char>(1 - one), b = static_cast<char>(2 - one), c = static_cast<char>(3 - one),
             d = static_cast<char>(4 - one);
  const __m128i lower = _mm_setr_epi8(0, a, b, b, c, c, c, c, d, d, d, d, d, d, d, d);
  const char e = static_cast<char>(5 - one), f = static_cast<char>(6 - one), g = static_cast<char>(7 - one),
             h = static_cast<char>(8 - one);
  const __m128i upper = _mm_setr_epi8(0, e, f, f, g, g, g, g, h, h, h, h, h, h, h, h);
  return _mm256_max_epu8(lookUp(lower, _mm256_and_si256(words, word(15))),
                         lookUp(upper, _mm256_srli_epi16(words, 4)));
}

void ulawEncodeStep(const int16_t* pcm, uint8_t* payload) {
  const __m256i samples = load16(pcm);
  const __m256i negative = _mm256_srai_epi16(samples, 15);
  // Ones' complement magnitude in 14 bits, biased and clipped: 33 … 8191.
  const __m256i magnitude = _mm256_srli_epi16(_mm256_xor_si256(samples, negative), 2);
  const __m256i clipped = _mm256_min_epi16(_mm256_add_epi16(magnitude, word(33)), word(0x1fff));
  // Segment s begins at 32 << s.
  const __m256i segment = bitWidth(_mm256_srli_epi16(clipped, 5), 1);
  // The four bits below the leading one: clipped >> (segment + 1), that is × 2^(15−segment) >> 16.
  const __m128i powers = _mm_setr_epi8(-128, 64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m256i power = _mm256_slli_epi16(lookUp(powers, segment), 8);
  const __m256i step = _mm256_and_si256(_mm256_mulhi_epu16(clipped, power), word(15));
  // code   ~ s e e e m m m m
  const __m256i bits = _mm256_or_si256(_mm256_slli_epi16(segment, 4), step);
  const __m256i sign = _mm256_and_si256(negative, word(0x80));
  storeCodes(payload, _mm256_xor_si256(_mm256_or_si256(bits, sign), word(0xff)));
}

void alawEncodeStep(const int16_t* pcm, uint8_t* payload) {
  const __m256i samples = load16(pcm);
  const __m256i negative = _mm256_srai_epi16(samples, 15);
  const __m256i magnitude = _mm256_xor_si256(samples, negative);
  // Segment s begins at 256 << (s − 1), and segment 0 at 0: the bit width of magnitude >> 8.
  const __m256i segment = bitWidth(_mm256_srli_epi16(magnitude, 8), 0);
  // The four bits that count: magnitude >> (4 + max(segment − 1, 0)), that is (magnitude >> 3) × 2^(15−…)
  // >> 16.
  const __m128i powers = _mm_setr_epi8(-128, -128, 64, 32, 16, 8, 4, 2, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m256i power = _mm256_slli_epi16(lookUp(powers, segment), 8);
  const __m256i step = _mm256_and_si256(_mm256_mulhi_epu16(_mm256_srli_epi16(magnitude, 3), power), word(15));
  // code   s e e e m m m m, s set for samples that are not negative, every other bit inverted
  const __m256i bits = _mm256_or_si256(_mm256_slli_epi16(segment, 4), step);
  const __m256i sign = _mm256_and_si256(negative, word(0x80));
  storeCodes(payload, _mm256_xor_si256(_mm256_or_si256(bits, sign), word(0x80 ^ 0x55)));
}

void ulawDecodeStep(const uint8_t* payload, int16_t* pcm) {
  const __m256i codes = loadCodes(payload);
  const __m256i bits = _mm256_xor_si256(codes, word(0xff));
  const __m256i segment = _mm256_and_si256(_mm256_srli_epi16(bits, 4), word(7));
  const __m256i step = _mm256_and_si256(bits, word(15));
  // (8 × step + 132) << segment, less the bias 132: at most 32124.
  const __m128i powers = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m256i power = _mm256_and_si256(lookUp(powers, segment), word(0xff));
  const __m256i biased = _mm256_add_epi16(_mm256_slli_epi16(step, 3), word(132));
  const __m256i level = _mm256_sub_epi16(_mm256_mullo_epi16(biased, power), word(132));
  // Two's complement where the code's sign bit is clear.
  const __m256i negative = _mm256_cmpgt_epi16(word(0x80), codes);
  store16(pcm, _mm256_sub_epi16(_mm256_xor_si256(level, negative), negative));
}

void alawDecodeStep(const uint8_t* payload, int16_t* pcm) {
  const __m256i codes = loadCodes(payload);
  const __m256i bits = _mm256_xor_si256(codes, word(0x55));
  const __m256i segment = _mm256_and_si256(_mm256_srli_epi16(bits, 4), word(7));
  const __m256i step = _mm256_and_si256(bits, word(15));
  // Segment 0: 16 × step + 8. The others have a leading one, 256, and are << (segment − 1): at most 32256.
  const __m256i leading = _mm256_and_si256(_mm256_cmpgt_epi16(segment, word(0)), word(256));
  const __m256i first = _mm256_add_epi16(_mm256_add_epi16(_mm256_slli_epi16(step, 4), word(8)), leading);
  const __m128i powers = _mm_setr_epi8(1, 1, 2, 4, 8, 16, 32, 64, 0, 0, 0, 0, 0, 0, 0, 0);
  // Upper bytes of `segment` are 0 and look up 1; they must not take part.
  const __m256i power = _mm256_and_si256(lookUp(powers, segment), word(0xff));
  const __m256i level = _mm256_mullo_epi16(first, power);
  const __m256i negative = _mm256_cmpgt_epi16(word(0x80), codes);
  store16(pcm, _mm256_sub_epi16(_mm256_xor_si256(level, negative), negative));
}

}  // namespace

void ulawDecode(const uint8_t* payload, size_t samples, int16_t* pcm) {
  inSteps<kStep, ulawDecodeStep, scalar::ulawDecode>(payload, samples, pcm);
}

void ulawEncode(const int16_t* pcm, size_t samples, uint8_t* payload) {
  inSteps<kStep, ulawEncodeStep, scalar::ulawEncode>(pcm, samples, payload);
}

void alawDecode(const uint8_t* payload, size_t samples, int16_t* pcm) {
  inSteps<kStep, alawDecodeStep, scalar::alawDecode>(payload, samples, pcm);
}

void alawEncode(const int16_t* pcm, size_t samples, uint8_t* payload) {
  inSteps<kStep, alawEncodeStep, scalar::alawEncode>(pcm, samples, payload);
}

}  // namespace sidetone::g711::avx2
