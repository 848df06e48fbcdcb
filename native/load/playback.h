#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace sidetone::load {

/** Media time is counted in ticks of 1/48000 s: a whole number for every sample rate that calls use but
 * 22,050 Hz. */
constexpr int64_t kTicksPerSecond = 48000;
constexpr int64_t ticksToUs(int64_t ticks) { return ticks * 125 / 6; }

/**
 * The far end of one call: plays what comes, in real time, by arithmetic. Playing starts `playoutUs` after
 * the first audio of an utterance (the network's jitter buffer); when the queue runs dry inside an utterance,
 * that is an underrun, heard as a gap. Dry for longer than `utteranceGapUs`, or dry behind a mark or a clear,
 * is the pause between utterances. Time is passed in.
 */
class Playback {
 public:
  Playback(int64_t playoutUs, int64_t utteranceGapUs)
      : playoutUs_(playoutUs), utteranceGapUs_(utteranceGapUs) {}

  struct Arrival {
    /** How long the queue had been dry inside an utterance when the audio came; 0: it was not dry. */
    int64_t gapUs;
    /**
     * How late the audio came against its own schedule. A sender that paces sends each chunk when the chunks
     * before it have lasted their time, so arrival minus media time is a constant. Its smallest value so far
     * in the utterance is the schedule.
     */
    int64_t deadlineErrorUs;
  };

  Arrival push(int64_t nowUs, int64_t ticks);

  /** Names waiting at once; a stream that has more is told nothing of the rest. */
  static constexpr size_t kMarksMax = 256;

  /** A mark behind all audio so far. False: the queue of marks is full. Due marks are fetched by
   * popDueMark(). */
  bool mark(int64_t nowUs, std::string_view name);
  /** Throws the queued audio away; every waiting mark falls due. */
  void clear(int64_t nowUs);
  /** True and the next name, when a mark's audio has been played (or cleared) by now. */
  bool popDueMark(int64_t nowUs, std::string& name);
  /** When the newest mark falls due. Only where hasMarks(). */
  int64_t lastMarkDueUs() const { return marks_.back().dueUs; }
  bool hasMarks() const { return !marks_.empty(); }

 private:
  int64_t endUs() const { return startUs_ + ticksToUs(ticks_); }

  struct Mark {
    std::string name;
    int64_t dueUs;
  };

  int64_t playoutUs_;
  int64_t utteranceGapUs_;
  bool playing_ = false;
  bool ended_ = true;
  int64_t startUs_ = 0;
  int64_t ticks_ = 0;
  int64_t scheduledTicks_ = 0;
  int64_t scheduleUs_ = 0;
  std::deque<Mark> marks_;
};

}  // namespace sidetone::load
