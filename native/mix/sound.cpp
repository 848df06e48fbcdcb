#include "mix/sound.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>
#include <random>

#include "resample/resampler.h"

namespace sidetone {
namespace {
constexpr size_t kNoiseSeconds = 8;

/** More than the resampler's filter is long, in samples of the source. */
constexpr size_t kLeadSamples = 512;

/** Pink (falling by 3 dB an octave, P. Kellet's three poles), then a gentle low-pass, and no rumble. */
class RoomShape {
 public:
  explicit RoomShape(int hz)
      : low_(1 - std::exp(-2 * std::numbers::pi * 1200 / hz)),
        rumble_(1 - std::exp(-2 * std::numbers::pi * 120 / hz)) {}

  double operator()(double white) {
    a_ = 0.99765 * a_ + white * 0.0990460;
    b_ = 0.96300 * b_ + white * 0.2965164;
    c_ = 0.57000 * c_ + white * 1.0526913;
    const double pink = a_ + b_ + c_ + white * 0.1848;
    smooth_ += low_ * (pink - smooth_);
    slow_ += rumble_ * (smooth_ - slow_);
    return smooth_ - slow_;
  }

 private:
  double low_, rumble_;
  double a_ = 0, b_ = 0, c_ = 0, smooth_ = 0, slow_ = 0;
};

std::shared_ptr<const Sound> makeNoise(int hz) {
  const size_t count = kNoiseSeconds * static_cast<size_t>(hz);
  std::mt19937 random(1);
  std::vector<double> white(count);
  for (double& sample : white) sample = static_cast<double>(random()) / 2147483648.0 - 1;
  RoomShape shape(hz);
  // The first second is heard at the end once more, after which the filter's state fits the begin.
  for (size_t i = count - static_cast<size_t>(hz); i < count; i++) shape(white[i]);
  double energy = 0;
  for (double& sample : white) {
    sample = shape(sample);
    energy += sample * sample;
  }
  const double rms = std::sqrt(energy / static_cast<double>(count));
  const double gain = 32768 * std::pow(10, kComfortNoiseDbfs / 20) / rms;
  auto sound = std::make_shared<Sound>();
  sound->samples.resize(count);
  std::transform(white.begin(), white.end(), sound->samples.begin(), [&](double sample) {
    return static_cast<int16_t>(std::clamp(std::lround(sample * gain), -32768L, 32767L));
  });
  return sound;
}
}  // namespace

std::shared_ptr<const Sound> makeSound(const int16_t* pcm, size_t samples, int fromHz, int toHz, bool loops) {
  auto sound = std::make_shared<Sound>();
  if (fromHz == toHz || samples == 0) {
    sound->samples.assign(pcm, pcm + samples);
    return sound;
  }
  Resampler resampler(fromHz, toHz);
  const auto delay = static_cast<size_t>(std::lround(resampler.delayMs() * toHz / 1000));
  const size_t length =
      (samples * static_cast<size_t>(toHz) + static_cast<size_t>(fromHz) / 2) / static_cast<size_t>(fromHz);
  std::vector<int16_t>& out = sound->samples;
  const auto feed = [&](const int16_t* from, size_t count) {
    const size_t before = out.size();
    out.resize(before + resampler.outputMax(count));
    out.resize(before + resampler.process(from, count, out.data() + before));
  };
  std::vector<int16_t> around(kLeadSamples, 0);
  // Of a loop, what lies before its begin is its end.
  if (loops) {
    for (size_t i = 0; i < kLeadSamples; i++) {
      around[kLeadSamples - 1 - i] = pcm[samples - 1 - i % samples];
    }
  }
  feed(around.data(), kLeadSamples);
  const size_t skipped = out.size() + delay;
  feed(pcm, samples);
  for (size_t i = 0; loops && i < kLeadSamples; i++) around[i] = pcm[i % samples];
  feed(around.data(), kLeadSamples);
  out.erase(out.begin(), out.begin() + static_cast<long>(skipped));
  out.resize(std::max<size_t>(length, 1));
  out.shrink_to_fit();
  return sound;
}

std::shared_ptr<const Sound> comfortNoise(int hz) {
  static std::mutex mutex;
  static std::map<int, std::shared_ptr<const Sound>> made;
  const std::lock_guard lock(mutex);
  auto& sound = made[hz];
  if (!sound) sound = makeNoise(hz);
  return sound;
}

uint32_t SoundNumbers::add(const std::shared_ptr<const Sound>& sound) {
  const std::lock_guard lock(mutex_);
  std::erase_if(sounds_, [](const auto& entry) { return entry.second.expired(); });
  sounds_[++last_] = sound;
  return last_;
}

std::shared_ptr<const Sound> SoundNumbers::at(uint32_t number) const {
  const std::lock_guard lock(mutex_);
  const auto found = sounds_.find(number);
  return found == sounds_.end() ? nullptr : found->second.lock();
}

SoundNumbers& soundNumbers() {
  static SoundNumbers numbers;
  return numbers;
}

}  // namespace sidetone
