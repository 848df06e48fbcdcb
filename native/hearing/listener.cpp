#include "hearing/listener.h"

#include <algorithm>
#include <cmath>

namespace sidetone {
namespace {
// Positions are sums of fractions.
constexpr double kTogetherMs = 1;
}  // namespace

Listener::Listener(int sourceHz, const ListenerConfig& config, const VoiceSeat& seat) : sourceHz_(sourceHz) {
  if (config.voice) voice_.emplace(*config.voice);
  if (config.voice && config.neural && seat.windows) {
    neural_ = std::make_unique<NeuralVoice>(this, *config.voice, seat);
  }
  if (config.keys) keys_.emplace();
  if (sourceHz != VoiceDetector::kRateHz) {
    resampler_.emplace(sourceHz, VoiceDetector::kRateHz);
    originMs_ = -resampler_->delayMs();
  }
}

const Senses& Listener::hear(const int16_t* pcm, size_t samples, double positionMs, bool concealed) {
  senses_ = {};
  if (std::abs(positionMs - nextMs_) > kTogetherMs) skipTo(positionMs);
  nextMs_ = positionMs + static_cast<double>(samples) * 1000 / sourceHz_;
  concealed_ = concealed;
  madeUp_ = concealed || (held_ > 0 && madeUp_);
  if (!resampler_) {
    take(pcm, samples);
  } else {
    const size_t step = static_cast<size_t>(sourceHz_) / 50;
    int16_t slow[kHop + 2];
    for (size_t at = 0; at < samples; at += step) {
      take(slow, resampler_->process(pcm + at, std::min(step, samples - at), slow));
    }
  }
  return senses_;
}

/** Nothing was sent for a while. What is held of the hop before it is too short to matter. */
void Listener::skipTo(double positionMs) {
  const double ms = positionMs - nextMs_;
  if (keys_) keys_->skip();
  if (voice_ && ms > 0) {
    const double skippedMs = ms + static_cast<double>(held_) * 1000 / VoiceDetector::kRateHz;
    const auto spectral = voice_->skip(skippedMs);
    note(neural_ ? neural_->skip(skippedMs, voice_->nowMs()) : spectral);
  } else {
    originMs_ += ms;
  }
  held_ = 0;
  if (resampler_) resampler_->reset();
}

void Listener::take(const int16_t* pcm, size_t samples) {
  while (samples > 0) {
    const size_t boundary = held_ < kHop / 2 ? kHop / 2 : kHop;
    const size_t taken = std::min(samples, boundary - held_);
    std::copy_n(pcm, taken, hop_.begin() + static_cast<std::ptrdiff_t>(held_));
    held_ += taken;
    pcm += taken;
    samples -= taken;
    if (held_ < boundary) return;
    if (keys_) half();
    if (held_ == kHop) whole();
  }
}

void Listener::half() {
  const char key = keys_->hear(hop_.data() + held_ - kHop / 2);
  if (key == 0 || senses_.keys >> 16U != 0) return;
  uint32_t shift = 0;
  while (senses_.keys >> shift != 0) shift += 8;
  senses_.keys |= static_cast<uint32_t>(key) << shift;
  senses_.flags |= Senses::kKeys;
}

void Listener::whole() {
  if (voice_) {
    const auto spectral = voice_->hear(hop_.data(), madeUp_);
    note(neural_ ? neural_->hear(hop_.data(), *voice_) : spectral);
    senses_.flags |= Senses::kSpeech;
    senses_.speech = std::max(senses_.speech, neural_ ? neural_->probability() : voice_->probability());
  }
  held_ = 0;
  madeUp_ = concealed_;
}

const Senses& Listener::hush() {
  senses_ = {};
  if (!voice_) return senses_;
  const auto spectral = voice_->hush();
  note(neural_ ? neural_->hush() : spectral);
  return senses_;
}

const Senses& Listener::answer(double endMs, float probability) {
  senses_ = {};
  note(neural_->answer(endMs, probability));
  return senses_;
}

void Listener::note(VoiceDetector::Change change) {
  if (neural_) note(change, *neural_);
  else note(change, *voice_);
}

template <typename Voice>
void Listener::note(VoiceDetector::Change change, const Voice& voice) {
  switch (change) {
    case VoiceDetector::Change::Began:
      senses_.flags |= Senses::kBegan;
      senses_.startMs = std::max(0.0, voice.startMs() + originMs_);
      break;
    case VoiceDetector::Change::Ended:
      senses_.flags |= Senses::kEnded;
      senses_.endMs = std::max(0.0, voice.endMs() + originMs_);
      senses_.durationMs = voice.endMs() - voice.startMs();
      break;
    default:
      break;
  }
}

}  // namespace sidetone
