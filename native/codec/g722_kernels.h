#pragma once
#include <cstddef>
#include <cstdint>

#include "codec/g722.h"

namespace sidetone::g722 {

/** One half of the mirror filter as pairs of taps, oldest first: [i] weighs samples 2(t+i) and 2(t+i)+1. */
using MirrorTaps = int16_t[12][2];

/** The arithmetic of G.722 for one instruction set; all give the same bits. */
struct Kernels {
  const char* name;
  /** a[t] = limited to [-limit - 1, limit] of (sum over i of tapsA[i] . x[2(t+i)], x[2(t+i)+1]) >> shift; b
   * alike. x: 2 * count + 22 samples. `a` and `b` must be writable as if count were a multiple of 8. */
  void (*mirror)(const int16_t* x, size_t count, const MirrorTaps& tapsA, const MirrorTaps& tapsB, int shift,
                 int16_t limit, int16_t* a, int16_t* b);
  /** As G722Encoder::encodeBands and G722Decoder::decodeBands. */
  void (*encodeBands)(G722Band& low, G722Band& high, const int16_t* lowIn, const int16_t* highIn,
                      size_t count, uint8_t* payload);
  void (*decodeBands)(G722Band& low, G722Band& high, G722Decoder::Mode mode, const uint8_t* payload,
                      size_t count, int16_t* lowOut, int16_t* highOut);
};

/** The reference; runs anywhere. */
const Kernels& kernelsScalar();
/** nullptr where the build lacks the instruction set. */
const Kernels* kernelsSse2();
const Kernels* kernelsNeon();
const Kernels& kernelsBest();

}  // namespace sidetone::g722
