#include "hearing/key_detector.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sidetone {
namespace {

constexpr std::array<double, 8> kHz = {697, 770, 852, 941, 1209, 1336, 1477, 1633};
constexpr char kKeys[4][4] = {
    {'1', '2', '3', 'A'}, {'4', '5', '6', 'B'}, {'7', '8', '9', 'C'}, {'*', '0', '#', 'D'}};

// -36 dBFS a tone: Q.24's -25 dBm0 of North America lies at -28 dBFS.
constexpr float kPowerMin = 2.5e-4F;
// The two tones against all that is heard: noise 9 dB below them passes.
constexpr float kShareMin = 0.86F;
constexpr float kHighWeakest = 0.112F;   // -9.5 dB
constexpr float kHighStrongest = 3.55F;  // +5.5 dB
// The next frequency of the same group is as far below: a tone leaks into it, a voice has it.
constexpr float kNeighbourMax = 0.25F;
constexpr float kOffMax = 0.021F;
constexpr int kHits = 2;
constexpr int kMisses = 4;

struct Tables {
  // By sample and frequency, the phase running on from hop to hop by `turn`.
  alignas(32) float re[KeyDetector::kHopSamples][8];
  alignas(32) float im[KeyDetector::kHopSamples][8];
  std::array<double, 8> turn;
  std::array<float, 8> turnRe, turnIm;

  Tables() {
    for (size_t tone = 0; tone < 8; tone++) {
      const double step = 2 * std::numbers::pi * kHz[tone] / KeyDetector::kRateHz;
      for (size_t i = 0; i < KeyDetector::kHopSamples; i++) {
        re[i][tone] = static_cast<float>(std::cos(step * static_cast<double>(i)));
        im[i][tone] = static_cast<float>(-std::sin(step * static_cast<double>(i)));
      }
      turn[tone] = step * KeyDetector::kHopSamples;
      turnRe[tone] = static_cast<float>(std::cos(turn[tone]));
      turnIm[tone] = static_cast<float>(std::sin(turn[tone]));
    }
  }
};

const Tables& tables() {
  static const Tables made;
  return made;
}

size_t strongest(const std::array<float, 8>& power, size_t from) {
  size_t best = from;
  for (size_t tone = from + 1; tone < from + 4; tone++) {
    if (power[tone] > power[best]) best = tone;
  }
  return best;
}

bool standsAlone(const std::array<float, 8>& power, size_t from, size_t best) {
  for (size_t tone = from; tone < from + 4; tone++) {
    if (tone != best && power[tone] > power[best] * kNeighbourMax) return false;
  }
  return true;
}

}  // namespace

char KeyDetector::keyIn(const Hop& before, const Hop& now) const {
  const float energy = before.energy + now.energy;
  // A full-scale sine has half of a power of 1.
  if (energy < kPowerMin * 2 * kHopSamples) return 0;
  const Tables& table = tables();
  std::array<std::complex<float>, kTones> turned;
  std::array<float, kTones> power;
  for (size_t tone = 0; tone < kTones; tone++) {
    // The earlier hop as it would be with the phase of the later one.
    const float re = before.re[tone] * table.turnRe[tone] - before.im[tone] * table.turnIm[tone];
    const float im = before.re[tone] * table.turnIm[tone] + before.im[tone] * table.turnRe[tone];
    turned[tone] = {re, im};
    power[tone] = std::norm(turned[tone] + std::complex<float>(now.re[tone], now.im[tone]));
  }
  const size_t row = strongest(power, 0);
  const size_t column = strongest(power, 4);
  std::array<float, 2> tonePower;
  for (const size_t tone : {row, column}) {
    const std::complex<float> later(now.re[tone], now.im[tone]);
    const double turn = std::arg(later * std::conj(turned[tone]));
    if (std::abs(turn) > kOffMax * table.turn[tone]) return 0;
    // A tone beside its frequency makes smaller sums, and the two of them point apart.
    const double loss = turn == 0 ? 1 : std::sin(turn / 2) / (turn / 2);
    const double sum = (std::abs(turned[tone]) + std::abs(later)) / loss;
    tonePower[tone == row ? 0 : 1] = static_cast<float>(sum * sum);
  }
  const auto [low, high] = tonePower;
  // Of a sine over N samples: energy = 2 |sum|^2 / N.
  if ((low + high) / kHopSamples < kShareMin * energy) return 0;
  if (high < low * kHighWeakest || high > low * kHighStrongest) return 0;
  if (!standsAlone(power, 0, row) || !standsAlone(power, 4, column)) return 0;
  return kKeys[row][column - 4];
}

char KeyDetector::hear(const int16_t* hop) {
  const Tables& table = tables();
  // Two variables of their own, so that the compiler keeps them in registers.
  float re[kTones] = {};
  float im[kTones] = {};
  Hop now;
  for (size_t i = 0; i < kHopSamples; i++) {
    const float sample = static_cast<float>(hop[i]) * (1.0F / 32768);
    now.energy += sample * sample;
    for (size_t tone = 0; tone < kTones; tone++) re[tone] += sample * table.re[i][tone];
    for (size_t tone = 0; tone < kTones; tone++) im[tone] += sample * table.im[i][tone];
  }
  std::copy_n(re, kTones, now.re.begin());
  std::copy_n(im, kTones, now.im.begin());
  const char key = keyIn(before_, now);
  before_ = now;

  hits_ = key != 0 && key == candidate_ ? hits_ + 1 : key != 0 ? 1 : 0;
  candidate_ = key;
  if (key != 0 && key == pressed_)
    misses_ = 0;
  else if (pressed_ != 0 && ++misses_ >= kMisses)
    pressed_ = 0;
  if (hits_ != kHits || key == pressed_) return 0;
  pressed_ = key;
  misses_ = 0;
  return key;
}

void KeyDetector::skip() { *this = {}; }

}  // namespace sidetone
