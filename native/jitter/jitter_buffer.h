#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "jitter/arrival_delay.h"
#include "memory/block_pool.h"
#include "memory/block_queue.h"
#include "plc/concealer.h"

namespace sidetone {

struct JitterConfig {
  int sampleHz = 8000;
  double delayMinMs = 20;
  double delayMaxMs = 400;
  bool conceals = true;  // false: silence stands in for what is missing
};

struct JitterCounters {
  uint32_t frames = 0;       // pulled
  uint32_t late = 0;         // came after their time, wholly; dropped
  uint32_t overflow = 0;     // found no room or no memory; dropped
  double delayMs = 0;        // sum over the frames pulled
  double targetMs = 0;       // the same
  double concealedMs = 0;    // made up for what was lost, late or not sent
  double stretchedMs = 0;    // of it, made up to raise the delay
  double acceleratedMs = 0;  // taken out to lower the delay
};

/**
 * Gives one track's PCM on the caller's steady clock: 20 ms at every pull(), whatever has come.
 *
 *   push(pcm, where it stands) ─▶ waits in blocks of the pool ─▶ pull(): play │ conceal │ shorten ─▶ 20 ms
 *
 * The delay follows ArrivalDelay. Below its target, 20 ms are made up and nothing is passed over, so the
 * delay grows. Above it, pauses lose 10 ms each and speech loses periods of its pitch. What has not come in
 * time is made up in its place; when it comes after all it is late, and dropped.
 *
 * A sender that pauses without telling shifts all that follows. Three late frames in a row that do not catch
 * up, or a second of late frames, are taken for that and are heard from there on.
 *
 * Positions are in ms on any axis that the sender's frames share, and rise from push to push.
 */
class JitterBuffer {
 public:
  static constexpr int kFrameMs = 20;
  /** Longest sound that it holds, over the largest delay. */
  static constexpr double kHeldMaxMs = 2000;

  JitterBuffer(BlockPool& pool, const JitterConfig& config);

  size_t frameSamples() const { return frameSamples_; }

  void push(const int16_t* pcm, size_t samples, double positionMs, double arrivedMs);
  /** A frame that came too late to be put in its order counts for the delay. */
  void noteLate(double positionMs, double arrivedMs);

  struct Pulled {
    bool hasFrame = false;   // false: nothing has ever come
    bool concealed = false;  // at least half of it was made up
  };
  /** The next 20 ms into `pcm`. Call it every 20 ms; `nowMs` is the clock's time, not when the call came to
   * be. */
  Pulled pull(double nowMs, int16_t* pcm);

  /** Whether pull() at `nowMs` would make up what may lie elsewhere, behind a gap. */
  bool isStarving(double nowMs) const;
  /** Whether anything has come. */
  bool started() const { return arrivals_.started(); }
  double delayMs() const { return delayMs_; }
  double targetMs() const { return arrivals_.targetMs(); }
  size_t heldSamples() const { return queue_.bytes() / sizeof(int16_t); }
  const JitterCounters& counters() const { return counters_; }

 private:
  /** Sound without a gap in it; positions in samples. */
  struct Run {
    int64_t at = 0;
    int64_t samples = 0;
    int64_t end() const { return at + samples; }
  };
  static constexpr size_t kRuns = 64;

  int64_t samplesOf(double ms) const;
  double msOf(int64_t samples) const { return static_cast<double>(samples) * 1000 / config_.sampleHz; }
  double msOf(size_t samples) const { return msOf(static_cast<int64_t>(samples)); }
  Run& first() { return runs_[firstRun_]; }
  Run& last() { return runs_[(firstRun_ + runCount_ - 1) % kRuns]; }
  const Run& first() const { return runs_[firstRun_]; }
  bool isShift(double transitMs, double durationMs, double arrivedMs);
  bool append(int64_t at, const int16_t* pcm, size_t samples);
  void take(int16_t* pcm, size_t samples);
  void dropTaken(size_t samples);
  double spareMs(double nowMs) const;
  void makeUp(int16_t* pcm, size_t samples);
  bool accelerate(double excessMs, int16_t* pcm);
  bool cutQuiet(const int16_t* pcm, int16_t* out);
  size_t play(int16_t* pcm);

  JitterConfig config_;
  size_t frameSamples_;
  ArrivalDelay arrivals_;
  BlockQueue queue_;
  std::optional<Concealer> concealer_;
  std::array<Run, kRuns> runs_{};
  size_t firstRun_ = 0;
  size_t runCount_ = 0;
  double offsetMs_ = 0;  // from the sender's axis to the one kept here, which no shift breaks
  int64_t playAt_ = 0;   // the next sample to be heard
  bool playing_ = false;
  bool heardAny_ = false;
  int64_t lastAt_ = 0;  // of the last frame that came, and its length
  int64_t lastSamples_ = 0;
  uint32_t sinceStretch_ = 0;
  uint32_t lateRun_ = 0;  // late frames in a row that did not catch up
  double lateTransitMs_ = 0;
  double lateSinceMs_ = -1;
  double delayMs_ = 0;
  JitterCounters counters_;
};

}  // namespace sidetone
