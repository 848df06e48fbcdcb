#pragma once
#include <algorithm>
#include <cstdint>

#include "load/playback.h"

namespace sidetone::load {

/**
 * How fast one stream's audio came within the window: 1 is real time. It lies between the most punctual
 * message of the window's first quarter and that of its last, so that a stall at either end does not show in
 * it.
 */
class AudioRate {
 public:
  /** A message with `ticks` of audio. The window began at `windowUs`; a quarter of it takes `quarterUs`. */
  void take(int64_t ticks, int64_t arrivedUs, int64_t windowUs, int64_t quarterUs) {
    const Point point{arrivedUs, ticks_, arrivedUs - ticksToUs(ticks_)};
    if (arrivedUs < windowUs + quarterUs) {
      if (point.latenessUs < early_.latenessUs) early_ = point;
    } else if (arrivedUs >= windowUs + 3 * quarterUs) {
      if (point.latenessUs < late_.latenessUs) late_ = point;
    }
    if (firstUs_ == 0) firstUs_ = arrivedUs;
    ticks_ += ticks;
    lastUs_ = arrivedUs;
    lastTicks_ = ticks;
  }

  /** At the window's end. A stream that was silent by then has stopped: its rate counts the silence. */
  double at(int64_t nowUs) const {
    if (firstUs_ == 0) return 0;
    const bool silent = nowUs - lastUs_ > std::max(kSilentUs, ticksToUs(lastTicks_));
    const bool whole = !silent && early_.latenessUs != INT64_MAX && late_.latenessUs != INT64_MAX;
    const int64_t ticks = whole ? late_.ticksBefore - early_.ticksBefore : ticks_;
    const int64_t spanUs = whole ? late_.arrivedUs - early_.arrivedUs : nowUs - firstUs_;
    return spanUs <= 0 ? 0 : static_cast<double>(ticks) * 125 / 6 / static_cast<double>(spanUs);
  }

 private:
  static constexpr int64_t kSilentUs = 500'000;

  struct Point {
    int64_t arrivedUs = 0;
    int64_t ticksBefore = 0;
    int64_t latenessUs = INT64_MAX;
  };
  Point early_;
  Point late_;
  int64_t ticks_ = 0;
  int64_t firstUs_ = 0;
  int64_t lastUs_ = 0;
  int64_t lastTicks_ = 0;
};

}  // namespace sidetone::load
