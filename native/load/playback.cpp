#include "load/playback.h"

#include <algorithm>

namespace sidetone::load {

Playback::Arrival Playback::push(int64_t nowUs, int64_t ticks) {
  int64_t gapUs = 0;
  if (!playing_ || nowUs > endUs()) {
    const bool inside = playing_ && !ended_ && nowUs - endUs() < utteranceGapUs_;
    if (inside) gapUs = nowUs - endUs();
    if (!inside) scheduledTicks_ = 0;
    playing_ = true;
    startUs_ = nowUs + playoutUs_;
    ticks_ = 0;
  }
  ended_ = false;
  const int64_t lineUs = nowUs - ticksToUs(scheduledTicks_);
  scheduleUs_ = scheduledTicks_ == 0 ? lineUs : std::min(scheduleUs_, lineUs);
  ticks_ += ticks;
  scheduledTicks_ += ticks;
  return {gapUs, lineUs - scheduleUs_};
}

bool Playback::mark(int64_t nowUs, std::string_view name) {
  if (marks_.size() >= kMarksMax) return false;
  ended_ = true;
  marks_.push_back({std::string(name), playing_ ? std::max(nowUs, endUs()) : nowUs});
  return true;
}

void Playback::clear(int64_t nowUs) {
  playing_ = false;
  ended_ = true;
  for (Mark& mark : marks_) mark.dueUs = nowUs;
}

bool Playback::popDueMark(int64_t nowUs, std::string& name) {
  if (marks_.empty() || marks_.front().dueUs > nowUs) return false;
  name = std::move(marks_.front().name);
  marks_.pop_front();
  return true;
}

}  // namespace sidetone::load
