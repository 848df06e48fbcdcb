#pragma once
#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>

namespace sidetone {

/**
 * Finds DTMF keys in a signal of 8 kHz, 10 ms at a time, within the limits of ITU-T Q.24. It computes what
 * Goertzel's algorithm computes of the eight frequencies, and looks at 20 ms at once:
 *
 * - the two tones hold nearly all of the power, so neither speech nor music is a key;
 * - their frequencies are right to 2 %, told from how the phases turn within 10 ms;
 * - the twist is at most 9.5 dB where the high tone is the weaker one, 5.5 dB where it is the stronger one;
 * - all this for 30 ms. A key is over after 40 ms without it.
 */
class KeyDetector {
 public:
  static constexpr int kRateHz = 8000;
  static constexpr size_t kHopSamples = 80;

  /** The key ('0' to '9', '*', '#', 'A' to 'D') that has just been recognised, or 0. */
  char hear(const int16_t* hop);
  /** Nothing was sent for a while. */
  void skip();

 private:
  static constexpr size_t kTones = 8;
  struct Hop {
    std::array<float, kTones> re{};
    std::array<float, kTones> im{};
    float energy = 0;
  };
  char keyIn(const Hop& before, const Hop& now) const;

  Hop before_;
  char candidate_ = 0;
  char pressed_ = 0;
  int hits_ = 0;
  int misses_ = 0;
};

}  // namespace sidetone
