#include "codec/g722.h"

#include <algorithm>
#include <cstring>

#include "codec/g722_kernels.h"
#include "codec/g722_tables.h"

namespace sidetone {
namespace {

using namespace g722;

/** Bytes per step; bounds the scratch on the stack. 20 ms. */
constexpr size_t kBlockBytes = 160;

struct Mirrors {
  MirrorTaps first;
  MirrorTaps second;
};

/** Sum and difference of the two polyphase branches: the lower and the higher band (clause 3.1). */
constexpr Mirrors analysisTaps() {
  Mirrors taps{};
  for (size_t i = 0; i < 12; i++) {
    taps.first[i][0] = kMirror[2 * i];
    taps.first[i][1] = kMirror[2 * i + 1];
    taps.second[i][0] = static_cast<int16_t>(-kMirror[2 * i]);
    taps.second[i][1] = kMirror[2 * i + 1];
  }
  return taps;
}

/** Of pairs (difference, sum) of the sub-bands: every first output from differences, every second from sums
 * (clause 4.4). */
constexpr Mirrors synthesisTaps() {
  Mirrors taps{};
  for (size_t i = 0; i < 12; i++) {
    taps.first[i][0] = kMirror[2 * i + 1];
    taps.second[i][1] = kMirror[2 * i];
  }
  return taps;
}

constexpr Mirrors kAnalysis = analysisTaps();
constexpr Mirrors kSynthesis = synthesisTaps();

}  // namespace

void G722Band::reset(int16_t initialScale) {
  *this = G722Band{};
  scale = initialScale;
}

G722Encoder::G722Encoder() : G722Encoder(kernelsBest()) {}
G722Encoder::G722Encoder(const g722::Kernels& kernels) : kernels_(&kernels) { reset(); }

void G722Encoder::reset() {
  low_.reset(kScaleMinLow);
  high_.reset(kScaleMinHigh);
  std::fill_n(history_, kG722FilterHistory, int16_t{0});
}

void G722Encoder::encode(const int16_t* pcm, size_t samples, uint8_t* payload) {
  int16_t low[kBlockBytes + 8];
  int16_t high[kBlockBytes + 8];
  for (size_t left = samples / 2; left != 0;) {
    const size_t count = std::min(left, kBlockBytes);
    split(pcm, count, low, high);
    encodeBands(low, high, count, payload);
    pcm += 2 * count;
    payload += count;
    left -= count;
  }
}

void G722Encoder::split(const int16_t* pcm, size_t count, int16_t* low, int16_t* high) {
  int16_t x[kG722FilterHistory + 2 * kBlockBytes + 16];
  std::memcpy(x, history_, sizeof(history_));
  std::memcpy(x + kG722FilterHistory, pcm, 2 * count * sizeof(int16_t));
  std::memcpy(history_, x + 2 * count, sizeof(history_));
  kernels_->mirror(x, count, kAnalysis.first, kAnalysis.second, 14, 16383, low, high);
}

void G722Encoder::encodeBands(const int16_t* low, const int16_t* high, size_t count, uint8_t* payload) {
  kernels_->encodeBands(low_, high_, low, high, count, payload);
}

G722Decoder::G722Decoder(Mode mode) : G722Decoder(mode, kernelsBest()) {}
G722Decoder::G722Decoder(Mode mode, const g722::Kernels& kernels) : kernels_(&kernels), mode_(mode) {
  reset();
}

void G722Decoder::reset() {
  low_.reset(kScaleMinLow);
  high_.reset(kScaleMinHigh);
  std::fill_n(history_, kG722FilterHistory, int16_t{0});
}

void G722Decoder::decode(const uint8_t* payload, size_t bytes, int16_t* pcm) {
  int16_t low[kBlockBytes + 8];
  int16_t high[kBlockBytes + 8];
  while (bytes != 0) {
    const size_t count = std::min(bytes, kBlockBytes);
    decodeBands(payload, count, low, high);
    join(low, high, count, pcm);
    pcm += 2 * count;
    payload += count;
    bytes -= count;
  }
}

void G722Decoder::join(const int16_t* low, const int16_t* high, size_t count, int16_t* pcm) {
  int16_t x[kG722FilterHistory + 2 * kBlockBytes + 16];
  std::memcpy(x, history_, sizeof(history_));
  for (size_t t = 0; t < count; t++) {
    x[kG722FilterHistory + 2 * t] = static_cast<int16_t>(low[t] - high[t]);
    x[kG722FilterHistory + 2 * t + 1] = static_cast<int16_t>(low[t] + high[t]);
  }
  std::memcpy(history_, x + 2 * count, sizeof(history_));
  int16_t first[kBlockBytes + 8];
  int16_t second[kBlockBytes + 8];
  kernels_->mirror(x, count, kSynthesis.first, kSynthesis.second, 11, 32767, first, second);
  for (size_t t = 0; t < count; t++) {
    pcm[2 * t] = first[t];
    pcm[2 * t + 1] = second[t];
  }
}

void G722Decoder::decodeBands(const uint8_t* payload, size_t count, int16_t* low, int16_t* high) {
  kernels_->decodeBands(low_, high_, mode_, payload, count, low, high);
}

}  // namespace sidetone
