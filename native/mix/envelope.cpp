#include "mix/envelope.h"

#include <algorithm>
#include <limits>

namespace sidetone {

size_t Envelope::rampAt(int64_t position) const {
  size_t at = ramps_.size() - 1;
  while (at > 0 && ramps_[at].from > position) at--;
  return at;
}

float Envelope::at(int64_t position) const {
  float level;
  fill(position, &level, 1);
  return level;
}

void Envelope::to(float target, int64_t position, int64_t samples) {
  const float now = at(position);
  while (!ramps_.empty() && ramps_.back().from >= position) ramps_.pop_back();
  ramps_.push_back({position, position + samples, now, target});
  target_ = target;
  lastSamples_ = samples;
}

void Envelope::takeBack(int64_t position) {
  while (ramps_.size() > 1 && ramps_.back().from > position) ramps_.pop_back();
  Ramp& first = ramps_.front();
  if (first.from > position) {
    first.to -= first.from - position;
    first.from = position;
  }
  if (ramps_.back().end != target_) to(target_, position, lastSamples_);
}

void Envelope::forget(int64_t position) {
  ramps_.erase(ramps_.begin(), ramps_.begin() + static_cast<long>(rampAt(position)));
}

void Envelope::fill(int64_t position, float* levels, size_t count) const {
  for (size_t done = 0; done < count;) {
    const int64_t from = position + static_cast<int64_t>(done);
    const size_t place = rampAt(from);
    const Ramp& ramp = ramps_[place];
    const int64_t next =
        place + 1 < ramps_.size() ? ramps_[place + 1].from : std::numeric_limits<int64_t>::max();
    const bool isRising = from >= ramp.from && from < ramp.to;
    const int64_t until = isRising ? std::min(next, ramp.to) : next;
    const auto piece =
        static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(count - done), until - from));
    if (!isRising) {
      std::fill_n(levels + done, piece, from < ramp.from ? ramp.begin : ramp.end);
    } else {
      const float step = (ramp.end - ramp.begin) / static_cast<float>(ramp.to - ramp.from);
      const float begin = ramp.begin + step * static_cast<float>(from - ramp.from);
      for (size_t i = 0; i < piece; i++) levels[done + i] = begin + step * static_cast<float>(i);
    }
    done += piece;
  }
}

}  // namespace sidetone
