#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "memory/block_pool.h"

namespace sidetone {

/**
 * Packet loss concealment by pitch repetition, after ITU-T G.711 Appendix I, for one inbound track, mono
 * int16.
 *
 * A gap is filled with the last pitch period, repeated. After 10 ms the last two are repeated, after 20 ms
 * the last three, so that it does not buzz. From 10 ms on it fades by a fifth every 10 ms, and it is silent
 * after 60 ms. The pitch is where the last 20 ms correlate best with what lay 5 to 15 ms before (66 to 200
 * Hz). At other rates than 8 kHz every length scales, and the coarse pitch search runs on the signal averaged
 * down to 4 kHz or so.
 *
 * Frames may have any length and lengths may change; the output does not depend on where calls cut it.
 */
class Concealer {
 public:
  enum class Timing : uint8_t {
    /** No delay, and good audio passes bit for bit. The joint to the gap lies inside the synthetic signal. */
    Live,
    /** The standard's own: output 3.75 ms late, so that the joint reaches back into the last good samples. */
    Standard,
  };

  /**
   * Rate 8000 to 48000. All buffers are taken here, with one exception. With a `pool`, and where one block of
   * it is enough (8 kHz), the memory for a gap is taken when the gap begins. It is given back after the gap.
   * Most streams never have one. Where no block is left, a gap is silence.
   */
  explicit Concealer(int sampleRateHz, Timing timing = Timing::Live, BlockPool* pool = nullptr);
  ~Concealer();
  Concealer(const Concealer&) = delete;
  Concealer& operator=(const Concealer&) = delete;

  /**
   * A frame that arrived, in place. Right after a gap its beginning is cross-faded with the continued
   * synthetic signal. The fade lasts a quarter of a pitch period, 4 ms more for each 10 ms lost beyond the
   * first, 10 ms at most. With Timing::Live and no gap before it the frame is only read.
   */
  void receive(int16_t* frame, size_t samples);

  /** Synthesises the next `samples` of a gap. */
  void conceal(int16_t* out, size_t samples);

  /** The part of the history that the next 20 ms go to. */
  void fetch() const;

  /** As new: the history is silence. */
  void reset();

  /** Everything this object holds, itself included. */
  size_t stateBytes() const;

  /** By how much the output lags the input, in samples: 0 with Timing::Live. */
  size_t delaySamples() const { return timing_ == Timing::Live ? 0 : lengths_.overlapMax; }

 private:
  /** Lengths in samples; in brackets those at 8 kHz. */
  struct Lengths {
    explicit Lengths(int sampleRateHz);
    uint32_t coarseStep;   // [2] samples to one of the coarse pitch search
    uint32_t frame;        // [80] 10 ms: attenuation and the number of periods change at its multiples
    uint32_t pitchMin;     // [40] 5 ms
    uint32_t pitchMax;     // [120] 15 ms
    uint32_t correlation;  // [160] 20 ms
    uint32_t overlapMax;   // [30] a quarter of the longest period
    uint32_t fadeStep;     // [32] 4 ms
    uint32_t history;      // [390] three periods and the overlap before them
  };

  size_t gapSamples() const { return lengths_.history + 2 * lengths_.overlapMax; }
  int16_t* quarter() const { return period_ + lengths_.history; }
  int16_t* tail() const { return quarter() + lengths_.overlapMax; }
  bool takeGap();
  void giveGap();
  void remember(const int16_t* samples, size_t count);
  void recall(size_t back, size_t count, int16_t* out) const;
  void delayOutput(int16_t* samples, size_t count) const;
  void beginGap();
  void beginSegment(uint32_t segment);
  void joinTailToPeriodStart();
  void smooth(int16_t* out, uint32_t at, uint32_t count, uint32_t segment);
  void attenuate(int16_t* out, uint32_t at, uint32_t count, uint32_t segment);
  void beginRecovery();
  void recover(int16_t* frame, size_t samples);
  void repeat(int16_t* out, size_t count);
  uint32_t findPitch() const;

  Lengths lengths_;
  Timing timing_;
  BlockPool* pool_;  // null: the gap's part is always there, behind the history
  Block* block_ = nullptr;
  std::unique_ptr<int16_t[]> samples_;  // history: ring of the output
  // Of a gap: [period: the history as it found it][quarter: its last samples, before they were overlapped]
  //           [tail: the fewer periods, going on]
  int16_t* period_ = nullptr;
  uint32_t ringAt_ = 0;  // where the next sample goes

  uint32_t elapsed_ = 0;  // samples of the present gap; 0 outside one
  uint32_t pitch_ = 0;
  uint32_t overlap_ = 0;      // a quarter of the pitch
  uint32_t loopLength_ = 0;   // 1, 2 or 3 periods: the last so many samples of period_ repeat
  uint32_t loopAt_ = 0;       // position in the loop
  uint32_t fadeSamples_ = 0;  // of the cross-fade back to good audio
  uint32_t fadeLeft_ = 0;
  double fadeGain_ = 0;  // of the synthetic signal in it
};

}  // namespace sidetone
