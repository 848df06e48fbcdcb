#include "hearing/tones.h"

#include <algorithm>
#include <cmath>

#include "hearing/fft.h"

namespace sidetone {
namespace {

// 94 to 1800 Hz: no tone of a telephone network lies outside.
constexpr size_t kLowestBin = 3;
constexpr size_t kHighestBin = 57;
// A Hann window spreads a tone over five bins.
constexpr size_t kReach = 2;
constexpr float kShareMin = 0.88F;
// 1090 Hz: two narrow peaks, one of them up here, are no voice.
constexpr float kVoicePeakMax = 35;
// 15 dB below the other, a second peak says nothing.
constexpr float kSecondMin = 0.03F;
// 1.6 Hz and 0.9 dB in 20 ms: no voice is so steady.
constexpr float kSteadyBins = 0.05F;
constexpr float kSteadyRatio = 1.23F;
// Two tones that lie closer than the spectrum can tell beat, and stay within 11 Hz: 100 ms of it are no
// voice.
constexpr float kStayBins = 0.35F;
constexpr int kStaySteps = 5;

}  // namespace

ToneFinder::Peak ToneFinder::highest(const float* power, size_t skipFrom, size_t skipTo) {
  size_t top = 0;
  float value = -1;
  for (size_t bin = kLowestBin; bin <= kHighestBin; bin++) {
    if (power[bin] <= value || (bin >= skipFrom && bin < skipTo)) continue;
    value = power[bin];
    top = bin;
  }
  Peak peak;
  for (size_t bin = top - kReach; bin <= top + kReach; bin++) {
    if (bin >= skipFrom && bin < skipTo) continue;
    peak.power += power[bin];
    peak.bin += power[bin] * static_cast<float>(bin);
  }
  if (peak.power > 0) peak.bin /= peak.power;
  return peak;
}

bool ToneFinder::stays(const Peak& before, const Peak& now) {
  return std::abs(before.bin - now.bin) < kStayBins;
}

bool ToneFinder::isSteady(const Peak& before, const Peak& now) {
  return std::abs(before.bin - now.bin) < kSteadyBins && before.power < now.power * kSteadyRatio &&
         now.power < before.power * kSteadyRatio;
}

ToneFinder::Sound ToneFinder::hear(const float* power, float total) {
  const Peak first = highest(power, 0, 0);
  const auto at = static_cast<size_t>(first.bin + 0.5F);
  const size_t from = at > kReach ? at - kReach : 0;
  const Peak second = highest(power, from, at + kReach + 1);
  const bool hasSecond = second.power > first.power * kSecondMin;
  const bool isSteadyNow = isSteady(first_, first) && (!hasSecond || isSteady(second_, second));
  const bool isNarrow = first.power + second.power >= total * kShareMin;
  const bool wasNarrow = isNarrow_;
  staying_ = isNarrow && stays(first_, first) ? staying_ + 1 : 0;
  isNarrow_ = isNarrow;
  first_ = first;
  second_ = second;
  if (!isNarrow) return Sound::Other;
  const bool isHigh = first.bin > kVoicePeakMax || (hasSecond && second.bin > kVoicePeakMax);
  if (isHigh || isSteadyNow || staying_ >= kStaySteps) return Sound::Tone;
  return !wasNarrow || staying_ > 0 ? Sound::Suspect : Sound::Other;
}

}  // namespace sidetone
