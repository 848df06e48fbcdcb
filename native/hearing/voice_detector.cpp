#include "hearing/voice_detector.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>

namespace sidetone {
namespace {

// Where the bands begin and end, in bins of 31.25 Hz: 125 to 3400 Hz.
constexpr std::array<size_t, NoiseFloor::kBands + 1> kEdges = {4, 8, 12, 16, 21, 27, 34, 43, 54, 68, 85, 109};
constexpr float kDbPerLog2 = 3.0103F;
constexpr float kAboveNoiseMaxDb = 20;
constexpr size_t kLoudestBands = 4;

// What is less above the noise is none, whatever else it is.
constexpr float kHeedDb = 1.5F;
// Sound that is this far above the noise is as likely speech as not, where it is periodic.
constexpr float kAboveNoiseDb = 3.8F;
constexpr float kAboveNoiseWidthDb = 0.9F;
constexpr float kPeriod = 0.55F;
constexpr float kPeriodWidth = 0.06F;
// Without a period it is less likely by this.
constexpr float kUnvoiced = 0.25F;

// Sound may miss this much before its run is over.
constexpr double kRunGapMs = 40;
// Speech goes on for this long without anything periodic: the longest fricatives are shorter.
constexpr double kUnvoicedMaxMs = 280;
// An unvoiced beginning belongs to the speech behind it.
constexpr double kUnvoicedBeginMaxMs = 200;
// In speech that pauses, less sound than this is none: the edge of a tone, a knock.
constexpr double kReturnMs = 40;
// What is so much quieter than the voice in front comes from behind it: other people, an echo, music.
constexpr float kBehindDb = 15;
constexpr float kBehindInSpeechDb = 18;
constexpr float kVoiceUp = 0.1F;
constexpr float kVoiceDown = 0.02F;
// 0.3 dB a second: after a minute somebody may speak who is 18 dB quieter.
constexpr float kForgetDb = 0.006F;
// The window of a spectrum reaches back by so much, and weighs its ends little.
constexpr double kWindowLagMs = 8;

float logistic(float x) { return 1 / (1 + std::exp(-x)); }

/** Base 2, to 0.01: the exponent, and a parabola through the mantissa. */
float log2Of(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const float mantissa = std::bit_cast<float>((bits & 0x7FFFFFU) | 0x3F800000U);
  const auto exponent = static_cast<float>(static_cast<int>(bits >> 23U) - 127);
  return exponent + (-0.344845F * mantissa + 2.024658F) * mantissa - 1.674873F;
}

/** The mean of all bands and that of the loudest, which a voice in much noise has. */
float aboveNoise(const NoiseFloor::Bands& level, const NoiseFloor::Bands& floor) {
  NoiseFloor::Bands above;
  float mean = 0;
  for (size_t band = 0; band < above.size(); band++) {
    above[band] = std::clamp((level[band] - floor[band]) * kDbPerLog2, 0.0F, kAboveNoiseMaxDb);
    mean += above[band];
  }
  mean /= static_cast<float>(above.size());
  std::partial_sort(above.begin(), above.begin() + kLoudestBands, above.end(), std::greater<>());
  float loudest = 0;
  for (size_t i = 0; i < kLoudestBands; i++) loudest += above[i];
  return 0.5F * mean + 0.5F * loudest / kLoudestBands;
}

}  // namespace

VoiceDetector::VoiceDetector(const VoiceOptions& options) : options_(options) {}

VoiceDetector::Sound VoiceDetector::analyse(const int16_t* hop, NoiseFloor::Bands& level) {
  std::copy(samples_.begin() + kHopSamples, samples_.end(), samples_.begin());
  float* const fresh = samples_.data() + samples_.size() - kHopSamples;
  for (size_t i = 0; i < kHopSamples; i++) fresh[i] = static_cast<float>(hop[i]) * (1.0F / 32768);
  float power[PowerSpectrum::kBins];
  PowerSpectrum::compute(samples_.data(), power);

  Sound sound;
  float total = 0;
  for (size_t band = 0; band < level.size(); band++) {
    float sum = 0;
    for (size_t bin = kEdges[band]; bin < kEdges[band + 1]; bin++) sum += power[bin];
    level[band] = log2Of(sum + 1e-12F);
    total += sum;
  }
  // A sine of full scale, 0 dBFS, has 3 / 8 in the bins of its Hann window.
  sound.levelDb = kDbPerLog2 * log2Of(total * (8.0F / 3) + 1e-12F);
  sound.aboveNoiseDb = aboveNoise(level, noise_.level());
  periodicity_.take(fresh);
  if (sound.levelDb <= options_.levelMinDb || sound.aboveNoiseDb < kHeedDb) {
    tones_.skip();
    return sound;
  }
  sound.period = periodicity_.value();
  float all = power[3];
  for (size_t bin = 4; bin < PowerSpectrum::kBins; bin++) all += power[bin];
  sound.tone = tones_.hear(power, all);
  return sound;
}

VoiceDetector::Change VoiceDetector::hear(const int16_t* hop, bool madeUp) {
  NoiseFloor::Bands level;
  const Sound sound = analyse(hop, level);
  nowMs_ += kHopMs;
  const float leastDb = std::max(static_cast<float>(options_.levelMinDb),
                                 voiceDb_ - (speaking_ ? kBehindInSpeechDb : kBehindDb));
  const bool mayBe = sound.levelDb > leastDb && sound.tone != ToneFinder::Sound::Tone;
  const float energetic = mayBe ? logistic((sound.aboveNoiseDb - kAboveNoiseDb) / kAboveNoiseWidthDb) : 0;
  const float voiced = logistic((sound.period - kPeriod) / kPeriodWidth);
  probability_ = energetic * (kUnvoiced + (1 - kUnvoiced) * voiced);
  if (!madeUp) noise_.hear(level, !speaking_ && probability_ < 0.4F);
  follow(sound.levelDb);
  return judge(sound, energetic);
}

/** The voice in front is as loud as what is speech beyond doubt. */
void VoiceDetector::follow(float levelDb) {
  voiceDb_ -= kForgetDb;
  if (!speaking_ || probability_ < 0.8F) return;
  voiceDb_ += (levelDb > voiceDb_ ? kVoiceUp : kVoiceDown) * (levelDb - voiceDb_);
}

VoiceDetector::Change VoiceDetector::skip(double ms) {
  nowMs_ += ms;
  voicedAgoMs_ += ms;
  probability_ = 0;
  runMs_ = runVoicedMs_ = 0;
  return quiet(ms);
}

VoiceDetector::Change VoiceDetector::hush() {
  runMs_ = runVoicedMs_ = 0;
  return quiet(options_.hangoverMs);
}

VoiceDetector::Change VoiceDetector::judge(const Sound& sound, float energetic) {
  const bool isSound = energetic >= 0.5F;
  const bool isVoice = isSound && probability_ >= static_cast<float>(options_.threshold);
  voicedAgoMs_ = isVoice ? 0 : voicedAgoMs_ + kHopMs;
  if (speaking_) {
    const bool goesOn = isVoice || (isSound && voicedAgoMs_ <= kUnvoicedMaxMs);
    returnMs_ = goesOn ? returnMs_ + kHopMs : 0;
    if (!goesOn || (quietMs_ > 0 && returnMs_ < kReturnMs)) return quiet(kHopMs);
    endMs_ = nowMs_ - kWindowLagMs;
    quietMs_ = 0;
    return Change::None;
  }
  if (!isSound) {
    missedMs_ += kHopMs;
    if (missedMs_ >= kRunGapMs) runMs_ = runVoicedMs_ = 0;
    return Change::None;
  }
  if (runMs_ == 0) runStartMs_ = nowMs_ - kHopMs - kWindowLagMs;
  missedMs_ = 0;
  runMs_ += kHopMs;
  if (isVoice && sound.tone == ToneFinder::Sound::Other) runVoicedMs_ += kHopMs;
  return runVoicedMs_ >= options_.onsetMs ? begin() : Change::None;
}

VoiceDetector::Change VoiceDetector::begin() {
  speaking_ = true;
  quietMs_ = 0;
  const double voicedFromMs = nowMs_ - runVoicedMs_ - kWindowLagMs;
  startMs_ = std::max({0.0, endMs_, runStartMs_, voicedFromMs - kUnvoicedBeginMaxMs});
  endMs_ = nowMs_ - kWindowLagMs;
  runMs_ = runVoicedMs_ = 0;
  return Change::Began;
}

VoiceDetector::Change VoiceDetector::quiet(double ms) {
  if (!speaking_) return Change::None;
  quietMs_ += ms;
  if (quietMs_ < options_.hangoverMs) return Change::None;
  speaking_ = false;
  return Change::Ended;
}

}  // namespace sidetone
