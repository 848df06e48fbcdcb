#pragma once
#include <cstddef>
#include <cstdint>

#include "codec/g722.h"

namespace sidetone::g722 {

/** Streams that one call of encodeLanes or decodeLanes takes. */
inline constexpr size_t kLanes = 16;
/** Length of a row of sub-band samples: 20 ms, and what whole vectors write beyond it. */
inline constexpr size_t kRowBytes = 160;
inline constexpr size_t kRowSamples = kRowBytes + 8;

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
  void (*encodeBands)(G722Bands& bands, const int16_t* low, const int16_t* high, size_t count,
                      uint8_t* payload);
  void (*decodeBands)(G722Bands& bands, G722Decoder::Mode mode, const uint8_t* payload, size_t count,
                      int16_t* low, int16_t* high);
  /** The same for kLanes streams at once; nullptr where a loop over streams is as fast. Rows hold
   * kRowSamples, count is at most kRowBytes. Decoding is at 64 kbit/s. */
  void (*encodeLanes)(G722Bands* const* bands, const int16_t (*low)[kRowSamples],
                      const int16_t (*high)[kRowSamples], size_t count, uint8_t* const* payload);
  void (*decodeLanes)(G722Bands* const* bands, const uint8_t* const* payload, size_t count,
                      int16_t (*low)[kRowSamples], int16_t (*high)[kRowSamples]);
};

/** The reference; runs anywhere. */
const Kernels& kernelsScalar();
/** nullptr where the build or the machine lacks the instruction set. */
const Kernels* kernelsSse2();
const Kernels* kernelsAvx2();
const Kernels* kernelsNeon();
const Kernels& kernelsBest();

}  // namespace sidetone::g722
