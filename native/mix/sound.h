#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace sidetone {

/** A background at one sample rate. Any number of streams share it: nobody changes it. */
struct Sound {
  std::vector<int16_t> samples;
};

/** `samples` at `fromHz` (see isResampleRate()), at `toHz`. Where it `loops`, its end goes on into its begin.
 */
std::shared_ptr<const Sound> makeSound(const int16_t* pcm, size_t samples, int fromHz, int toHz, bool loops);

/** How threads hand sounds to each other. A number is good as long as somebody has the sound. */
class SoundNumbers {
 public:
  uint32_t add(const std::shared_ptr<const Sound>& sound);
  /** Null where nobody has it any more. */
  std::shared_ptr<const Sound> at(uint32_t number) const;

 private:
  mutable std::mutex mutex_;
  uint32_t last_ = 0;
  std::unordered_map<uint32_t, std::weak_ptr<const Sound>> sounds_;
};
/** Those of this process. */
SoundNumbers& soundNumbers();

/** Level of comfortNoise(), as RMS over full scale. */
constexpr double kComfortNoiseDbfs = -20;

/**
 * Eight seconds of noise that loop, with the spectrum of a quiet room: it falls by about 5 dB an octave (Hoth
 * noise, IEEE 269), and less is heard of it than of white noise of the same level. Made once a rate and
 * process.
 */
std::shared_ptr<const Sound> comfortNoise(int hz);

}  // namespace sidetone
