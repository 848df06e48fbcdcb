#include "mix/delay_line.h"

#include <algorithm>

namespace sidetone {

DelayLine::DelayLine(int sampleHz)
    : sampleHz_(sampleHz),
      frameSamples_(static_cast<size_t>(sampleHz) / 50),
      ring_(frameSamples_ * kHeldMaxMs / 20) {}

void DelayLine::clear() {
  head_ = held_ = 0;
  delayFrames_ = kDelayMs / 20;
  begin();
}

void DelayLine::begin() {
  leaves_ = false;
  spare_ = SIZE_MAX;
  pulls_ = 0;
}

void DelayLine::drop(size_t samples) {
  head_ = (head_ + samples) % ring_.size();
  held_ -= samples;
}

void DelayLine::push(const int16_t* pcm, size_t samples) {
  if (samples > ring_.size()) {
    pcm += samples - ring_.size();
    samples = ring_.size();
  }
  if (held_ + samples > ring_.size()) drop(held_ + samples - ring_.size());
  const size_t at = (head_ + held_) % ring_.size();
  const size_t first = std::min(samples, ring_.size() - at);
  std::copy_n(pcm, first, ring_.data() + at);
  std::copy_n(pcm + first, samples - first, ring_.data());
  held_ += samples;
}

bool DelayLine::pull(int16_t* pcm) {
  if (!leaves_ && held_ < frameSamples_ * delayFrames_) return false;
  if (held_ == 0) {
    delayFrames_ = std::min<size_t>(delayFrames_ + 1, kDelayMaxMs / 20);
    begin();
    return false;
  }
  leaves_ = true;
  const size_t samples = std::min(held_, frameSamples_);
  const size_t first = std::min(samples, ring_.size() - head_);
  std::copy_n(ring_.data() + head_, first, pcm);
  std::copy_n(ring_.data(), samples - first, pcm + first);
  std::fill(pcm + samples, pcm + frameSamples_, int16_t{0});
  drop(samples);
  trim();
  return true;
}

/** Once in a window, 20 ms are dropped where more than the delay has been left behind every pull. */
void DelayLine::trim() {
  spare_ = std::min(spare_, held_);
  if (++pulls_ < kWindowPulls) return;
  if (spare_ >= frameSamples_ * kDelayMs / 20) {
    drop(frameSamples_);
    delayFrames_ = std::max<size_t>(delayFrames_ - 1, kDelayMs / 20);
  }
  spare_ = SIZE_MAX;
  pulls_ = 0;
}

}  // namespace sidetone
