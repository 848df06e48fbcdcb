#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace sidetone {

/**
 * How late the frames of one track come, and which delay hides it.
 *
 * A frame's transit is when it arrived less where it stands on the media's axis. The least transit of the
 * last 10 s is the base, so a sender whose clock drifts is followed. Lateness is transit less base. Of every
 * half second the largest lateness enters a histogram that forgets, as in WebRTC's NetEq. The target is its
 * 95 % quantile. One late half second alone does not move it, two within a few seconds do.
 */
class ArrivalDelay {
 public:
  ArrivalDelay(double minMs, double maxMs);

  void note(double transitMs, double arrivedMs);
  /** The frames of this half second that were late were so for no fault of the network. */
  void forgetLateness() { windowMostMs_ = baseMs_; }
  bool started() const { return started_; }
  /** The transit of the fastest frames. */
  double baseMs() const { return baseMs_; }
  /** The delay behind the fastest frames that lets all but a few be heard. */
  double targetMs() const { return targetMs_; }

 private:
  static constexpr double kWindowMs = 500;
  static constexpr size_t kBaseWindows = 20;
  static constexpr double kBinMs = 5;
  static constexpr size_t kBins = 200;
  static constexpr double kForget = 0.96;  // of a window; the newest one weighs less than what may be late
  static constexpr double kLateShare = 0.05;
  static constexpr double kFirstTargetMs = 40;  // until something is known

  void closeWindow();
  double bounded(double ms) const;

  double minMs_;
  double maxMs_;
  bool started_ = false;
  double baseMs_ = 0;
  double targetMs_;
  double windowEndMs_ = 0;
  double windowLeastMs_ = 0;
  double windowMostMs_ = 0;
  std::array<double, kBaseWindows> least_{};
  uint32_t windows_ = 0;  // closed so far
  std::array<float, kBins> shares_{};
};

}  // namespace sidetone
