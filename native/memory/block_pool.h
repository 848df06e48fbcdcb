#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sidetone {

/**
 * Fixed-size memory blocks for what comes and goes while calls run: frames held for reordering, audio queued
 * for sending. One pool a reactor, used by its thread alone. Blocks come from slabs of kBlocksPerSlab that
 * are allocated when the free list is empty and kept until the pool dies, so a steady load allocates nothing.
 *
 *   Block   | next (8 bytes) | data (1016 bytes) |   = 1 KiB: 127 ms of PCMU, 31 ms of L16 at 16 kHz
 */
struct Block {
  static constexpr size_t kDataBytes = 1016;
  Block* next;
  uint8_t data[kDataBytes];
};
static_assert(sizeof(Block) == 1024);

class BlockPool {
 public:
  static constexpr size_t kBlocksPerSlab = 256;

  /** At most `blocksMax` blocks are ever allocated (rounded up to whole slabs). */
  explicit BlockPool(size_t blocksMax) : blocksMax_(blocksMax) {}

  /** A block with `next` null, or nullptr when the maximum is reached: the caller counts that and drops. */
  Block* take();

  /** Gives back a chain of blocks; nullptr is an empty chain. */
  void give(Block* chain);

  size_t blocksMax() const { return blocksMax_; }
  size_t blocksInUse() const { return inUse_; }
  size_t blocksAllocated() const { return slabs_.size() * kBlocksPerSlab; }
  /** How many more blocks `take` can hand out. */
  size_t blocksLeft() const;

 private:
  bool grow();

  size_t blocksMax_;
  size_t inUse_ = 0;
  Block* free_ = nullptr;
  std::vector<std::unique_ptr<Block[]>> slabs_;
};

}  // namespace sidetone
