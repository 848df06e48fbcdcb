#include "mix/tape.h"

#include <algorithm>

#include "mix/room_memory.h"

namespace sidetone {
namespace {
constexpr size_t kConvertedMax = 2048;  // 20 ms at 48 kHz, and what a resampler may want besides
}

Tape::Tape(int sampleHz)
    : sampleHz_(sampleHz),
      fromHz_(sampleHz),
      converted_(kConvertedMax),
      held_(static_cast<size_t>(sampleHz) * kHeldMaxMs / 1000) {}

void Tape::append(const int16_t* pcm, size_t samples, int fromHz) {
  if (fromHz != fromHz_) {
    fromHz_ = fromHz;
    resampler_ = fromHz == sampleHz_ ? nullptr : std::make_unique<Resampler>(fromHz, sampleHz_);
  }
  if (resampler_) {
    samples = resampler_->process(pcm, samples, converted_.data());
    pcm = converted_.data();
  }
  // Where nobody fetches, everything behind what is full is silence.
  if (silenceBehind_ > 0 || heldSamples_ + samples > held_.size()) {
    silenceBehind_ += static_cast<int64_t>(samples);
    return;
  }
  std::copy_n(pcm, samples, held_.data() + heldSamples_);
  heldSamples_ += samples;
}

void Tape::skip(uint64_t ticks) {
  if (resampler_) resampler_->reset();
  silence(static_cast<size_t>(ticks) * static_cast<size_t>(sampleHz_) * kRoomTickMs / 1000);
}

void Tape::silence(size_t samples) {
  if (heldSamples_ > 0 && heldSamples_ + samples <= held_.size() && silenceBehind_ == 0) {
    std::fill_n(held_.data() + heldSamples_, samples, int16_t{0});
    heldSamples_ += samples;
  } else {
    (heldSamples_ == 0 ? silenceBefore_ : silenceBehind_) += static_cast<int64_t>(samples);
  }
}

int64_t Tape::take(int16_t* pcm, size_t samplesMax) {
  if (silenceBefore_ > 0) {
    const int64_t silent = silenceBefore_;
    silenceBefore_ = 0;
    return -silent;
  }
  const size_t samples = std::min(heldSamples_, samplesMax);
  std::copy_n(held_.data(), samples, pcm);
  std::copy(held_.data() + samples, held_.data() + heldSamples_, held_.data());
  heldSamples_ -= samples;
  if (heldSamples_ == 0) {
    silenceBefore_ = silenceBehind_;
    silenceBehind_ = 0;
  }
  return static_cast<int64_t>(samples);
}

}  // namespace sidetone
