#pragma once
#include <cstddef>
#include <cstdint>

namespace sidetone {

/** Tells the tones of a telephone network (keys, dial, busy and ring-back tone, beeps) from a voice. */
class ToneFinder {
 public:
  enum class Sound : uint8_t {
    Other,
    Suspect,  // one or two narrow peaks hold nearly all of it and stay where they are: a tone, or a hum
    Tone,
  };

  /** Nothing was loud enough to be one. */
  void skip() { *this = {}; }
  /** A power spectrum of PowerSpectrum, 20 ms after the last one. */
  Sound hear(const float* power, float total);

 private:
  struct Peak {
    float bin = 0;  // between the spectrum's bins
    float power = 0;
  };
  static Peak highest(const float* power, size_t skipFrom, size_t skipTo);
  static bool stays(const Peak& before, const Peak& now);
  static bool isSteady(const Peak& before, const Peak& now);

  Peak first_, second_;
  bool isNarrow_ = false;
  int staying_ = 0;  // steps in which the highest peak has not moved
};

}  // namespace sidetone
