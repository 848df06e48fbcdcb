#pragma once
#include <algorithm>
#include <cstdint>

#include "load/playback.h"

namespace sidetone::load {

/**
 * Audio received over time passed, of one stream within the measurement: 1 is real time. It takes the most
 * punctual message of the window's first quarter and of its last. The rate is the audio between them over the
 * time between them. A stall at either end of the window does not show in it. Time is passed in.
 */
class RateMeter {
 public:
  /** `ticks` of audio came at `arrivedUs`, in a window that began at `windowUs` and lasts `windowLengthUs`.
   */
  void push(int64_t windowUs, int64_t windowLengthUs, int64_t ticks, int64_t arrivedUs) {
    const int64_t quarterUs = windowLengthUs / 4;
    const Point point{arrivedUs, windowTicks_, arrivedUs - ticksToUs(windowTicks_)};
    if (arrivedUs < windowUs + quarterUs) {
      if (point.latenessUs < early_.latenessUs) early_ = point;
    } else if (arrivedUs >= windowUs + 3 * quarterUs) {
      if (point.latenessUs < late_.latenessUs) late_ = point;
    }
    if (firstUs_ == 0) firstUs_ = arrivedUs;
    windowTicks_ += ticks;
    lastUs_ = arrivedUs;
    lastTicks_ = ticks;
  }

  /** At the window's end, `nowUs`. A stream that has stopped has its silence counted. */
  double rate(int64_t nowUs) const {
    if (firstUs_ == 0) return 0;
    const bool silent = nowUs - lastUs_ > std::max(kSilentUs, ticksToUs(lastTicks_));
    const bool whole = !silent && early_.latenessUs != INT64_MAX && late_.latenessUs != INT64_MAX;
    const int64_t ticks = whole ? late_.ticksBefore - early_.ticksBefore : windowTicks_;
    const int64_t spanUs = whole ? late_.arrivedUs - early_.arrivedUs : nowUs - firstUs_;
    return spanUs <= 0 ? 0 : static_cast<double>(ticks) * 125 / 6 / static_cast<double>(spanUs);
  }

 private:
  /** A stream that is silent for this long at the end of the window has stopped. */
  static constexpr int64_t kSilentUs = 500'000;

  struct Point {
    int64_t arrivedUs = 0;
    int64_t ticksBefore = 0;
    int64_t latenessUs = INT64_MAX;
  };
  Point early_;
  Point late_;
  int64_t windowTicks_ = 0;
  int64_t firstUs_ = 0;
  int64_t lastUs_ = 0;
  int64_t lastTicks_ = 0;
};

}  // namespace sidetone::load
