#pragma once
#include <cstddef>
#include <cstdint>

#include "memory/block_pool.h"

namespace sidetone {

/** A first-in-first-out queue of bytes in blocks of a pool; an empty queue holds no block. */
class BlockQueue {
 public:
  explicit BlockQueue(BlockPool& pool) : pool_(&pool) {}
  ~BlockQueue() { clear(); }
  BlockQueue(const BlockQueue&) = delete;
  BlockQueue& operator=(const BlockQueue&) = delete;

  size_t bytes() const { return bytes_; }

  /** Appends all of it, or nothing and false when the pool has not enough blocks. */
  bool append(const uint8_t* data, size_t count);

  /** Puts all of it before what is there, or nothing and false when the pool has not enough blocks. */
  bool prepend(const uint8_t* data, size_t count);

  /** Moves the first `count` bytes to `out`; `count` must not exceed bytes(). */
  void read(uint8_t* out, size_t count);

  /** Drops the first `count` bytes, at most bytes(). */
  void drop(size_t count);

  /** Copies `count` bytes to `out` from `offset` on; both lie within bytes(). */
  void peek(size_t offset, uint8_t* out, size_t count) const;
  /** Puts `count` bytes of `data` in the place of those from `offset` on. */
  void overwrite(size_t offset, const uint8_t* data, size_t count);

  void clear();

 private:
  /** Calls visit(bytes, count) with each part of what lies from `offset` on. */
  template <typename Visit>
  void parts(size_t offset, size_t count, Visit visit) const;

  BlockPool* pool_;
  Block* head_ = nullptr;
  Block* tail_ = nullptr;
  size_t headOffset_ = 0;  // first unread byte in head_
  size_t tailUsed_ = 0;    // bytes written into tail_
  size_t bytes_ = 0;
};

}  // namespace sidetone
