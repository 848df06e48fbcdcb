#pragma once
#include <cmath>
#include <cstdint>

namespace sidetone {

/**
 * Where one track stands on its own time axis, in milliseconds since its first frame. It counts what was
 * heard and concealed, and listens to the wire's timestamps for what that cannot tell: pauses in which
 * nothing was sent.
 *
 * The specification calls the timestamp an RTP timestamp; senders are known that count milliseconds. The unit
 * is inferred from two frames in a row that agree: the step divided by the duration of the earlier frame.
 */
class MediaTimeline {
 public:
  explicit MediaTimeline(int clockHz) : rtpPerMs_(clockHz / 1000.0) {}

  /** Where the next sample stands. */
  double positionMs() const { return positionMs_; }
  void setOrigin(double ms) { positionMs_ = ms; }
  void played(double ms) { positionMs_ += ms; }

  /** Where a payload with this timestamp stands, or stood. As long as nothing is known: at the last one. */
  double positionAt(uint64_t timestamp) const {
    const double last = positionMs_ - lastDurationMs_;
    return unitsPerMs_ == 0 ? last : last + stepFrom(timestamp) / unitsPerMs_;
  }

  /** A payload of `durationMs` whose chunk number follows that of the last one. True when a pause lay
   * between. */
  bool continues(uint64_t timestamp, double durationMs) {
    bool paused = false;
    if (started_) {
      const double step = stepFrom(timestamp);
      if (unitsPerMs_ == 0) {
        learn(step);
      } else {
        const double pauseMs = step / unitsPerMs_ - lastDurationMs_;
        paused = pauseMs > lastDurationMs_ / 2 && pauseMs < kPauseMaxMs;
        if (paused) positionMs_ += pauseMs;
      }
    }
    remember(timestamp, durationMs);
    return paused;
  }

  /**
   * `lost` chunk numbers are missing before a payload with this timestamp. Returns how much audio is missing,
   * in ms: 0 when the timestamps show that the numbers jumped and the audio did not.
   */
  double missingMs(uint64_t timestamp, uint64_t lost) const {
    if (!started_) return 0;
    const double byCount = static_cast<double>(lost) * lastDurationMs_;
    const double step = stepFrom(timestamp);
    if (unitsPerMs_ > 0) {
      const double ms = step / unitsPerMs_ - lastDurationMs_;
      if (step <= 0 || ms > kPauseMaxMs) return byCount;  // the timestamps restarted: they say nothing
      return ms < lastDurationMs_ / 2 ? 0 : std::fmin(ms, byCount);
    }
    return isStep(step, 1) || isStep(step, rtpPerMs_) ? 0 : byCount;
  }

  /** A payload after a gap, whose missing audio has been dealt with. */
  void resumes(uint64_t timestamp, double durationMs) { remember(timestamp, durationMs); }

  /** 0 while unknown; 1 for milliseconds; clock rate / 1000 for RTP units. */
  double unitsPerMs() const { return unitsPerMs_; }

 private:
  static constexpr double kPauseMaxMs = 3600e3;

  double stepFrom(uint64_t timestamp) const {
    return static_cast<double>(static_cast<int64_t>(timestamp - last_));
  }
  bool isStep(double step, double unitsPerMs) const {
    return std::fabs(step - lastDurationMs_ * unitsPerMs) <= std::fmax(1.0, unitsPerMs * 0.5);
  }
  void learn(double step) {
    const double unit = isStep(step, 1) ? 1 : isStep(step, rtpPerMs_) ? rtpPerMs_ : 0;
    if (unit != 0 && unit == guess_) unitsPerMs_ = unit;
    guess_ = unit;
  }
  void remember(uint64_t timestamp, double durationMs) {
    started_ = true;
    last_ = timestamp;
    lastDurationMs_ = durationMs;
  }

  double rtpPerMs_;
  double unitsPerMs_ = 0;
  double guess_ = 0;
  double positionMs_ = 0;
  double lastDurationMs_ = 0;
  uint64_t last_ = 0;
  bool started_ = false;
};

}  // namespace sidetone
