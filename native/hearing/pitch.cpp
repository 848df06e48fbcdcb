#include "hearing/pitch.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sidetone {
namespace {

constexpr size_t kLanes = 8;
constexpr float kSilence = 1e-7F;
constexpr float kEmphasis = 0.6F;

struct LowPass {
  alignas(32) float taps[16];

  /** A sinc that ends at 900 Hz, under a Hamming window. */
  LowPass() {
    double sum = 0;
    double raw[16];
    for (int i = 0; i < 16; i++) {
      const double x = (i - 7.5) * 2 * 900 / 8000;
      const double window = 0.54 - 0.46 * std::cos(2 * std::numbers::pi * (i + 0.5) / 16);
      raw[i] = std::sin(std::numbers::pi * x) / (std::numbers::pi * x) * window;
      sum += raw[i];
    }
    for (int i = 0; i < 16; i++) taps[i] = static_cast<float>(raw[i] / sum);
  }
};

/** In lanes, because the compiler may not change the order of a sum of floats. */
template <size_t kLength>
float dot(const float* a, const float* b) {
  float lanes[kLanes] = {};
  for (size_t i = 0; i < kLength; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; lane++) lanes[lane] += a[i + lane] * b[i + lane];
  }
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

}  // namespace

void Periodicity::take(const float* hop) {
  static const LowPass lowPass;
  float samples[kTaps - kDown + kHopSamples];
  std::copy(before_.begin(), before_.end(), samples);
  std::copy_n(hop, kHopSamples, samples + before_.size());
  std::copy_n(hop + kHopSamples - before_.size(), before_.size(), before_.begin());
  std::copy(slow_.begin() + kHop, slow_.end(), slow_.begin());
  for (size_t i = 0; i < kHop; i++) {
    slow_[slow_.size() - kHop + i] = dot<kTaps>(samples + i * kDown, lowPass.taps);
  }
}

float Periodicity::value() const {
  float mean = 0;
  for (const float sample : slow_) mean += sample;
  mean /= static_cast<float>(slow_.size());
  alignas(32) float x[kWindow + kLagMax];
  // Noise is loudest at its lowest frequencies, and would look periodic.
  x[0] = 0;
  for (size_t i = 1; i < slow_.size(); i++)
    x[i] = slow_[i] - kEmphasis * slow_[i - 1] - (1 - kEmphasis) * mean;

  const float* const now = x + kLagMax;
  const float energy = dot<kWindow>(now, now) + kSilence;
  const float* const first = now - kLagMin;
  float earlier = dot<kWindow>(first, first) + kSilence;
  float best = 0;
  for (size_t lag = kLagMin;; lag++) {
    const float* const then = now - lag;
    const float product = dot<kWindow>(now, then);
    if (product > 0) best = std::max(best, product * product / (energy * std::max(earlier, energy / 4)));
    if (lag == kLagMax) break;
    earlier += then[-1] * then[-1] - then[kWindow - 1] * then[kWindow - 1];
  }
  return std::min(1.0F, std::sqrt(best));
}

}  // namespace sidetone
