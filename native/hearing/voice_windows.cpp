#include "hearing/voice_windows.h"

#include <algorithm>

#include "hearing/listener.h"

namespace sidetone {

int32_t VoiceWindows::sit(Listener* listener, const VoiceSeat& whose) {
  // Half a megabyte, which only those need who have the detector.
  if (samples_.capacity() == 0) {
    fields_.reserve(kMax * kFields);
    ends_.reserve(kMax);
    samples_.reserve(kMax * kSamples);
  }
  int32_t seat;
  if (free_.empty()) {
    seat = static_cast<int32_t>(seats_.size());
    seats_.emplace_back();
  } else {
    seat = free_.back();
    free_.pop_back();
  }
  owners_ = (owners_ + 1) & 0x7FFFFFFF;
  seats_[static_cast<size_t>(seat)] = {listener, owners_, whose.stream, whose.track};
  return seat;
}

void VoiceWindows::leave(int32_t seat) {
  seats_[static_cast<size_t>(seat)] = {};
  free_.push_back(seat);
}

bool VoiceWindows::add(int32_t seat, int32_t flags, double endMs, const int16_t* samples) {
  if (count() == kMax) return false;
  fields_.insert(fields_.end(), {seat, seats_[static_cast<size_t>(seat)].owner, flags});
  ends_.push_back(endMs);
  samples_.insert(samples_.end(), samples, samples + kSamples);
  return true;
}

size_t VoiceWindows::take(int32_t* fields, double* ends, int16_t* samples) {
  const size_t taken = count();
  std::copy(fields_.begin(), fields_.end(), fields);
  std::copy(ends_.begin(), ends_.end(), ends);
  std::copy(samples_.begin(), samples_.end(), samples);
  fields_.clear();
  ends_.clear();
  samples_.clear();
  return taken;
}

bool VoiceWindows::answer(const int32_t* fields, double endMs, float probability, VoiceEvent& event) {
  const auto at = static_cast<size_t>(fields[0]);
  if (fields[0] < 0 || at >= seats_.size()) return false;
  const Seat& seat = seats_[at];
  if (!seat.listener || seat.owner != fields[1]) return false;
  const Senses& senses = seat.listener->answer(endMs, probability);
  if (senses.flags == 0) return false;
  event = {seat.stream, seat.track, senses.flags, senses.startMs, senses.endMs, senses.durationMs};
  return true;
}

}  // namespace sidetone
