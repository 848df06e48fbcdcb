// AVX2: 24 bytes against 32 characters a step. Nothing here is inline or from the standard library, so that
// no code built with -mavx2 can be merged into what a machine without it runs.
#include <immintrin.h>

#include "base64/kernels.h"

namespace sidetone::base64::avx2 {
namespace {

constexpr size_t kStepBytes = 24;
constexpr size_t kStepChars = 32;

__m256i bothLanes(__m128i lane) { return _mm256_broadcastsi128_si256(lane); }

// Reads exactly 24 bytes and writes exactly 32 characters.
void encodeStep(const uint8_t* bytes, char* out) {
  // Each lane takes 12 bytes. The upper one is loaded 4 bytes early, so that the load ends with the input:
  //   lower  b00 b01 … b11  …              upper  …  b12 b13 … b23
  const __m256i loaded = _mm256_set_m128i(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 8)),
                                          _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
  // Spread three bytes a, b, c over one dword as two big-endian-like words:
  //   bytes   b a c b        words   aaaaaaaabbbbbbbb  bbbbbbbbcccccccc
  const __m256i spread =
      _mm256_shuffle_epi8(loaded, _mm256_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10,  //
                                                   5, 4, 6, 5, 8, 7, 9, 8, 11, 10, 12, 11, 14, 13, 15, 14));
  // The four six-bit values, each moved to the low end of its byte by a multiplication:
  //   words   aaaaaa..........  ....bbbbcc......   × 2^6, 2^10, high half →  00000000 00aaaaaa  00000000
  //   00bbbbcc words   ......aabbbb....  ..........cccccc   × 2^4, 2^8,  low half  →  00aabbbb 00000000
  //   00cccccc 00000000
  const __m256i even = _mm256_mulhi_epu16(_mm256_and_si256(spread, _mm256_set1_epi32(0x0fc0fc00)),
                                          _mm256_set1_epi32(0x04000040));
  const __m256i odd = _mm256_mullo_epi16(_mm256_and_si256(spread, _mm256_set1_epi32(0x003f03f0)),
                                         _mm256_set1_epi32(0x01000010));
  //   bytes   00aaaaaa 00aabbbb 00bbbbcc 00cccccc
  const __m256i values = _mm256_or_si256(even, odd);
  // Value to character is an addition that depends on the value's range; number the ranges and look it up:
  //   value   0–25  26–51  52–61   62   63
  //   range   0     1      2–11    12   13
  //   add     'A'   71     −4      −19  −16
  const __m256i past51 = _mm256_subs_epu8(values, _mm256_set1_epi8(51));
  const __m256i past25 = _mm256_cmpgt_epi8(values, _mm256_set1_epi8(25));
  const __m256i range = _mm256_sub_epi8(past51, past25);
  const __m256i add = _mm256_shuffle_epi8(
      bothLanes(_mm_setr_epi8(65, 71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 0, 0)), range);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_add_epi8(values, add));
}

// Reads exactly 32 characters and writes exactly 24 bytes; returns non-zero bytes where a character is not of
// the alphabet (the bytes written for it are then meaningless).
__m256i decodeStep(const char* chars, uint8_t* out) {
  const __m256i text = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(chars));
  const __m256i nibble = _mm256_set1_epi8(0x0f);
  const __m256i high = _mm256_and_si256(_mm256_srli_epi32(text, 4), nibble);
  const __m256i low = _mm256_and_si256(text, nibble);
  // A character is bad if the bit that its high nibble chooses is set for its low nibble:
  //   high nibble     2     3      4, 6    5, 7    others
  //   bit             01    02     04      08      10
  //   good low        B F   0–9    1–F     0–A     none
  const __m256i chosen =
      _mm256_shuffle_epi8(bothLanes(_mm_setr_epi8(0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10,
                                                  0x10, 0x10, 0x10, 0x10, 0x10, 0x10)),
                          high);
  const __m256i refused =
      _mm256_shuffle_epi8(bothLanes(_mm_setr_epi8(0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                                  0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a)),
                          low);
  const __m256i bad = _mm256_and_si256(chosen, refused);
  // Character to value is an addition that depends on the high nibble; '/' shares its own with '+' and moves
  // to 1:
  //   high nibble     1 ('/')   2 ('+')   3 (digits)   4, 5 (upper)   6, 7 (lower)
  //   add             16        19        4            −65            −71
  const __m256i slash = _mm256_cmpeq_epi8(text, _mm256_set1_epi8('/'));
  const __m256i add =
      _mm256_shuffle_epi8(bothLanes(_mm_setr_epi8(0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0)),
                          _mm256_add_epi8(high, slash));
  //   bytes   00aaaaaa 00bbbbbb 00cccccc 00dddddd
  const __m256i values = _mm256_add_epi8(text, add);
  //   words   0000aaaaaabbbbbb 0000ccccccdddddd
  const __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
  //   dword   00000000aaaaaabbbbbbccccccdddddd
  const __m256i quads = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
  // Most significant byte first, the empty one left out: 12 bytes at the start of each lane.
  const __m256i packed = _mm256_shuffle_epi8(
      quads, bothLanes(_mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1)));
  // Dwords 0 1 2 of the lower lane, then 4 5 6 of the upper one: 24 bytes, stored as 16 and 8.
  const __m256i joined = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(joined));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 16), _mm256_extracti128_si256(joined, 1));
  return bad;
}

}  // namespace

size_t encode(const uint8_t* bytes, size_t count, char* out) {
  const size_t body = count / 3 * 3;
  if (body < kStepBytes) return scalar::encode(bytes, count, out);
  size_t at = 0;
  for (; at + kStepBytes <= body; at += kStepBytes) encodeStep(bytes + at, out + at / 3 * 4);
  // The rest of the whole triples: one more step that ends with them and repeats some that are done.
  if (at < body) encodeStep(bytes + body - kStepBytes, out + (body - kStepBytes) / 3 * 4);
  const size_t written = body / 3 * 4;
  return written + scalar::encode(bytes + body, count - body, out + written);
}

size_t decode(const char* chars, size_t count, uint8_t* out) {
  if (count % 4 != 0) return kBase64Invalid;
  if (count < kStepChars + 4) return scalar::decode(chars, count, out);
  const size_t body = count - 4;  // the last quad may be padded and is decoded by itself
  __m256i bad = _mm256_setzero_si256();
  size_t at = 0;
  for (; at + kStepChars <= body; at += kStepChars) {
    bad = _mm256_or_si256(bad, decodeStep(chars + at, out + at / 4 * 3));
  }
  if (at < body) {
    bad = _mm256_or_si256(bad, decodeStep(chars + body - kStepChars, out + (body - kStepChars) / 4 * 3));
  }
  if (!_mm256_testz_si256(bad, bad)) return kBase64Invalid;
  const size_t written = body / 4 * 3;
  const size_t last = scalar::decode(chars + body, 4, out + written);
  return last == kBase64Invalid ? kBase64Invalid : written + last;
}

}  // namespace sidetone::base64::avx2
