#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "hearing/key_detector.h"
#include "hearing/neural_voice.h"
#include "hearing/voice_detector.h"
#include "resample/resampler.h"

namespace sidetone {

struct ListenerConfig {
  std::optional<VoiceOptions> voice;
  bool neural = false;  // `voice` is looked for by the neural detector
  bool keys = false;

  bool wantsAnything() const { return voice || keys; }
};

/** What was heard in one frame. */
struct Senses {
  static constexpr uint8_t kBegan = 1;
  static constexpr uint8_t kEnded = 2;
  static constexpr uint8_t kKeys = 4;
  /** Frames have a probability. */
  static constexpr uint8_t kSpeech = 8;
  static constexpr size_t kKeysMax = 3;

  uint8_t flags = 0;
  float speech = 0;    // the highest probability in the frame
  double startMs = 0;  // where speech began, on the axis of the frames
  double endMs = 0;    // where it ended
  double durationMs = 0;
  uint32_t keys = 0;  // characters, the first one lowest
};

/**
 * Listens to what one track's handler hears, in steps of 20 ms at 8 kHz, whatever the lengths of the frames
 * and their rate.
 */
class Listener {
 public:
  Listener(int sourceHz, const ListenerConfig& config, const VoiceSeat& seat = {});
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /** A frame of PCM at the source's rate, whose first sample lies at `positionMs`. */
  const Senses& hear(const int16_t* pcm, size_t samples, double positionMs, bool concealed);
  /** Nothing comes any more, for the time being: speech that goes on has ended. */
  const Senses& hush();
  /** See NeuralVoice. */
  const Senses& answer(double endMs, float probability);
  uint32_t voiceFallBacks() const { return neural_ ? neural_->fallBacks() : 0; }

 private:
  static constexpr size_t kHop = VoiceDetector::kHopSamples;

  void skipTo(double positionMs);
  void take(const int16_t* pcm, size_t samples);
  void half();
  void whole();
  void note(VoiceDetector::Change change);
  template <typename Voice>
  void note(VoiceDetector::Change change, const Voice& voice);

  int sourceHz_;
  std::optional<VoiceDetector> voice_;
  std::unique_ptr<NeuralVoice> neural_;
  std::optional<KeyDetector> keys_;
  std::optional<Resampler> resampler_;
  Senses senses_;
  double originMs_ = 0;  // what the voice detector's zero is on the axis of the frames
  double nextMs_ = 0;    // where the next frame begins, if nothing lies between
  size_t held_ = 0;
  bool madeUp_ = false;     // some of what is held
  bool concealed_ = false;  // the frame that is being heard
  std::array<int16_t, kHop> hop_;
};

}  // namespace sidetone
