#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace sidetone {

/**
 * Which parts of a queue are live audio, and how late each may be. Positions are those of Outbound: samples
 * accepted since the stream's start. Memory for the parts is taken when there are several for the first time.
 */
class LiveRuns {
 public:
  struct Run {
    double end;
    double boundMs;
  };
  /** What is accepted from `position` on is live and has this bound; 0: it is not live. */
  void begin(double boundMs, double position, bool queueIsEmpty) {
    if (queueIsEmpty) count_ = 0;
    if (boundMs != tailBoundMs_ && !queueIsEmpty) {
      // Too many changes within what is queued: the last parts count as one that is not live, and stays
      // whole.
      if (count_ == kRuns)
        boundMs = 0;
      else
        runs()[count_++] = {position, tailBoundMs_};
    }
    tailBoundMs_ = boundMs;
  }

  /** What was sent up to `end` stands before the rest of the queue again, and is not live. */
  void prepend(double end, bool queueIsEmpty) {
    if (queueIsEmpty) clear();
    if (headBoundMs() == 0) return;
    if (queueIsEmpty) {
      tailBoundMs_ = 0;
      return;
    }
    // Where there are too many parts, the first of the rest counts as not live too, and stays whole.
    if (count_ == kRuns) {
      runs_->front().boundMs = 0;
      return;
    }
    auto& runs = this->runs();
    std::copy_backward(runs.begin(), runs.begin() + static_cast<long>(count_),
                       runs.begin() + static_cast<long>(count_ + 1));
    runs[0] = {end, 0};
    count_++;
  }

  /** The positions from `from` up to `to` are no more: those behind them move up. */
  void remove(double from, double to) {
    size_t kept = 0;
    for (size_t i = 0; i < count_; i++) {
      Run run = (*runs_)[i];
      run.end = run.end >= to ? run.end - (to - from) : std::min(run.end, from);
      if (kept > 0 && (*runs_)[kept - 1].end >= run.end) continue;
      (*runs_)[kept++] = run;
    }
    count_ = kept;
  }

  /** The bound of what stands first in the queue, 0 where it is not live. */
  double headBoundMs() const { return count_ > 0 ? runs_->front().boundMs : tailBoundMs_; }
  /** Where that part ends; `accepted` is where the queue ends. */
  double headEnd(double accepted) const { return count_ > 0 ? runs_->front().end : accepted; }

  /** Whether what is queued has more than one part: only then need passed() be called. */
  bool several() const { return count_ > 0; }
  /** The queue begins at `position` now. */
  void passed(double position) {
    while (count_ > 0 && runs_->front().end <= position) {
      std::copy(runs_->begin() + 1, runs_->begin() + static_cast<long>(count_), runs_->begin());
      count_--;
    }
  }

  void clear() { count_ = 0; }

 private:
  double tailBoundMs_ = 0;
  static constexpr size_t kRuns = 6;
  using Runs = std::array<Run, kRuns>;
  Runs& runs() {
    if (!runs_) runs_ = std::make_unique<Runs>();
    return *runs_;
  }

  size_t count_ = 0;
  std::unique_ptr<Runs> runs_;
};

/**
 * The head of a queue that was shortened: `out` samples of it stand for `in` samples that were accepted,
 * spread evenly. Behind it a sample is a sample.
 */
class ShortenedHead {
 public:
  size_t out() const { return out_; }
  /** How many samples more were accepted than are left. */
  size_t cut() const { return in_ - out_; }

  /** How many accepted samples the first `samples` of the queue stand for. */
  double stoodFor(size_t samples) const {
    const size_t part = std::min(samples, out_);
    return static_cast<double>((part == out_ ? in_ : in_ * part / out_) + samples - part);
  }

  /** The first `samples` leave the queue; returns how many accepted ones they stood for. */
  double take(size_t samples) {
    if (out_ == 0) return static_cast<double>(samples);
    const double taken = stoodFor(samples);
    const size_t part = std::min(samples, out_);
    in_ -= static_cast<size_t>(taken) - (samples - part);
    out_ -= part;
    return taken;
  }

  /** Samples of the queue up to the place that lies `distance` accepted samples behind its begin. */
  double queued(double distance) const {
    if (out_ == 0) return distance;
    if (distance >= static_cast<double>(in_)) return distance - static_cast<double>(cut());
    return std::ceil(distance * static_cast<double>(out_) / static_cast<double>(in_));
  }

  /** The first `out` samples stand for `in` now. */
  void set(size_t in, size_t out) {
    in_ = in;
    out_ = out;
  }

 private:
  size_t in_ = 0;
  size_t out_ = 0;
};

/** Live audio that nobody hears because it came hopelessly late. */
struct SkippedRange {
  double from;
  double to;
};

/** The skipped ranges that the stream has not been told of. */
class SkippedRanges {
 public:
  bool empty() const { return count_ == 0; }
  void add(const SkippedRange& range) {
    // Told of after the next message, so there is hardly ever a second one.
    if (!ranges_) ranges_ = std::make_unique<Ranges>();
    if (count_ == ranges_->size())
      ranges_->back().to = range.to;
    else
      (*ranges_)[count_++] = range;
  }
  /** Returns false where there is none. */
  bool take(SkippedRange& range) {
    if (count_ == 0) return false;
    range = ranges_->front();
    std::copy(ranges_->begin() + 1, ranges_->begin() + static_cast<long>(count_), ranges_->begin());
    count_--;
    return true;
  }

 private:
  using Ranges = std::array<SkippedRange, 4>;

  size_t count_ = 0;
  std::unique_ptr<Ranges> ranges_;
};

/**
 * When live audio that is late is shortened, and by how much. `lateMs` is how far what the far end has and
 * what is queued lie ahead of what is being heard.
 *
 *   late > bound ─▶ pauses are shortened ─▶ speech too, where 2.7 s need it ─▶ late < bound / 2: done
 *                └▶ 3 s over the bound: skipped
 */
class CatchUp {
 public:
  struct Step {
    double skipMs = 0;
    double cutMaxMs = 0;
    double speed = 1;
  };

  /** Returns whether there is something to do. */
  bool step(double lateMs, double boundMs, double nowMs, Step& step) {
    if (lateMs > boundMs && nowMs >= untilMs_) {
      untilMs_ = nowMs + kWithinMs;
      running_ = true;
      counters.catchUps++;
      loudest_ = 0;
    }
    const double goalMs = boundMs * kGoal;
    if (lateMs <= goalMs) running_ = false;
    if (!running_) {
      untilMs_ = 0;
      hastens_ = false;
      return false;
    }
    step.cutMaxMs = lateMs - goalMs;
    if (lateMs - boundMs > kHopelessMs) {
      step.skipMs = lateMs - goalMs;
      return true;
    }
    const double excessMs = lateMs - boundMs * kSpeechGoal;
    const double needed = 1 + excessMs / std::max(untilMs_ - nowMs, kLastMs);
    hastens_ = excessMs > 0 && (hastens_ || needed >= kUrgent);
    step.speed = hastens_ ? std::clamp(needed, kSlowest, kFastest) : 1;
    return true;
  }

  /** Below this 10 ms are a pause; `loudest` is the loudest of what comes next. */
  double pauseLevel(double loudest) {
    loudest_ = std::max(loudest, loudest_ * kForget);
    return std::clamp(loudest_ * kPauseShare, kPauseMin, kPauseMax);
  }

  struct Counters {
    uint32_t catchUps = 0;
    double pauseCutMs = 0;   // taken out of pauses …
    double speechCutMs = 0;  // … and out of speech
    double skippedMs = 0;    // hopelessly late and left out whole
  };
  Counters counters;

 private:
  static constexpr double kWithinMs = 2700;
  static constexpr double kLastMs = 100;
  static constexpr double kHopelessMs = 3000;
  static constexpr double kGoal = 0.5;        // of the bound: pauses are shortened down to this …
  static constexpr double kSpeechGoal = 0.8;  // … and speech to this
  // Speech stays as it is as long as this speed would still do: a pause may come first.
  static constexpr double kUrgent = 1.4;
  static constexpr double kSlowest = 1.25;
  static constexpr double kFastest = 2;
  // A pause lies 30 dB below the loudest sound of the last half second, or below a quiet line's noise.
  static constexpr double kPauseShare = 0.03;
  static constexpr double kPauseMin = 80;
  static constexpr double kPauseMax = 500;
  static constexpr double kForget = 0.97;

  double untilMs_ = 0;
  double loudest_ = 0;
  bool running_ = false;
  bool hastens_ = false;  // speech is being shortened
};

}  // namespace sidetone
