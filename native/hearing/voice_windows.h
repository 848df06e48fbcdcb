#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sidetone {

class Listener;
class VoiceWindows;

/** Where a listener's windows go, and whose they are. */
struct VoiceSeat {
  VoiceWindows* windows = nullptr;  // null: there is no neural detector
  int32_t stream = 0;
  int32_t track = 0;
};

/** What an answer of the neural detector changed, in the order in which it is written out. */
struct VoiceEvent {
  int32_t stream = 0;
  int32_t track = 0;
  int32_t flags = 0;  // Senses::kBegan or Senses::kEnded
  double startMs = 0;
  double endMs = 0;
  double durationMs = 0;
};

/**
 * The windows of all listeners that wait for the neural detector: 32 ms at 8 kHz each. They leave together with
 * take(), and come back with their probabilities to answer(). A listener that has gone meanwhile is not missed.
 */
class VoiceWindows {
 public:
  static constexpr size_t kSamples = 256;
  static constexpr double kMs = 32;
  /** Windows that may wait: what 1,000 streams have in 32 ms. */
  static constexpr size_t kMax = 1024;
  /** Of a window: its seat, its seat's owner, flags. */
  static constexpr size_t kFields = 3;
  /** The detector knows nothing of what came before. */
  static constexpr int32_t kFresh = 1;

  int32_t sit(Listener* listener, const VoiceSeat& whose);
  void leave(int32_t seat);

  /** False: there is no room. */
  bool add(int32_t seat, int32_t flags, double endMs, const int16_t* samples);
  size_t count() const { return ends_.size(); }
  /** Moves all of them: room for kMax is needed. */
  size_t take(int32_t* fields, double* ends, int16_t* samples);
  /** One answer, NaN where it was lost. Returns whether `event` was written. */
  bool answer(const int32_t* fields, double endMs, float probability, VoiceEvent& event);

 private:
  struct Seat {
    Listener* listener = nullptr;
    int32_t owner = 0;
    int32_t stream = 0;
    int32_t track = 0;
  };
  std::vector<Seat> seats_;
  std::vector<int32_t> free_;
  int32_t owners_ = 0;
  std::vector<int32_t> fields_;
  std::vector<double> ends_;
  std::vector<int16_t> samples_;
};

}  // namespace sidetone
