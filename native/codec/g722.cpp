#include "codec/g722.h"

#include <algorithm>
#include <cstring>

#include "codec/g722_kernels.h"
#include "codec/g722_tables.h"

namespace sidetone {
namespace {

using namespace g722;

/** From so many streams on, sixteen lanes are faster than one by one, though some lie idle. */
constexpr size_t kLanesMin = 4;

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
  bands_.low.reset(kScaleMinLow);
  bands_.high.reset(kScaleMinHigh);
  std::fill_n(history_, kG722FilterHistory, int16_t{0});
}

void G722Encoder::encode(const int16_t* pcm, size_t samples, uint8_t* payload) {
  int16_t low[kRowSamples];
  int16_t high[kRowSamples];
  for (size_t left = samples / 2; left != 0;) {
    const size_t count = std::min(left, kRowBytes);
    split(pcm, count, low, high);
    encodeBands(low, high, count, payload);
    pcm += 2 * count;
    payload += count;
    left -= count;
  }
}

void G722Encoder::split(const int16_t* pcm, size_t count, int16_t* low, int16_t* high) {
  int16_t x[kG722FilterHistory + 2 * kRowBytes + 16];
  std::memcpy(x, history_, sizeof(history_));
  std::memcpy(x + kG722FilterHistory, pcm, 2 * count * sizeof(int16_t));
  std::memcpy(history_, x + 2 * count, sizeof(history_));
  kernels_->mirror(x, count, kAnalysis.first, kAnalysis.second, 14, 16383, low, high);
}

void G722Encoder::encodeBands(const int16_t* low, const int16_t* high, size_t count, uint8_t* payload) {
  kernels_->encodeBands(bands_, low, high, count, payload);
}

G722Decoder::G722Decoder(Mode mode) : G722Decoder(mode, kernelsBest()) {}
G722Decoder::G722Decoder(Mode mode, const g722::Kernels& kernels) : kernels_(&kernels), mode_(mode) {
  reset();
}

void G722Decoder::reset() {
  bands_.low.reset(kScaleMinLow);
  bands_.high.reset(kScaleMinHigh);
  std::fill_n(history_, kG722FilterHistory, int16_t{0});
}

void G722Decoder::decode(const uint8_t* payload, size_t bytes, int16_t* pcm) {
  int16_t low[kRowSamples];
  int16_t high[kRowSamples];
  while (bytes != 0) {
    const size_t count = std::min(bytes, kRowBytes);
    decodeBands(payload, count, low, high);
    join(low, high, count, pcm);
    pcm += 2 * count;
    payload += count;
    bytes -= count;
  }
}

void G722Decoder::join(const int16_t* low, const int16_t* high, size_t count, int16_t* pcm) {
  int16_t x[kG722FilterHistory + 2 * kRowBytes + 16];
  std::memcpy(x, history_, sizeof(history_));
  for (size_t t = 0; t < count; t++) {
    x[kG722FilterHistory + 2 * t] = static_cast<int16_t>(low[t] - high[t]);
    x[kG722FilterHistory + 2 * t + 1] = static_cast<int16_t>(low[t] + high[t]);
  }
  std::memcpy(history_, x + 2 * count, sizeof(history_));
  int16_t first[kRowSamples];
  int16_t second[kRowSamples];
  kernels_->mirror(x, count, kSynthesis.first, kSynthesis.second, 11, 32767, first, second);
  for (size_t t = 0; t < count; t++) {
    pcm[2 * t] = first[t];
    pcm[2 * t + 1] = second[t];
  }
}

void G722Decoder::decodeBands(const uint8_t* payload, size_t count, int16_t* low, int16_t* high) {
  kernels_->decodeBands(bands_, mode_, payload, count, low, high);
}

void g722EncodeBatch(G722Encoder* const* encoders, const int16_t* const* pcm, size_t samples,
                     uint8_t* const* payload, size_t count) {
  const Kernels& kernels = kernelsBest();
  const size_t bytes = samples / 2;
  for (size_t first = 0; first < count; first += kLanes) {
    const size_t streams = std::min(kLanes, count - first);
    if (kernels.encodeLanes == nullptr || streams < kLanesMin) {
      for (size_t i = first; i < first + streams; i++) encoders[i]->encode(pcm[i], samples, payload[i]);
      continue;
    }
    int16_t low[kLanes][kRowSamples];
    int16_t high[kLanes][kRowSamples];
    G722Bands idle = {};
    uint8_t idlePayload[kRowBytes];
    G722Bands* bands[kLanes];
    uint8_t* out[kLanes];
    for (size_t at = 0; at < bytes; at += kRowBytes) {
      const size_t block = std::min(kRowBytes, bytes - at);
      for (size_t lane = 0; lane < kLanes; lane++) {
        const size_t i = first + lane;
        bands[lane] = lane < streams ? &encoders[i]->bands_ : &idle;
        out[lane] = lane < streams ? payload[i] + at : idlePayload;
        if (lane < streams) encoders[i]->split(pcm[i] + 2 * at, block, low[lane], high[lane]);
      }
      for (size_t lane = streams; lane < kLanes; lane++) {
        std::fill_n(low[lane], kRowSamples, int16_t{0});
        std::fill_n(high[lane], kRowSamples, int16_t{0});
      }
      kernels.encodeLanes(bands, low, high, block, out);
    }
  }
}

void g722DecodeBatch(G722Decoder* const* decoders, const uint8_t* const* payload, size_t bytes,
                     int16_t* const* pcm, size_t count) {
  const Kernels& kernels = kernelsBest();
  for (size_t first = 0; first < count; first += kLanes) {
    const size_t streams = std::min(kLanes, count - first);
    const bool alike =
        std::all_of(decoders + first, decoders + first + streams,
                    [](const G722Decoder* decoder) { return decoder->mode_ == G722Decoder::Mode::k64; });
    if (kernels.decodeLanes == nullptr || streams < kLanesMin || !alike) {
      for (size_t i = first; i < first + streams; i++) decoders[i]->decode(payload[i], bytes, pcm[i]);
      continue;
    }
    int16_t low[kLanes][kRowSamples];
    int16_t high[kLanes][kRowSamples];
    G722Bands idle = {};
    const uint8_t idlePayload[kRowBytes] = {};
    G722Bands* bands[kLanes];
    const uint8_t* in[kLanes];
    for (size_t at = 0; at < bytes; at += kRowBytes) {
      const size_t block = std::min(kRowBytes, bytes - at);
      for (size_t lane = 0; lane < kLanes; lane++) {
        bands[lane] = lane < streams ? &decoders[first + lane]->bands_ : &idle;
        in[lane] = lane < streams ? payload[first + lane] + at : idlePayload;
      }
      kernels.decodeLanes(bands, in, block, low, high);
      for (size_t lane = 0; lane < streams; lane++) {
        decoders[first + lane]->join(low[lane], high[lane], block, pcm[first + lane] + 2 * at);
      }
    }
  }
}

}  // namespace sidetone
