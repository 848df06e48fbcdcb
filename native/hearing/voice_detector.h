#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "hearing/fft.h"
#include "hearing/noise_floor.h"
#include "hearing/pitch.h"
#include "hearing/tones.h"

namespace sidetone {

struct VoiceOptions {
  double onsetMs = 60;      // speech begins after this much of it
  double hangoverMs = 300;  // and ends after this long without any
  double threshold = 0.5;   // what `probability` speech has, 0 to 1
  double levelMinDb = -55;  // quieter sound is none, dBFS
};

/**
 * Finds speech in a signal of 8 kHz, 20 ms at a time. Time is counted from the first sample.
 *
 *   spectrum ─▶ bands above the noise floor ─┐
 *   periodicity of the last 40 ms ───────────┼─▶ probability ─▶ onset, hangover ─▶ began, ended
 *   narrow peaks ────────────────────────────┘
 *
 * A voice is louder than the line's noise and periodic. Breath, rustling and clicks are not periodic, tones
 * have one or two narrow peaks. A sound without a period continues speech for a while and never begins it.
 */
class VoiceDetector {
 public:
  static constexpr int kRateHz = 8000;
  static constexpr size_t kHopSamples = 160;
  static constexpr double kHopMs = 20;

  enum class Change : uint8_t { None, Began, Ended };

  explicit VoiceDetector(const VoiceOptions& options);

  /** `madeUp`: some of it stands in for what was lost, and says nothing about the line's noise. */
  Change hear(const int16_t* hop, bool madeUp);
  /** Nothing was sent for `ms`. */
  Change skip(double ms);
  /** Nothing is sent any more: speech is over. */
  Change hush();

  bool speaking() const { return speaking_; }
  /** The end of what was heard, in ms. */
  double nowMs() const { return nowMs_; }
  /** That the last 20 ms are speech, 0 to 1. */
  float probability() const { return probability_; }
  /** Where the speech that began last lies, in ms. */
  double startMs() const { return startMs_; }
  double endMs() const { return endMs_; }

 private:
  struct Sound {
    float aboveNoiseDb = 0;
    float period = 0;
    float levelDb = 0;
    ToneFinder::Sound tone = ToneFinder::Sound::Other;
  };
  Sound analyse(const int16_t* hop, NoiseFloor::Bands& level);
  void follow(float levelDb);
  Change judge(const Sound& sound, float energetic);
  Change begin();
  Change quiet(double ms);

  VoiceOptions options_;
  double nowMs_ = 0;  // the end of what was heard
  bool speaking_ = false;
  float probability_ = 0;
  double startMs_ = 0;
  double endMs_ = 0;
  double runStartMs_ = 0;   // of sound above the noise that may become speech
  double runVoicedMs_ = 0;  // of it that is periodic
  double runMs_ = 0;
  double missedMs_ = 0;       // since the run's last sound
  double voicedAgoMs_ = 1e9;  // since the last periodic sound
  double quietMs_ = 0;        // since the last speech
  double returnMs_ = 0;       // of sound again since then
  float voiceDb_ = -100;      // how loud the voice in front is

  std::array<float, PowerSpectrum::kSamples> samples_{};
  NoiseFloor noise_;
  Periodicity periodicity_;
  ToneFinder tones_;
};

}  // namespace sidetone
