#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sidetone {

/**
 * One participant's PCM on its way to the mixer. It comes as the network brings it, and leaves 20 ms at a
 * time.
 *
 * It begins to leave when kDelayMs are there, which hides that much jitter. A line that runs empty begins anew
 * with 20 ms more, up to kDelayMaxMs: after a lost message that Reorder has waited for, the next is hidden.
 * What has not been needed for 5 s is dropped, 20 ms at a time.
 */
class DelayLine {
 public:
  static constexpr int kDelayMs = 60;
  static constexpr int kDelayMaxMs = 120;
  /** Longest audio that it holds: what comes beyond it drops the oldest. */
  static constexpr int kHeldMaxMs = 240;

  explicit DelayLine(int sampleHz);

  void push(const int16_t* pcm, size_t samples);
  /** The next 20 ms into `pcm`, the end of it silent where there is less. False: there is nothing. */
  bool pull(int16_t* pcm);
  /** Forgets what it holds, and what it has learnt. */
  void clear();

  int sampleHz() const { return sampleHz_; }
  size_t frameSamples() const { return frameSamples_; }
  size_t heldSamples() const { return held_; }

 private:
  static constexpr uint32_t kWindowPulls = 250;  // 5 s

  void begin();
  void drop(size_t samples);
  void trim();

  int sampleHz_;
  size_t frameSamples_;
  std::vector<int16_t> ring_;
  size_t head_ = 0;
  size_t held_ = 0;
  bool leaves_ = false;
  size_t delayFrames_ = kDelayMs / 20;
  // The least that was left behind a pull in this window: what is never needed is only delay.
  size_t spare_ = SIZE_MAX;
  uint32_t pulls_ = 0;
};

}  // namespace sidetone
