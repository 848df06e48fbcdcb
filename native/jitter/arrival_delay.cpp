#include "jitter/arrival_delay.h"

#include <algorithm>

namespace sidetone {

ArrivalDelay::ArrivalDelay(double minMs, double maxMs)
    : minMs_(minMs), maxMs_(std::max(minMs, maxMs)), targetMs_(bounded(kFirstTargetMs)) {}

double ArrivalDelay::bounded(double ms) const { return std::clamp(ms, minMs_, maxMs_); }

void ArrivalDelay::note(double transitMs, double arrivedMs) {
  if (!started_ || arrivedMs >= windowEndMs_) {
    if (started_) closeWindow();
    windowEndMs_ = arrivedMs + kWindowMs;
    windowLeastMs_ = windowMostMs_ = transitMs;
    if (!started_) baseMs_ = transitMs;
    started_ = true;
  }
  windowLeastMs_ = std::min(windowLeastMs_, transitMs);
  windowMostMs_ = std::max(windowMostMs_, transitMs);
  baseMs_ = std::min(baseMs_, transitMs);
}

void ArrivalDelay::closeWindow() {
  least_[windows_ % kBaseWindows] = windowLeastMs_;
  windows_++;
  baseMs_ = *std::min_element(least_.begin(), least_.begin() + std::min<size_t>(windows_, kBaseWindows));

  const double lateness = std::max(0.0, windowMostMs_ - baseMs_);
  const auto bin = std::min(static_cast<size_t>(lateness / kBinMs), kBins - 1);
  // At first all windows weigh the same.
  const double kept = std::min(kForget, 1 - 1.0 / windows_);
  for (float& share : shares_) share *= static_cast<float>(kept);
  shares_[bin] += static_cast<float>(1 - kept);
  double above = 0;
  size_t last = kBins;
  while (last > 0 && above + static_cast<double>(shares_[last - 1]) < kLateShare)
    above += static_cast<double>(shares_[--last]);
  targetMs_ = bounded(static_cast<double>(last) * kBinMs);
}

}  // namespace sidetone
