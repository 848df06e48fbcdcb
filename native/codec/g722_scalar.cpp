#include <algorithm>

#include "codec/g722_kernels.h"
#include "codec/g722_tables.h"

// The reference: each step written as the recommendation has it, in 32 bits with the saturations of its
// 16-bit words.

namespace sidetone::g722 {
namespace {

int32_t clamp(int32_t value, int32_t low, int32_t high) { return std::min(std::max(value, low), high); }
int32_t saturate(int32_t value) { return clamp(value, -32768, 32767); }
int16_t narrow(int32_t value) { return static_cast<int16_t>(value); }
int32_t twice(int32_t value) { return saturate(2 * value); }
/** Product of two fractions in 15 bits. */
int32_t product(int32_t a, int32_t b) { return std::min(a * b >> 15, 32767); }
/** 15-bit limit of decoded sub-band samples (LIMIT). */
int16_t limit15(int32_t value) { return narrow(clamp(value, -16384, 16383)); }

/** Next scale of the quantiser from the step that the code asks for (LOGSCL, SCALEL and LOGSCH, SCALEH). */
void adaptScale(G722Band& band, int32_t step, int32_t max, int32_t exponentOffset) {
  const int32_t logScale = clamp((band.logScale * 127 >> 7) + step, 0, max);
  const int32_t shift = exponentOffset - (logScale >> 11);
  const int32_t mantissa = kMantissa[(logScale >> 6) & 31];
  band.logScale = narrow(logScale);
  band.scale = narrow((shift < 0 ? mantissa << -shift : mantissa >> shift) << 2);
}

/** Zero section for one more difference (UPZERO, DELAYA, FILTEZ): the next zero prediction. */
int32_t adaptZeros(G722Band& band, int32_t difference) {
  const int32_t pull = difference == 0 ? 0 : 128;
  int32_t sum = 0;
  for (int i = 5; i >= 0; i--) {
    const bool opposed = (difference ^ band.differences[i]) < 0;
    const int32_t zero = saturate((band.zeros[i] * 255 >> 8) + (opposed ? -pull : pull));
    band.zeros[i] = narrow(zero);
    band.differences[i] = i == 0 ? narrow(difference) : band.differences[i - 1];
    sum = saturate(sum + product(zero, twice(band.differences[i])));
  }
  return sum;
}

/** The predictor for one more quantised difference (block 4). */
void adaptPredictor(G722Band& band, int32_t difference) {
  // RECONS, PARREC
  const int32_t reconstructed = saturate(band.prediction + difference);
  const int32_t partial = saturate(band.zeroPrediction + difference);
  // UPPOL2, UPPOL1
  const bool opposed1 = (partial ^ band.partials[0]) < 0;
  const bool opposed2 = (partial ^ band.partials[1]) < 0;
  const int32_t fourfold = saturate(4 * band.poles[0]);
  const int32_t towards = opposed1 ? fourfold : saturate(-fourfold);
  const int32_t pole2 =
      clamp((towards >> 7) + (opposed2 ? -128 : 128) + (band.poles[1] * 127 >> 7), -12288, 12288);
  const int32_t limit = 15360 - pole2;
  const int32_t pole1 = clamp((band.poles[0] * 255 >> 8) + (opposed1 ? -192 : 192), -limit, limit);
  // FILTEP, FILTEZ, PREDIC
  const int32_t zeroPrediction = adaptZeros(band, difference);
  const int32_t polePrediction =
      saturate(product(pole1, twice(reconstructed)) + product(pole2, twice(band.reconstructed)));

  band.poles[0] = narrow(pole1);
  band.poles[1] = narrow(pole2);
  band.partials[1] = band.partials[0];
  band.partials[0] = narrow(partial);
  band.reconstructed = narrow(reconstructed);
  band.zeroPrediction = narrow(zeroPrediction);
  band.prediction = narrow(saturate(polePrediction + zeroPrediction));
}

/** What follows from a code, in encoder and decoder alike. The predictor sees 4 of the lower band's 6 bits,
 * since the others may be taken for data on the way. */
void adaptLow(G722Band& band, uint32_t code) {
  const int32_t difference = product(band.scale, kDifference4[code >> 2]);
  adaptScale(band, kLogStep4[code >> 2], kLogScaleMaxLow, kExponentLow);
  adaptPredictor(band, difference);
}

void adaptHigh(G722Band& band, uint32_t code) {
  const int32_t difference = product(band.scale, kDifference2[code]);
  adaptScale(band, kLogStep2[code], kLogScaleMaxHigh, kExponentHigh);
  adaptPredictor(band, difference);
}

/** 6-bit code of a difference (QUANTL). */
uint32_t quantiseLow(int32_t difference, int32_t scale) {
  const int32_t magnitude = difference < 0 ? ~difference : difference;
  uint32_t reached = 0;
  while (reached < kDecisions && magnitude >= (kDecision[reached] * scale >> 12)) reached++;
  return difference < 0 ? kCodeNegative[reached] : kCodePositive[reached];
}

/** 2-bit code of a difference (QUANTH). */
uint32_t quantiseHigh(int32_t difference, int32_t scale) {
  const int32_t magnitude = difference < 0 ? ~difference : difference;
  const uint32_t inner = magnitude < (kDecisionHigh * scale >> 12) ? 1 : 0;
  return difference < 0 ? inner : 2 + inner;
}

void mirror(const int16_t* x, size_t count, const MirrorTaps& tapsA, const MirrorTaps& tapsB, int shift,
            int16_t limit, int16_t* a, int16_t* b) {
  for (size_t t = 0; t < count; t++) {
    int32_t sumA = 0;
    int32_t sumB = 0;
    for (size_t i = 0; i < 12; i++) {
      const int16_t* pair = x + 2 * (t + i);
      sumA += pair[0] * tapsA[i][0] + pair[1] * tapsA[i][1];
      sumB += pair[0] * tapsB[i][0] + pair[1] * tapsB[i][1];
    }
    a[t] = narrow(clamp(sumA >> shift, -limit - 1, limit));
    b[t] = narrow(clamp(sumB >> shift, -limit - 1, limit));
  }
}

void encodeBands(G722Bands& bands, const int16_t* lowIn, const int16_t* highIn, size_t count,
                 uint8_t* payload) {
  G722Band& low = bands.low;
  G722Band& high = bands.high;
  for (size_t t = 0; t < count; t++) {
    const uint32_t lowCode = quantiseLow(saturate(lowIn[t] - low.prediction), low.scale);
    const uint32_t highCode = quantiseHigh(saturate(highIn[t] - high.prediction), high.scale);
    payload[t] = static_cast<uint8_t>(highCode << 6 | lowCode);
    adaptLow(low, lowCode);
    adaptHigh(high, highCode);
  }
}

void decodeBands(G722Bands& bands, G722Decoder::Mode mode, const uint8_t* payload, size_t count,
                 int16_t* lowOut, int16_t* highOut) {
  G722Band& low = bands.low;
  G722Band& high = bands.high;
  for (size_t t = 0; t < count; t++) {
    const uint32_t lowCode = payload[t] & 63;
    const uint32_t highCode = payload[t] >> 6;
    const int32_t heard = mode == G722Decoder::Mode::k64   ? kDifference6[lowCode]
                          : mode == G722Decoder::Mode::k56 ? kDifference5[lowCode >> 1]
                                                           : kDifference4[lowCode >> 2];
    lowOut[t] = limit15(low.prediction + product(low.scale, heard));
    adaptLow(low, lowCode);
    adaptHigh(high, highCode);
    highOut[t] = limit15(high.reconstructed);
  }
}

}  // namespace

const Kernels& kernelsScalar() {
  static constexpr Kernels kernels{"scalar", mirror, encodeBands, decodeBands, nullptr, nullptr};
  return kernels;
}

#if !defined(__x86_64__)
const Kernels* kernelsSse2() { return nullptr; }
const Kernels* kernelsAvx2() { return nullptr; }
#endif
#if !defined(__aarch64__)
const Kernels* kernelsNeon() { return nullptr; }
#endif

const Kernels& kernelsBest() {
  static const Kernels* const best = [] {
    for (const Kernels* kernels : {kernelsAvx2(), kernelsSse2(), kernelsNeon()}) {
      if (kernels != nullptr) return kernels;
    }
    return &kernelsScalar();
  }();
  return *best;
}

}  // namespace sidetone::g722
