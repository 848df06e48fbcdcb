#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "codec/g722.h"

namespace sidetone {

/** G.722 messages that are due at once, encoded together: sixteen streams at a time in SIMD lanes. */
class G722Batch {
 public:
  /** Messages of one batch. */
  static constexpr size_t kSlots = 64;

  /** `samplesMax`: of the longest message. */
  explicit G722Batch(size_t samplesMax) : samplesMax_(samplesMax) {}

  /** Takes the memory for all slots; a reactor without G.722 streams needs none. */
  void reserve();

  /** Where the PCM of the message in `slot` is to be written. */
  int16_t* pcm(size_t slot) { return &pcm_[slot * samplesMax_]; }

  /**
   * Adds the message whose PCM lies in `slot`. `waits` is true from now until encode(): messages of one
   * encoder depend on each other, so a batch holds one of each.
   */
  void add(G722Encoder* encoder, bool& waits, size_t slot, size_t samples);

  /** Encodes all that was added and writes each message into its slot of `slab`. */
  void encode(uint8_t* slab, size_t slotBytes);

 private:
  struct Job {
    G722Encoder* encoder;
    bool* waits;
    size_t slot;
    size_t samples;
  };

  std::array<Job, kSlots> jobs_{};
  size_t jobCount_ = 0;
  size_t samplesMax_;
  std::vector<int16_t> pcm_;
  std::vector<uint8_t> payload_;
};

}  // namespace sidetone
