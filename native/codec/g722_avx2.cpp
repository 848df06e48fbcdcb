#include <immintrin.h>

#include "codec/g722_single.h"
#include "codec/g722_sse2_ops.h"

// Sixteen streams in the sixteen 16-bit lanes of a vector. The recommendation defines its arithmetic on
// 16-bit words with saturation, so a lane holds every quantity whole. Where it asks for the upper bits of a
// product, the operands are scaled so that a multiplication keeps just those. Tables are looked up by byte
// shuffles.

namespace sidetone::g722 {
namespace {

struct ThisFile;
using Coder = Single<Sse2Ops<ThisFile>>;
using V = __m256i;

V set(int x) { return _mm256_set1_epi16(static_cast<int16_t>(x)); }
V add(V a, V b) { return _mm256_add_epi16(a, b); }
V adds(V a, V b) { return _mm256_adds_epi16(a, b); }
/** value * (65536 - 2^16 / n) / 65536, rounded down: the leak of an adaptive coefficient, from scale = -(2^16
 * / n). */
V leak(V value, int scale) { return add(value, _mm256_mulhi_epi16(value, set(scale))); }
/** (a * b) >> 15; not for -32768 * -32768. */
V product(V a, V b) {
  return _mm256_or_si256(_mm256_slli_epi16(_mm256_mulhi_epi16(a, b), 1),
                         _mm256_srli_epi16(_mm256_mullo_epi16(a, b), 15));
}
V limit(V value, V least, V most) { return _mm256_max_epi16(_mm256_min_epi16(value, most), least); }
/** base - 2 * base where mask is -1. */
V signedBy(V mask, int base) { return add(set(base), _mm256_and_si256(mask, set(-2 * base))); }

/** A table of 16-bit words, of each half 16 bytes to a shuffle. */
template <size_t Words>
struct ByteTable {
  alignas(16) uint8_t lowBytes[Words] = {};
  alignas(16) uint8_t highBytes[Words] = {};

  explicit constexpr ByteTable(const int16_t* words) {
    for (size_t i = 0; i < Words; i++) {
      lowBytes[i] = static_cast<uint8_t>(words[i] & 255);
      highBytes[i] = static_cast<uint8_t>(words[i] >> 8 & 255);
    }
  }
  __m128i low(size_t i = 0) const { return _mm_load_si128(reinterpret_cast<const __m128i*>(lowBytes) + i); }
  __m128i high(size_t i = 0) const { return _mm_load_si128(reinterpret_cast<const __m128i*>(highBytes) + i); }
};

/** 2^(i + 3): see adaptScales. */
constexpr int16_t kPower[16] = {8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384};

constexpr ByteTable<16> kDifference4Bytes(kDifference4);
constexpr ByteTable<16> kLogStep4Bytes(kLogStep4);
constexpr ByteTable<64> kDifference6Bytes(kDifference6);
constexpr ByteTable<32> kMantissaBytes(kMantissa);
constexpr ByteTable<16> kPowerBytes(kPower);

V both(__m128i table) { return _mm256_broadcastsi128_si256(table); }

/** Words of a table of 16 by an index of 0 to 15 in each lane. */
V look16(const ByteTable<16>& table, V index) {
  // 128 in a byte of the index gives 0: the one shuffle fills the lower bytes, the other the upper.
  const V lower = _mm256_shuffle_epi8(both(table.low()), _mm256_or_si256(index, set(-32768)));
  const V upper =
      _mm256_shuffle_epi8(both(table.high()), _mm256_or_si256(_mm256_slli_epi16(index, 8), set(128)));
  return _mm256_or_si256(lower, upper);
}

/** Words of a table of 4, given twice over as bytes, by an index of 0 to 3. */
V look4(V table, V index) {
  return _mm256_shuffle_epi8(table, add(_mm256_mullo_epi16(index, set(0x0202)), set(0x0100)));
}
V wide4(const int16_t* words) {
  return _mm256_set1_epi64x(
      static_cast<int64_t>(static_cast<uint64_t>(static_cast<uint16_t>(words[0])) |
                           static_cast<uint64_t>(static_cast<uint16_t>(words[1])) << 16 |
                           static_cast<uint64_t>(static_cast<uint16_t>(words[2])) << 32 |
                           static_cast<uint64_t>(static_cast<uint16_t>(words[3])) << 48));
}

/** Words of a table of 64 by an index of 0 to 63. */
V look64(const ByteTable<64>& table, V index) {
  const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(index), _mm256_extracti128_si256(index, 1));
  __m128i low = _mm_setzero_si128();
  __m128i high = _mm_setzero_si128();
  for (size_t i = 0; i < 4; i++) {
    // Below 0 or, by the saturation, above 127 where the index is outside of [16 i, 16 i + 16).
    const __m128i within =
        _mm_adds_epu8(_mm_sub_epi8(bytes, _mm_set1_epi8(static_cast<char>(16 * i))), _mm_set1_epi8(112));
    low = _mm_or_si128(low, _mm_shuffle_epi8(table.low(i), within));
    high = _mm_or_si128(high, _mm_shuffle_epi8(table.high(i), within));
  }
  return _mm256_set_m128i(_mm_unpackhi_epi8(low, high), _mm_unpacklo_epi8(low, high));
}

/** One sub-band's coder in sixteen streams; G722Band says what each is. */
struct Band {
  V zeros[6];
  V twofold[6];  // twice the differences: |difference| <= 10228, so this never saturates
  V pole1, pole2;
  V partial1, partial2;
  V twofoldReconstructed;
  V zeroPrediction, prediction;
  V logScale, scale;
};

/** Words of G722Band, in its order, as vectors of a stream each and of a word each. */
constexpr size_t kBandWords = sizeof(G722Band) / sizeof(int16_t);
static_assert(kBandWords == 21);

void loadBand(Band& band, const G722Band* const* streams) {
  alignas(32) int16_t words[kBandWords][kLanes];
  for (size_t lane = 0; lane < kLanes; lane++) {
    const auto* state = reinterpret_cast<const int16_t*>(streams[lane]);
    for (size_t i = 0; i < kBandWords; i++) words[i][lane] = state[i];
  }
  const auto word = [&](size_t i) { return _mm256_load_si256(reinterpret_cast<const V*>(words[i])); };
  for (size_t i = 0; i < 6; i++) band.zeros[i] = word(i);
  for (size_t i = 0; i < 6; i++) band.twofold[i] = adds(word(6 + i), word(6 + i));
  band.pole1 = word(12);
  band.pole2 = word(13);
  band.partial1 = word(14);
  band.partial2 = word(15);
  band.twofoldReconstructed = adds(word(16), word(16));
  band.zeroPrediction = word(17);
  band.prediction = word(18);
  band.logScale = word(19);
  band.scale = word(20);
}

void saveBand(const Band& band, V reconstructed, G722Band* const* streams) {
  alignas(32) int16_t words[kBandWords][kLanes];
  const auto word = [&](size_t i, V value) { _mm256_store_si256(reinterpret_cast<V*>(words[i]), value); };
  for (size_t i = 0; i < 6; i++) word(i, band.zeros[i]);
  for (size_t i = 0; i < 6; i++) word(6 + i, _mm256_srai_epi16(band.twofold[i], 1));
  word(12, band.pole1);
  word(13, band.pole2);
  word(14, band.partial1);
  word(15, band.partial2);
  word(16, reconstructed);
  word(17, band.zeroPrediction);
  word(18, band.prediction);
  word(19, band.logScale);
  word(20, band.scale);
  for (size_t lane = 0; lane < kLanes; lane++) {
    auto* state = reinterpret_cast<int16_t*>(streams[lane]);
    for (size_t i = 0; i < kBandWords; i++) state[i] = words[i][lane];
  }
}

/** The predictor for one more difference; returns the reconstructed signal. `Small`: |4 * difference| <
 * 32768. */
template <bool Small>
V adaptPredictor(Band& band, V difference) {
  const V zero = _mm256_setzero_si256();
  const V pull = _mm256_andnot_si256(_mm256_cmpeq_epi16(difference, zero), set(128));
  V latest = add(difference, difference);
  V sum = zero;
  V terms[6];
  for (int i = 0; i < 6; i++) {
    const V old = band.twofold[i];
    // The lowest bit set: equal differences count as of one sign.
    const V opposed = _mm256_or_si256(_mm256_xor_si256(difference, old), set(1));
    band.zeros[i] = adds(leak(band.zeros[i], -256), _mm256_sign_epi16(pull, opposed));
    band.twofold[i] = latest;
    terms[i] =
        Small ? _mm256_mulhi_epi16(band.zeros[i], add(latest, latest)) : product(band.zeros[i], latest);
    latest = old;
  }
  for (int i = 5; i >= 0; i--) sum = adds(sum, terms[i]);

  const V reconstructed = adds(band.prediction, difference);
  const V partial = adds(band.zeroPrediction, difference);
  const V opposed1 = _mm256_srai_epi16(_mm256_xor_si256(partial, band.partial1), 15);
  const V opposed2 = _mm256_srai_epi16(_mm256_xor_si256(partial, band.partial2), 15);
  const V alike1 = _mm256_xor_si256(opposed1, set(-1));
  const V doubled = adds(band.pole1, band.pole1);
  const V fourfold = adds(doubled, doubled);
  const V towards = _mm256_srai_epi16(_mm256_subs_epi16(_mm256_xor_si256(fourfold, alike1), alike1), 7);
  band.pole2 =
      limit(add(add(towards, signedBy(opposed2, 128)), leak(band.pole2, -512)), set(-12288), set(12288));
  const V most = _mm256_sub_epi16(set(15360), band.pole2);
  band.pole1 =
      limit(add(leak(band.pole1, -256), signedBy(opposed1, 192)), _mm256_sub_epi16(zero, most), most);
  const V twofold = adds(reconstructed, reconstructed);
  const V polePrediction = adds(product(band.pole1, twofold), product(band.pole2, band.twofoldReconstructed));

  band.partial2 = band.partial1;
  band.partial1 = partial;
  band.twofoldReconstructed = twofold;
  band.zeroPrediction = sum;
  band.prediction = adds(polePrediction, sum);
  return reconstructed;
}

/** Next scales of both bands from the steps that the codes ask for. */
void adaptScales(Band& low, V lowStep, Band& high, V highStep) {
  const V zero = _mm256_setzero_si256();
  low.logScale = limit(add(leak(low.logScale, -512), lowStep), zero, set(kLogScaleMaxLow));
  high.logScale = limit(add(leak(high.logScale, -512), highStep), zero, set(kLogScaleMaxHigh));

  // Bytes of both bands in one vector; unpacking bytes with bytes gives each band's words back.
  const V fraction = _mm256_packus_epi16(_mm256_and_si256(_mm256_srli_epi16(low.logScale, 6), set(31)),
                                         _mm256_and_si256(_mm256_srli_epi16(high.logScale, 6), set(31)));
  const V first = add(fraction, set(0x7070));                        // 128 and more from 16 on
  const V second = _mm256_sub_epi8(fraction, _mm256_set1_epi8(16));  // 128 and more below 16
  const V lowBytes = _mm256_or_si256(_mm256_shuffle_epi8(both(kMantissaBytes.low(0)), first),
                                     _mm256_shuffle_epi8(both(kMantissaBytes.low(1)), second));
  const V highBytes = _mm256_or_si256(_mm256_shuffle_epi8(both(kMantissaBytes.high(0)), first),
                                      _mm256_shuffle_epi8(both(kMantissaBytes.high(1)), second));
  // Shifting right by n is multiplying by 2^(16 - n) and keeping the upper half.
  const V exponent =
      _mm256_packus_epi16(add(_mm256_srli_epi16(low.logScale, 11), set(kExponentHigh - kExponentLow)),
                          _mm256_srli_epi16(high.logScale, 11));
  const V powerLow = _mm256_shuffle_epi8(both(kPowerBytes.low()), exponent);
  const V powerHigh = _mm256_shuffle_epi8(both(kPowerBytes.high()), exponent);
  const auto scale = [](V mantissa, V power) {
    return _mm256_slli_epi16(_mm256_mulhi_epu16(_mm256_slli_epi16(mantissa, 3), power), 2);
  };
  low.scale = scale(_mm256_unpacklo_epi8(lowBytes, highBytes), _mm256_unpacklo_epi8(powerLow, powerHigh));
  high.scale = scale(_mm256_unpackhi_epi8(lowBytes, highBytes), _mm256_unpackhi_epi8(powerLow, powerHigh));
}

/** Difference minus what its sign takes away: ~difference below 0. */
V magnitudeOf(V difference) { return _mm256_xor_si256(difference, _mm256_srai_epi16(difference, 15)); }

V quantiseLow(V difference, V scale) {
  const V magnitude = magnitudeOf(difference);
  V reached = set(kDecisions);
  for (size_t i = 0; i < kDecisions; i++) {
    const V level = _mm256_mulhi_epu16(set(kDecision[i] * 16), scale);
    reached = add(reached, _mm256_cmpgt_epi16(level, magnitude));
  }
  // 61 - reached, and below 0: 33 - reached, or 63 - reached for the two least.
  const V least = _mm256_and_si256(_mm256_cmpgt_epi16(set(2), reached), set(30));
  const V base = _mm256_blendv_epi8(set(61), add(least, set(33)), _mm256_srai_epi16(difference, 15));
  return _mm256_sub_epi16(base, reached);
}

V quantiseHigh(V difference, V scale) {
  const V level = _mm256_mulhi_epu16(set(kDecisionHigh * 16), scale);
  const V inner = _mm256_cmpgt_epi16(level, magnitudeOf(difference));
  const V positive = _mm256_andnot_si256(_mm256_srai_epi16(difference, 15), set(2));
  return _mm256_sub_epi16(positive, inner);
}

/** Eight vectors of eight words: rows become columns. */
void transpose(__m128i* rows) {
  __m128i a[8];
  __m128i b[8];
  for (int i = 0; i < 4; i++) {
    a[2 * i] = _mm_unpacklo_epi16(rows[2 * i], rows[2 * i + 1]);
    a[2 * i + 1] = _mm_unpackhi_epi16(rows[2 * i], rows[2 * i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    b[i] = _mm_unpacklo_epi32(a[i], a[i + 2]);
    b[i + 1] = _mm_unpackhi_epi32(a[i], a[i + 2]);
    b[i + 2] = _mm_unpacklo_epi32(a[i + 1], a[i + 3]);
    b[i + 3] = _mm_unpackhi_epi32(a[i + 1], a[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    rows[2 * i] = _mm_unpacklo_epi64(b[i], b[i + 4]);
    rows[2 * i + 1] = _mm_unpackhi_epi64(b[i], b[i + 4]);
  }
}

/** Eight instants of sixteen streams, from a vector of eight instants a stream to a vector of sixteen streams
 * each. */
void toLanes(__m128i* streams, V* instants) {
  transpose(streams);
  transpose(streams + 8);
  for (int t = 0; t < 8; t++) instants[t] = _mm256_set_m128i(streams[8 + t], streams[t]);
}

void fromLanes(const V* instants, __m128i* streams) {
  for (int t = 0; t < 8; t++) {
    streams[t] = _mm256_castsi256_si128(instants[t]);
    streams[8 + t] = _mm256_extracti128_si256(instants[t], 1);
  }
  transpose(streams);
  transpose(streams + 8);
}

struct Pointers {
  G722Band* low[kLanes];
  G722Band* high[kLanes];
  explicit Pointers(G722Bands* const* bands) {
    for (size_t lane = 0; lane < kLanes; lane++) {
      low[lane] = &bands[lane]->low;
      high[lane] = &bands[lane]->high;
    }
  }
};

/** Up to 8 bytes; nearly always 8, which is one move. */
void copyBytes(void* to, const void* from, size_t bytes) {
  if (bytes == 8) {
    __builtin_memcpy(to, from, 8);
  } else {
    __builtin_memcpy(to, from, bytes);
  }
}

void encodeLanes(G722Bands* const* bands, const int16_t (*lowIn)[kRowSamples],
                 const int16_t (*highIn)[kRowSamples], size_t count, uint8_t* const* payload) {
  const V difference2 = wide4(kDifference2);
  const V logStep2 = wide4(kLogStep2);
  const Pointers states(bands);
  Band low;
  Band high;
  loadBand(low, states.low);
  loadBand(high, states.high);
  V lowReconstructed = _mm256_setzero_si256();
  V highReconstructed = lowReconstructed;

  for (size_t at = 0; at < count; at += 8) {
    const size_t steps = count - at < 8 ? count - at : 8;
    __m128i rows[kLanes];
    V lowSamples[8];
    V highSamples[8];
    V codes[8] = {};
    for (size_t lane = 0; lane < kLanes; lane++) {
      rows[lane] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(lowIn[lane] + at));
    }
    toLanes(rows, lowSamples);
    for (size_t lane = 0; lane < kLanes; lane++) {
      rows[lane] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(highIn[lane] + at));
    }
    toLanes(rows, highSamples);

    for (size_t t = 0; t < steps; t++) {
      const V lowCode = quantiseLow(_mm256_subs_epi16(lowSamples[t], low.prediction), low.scale);
      const V highCode = quantiseHigh(_mm256_subs_epi16(highSamples[t], high.prediction), high.scale);
      codes[t] = _mm256_or_si256(lowCode, _mm256_slli_epi16(highCode, 6));

      const V seen = _mm256_srli_epi16(lowCode, 2);
      const V lowDifference = product(low.scale, look16(kDifference4Bytes, seen));
      const V highDifference = product(high.scale, look4(difference2, highCode));
      adaptScales(low, look16(kLogStep4Bytes, seen), high, look4(logStep2, highCode));
      lowReconstructed = adaptPredictor<false>(low, lowDifference);
      highReconstructed = adaptPredictor<true>(high, highDifference);
    }
    fromLanes(codes, rows);
    for (size_t lane = 0; lane < kLanes; lane++) {
      const __m128i bytes = _mm_packus_epi16(rows[lane], rows[lane]);
      copyBytes(payload[lane] + at, &bytes, steps);
    }
  }
  if (count == 0) return;
  saveBand(low, lowReconstructed, states.low);
  saveBand(high, highReconstructed, states.high);
}

void decodeLanes(G722Bands* const* bands, const uint8_t* const* payload, size_t count,
                 int16_t (*lowOut)[kRowSamples], int16_t (*highOut)[kRowSamples]) {
  const V difference2 = wide4(kDifference2);
  const V logStep2 = wide4(kLogStep2);
  const V least = set(-16384);
  const V most = set(16383);
  const Pointers states(bands);
  Band low;
  Band high;
  loadBand(low, states.low);
  loadBand(high, states.high);
  V lowReconstructed = _mm256_setzero_si256();
  V highReconstructed = lowReconstructed;

  for (size_t at = 0; at < count; at += 8) {
    const size_t steps = count - at < 8 ? count - at : 8;
    __m128i rows[kLanes];
    V codes[8];
    V lowSamples[8] = {};
    V highSamples[8] = {};
    for (size_t lane = 0; lane < kLanes; lane++) {
      uint64_t bytes = 0;
      copyBytes(&bytes, payload[lane] + at, steps);
      rows[lane] = _mm_cvtepu8_epi16(_mm_cvtsi64_si128(static_cast<int64_t>(bytes)));
    }
    toLanes(rows, codes);

    for (size_t t = 0; t < steps; t++) {
      const V lowCode = _mm256_and_si256(codes[t], set(63));
      const V highCode = _mm256_srli_epi16(codes[t], 6);
      const V heard = product(low.scale, look64(kDifference6Bytes, lowCode));
      lowSamples[t] = limit(adds(low.prediction, heard), least, most);

      const V seen = _mm256_srli_epi16(lowCode, 2);
      const V lowDifference = product(low.scale, look16(kDifference4Bytes, seen));
      const V highDifference = product(high.scale, look4(difference2, highCode));
      adaptScales(low, look16(kLogStep4Bytes, seen), high, look4(logStep2, highCode));
      lowReconstructed = adaptPredictor<false>(low, lowDifference);
      highReconstructed = adaptPredictor<true>(high, highDifference);
      highSamples[t] = limit(highReconstructed, least, most);
    }
    fromLanes(lowSamples, rows);
    for (size_t lane = 0; lane < kLanes; lane++) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(lowOut[lane] + at), rows[lane]);
    }
    fromLanes(highSamples, rows);
    for (size_t lane = 0; lane < kLanes; lane++) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(highOut[lane] + at), rows[lane]);
    }
  }
  if (count == 0) return;
  saveBand(low, lowReconstructed, states.low);
  saveBand(high, highReconstructed, states.high);
}

void mirror(const int16_t* x, size_t count, const MirrorTaps& tapsA, const MirrorTaps& tapsB, int shift,
            int16_t most, int16_t* a, int16_t* b) {
  const __m128i bits = _mm_cvtsi32_si128(shift);
  const __m128i upper = _mm_set1_epi16(most);
  const __m128i lower = _mm_set1_epi16(static_cast<int16_t>(-most - 1));
  for (size_t t = 0; t < count; t += 8) {
    V sumA = _mm256_setzero_si256();
    V sumB = sumA;
    for (size_t i = 0; i < 12; i++) {
      const V pairs = _mm256_loadu_si256(reinterpret_cast<const V*>(x + 2 * (t + i)));
      const V forA = _mm256_set1_epi32(static_cast<uint16_t>(tapsA[i][0]) | tapsA[i][1] * 65536);
      const V forB = _mm256_set1_epi32(static_cast<uint16_t>(tapsB[i][0]) | tapsB[i][1] * 65536);
      sumA = _mm256_add_epi32(sumA, _mm256_madd_epi16(pairs, forA));
      sumB = _mm256_add_epi32(sumB, _mm256_madd_epi16(pairs, forB));
    }
    sumA = _mm256_sra_epi32(sumA, bits);
    sumB = _mm256_sra_epi32(sumB, bits);
    const __m128i packedA = _mm_packs_epi32(_mm256_castsi256_si128(sumA), _mm256_extracti128_si256(sumA, 1));
    const __m128i packedB = _mm_packs_epi32(_mm256_castsi256_si128(sumB), _mm256_extracti128_si256(sumB, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(a + t), _mm_max_epi16(_mm_min_epi16(packedA, upper), lower));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(b + t), _mm_max_epi16(_mm_min_epi16(packedB, upper), lower));
  }
}

}  // namespace

const Kernels* kernelsAvx2() {
  static constexpr Kernels kernels{"avx2",      mirror,     Coder::encodeBands, Coder::decodeBands,
                                   encodeLanes, decodeLanes};
  return __builtin_cpu_supports("avx2") != 0 ? &kernels : nullptr;
}

}  // namespace sidetone::g722
