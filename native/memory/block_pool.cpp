#include "memory/block_pool.h"

namespace sidetone {

Block* BlockPool::take() {
  if (!free_ && !grow()) return nullptr;
  Block* block = free_;
  free_ = block->next;
  block->next = nullptr;
  inUse_++;
  return block;
}

void BlockPool::give(Block* chain) {
  while (chain) {
    Block* next = chain->next;
    chain->next = free_;
    free_ = chain;
    inUse_--;
    chain = next;
  }
}

size_t BlockPool::blocksLeft() const { return inUse_ >= blocksMax_ ? 0 : blocksMax_ - inUse_; }

bool BlockPool::grow() {
  if (blocksAllocated() >= blocksMax_) return false;
  // Left uninitialised: a page that is never used is never touched.
  slabs_.emplace_back(new Block[kBlocksPerSlab]);
  Block* slab = slabs_.back().get();
  for (size_t i = kBlocksPerSlab; i-- > 0;) {
    slab[i].next = free_;
    free_ = &slab[i];
  }
  return true;
}

}  // namespace sidetone
