#include "hearing/neural_voice.h"

#include <algorithm>
#include <cmath>

namespace sidetone {
namespace {

// Speech that goes on may be less likely by this than speech that begins.
constexpr float kStay = 0.15F;
// What is so much quieter than the voice in front comes from behind it, as in the spectral detector.
constexpr float kBehindDb = 15;
constexpr float kBehindInSpeechDb = 18;
constexpr float kVoiceUp = 0.16F;
constexpr float kVoiceDown = 0.03F;
// 0.3 dB a second.
constexpr float kForgetDb = 0.01F;

/** Of a window, dBFS: a sine of full scale is 0. */
float levelOf(const int16_t* samples) {
  double sum = 0;
  for (size_t i = 0; i < VoiceWindows::kSamples; i++) {
    const double sample = samples[i];
    sum += sample * sample;
  }
  const double full = 32768.0 * 32768.0 / 2 * VoiceWindows::kSamples;
  return static_cast<float>(10 * std::log10(sum / full + 1e-12));
}

}  // namespace

NeuralVoice::NeuralVoice(Listener* listener, const VoiceOptions& options, const VoiceSeat& seat)
    : options_(options), windows_(*seat.windows), seat_(windows_.sit(listener, seat)) {}

NeuralVoice::~NeuralVoice() { windows_.leave(seat_); }

NeuralVoice::Change NeuralVoice::hear(const int16_t* hop, const VoiceDetector& spectral) {
  size_t left = VoiceDetector::kHopSamples;
  while (left > 0) {
    const size_t taken = std::min(left, window_.size() - held_);
    std::copy_n(hop, taken, window_.begin() + static_cast<std::ptrdiff_t>(held_));
    held_ += taken;
    hop += taken;
    left -= taken;
    if (held_ < window_.size()) break;
    held_ = 0;
    send(spectral.nowMs() - static_cast<double>(left) * 1000 / VoiceDetector::kRateHz);
  }
  return behind_ ? follow(spectral) : Change::None;
}

void NeuralVoice::send(double endMs) {
  if (behind_) {
    fresh_ = true;
    if (++rest_ < kRestWindows || sent_ > answered_) return;
    behind_ = false;
    runMs_ = quietMs_ = 0;
    heardToMs_ = endMs - VoiceWindows::kMs;
  }
  const bool isTooMany = sent_ - answered_ == kAwaitedMax;
  if (isTooMany || !windows_.add(seat_, fresh_ ? VoiceWindows::kFresh : 0, endMs, window_.data())) {
    fallBack();
    return;
  }
  levels_[sent_++ % kAwaitedMax] = levelOf(window_.data());
  sentToMs_ = endMs;
  fresh_ = false;
}

void NeuralVoice::fallBack() {
  fresh_ = true;
  rest_ = 0;
  if (behind_) return;
  behind_ = true;
  fallBacks_++;
}

/** Speech is what the spectral detector says. */
NeuralVoice::Change NeuralVoice::follow(const VoiceDetector& spectral) {
  probability_ = spectral.probability();
  const bool was = speaking_;
  speaking_ = spectral.speaking();
  if (speaking_ && !was) startMs_ = std::max(endMs_, spectral.startMs());
  if (speaking_ || was) endMs_ = std::max({startMs_, endMs_, spectral.endMs()});
  if (speaking_ == was) return Change::None;
  return speaking_ ? Change::Began : Change::Ended;
}

NeuralVoice::Change NeuralVoice::answer(double endMs, float probability) {
  const float levelDb = levels_[answered_++ % kAwaitedMax];
  if (std::isnan(probability)) fallBack();
  if (behind_ || endMs <= heardToMs_) return Change::None;
  heardToMs_ = endMs;
  if (isBehind(levelDb)) probability = 0;
  probability_ = probability;
  followLevel(levelDb);
  const auto threshold = static_cast<float>(options_.threshold);
  if (speaking_) {
    if (probability < threshold - kStay) return quiet(VoiceWindows::kMs);
    endMs_ = endMs;
    quietMs_ = 0;
    return Change::None;
  }
  runMs_ = probability >= threshold ? runMs_ + VoiceWindows::kMs : 0;
  if (runMs_ < options_.onsetMs || runMs_ == 0) return Change::None;
  startMs_ = std::max(endMs_, endMs - runMs_);
  endMs_ = endMs;
  speaking_ = true;
  runMs_ = quietMs_ = 0;
  return Change::Began;
}

/** Too quiet for the voice in front, whatever the detector says. */
bool NeuralVoice::isBehind(float levelDb) const {
  return levelDb <= std::max(static_cast<float>(options_.levelMinDb),
                             voiceDb_ - (speaking_ ? kBehindInSpeechDb : kBehindDb));
}

/** The voice in front is as loud as what is speech beyond doubt. */
void NeuralVoice::followLevel(float levelDb) {
  voiceDb_ -= kForgetDb;
  if (!speaking_ || probability_ < 0.8F) return;
  voiceDb_ += (levelDb > voiceDb_ ? kVoiceUp : kVoiceDown) * (levelDb - voiceDb_);
}

NeuralVoice::Change NeuralVoice::skip(double ms, double nowMs) {
  held_ = 0;
  fresh_ = true;
  runMs_ = 0;
  probability_ = 0;
  heardToMs_ = nowMs;
  return quiet(ms);
}

NeuralVoice::Change NeuralVoice::hush() {
  heardToMs_ = std::max(heardToMs_, sentToMs_);
  runMs_ = 0;
  probability_ = 0;
  return quiet(options_.hangoverMs);
}

NeuralVoice::Change NeuralVoice::quiet(double ms) {
  if (!speaking_) return Change::None;
  quietMs_ += ms;
  if (quietMs_ < options_.hangoverMs) return Change::None;
  speaking_ = false;
  return Change::Ended;
}

}  // namespace sidetone
