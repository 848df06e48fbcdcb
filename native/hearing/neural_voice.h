#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "hearing/voice_detector.h"
#include "hearing/voice_windows.h"

namespace sidetone {

/**
 * Speech of one track as the neural detector finds it. Its windows leave through VoiceWindows, and their
 * probabilities come back late:
 *
 *   hop ─▶ window of 32 ms ─▶ VoiceWindows … answer() ─▶ onset, hangover ─▶ began, ended
 *
 * While the answers are too late, speech is what the spectral detector says. All times are on its axis.
 */
class NeuralVoice {
 public:
  using Change = VoiceDetector::Change;
  /** Windows whose answers may be awaited: 256 ms. With more, the detector is behind. */
  static constexpr size_t kAwaitedMax = 8;
  /** Windows for which a track that fell back stays there at least: a second. */
  static constexpr int kRestWindows = 31;

  NeuralVoice(Listener* listener, const VoiceOptions& options, const VoiceSeat& seat);
  ~NeuralVoice();
  NeuralVoice(const NeuralVoice&) = delete;
  NeuralVoice& operator=(const NeuralVoice&) = delete;

  /** The next hop, which `spectral` has heard. */
  Change hear(const int16_t* hop, const VoiceDetector& spectral);
  /** What the detector says of the window that ended at `endMs`, 0 to 1; NaN: nothing will be said of it. */
  Change answer(double endMs, float probability);
  /** Nothing was sent for `ms`, up to `nowMs`. */
  Change skip(double ms, double nowMs);
  /** Nothing is sent any more. */
  Change hush();

  bool behind() const { return behind_; }
  /** Of the last window that was answered. */
  float probability() const { return probability_; }
  double startMs() const { return startMs_; }
  double endMs() const { return endMs_; }
  /** How often it has fallen back. */
  uint32_t fallBacks() const { return fallBacks_; }

 private:
  void send(double endMs);
  bool isBehind(float levelDb) const;
  void followLevel(float levelDb);
  void fallBack();
  Change follow(const VoiceDetector& spectral);
  Change quiet(double ms);

  VoiceOptions options_;
  VoiceWindows& windows_;
  int32_t seat_;
  size_t sent_ = 0;
  size_t answered_ = 0;
  std::array<float, kAwaitedMax> levels_;  // of the windows whose answers are awaited, dBFS
  bool behind_ = false;
  bool fresh_ = true;
  int rest_ = 0;  // windows since it fell back
  uint32_t fallBacks_ = 0;
  bool speaking_ = false;
  float probability_ = 0;
  double startMs_ = 0;
  double endMs_ = 0;
  double sentToMs_ = 0;
  double heardToMs_ = 0;  // answers to what ends before are of no use
  double runMs_ = 0;      // of speech that may begin
  double quietMs_ = 0;
  float voiceDb_ = -100;  // how loud the voice in front is
  size_t held_ = 0;
  std::array<int16_t, VoiceWindows::kSamples> window_;
};

}  // namespace sidetone
