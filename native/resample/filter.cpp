#include "resample/filter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <mutex>
#include <numbers>
#include <numeric>

#include "resample/resampler.h"

namespace sidetone {
namespace {

/** Lower-rate samples to either side of the centre, and Kaiser's beta for 84 dB with that length and
 * transition.
 */
constexpr uint32_t kHalfWidth = 27;
constexpr double kBeta = 8.4;

/** Largest up or down for which outputs of one phase are computed side by side: every pair within
 * 8, 16, 24, 32, 48 kHz and within 11.025, 22.05, 44.1 kHz. */
constexpr uint32_t kBranchRatioMax = 6;

constexpr std::array<int, 8> kRatesHz{8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000};

/** Modified Bessel function of the first kind, order 0, by its power series. */
double besselI0(double x) {
  double term = 1;
  double sum = 1;
  for (int k = 1; term > 1e-17 * sum; k++) {
    term *= (x / (2 * k)) * (x / (2 * k));
    sum += term;
  }
  return sum;
}

/** Impulse response at `n` steps from the centre; `period` steps are one sample of the lower rate. */
double prototype(int64_t n, int64_t period) {
  if (n == 0) return 1;
  if (n % period == 0) return 0;  // exactly: this is what makes a phase a plain copy
  const double x = std::numbers::pi * static_cast<double>(n) / static_cast<double>(period);
  const double edge = static_cast<double>(n) / static_cast<double>(kHalfWidth * period);
  return std::sin(x) / x * besselI0(kBeta * std::sqrt(1 - edge * edge)) / besselI0(kBeta);
}

int rateIndex(int hz) {
  const auto* found = std::find(kRatesHz.begin(), kRatesHz.end(), hz);
  return found == kRatesHz.end() ? -1 : static_cast<int>(found - kRatesHz.begin());
}

}  // namespace

ResampleFilter::ResampleFilter(int fromHz, int toHz) {
  const int divisor = std::gcd(fromHz, toHz);
  up_ = static_cast<uint32_t>(toHz / divisor);
  down_ = static_cast<uint32_t>(fromHz / divisor);
  const uint32_t period = std::max(up_, down_);
  centre_ = kHalfWidth * period;
  taps_ = 2 * centre_ / up_ + 1;
  tapsPadded_ = (taps_ + 7) / 8 * 8;
  delayMs_ = 1000.0 * centre_ / (static_cast<double>(up_) * fromHz);

  coefficients_.assign(static_cast<size_t>(up_) * tapsPadded_, 0.0F);
  std::vector<double> response(taps_);
  for (uint32_t phase = 0; phase < up_; phase++) {
    double sum = 0;
    for (uint32_t k = 0; k < taps_; k++) {
      const int64_t at = static_cast<int64_t>(phase) + static_cast<int64_t>(taps_ - 1 - k) * up_;
      response[k] = at > 2 * static_cast<int64_t>(centre_) ? 0 : prototype(at - centre_, period);
      sum += response[k];
    }
    // Unit gain at 0 Hz in every phase: a constant input gives a constant output.
    float* row = coefficients_.data() + static_cast<size_t>(phase) * tapsPadded_;
    for (uint32_t k = 0; k < taps_; k++) row[k] = static_cast<float>(response[k] / sum);
  }
  if (period <= kBranchRatioMax) buildBranches();
}

void ResampleFilter::buildBranches() {
  branchCoefficients_.reserve(static_cast<size_t>(up_) * (taps_ + down_));  // Branch points into it
  for (uint32_t phase = 0; phase < up_; phase++) {
    const float* row = coefficients(phase);
    for (uint32_t m = 0; m < down_; m++) {
      const size_t start = branchCoefficients_.size();
      uint32_t first = 0;
      while (m + first * down_ < taps_ && row[m + first * down_] == 0.0F) first++;
      size_t end = start;
      for (uint32_t j = first; m + j * down_ < taps_; j++) {
        branchCoefficients_.push_back(row[m + j * down_]);
        if (row[m + j * down_] != 0.0F) end = branchCoefficients_.size();
      }
      branchCoefficients_.resize(end);
      branches_.push_back({branchCoefficients_.data() + start, first, static_cast<uint32_t>(end - start)});
    }
  }
}

const ResampleFilter* resampleFilter(int fromHz, int toHz) {
  struct Slot {
    std::once_flag built;
    const ResampleFilter* filter = nullptr;
  };
  // Kept until the process ends: threads may still resample while static objects are destroyed.
  static auto* const slots = new std::array<Slot, kRatesHz.size() * kRatesHz.size()>;

  const int from = rateIndex(fromHz);
  const int to = rateIndex(toHz);
  if (from < 0 || to < 0 || from == to) return nullptr;
  Slot& slot = (*slots)[static_cast<size_t>(from) * kRatesHz.size() + static_cast<size_t>(to)];
  std::call_once(slot.built, [&] { slot.filter = new ResampleFilter(fromHz, toHz); });
  return slot.filter;
}

bool isResampleRate(int hz) { return rateIndex(hz) >= 0; }

}  // namespace sidetone
