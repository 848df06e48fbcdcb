#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace sidetone {

/**
 * What the far end has played of what it was sent. Telnyx plays audio as it comes, one piece behind the
 * other, so the send times tell which sample is being heard at any moment. Whatever time a message takes on
 * its way, the clear that cuts it off takes too.
 *
 * Positions count samples accepted for this stream since its start; padding has none.
 */
class Playout {
 public:
  explicit Playout(int sampleHz) : samplesPerMs_(sampleHz / 1000.0) {}

  /** When the far end will run dry. */
  double dryAtMs() const { return dryAtMs_; }

  /** Where the part of it that every message touches ends: there is one run nearly always. */
  const void* oftenUsedEnd() const { return &first_ + 1; }

  /** Whether the far end hears something, or has within the last `ms`. */
  bool isAudible(double nowMs, double ms) const { return dryAtMs_ > 0 && nowMs < dryAtMs_ + ms; }

  /** How much the far end still has to play, padding included. */
  double aheadMs(double nowMs) const { return std::max(0.0, dryAtMs_ - nowMs); }

  /**
   * `samples` from `position` on were sent, followed by `padding` samples of silence. They were shortened by
   * `cut`: the rest takes their place.
   */
  void sent(double position, double samples, double padding, double nowMs, double cut = 0) {
    const double startMs = std::max(dryAtMs_, nowMs);
    Run& last = run(count_ == 0 ? 0 : count_ - 1);
    const bool joins = count_ > 0 && position == last.end() && last.samples() + samples < Run::kSamplesMax &&
                       startMs - last.endMs(samplesPerMs_) < kJoinMs && cut == 0 && shortened_ == 0;
    if (joins) {
      last.grow(samples);
    } else {
      forget(nowMs);
      if (count_ == kRuns) dropFirst();
      if (count_ > 0 && !rest_) rest_ = std::make_unique<Rest>();
      setCut(count_, static_cast<uint32_t>(cut));
      run(count_++) = {startMs, position, samples};
      if (cut > 0) shortened_++;
    }
    dryAtMs_ = startMs + (samples - cut + padding) / samplesPerMs_;
  }

  /** `samples` without positions were sent. */
  void sentAside(double samples, double nowMs) {
    dryAtMs_ = std::max(dryAtMs_, nowMs) + samples / samplesPerMs_;
  }

  /** Position up to which everything that was sent has been heard. */
  double playedPosition(double nowMs) const {
    double played = before_;
    for (size_t i = 0; i < count_; i++) {
      const Run& each = run(i);
      if (nowMs <= each.startMs) break;
      const double taken = each.samples();
      const double heard = taken - cut(i);
      const double samples = (nowMs - each.startMs) * samplesPerMs_;
      played = each.position() + (samples >= heard ? taken : samples * taken / heard);
    }
    return played;
  }

  /** How much of what has positions the far end still has to play. */
  double unheardMs(double nowMs) const {
    double unheard = 0;
    for (size_t i = 0; i < count_; i++) {
      const double lengthMs = (run(i).samples() - cut(i)) / samplesPerMs_;
      unheard += std::clamp(run(i).startMs + lengthMs - nowMs, 0.0, lengthMs);
    }
    return unheard;
  }

  /** The far end dropped what it had not played. */
  void clear(double nowMs) { clear(nowMs, playedPosition(nowMs)); }
  /** The same, with the position up to which it had played. */
  void clear(double nowMs, double played) {
    before_ = played;
    count_ = 0;
    shortened_ = 0;
    dryAtMs_ = nowMs;
  }
  /** It has had nothing to play until now, and that is no fault. */
  void rest(double nowMs) { dryAtMs_ = std::max(dryAtMs_, nowMs); }

 private:
  // A run ends at padding or where the far end ran dry. Runs that have been heard are forgotten; the rest lie
  // within the lead, in which each takes at least 20 ms: (lead 200 + chunk 100) / 20 = 15. With a longer lead
  // the oldest two count as one, and the position is out by the padding between them for as long as they are
  // being played.
  static constexpr size_t kRuns = 16;
  static constexpr double kJoinMs = 0.01;  // rounding of sums of durations
  //   Run   | startMs (8 bytes) | position (5 bytes: 265 days at 48 kHz) | samples (3 bytes) |
  struct Run {
    static constexpr int kSamplesBits = 24;
    static constexpr double kSamplesMax = 1 << kSamplesBits;
    double startMs;
    uint64_t packed;
    Run() = default;
    Run(double start, double position, double samples)
        : startMs(start),
          packed(static_cast<uint64_t>(position) << kSamplesBits | static_cast<uint64_t>(samples)) {}
    double position() const { return static_cast<double>(packed >> kSamplesBits); }
    double samples() const { return static_cast<double>(packed & ((uint64_t{1} << kSamplesBits) - 1)); }
    void grow(double bySamples) { packed += static_cast<uint64_t>(bySamples); }
    double end() const { return position() + samples(); }
    double endMs(double samplesPerMs) const { return startMs + samples() / samplesPerMs; }
  };
  static_assert(sizeof(Run) == 16);

  /** The runs behind the first. */
  struct Rest {
    std::array<Run, kRuns - 1> runs;
    std::array<uint32_t, kRuns - 1> cuts;
  };

  Run& run(size_t i) { return i == 0 ? first_ : rest_->runs[i - 1]; }
  const Run& run(size_t i) const { return i == 0 ? first_ : rest_->runs[i - 1]; }
  /** By how many samples the run was shortened. */
  double cut(size_t i) const {
    if (shortened_ == 0) return 0;
    return i == 0 ? firstCut_ : rest_->cuts[i - 1];
  }
  void setCut(size_t i, uint32_t cut) { (i == 0 ? firstCut_ : rest_->cuts[i - 1]) = cut; }
  void forget(double nowMs) {
    while (count_ > 0 && first_.endMs(samplesPerMs_) - cut(0) / samplesPerMs_ <= nowMs) dropFirst();
  }
  void dropFirst() {
    before_ = first_.end();
    if (cut(0) > 0) shortened_--;
    if (--count_ == 0) return;
    first_ = rest_->runs[0];
    firstCut_ = rest_->cuts[0];
    const auto count = static_cast<long>(count_);
    std::copy(rest_->runs.begin() + 1, rest_->runs.begin() + count, rest_->runs.begin());
    std::copy(rest_->cuts.begin() + 1, rest_->cuts.begin() + count, rest_->cuts.begin());
  }

  double samplesPerMs_;
  double dryAtMs_ = 0;
  double before_ = 0;  // all of this has been heard
  uint32_t count_ = 0;
  uint32_t shortened_ = 0;  // of the runs, those that were
  Run first_{};
  uint32_t firstCut_ = 0;
  std::unique_ptr<Rest> rest_;  // made when there are several runs for the first time
};

}  // namespace sidetone
