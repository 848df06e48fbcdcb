#pragma once
#include "codec/g722_kernels.h"
#include "codec/g722_tables.h"

/**
 * One stream's sub-band coders with the six zeros of a predictor in the lanes of one vector; the rest is
 * scalar.
 *
 * Included by one file per instruction set. Everything is a template over that file's own `Ops`, so that no
 * two files ever share a function. `Ops` has:
 *
 *   V                                  eight int16
 *   load(const int16_t[8]), store
 *   set(x)                             x in all lanes
 *   shiftIn(v, x)                      lanes up by one, x into lane 0
 *   adds                               saturating
 *   product(a, b)                      (a * b) >> 15, saturating
 *   pull(difference, differences)      128 times the sign of the product in lanes 0 to 5; a zero past
 *                                      difference counts as positive; 0 in lanes 6 and 7, and where
 *                                      difference is 0
 *   chainSum(v)                        lanes 5 to 0 added with saturation in that order
 *   levelsReached(magnitude, scale)    how many of kDecision are reached
 */
namespace sidetone::g722 {

template <class Ops>
class Single {
 public:
  static void encodeBands(G722Bands& bands, const int16_t* lowIn, const int16_t* highIn, size_t count,
                          uint8_t* payload) {
    Band low(bands.low);
    Band high(bands.high);
    for (size_t t = 0; t < count; t++) {
      const int32_t lowDifference = saturate(lowIn[t] - low.prediction);
      const uint32_t reached =
          Ops::levelsReached(lowDifference < 0 ? ~lowDifference : lowDifference, low.scale);
      const uint32_t lowCode = lowDifference < 0 ? kCodeNegative[reached] : kCodePositive[reached];

      const int32_t highDifference = saturate(highIn[t] - high.prediction);
      const int32_t magnitude = highDifference < 0 ? ~highDifference : highDifference;
      const uint32_t highCode =
          (highDifference < 0 ? 0U : 2U) + (magnitude < (kDecisionHigh * high.scale >> 12) ? 1U : 0U);
      payload[t] = static_cast<uint8_t>(highCode << 6 | lowCode);
      adaptLow(low, lowCode >> 2);
      adaptHigh(high, highCode);
    }
    low.save(bands.low);
    high.save(bands.high);
  }

  static void decodeBands(G722Bands& bands, G722Decoder::Mode mode, const uint8_t* payload, size_t count,
                          int16_t* lowOut, int16_t* highOut) {
    const int16_t* heard = mode == G722Decoder::Mode::k64   ? kDifference6
                           : mode == G722Decoder::Mode::k56 ? kDifference5
                                                            : kDifference4;
    const uint32_t dropped = static_cast<uint32_t>(mode) - 1;
    Band low(bands.low);
    Band high(bands.high);
    for (size_t t = 0; t < count; t++) {
      const uint32_t lowCode = payload[t] & 63;
      lowOut[t] = limit15(low.prediction + (low.scale * heard[lowCode >> dropped] >> 15));
      adaptLow(low, lowCode >> 2);
      adaptHigh(high, payload[t] >> 6);
      highOut[t] = limit15(high.reconstructed);
    }
    low.save(bands.low);
    high.save(bands.high);
  }

 private:
  using V = typename Ops::V;

  /** G722Band in registers. */
  struct Band {
    explicit Band(const G722Band& state)
        : pole1(state.poles[0]),
          pole2(state.poles[1]),
          partial1(state.partials[0]),
          partial2(state.partials[1]),
          reconstructed(state.reconstructed),
          zeroPrediction(state.zeroPrediction),
          prediction(state.prediction),
          logScale(state.logScale),
          scale(state.scale) {
      int16_t lanes[8] = {};
      for (int i = 0; i < 6; i++) lanes[i] = state.zeros[i];
      zeros = Ops::load(lanes);
      for (int i = 0; i < 6; i++) lanes[i] = state.differences[i];
      differences = Ops::load(lanes);
    }
    void save(G722Band& state) const {
      int16_t lanes[8];
      Ops::store(zeros, lanes);
      for (int i = 0; i < 6; i++) state.zeros[i] = lanes[i];
      Ops::store(differences, lanes);
      for (int i = 0; i < 6; i++) state.differences[i] = lanes[i];
      state.poles[0] = static_cast<int16_t>(pole1);
      state.poles[1] = static_cast<int16_t>(pole2);
      state.partials[0] = static_cast<int16_t>(partial1);
      state.partials[1] = static_cast<int16_t>(partial2);
      state.reconstructed = static_cast<int16_t>(reconstructed);
      state.zeroPrediction = static_cast<int16_t>(zeroPrediction);
      state.prediction = static_cast<int16_t>(prediction);
      state.logScale = static_cast<int16_t>(logScale);
      state.scale = static_cast<int16_t>(scale);
    }
    V zeros;
    V differences;
    int32_t pole1, pole2;
    int32_t partial1, partial2;
    int32_t reconstructed, zeroPrediction, prediction;
    int32_t logScale, scale;
  };

  /** Rarely taken, so a predicted branch: the limit stays out of the chain of dependent steps. */
  static int32_t saturate(int32_t value) {
    if (__builtin_expect(value != static_cast<int16_t>(value), 0)) return value < 0 ? -32768 : 32767;
    return value;
  }
  static int32_t clamp(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
  }
  /** -value where mask is -1, value where it is 0. */
  static int32_t negateIf(int32_t mask, int32_t value) { return (value ^ mask) - mask; }
  static int16_t limit15(int32_t value) { return static_cast<int16_t>(clamp(value, -16384, 16383)); }

  static void adaptLow(Band& band, uint32_t code) {
    const int32_t difference = band.scale * kDifference4[code] >> 15;
    adaptScale(band, kLogStep4[code], kLogScaleMaxLow, kExponentLow);
    adaptPredictor(band, difference);
  }
  static void adaptHigh(Band& band, uint32_t code) {
    const int32_t difference = band.scale * kDifference2[code] >> 15;
    adaptScale(band, kLogStep2[code], kLogScaleMaxHigh, kExponentHigh);
    adaptPredictor(band, difference);
  }

  static void adaptScale(Band& band, int32_t step, int32_t max, int32_t exponent) {
    band.logScale = clamp((band.logScale * 127 >> 7) + step, 0, max);
    // Three more bits below, so that the shift is to the right whatever the exponent.
    const int32_t mantissa = kMantissa[(band.logScale >> 6) & 31] << 3;
    band.scale = (mantissa >> (exponent + 3 - (band.logScale >> 11))) << 2;
  }

  static void adaptPredictor(Band& band, int32_t difference) {
    band.zeros =
        Ops::adds(Ops::product(band.zeros, Ops::set(32640)), Ops::pull(difference, band.differences));
    band.differences = Ops::shiftIn(band.differences, difference);
    const V terms = Ops::product(band.zeros, Ops::adds(band.differences, band.differences));

    const int32_t reconstructed = saturate(band.prediction + difference);
    const int32_t partial = saturate(band.zeroPrediction + difference);
    // -1 where the sign differs from that of one and of two samples ago, else 0: they are random, so no
    // branches.
    const int32_t opposed1 = (partial ^ band.partial1) >> 31;
    const int32_t opposed2 = (partial ^ band.partial2) >> 31;
    // -32767 in place of -32768 gives the same after the shift.
    const int32_t towards = negateIf(~opposed1, clamp(4 * band.pole1, -32767, 32767)) >> 7;
    band.pole2 = clamp(towards + negateIf(opposed2, 128) + (band.pole2 * 127 >> 7), -12288, 12288);
    const int32_t limit = 15360 - band.pole2;
    band.pole1 = clamp(negateIf(opposed1, 192) + (band.pole1 * 255 >> 8), -limit, limit);
    const int32_t polePrediction = saturate((band.pole1 * saturate(2 * reconstructed) >> 15) +
                                            (band.pole2 * saturate(2 * band.reconstructed) >> 15));
    band.partial2 = band.partial1;
    band.partial1 = partial;
    band.reconstructed = reconstructed;
    band.zeroPrediction = Ops::chainSum(terms);
    band.prediction = saturate(polePrediction + band.zeroPrediction);
  }
};

}  // namespace sidetone::g722
