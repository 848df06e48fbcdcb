#include "codec/l16_order.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace sidetone {
namespace {
constexpr size_t kBlockSamples = 320;
constexpr size_t kBlockSamplesMin = 32;  // fewer say little about a spectrum
constexpr int kOrder = 4;                // two tones, or the broad shape of speech
constexpr double kTellingBits = 1;
constexpr double kRoundingPower = 1.0 / 12;  // of a sample's rounding: no residual is smaller

using Block = std::array<double, kBlockSamples>;

/** Power of what Burg's linear predictor leaves of `samples` samples; `forward` is used up. */
double residualPower(Block& forward, size_t samples) {
  double mean = 0;
  for (size_t i = 0; i < samples; i++) mean += forward[i];
  mean /= static_cast<double>(samples);
  double power = 0;
  for (size_t i = 0; i < samples; i++) {
    forward[i] -= mean;
    power += forward[i] * forward[i];
  }
  power /= static_cast<double>(samples);
  Block backward = forward;
  for (size_t order = 1; order <= kOrder && power > kRoundingPower; order++) {
    double cross = 0;
    double both = 0;
    for (size_t i = order; i < samples; i++) {
      cross += forward[i] * backward[i - 1];
      both += forward[i] * forward[i] + backward[i - 1] * backward[i - 1];
    }
    if (both == 0) return 0;
    const double reflection = -2 * cross / both;
    power *= 1 - reflection * reflection;
    for (size_t i = samples - 1; i >= order; i--) {
      const double ahead = forward[i];
      forward[i] += reflection * backward[i - 1];
      backward[i] = backward[i - 1] + reflection * ahead;
    }
  }
  return power;
}

/** Bits a sample that the residual takes, more or less, with bytes low first or high first. */
double residualBits(const uint8_t* payload, size_t samples, size_t lowByte) {
  Block block;
  uint8_t moving = 0;
  for (size_t i = 0; i < samples; i++) {
    const uint8_t low = payload[2 * i + lowByte];
    const uint8_t high = payload[2 * i + 1 - lowByte];
    moving |= static_cast<uint8_t>(low ^ payload[lowByte]);
    block[i] = static_cast<int16_t>(high << 8 | low);
  }
  const double scale = moving == 0 ? 1.0 / 65536 : 1;
  return 0.5 * std::log2(std::max(residualPower(block, samples) * scale, kRoundingPower));
}
}  // namespace

ByteOrder L16OrderFinder::judge(const uint8_t* payload, size_t samples) {
  for (size_t at = 0; at < samples && !settled(); at += kBlockSamples) {
    const size_t count = std::min(kBlockSamples, samples - at);
    if (count < kBlockSamplesMin) break;
    const uint8_t* block = payload + 2 * at;
    const double bits = residualBits(block, count, 0) - residualBits(block, count, 1);
    if (std::abs(bits) < kTellingBits) continue;
    score_ += bits * static_cast<double>(count);
    toldSamples_ += count;
  }
  return order();
}

}  // namespace sidetone
