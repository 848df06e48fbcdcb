#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "mix/envelope.h"
#include "mix/sound.h"

namespace sidetone {

/** A background as it is to be heard. Gains are factors. */
struct LayerConfig {
  int number = 0;  // by which its owner knows it
  std::shared_ptr<const Sound> sound;
  float gain = 1;
  float duckedGain = 1;  // a factor more while something is played
  bool loops = true;
  double fadeMs = 0;  // in which it rises
  size_t offset = 0;  // where in the sound it begins
};

/**
 * What goes out of a stream besides what is played, and how loud each is. All of it is a function of the
 * place in what goes out, so that what the far end drops of it can be taken back: the next mix() makes it
 * again.
 *
 *   speech ─▶ × gain ──────────────────────────────┐
 *   layer  ─▶ × gain ─▶ × ducked while speech plays ┴▶ sum ─▶ 16 bits
 */
class Mixer {
 public:
  /** Backgrounds that one stream has at once, those that fade out among them. */
  static constexpr size_t kLayersMax = 8;

  /** `isPlaying`: what is mixed first goes on with what is being heard. */
  explicit Mixer(double samplesPerMs, bool isPlaying = false)
      : samplesPerMs_(samplesPerMs), speech_(isPlaying ? 1 : 0) {
    layers_.reserve(2);
  }

  /** Begins a background. False: there are kLayersMax. */
  bool add(const LayerConfig& config);
  /** Nothing happens where the layer is over. */
  void setGain(int layer, float gain, double rampMs);
  /** It fades out and is over. */
  void stop(int layer, double fadeMs);
  /** Of what is played. Where nothing is, the next that is played has it from its first sample on. */
  void setSpeechGain(float gain, double rampMs);

  /** Whether a background has something to say after what has been mixed. */
  bool sounds() const;
  /** Neither a background nor a gain is left. */
  bool idle() const { return layers_.empty() && speechGain_.stands(1, out_); }

  /**
   * Mixes `samples` in place, of which the first `played` are what is played and the rest is overwritten.
   */
  void mix(int16_t* pcm, size_t played, size_t samples);
  /** All that has been mixed but the last `unheard` samples has been heard. */
  void forget(double unheard);
  /** `unheard` of what has been mixed will not be heard: it goes out again. */
  void takeBack(double unheard);

 private:
  struct Layer {
    LayerConfig config;
    Envelope gain;
    int64_t from;              // where it begins
    int64_t stopsAt = kNever;  // where its end begins
    int64_t stopSamples = 0;   // how long that is
    int64_t end() const;
    void addTo(float* sum, int64_t position, size_t count, const float* speech) const;
  };
  static constexpr int64_t kNever = INT64_MAX;

  int64_t samplesOf(double ms) const;
  void follow(bool isPlaying, int64_t position);
  void mixPiece(int16_t* pcm, size_t played, size_t samples);
  Layer* find(int number);

  double samplesPerMs_;
  std::vector<Layer> layers_;
  Envelope speechGain_{1};
  Envelope speech_;  // 1 while something plays
  int64_t out_ = 0;  // samples mixed
};

}  // namespace sidetone
