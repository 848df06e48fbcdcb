#include "mix/mixer.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace sidetone {
namespace {
// A background makes way at once, and comes back when a speaker has paused for longer than between words.
constexpr double kDuckMs = 80;
constexpr double kHoldMs = 250;
constexpr double kRiseMs = 500;
constexpr size_t kPieceSamples = 240;
}  // namespace

int64_t Mixer::samplesOf(double ms) const { return std::llround(ms * samplesPerMs_); }

Mixer::Layer* Mixer::find(int number) {
  const auto found = std::find_if(layers_.begin(), layers_.end(),
                                  [&](const Layer& layer) { return layer.config.number == number; });
  return found == layers_.end() ? nullptr : &*found;
}

bool Mixer::add(const LayerConfig& config) {
  if (layers_.size() == kLayersMax) return false;
  Layer& layer = layers_.emplace_back(Layer{config, Envelope(0, out_), out_});
  layer.gain.to(config.gain, out_, samplesOf(config.fadeMs));
  return true;
}

void Mixer::setGain(int number, float gain, double rampMs) {
  Layer* layer = find(number);
  if (layer && layer->stopsAt == kNever) layer->gain.to(gain, out_, samplesOf(rampMs));
}

void Mixer::stop(int number, double fadeMs) {
  Layer* layer = find(number);
  if (!layer || layer->stopsAt != kNever) return;
  layer->stopsAt = out_;
  layer->stopSamples = samplesOf(fadeMs);
  layer->gain.to(0, out_, layer->stopSamples);
}

void Mixer::setSpeechGain(float gain, double rampMs) {
  speechGain_.to(gain, out_, speech_.target() == 0 ? 0 : samplesOf(rampMs));
}

bool Mixer::sounds() const {
  return std::any_of(layers_.begin(), layers_.end(), [&](const Layer& layer) { return layer.end() > out_; });
}

int64_t Mixer::Layer::end() const {
  if (stopsAt != kNever) return stopsAt + stopSamples;
  return config.loops ? kNever : from + static_cast<int64_t>(config.sound->samples.size());
}

/** Something is played from `position` on, or nothing is. */
void Mixer::follow(bool isPlaying, int64_t position) {
  if ((speech_.target() == 1) == isPlaying) return;
  if (isPlaying)
    speech_.to(1, position, samplesOf(kDuckMs));
  else
    speech_.to(0, position + samplesOf(kHoldMs), samplesOf(kRiseMs));
}

void Mixer::forget(double unheard) {
  const int64_t heard = out_ - std::llround(std::ceil(unheard));
  layers_.erase(std::remove_if(layers_.begin(), layers_.end(),
                               [&](const Layer& layer) { return layer.end() <= heard; }),
                layers_.end());
  speechGain_.forget(heard);
  speech_.forget(heard);
  for (Layer& layer : layers_) layer.gain.forget(heard);
}

void Mixer::mix(int16_t* pcm, size_t played, size_t samples) {
  if (played > 0) follow(true, out_);
  if (played < samples) follow(false, out_ + static_cast<int64_t>(played));
  for (size_t done = 0; done < samples; done += kPieceSamples) {
    const size_t piece = std::min(kPieceSamples, samples - done);
    mixPiece(pcm + done, std::min(piece, std::max(played, done) - done), piece);
    out_ += static_cast<int64_t>(piece);
  }
}

void Mixer::mixPiece(int16_t* pcm, size_t played, size_t samples) {
  std::array<float, kPieceSamples> sum;
  std::array<float, kPieceSamples> speech;
  std::copy_n(pcm, played, sum.begin());
  std::fill(sum.begin() + static_cast<long>(played), sum.begin() + static_cast<long>(samples), 0.0F);
  if (played > 0 && !speechGain_.stands(1, out_)) {
    std::array<float, kPieceSamples> gain;
    speechGain_.fill(out_, gain.data(), played);
    for (size_t i = 0; i < played; i++) sum[i] *= gain[i];
  }
  speech_.fill(out_, speech.data(), samples);
  for (const Layer& layer : layers_) layer.addTo(sum.data(), out_, samples, speech.data());
  for (size_t i = 0; i < samples; i++) {
    pcm[i] = static_cast<int16_t>(std::lrint(std::clamp(sum[i], -32768.0F, 32767.0F)));
  }
}

/** Adds it to `count` samples of `sum`; `speech` says how much is played beside each. */
void Mixer::Layer::addTo(float* sum, int64_t position, size_t count, const float* speech) const {
  const int64_t until = end();
  if (until <= position) return;
  count = static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(count), until - position));
  std::array<float, kPieceSamples> level;
  gain.fill(position, level.data(), count);
  if (config.duckedGain != 1) {
    const float depth = 1 - config.duckedGain;
    for (size_t i = 0; i < count; i++) level[i] *= 1 - depth * speech[i];
  }
  const std::vector<int16_t>& samples = config.sound->samples;
  size_t at = (config.offset + static_cast<size_t>(position - from)) % samples.size();
  for (size_t done = 0; done < count;) {
    const size_t piece = std::min(count - done, samples.size() - at);
    for (size_t i = 0; i < piece; i++) {
      sum[done + i] += level[done + i] * static_cast<float>(samples[at + i]);
    }
    done += piece;
    at = 0;
  }
}

void Mixer::takeBack(double unheard) {
  const int64_t position = std::max<int64_t>(out_ - std::llround(unheard), 0);
  out_ = position;
  speechGain_.takeBack(position);
  // What is played stops there, unless the next mix() has more of it.
  speech_.to(0, position, samplesOf(kRiseMs));
  for (Layer& layer : layers_) {
    layer.from = std::min(layer.from, position);
    if (layer.stopsAt != kNever) layer.stopsAt = std::min(layer.stopsAt, position);
    layer.gain.takeBack(position);
  }
}

}  // namespace sidetone
